"""Components hear of every iteration; the parts of their losses reach the log."""

import pytest
import torch

from tests.digits_runner import digits_runner


def test_progress_reaches_modules_and_batch_augments(tmp_path):
    runner = digits_runner(tmp_path / 'a', 'resnet8_ce', max_epochs=2)
    heard = []

    class Augment:
        def __call__(self, images, scores):
            return images, scores.float()

        def set_progress(self, **progress):
            heard.append(progress)

    from mmpretrain.models.utils.batch_augments import RandomBatchAugment

    preprocessor = runner.model.data_preprocessor
    preprocessor.batch_augments = RandomBatchAugment([Augment()])
    preprocessor.to_onehot = True
    runner.train()
    assert [one['iteration'] for one in heard] == list(range(10))
    assert [one['epoch'] for one in heard] == [0] * 5 + [1] * 5
    assert {one['max_epochs'] for one in heard} == {2}
    assert {one['seed'] for one in heard} == {runner.seed}


def test_loss_parts_are_logged_with_a_head_of_mmpretrain(tmp_path):
    runner = digits_runner(tmp_path / 'a', 'resnet8_car')
    runner.train()
    parts = {
        name: runner.message_hub.get_scalar(f'train/{name}').current()
        for name in ('loss_cls', 'loss_car', 'loss')
    }
    assert parts['loss_cls'] > 0 and parts['loss_car'] > 0
    assert torch.isclose(
        torch.tensor(parts['loss_cls'] + parts['loss_car']), torch.tensor(parts['loss'])
    )


@pytest.mark.parametrize('leaf', ['resnet8_logit_adjustment', 'resnet8_car'])
def test_a_loop_of_iterations_is_resumed(tmp_path, leaf):
    def runner(max_iters, **options):
        return digits_runner(
            tmp_path / 'a',
            leaf,
            **{
                'train_cfg': dict(
                    _delete_=True, type='IterBasedTrainLoop', max_iters=max_iters, val_interval=10
                ),
                'train_dataloader.sampler': dict(type='InfiniteSampler', shuffle=True),
                'param_scheduler': None,
                'default_hooks.checkpoint.by_epoch': False,
                'default_hooks.checkpoint.interval': 2,
                'default_hooks.checkpoint.save_best': None,
                **options,
            },
        )

    runner(2).train()
    resumed = runner(4, resume=True)
    resumed.train()
    assert resumed.iter == 4


def test_partners_that_the_preprocessor_would_drop_are_an_error(tmp_path):
    runner = digits_runner(
        tmp_path / 'a', 'resnet8_cpmix', **{'data_preprocessor.type': 'ClsDataPreprocessor'}
    )
    with pytest.raises(ValueError, match='PairedDataPreprocessor'):
        runner.train()


def test_a_run_from_other_weights_forgets_what_they_saw(tmp_path):
    options = {'model.head.loss.prior': 'effective'}
    digits_runner(tmp_path / 'a', 'resnet8_logit_adjustment', **options).train()
    path = str(tmp_path / 'a' / 'epoch_1.pth')
    saved = torch.load(path, weights_only=True)['state_dict']
    assert saved['head.loss_module.running_steps'] == 5
    runner = digits_runner(tmp_path / 'b', 'resnet8_logit_adjustment', load_from=path, **options)
    runner.train()
    assert runner.model.head.loss_module.running_steps == 5, 'and not 10'
    resumed = digits_runner(
        tmp_path / 'a', 'resnet8_logit_adjustment', max_epochs=2, resume=True, **options
    )
    resumed.train()
    assert resumed.model.head.loss_module.running_steps == 10


def test_partners_that_never_come_are_said_before_training(tmp_path):
    runner = digits_runner(
        tmp_path / 'a', 'resnet8_cpmix', **{'train_dataloader.sampler.start_epoch': 9}
    )
    messages = []
    runner.logger.warning = lambda message, *args: messages.append((runner.iter, str(message)))
    runner.train()
    said = {message for iteration, message in messages if iteration == 0}
    assert any('start_epoch=9 is never reached in 1 epochs' in message for message in said)


def test_the_effective_prior_reaches_the_log():
    """Of a model that no loop is needed for: the hook asks a runner for its parts only."""
    from types import SimpleNamespace

    from mmlt.hooks import TrainingProgressHook
    from mmlt.models import LogitAdjustedLoss

    loss = LogitAdjustedLoss(prior='effective', momentum=0.0, class_counts=[90, 9, 1])
    loss(torch.zeros(8, 3), torch.tensor([0, 0, 0, 0, 1, 1, 1, 2]))
    written = []
    runner = SimpleNamespace(
        model=torch.nn.Sequential(loss),
        iter=7,
        visualizer=SimpleNamespace(add_scalars=lambda scalars, step: written.append(scalars)),
    )
    TrainingProgressHook().after_train_epoch(runner)
    (scalars,) = written
    prior = loss.running_prior
    assert scalars['effective_prior/imbalance_ratio'] == pytest.approx(
        float(prior.max() / prior.min())
    )
    assert scalars['effective_prior/imbalance_ratio'] < 89
