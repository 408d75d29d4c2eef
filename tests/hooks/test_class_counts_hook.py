"""Class counts travel from the data to every component, and through the checkpoint."""

import pytest
import torch

from tests.digits_runner import digits_runner

CE = 'resnet8_ce'
LA = 'resnet8_logit_adjustment'


def test_losses_and_metrics_receive_the_counts_of_the_training_data(tmp_path):
    runner = digits_runner(tmp_path / 'a', LA)
    runner.train()
    counts = runner.train_dataloader.dataset.metainfo['class_counts']
    assert counts[0] == 110 and counts[-1] == 2
    loss = runner.model.head.loss_module
    assert loss.class_counts.tolist() == counts
    assert runner.val_evaluator.metrics[0].class_counts is not None


def test_the_checkpoint_holds_the_counts_in_plain_types_and_gives_them_to_a_test(tmp_path):
    runner = digits_runner(tmp_path / 'a', LA)
    runner.train()
    path = tmp_path / 'a' / 'epoch_1.pth'
    checkpoint = torch.load(path, weights_only=True)
    counts = checkpoint['meta']['dataset_meta']['class_counts']
    assert all(type(count) is int for count in counts)
    tester = digits_runner(tmp_path / 'b', LA, load_from=str(path))
    figures = tester.test()
    assert figures['long_tail/few_shot'] == runner.message_hub.get_scalar(
        'val/long_tail/few_shot').current()
    assert tester.model.head.loss_module.class_counts.tolist() == counts


def test_resuming_with_other_data_is_an_error(tmp_path):
    digits_runner(tmp_path / 'a', CE).train()
    other = digits_runner(tmp_path / 'a', CE, max_epochs=2, resume=True, **{
        'train_dataloader.dataset.imbalance_ratio': 10})
    with pytest.raises(ValueError, match='resumed with other training data'):
        other.train()


def test_fine_tuning_on_other_data_is_not(tmp_path):
    digits_runner(tmp_path / 'a', CE).train()
    digits_runner(tmp_path / 'b', CE, load_from=str(tmp_path / 'a' / 'epoch_1.pth'), **{
        'train_dataloader.dataset.imbalance_ratio': 10}).train()


def test_data_without_counts_is_an_error_that_names_the_remedy(tmp_path):
    from mmlt.datasets.dataset_labels import dataset_class_counts
    runner = digits_runner(tmp_path / 'a', CE)
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    dataset = runner.train_dataloader.dataset
    dataset._metainfo.pop('class_counts')
    assert dataset_class_counts(dataset) is None
    with pytest.raises(ValueError, match='LongTailDataset'):
        runner.call_hook('before_run')


def test_buffers_that_the_counts_make_are_where_the_model_is(tmp_path):
    """The hook comes before EMAHook, which copies the model with whatever device they are on."""
    runner = digits_runner(tmp_path / 'a', 'resnet8_car')
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    runner.model.to('meta')
    hook = next(hook for hook in runner.hooks if type(hook).__name__ == 'ClassCountsHook')
    hook.before_run(runner)
    assert {buffer.device.type for buffer in runner.model.head.buffers()} == {'meta'}


def test_counts_of_concatenated_data_are_added(tmp_path):
    part = dict(type='DigitsLT', split='train', pipeline=[dict(type='PackInputs')])
    both = [dict(part, imbalance_ratio=50), dict(part, imbalance_ratio=None)]
    runner = digits_runner(tmp_path / 'a', 'resnet8_cpmix', **{
        'train_dataloader.dataset.dataset': dict(
            _delete_=True, type='ConcatDataset', datasets=both,
            ignore_keys=['class_counts'])})
    runner.train()
    sampler = runner.train_dataloader.batch_sampler.sampler
    augment = runner.model.data_preprocessor.batch_augments.augments[0]
    assert augment.class_counts.tolist() == sampler.pools.counts.tolist()
    assert sampler.pools.counts.sum() > 305
