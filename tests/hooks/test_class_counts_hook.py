"""Class counts travel from the data to every component, and through the checkpoint."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.dataset import ClassBalancedDataset, RepeatDataset
from mmpretrain.datasets import KFoldDataset
from mmpretrain.registry import DATASETS
from mmpretrain.structures import DataSample
from torch.utils.data import ConcatDataset, DataLoader, TensorDataset

from mmlt.datasets import DigitsLT
from mmlt.datasets.labels import training_class_counts
from mmlt.hooks import ClassCountsHook
from tests.datasets.toy import ToyDataset
from tests.digits_runner import digits_runner

CE = 'resnet8_ce'
LA = 'resnet8_logit_adjustment'


def test_losses_and_metrics_receive_the_counts_of_the_training_data(tmp_path):
    runner = digits_runner(tmp_path / 'a', LA)
    runner.train()
    counts = runner.train_dataloader.dataset.class_counts
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
    assert (
        figures['long_tail/few_shot']
        == runner.message_hub.get_scalar('val/long_tail/few_shot').current()
    )
    assert tester.model.head.loss_module.class_counts.tolist() == counts


def test_resuming_with_other_data_is_an_error(tmp_path):
    digits_runner(tmp_path / 'a', CE).train()
    other = digits_runner(
        tmp_path / 'a',
        CE,
        max_epochs=2,
        resume=True,
        **{'train_dataloader.dataset.imbalance_ratio': 10},
    )
    with pytest.raises(ValueError, match=r'^train_dataloader.dataset: expected .*on resume'):
        other.train()


def test_fine_tuning_on_other_data_is_not(tmp_path):
    digits_runner(tmp_path / 'a', CE).train()
    digits_runner(
        tmp_path / 'b',
        CE,
        load_from=str(tmp_path / 'a' / 'epoch_1.pth'),
        **{'train_dataloader.dataset.imbalance_ratio': 10},
    ).train()


@DATASETS.register_module(name='TestDigitsOfTheHost')
class DigitsOfTheHost(DigitsLT):
    """A data set as MMPretrain's are: labels, but no class counts."""

    class_counts = None


def test_a_data_set_without_counts_has_its_labels_counted(tmp_path):
    runner = digits_runner(
        tmp_path / 'a', LA, **{'train_dataloader.dataset.type': 'TestDigitsOfTheHost'}
    )
    runner.train()
    counts = runner.model.head.loss_module.class_counts.tolist()
    assert counts[0] == 110 and counts[-1] == 2
    path = tmp_path / 'a' / 'epoch_1.pth'
    assert torch.load(path, weights_only=True)['meta']['dataset_meta']['class_counts'] == counts
    tester = digits_runner(tmp_path / 'b', LA, load_from=str(path))
    assert 'long_tail/few_shot' in tester.test()


def test_resuming_a_data_set_without_counts_is_no_change_of_data(tmp_path, caplog):
    options = {'train_dataloader.dataset.type': 'TestDigitsOfTheHost'}
    digits_runner(tmp_path / 'a', LA, **options).train()
    messages = []
    resumed = digits_runner(tmp_path / 'a', LA, max_epochs=2, resume=True, **options)
    resumed.logger.warning = lambda message, *args: messages.append(str(message))
    resumed.train()
    assert not [message for message in messages if 'metainfo' in message]


TOY = dict(type=ToyDataset, labels=[0] * 8 + [1] * 2 + [2], num_classes=3)


@pytest.mark.parametrize(
    'wrapped, expected',
    [
        (RepeatDataset(TOY, 10), [8, 2, 1]),
        (ClassBalancedDataset(TOY, 0.5), [8, 2, 1]),
        (ConcatDataset([RepeatDataset(TOY, 3), RepeatDataset(TOY, 2)]), [16, 4, 2]),
    ],
)
def test_an_image_that_a_wrapper_repeats_is_counted_once(wrapped, expected):
    assert training_class_counts(wrapped) == expected


def test_the_fold_that_is_held_out_is_not_counted():
    data = KFoldDataset(dict(type='DigitsLT', imbalance_ratio=50, pipeline=[]), num_splits=5)
    counts = training_class_counts(data)
    assert len(counts) == 10 and sum(counts) == len(data) == 244


def test_several_labels_an_image_cannot_be_counted():
    class Several(ToyDataset):
        def get_gt_labels(self):
            return [[0, 1]] * len(self)

    with pytest.raises(ValueError, match=r'Several.*one class per image'):
        training_class_counts(Several(labels=[0, 1], num_classes=2, pipeline=[]))


def test_data_without_labels_is_an_error_that_names_the_remedy(tmp_path):
    runner = digits_runner(tmp_path / 'a', CE)
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    runner.train_loop.dataloader = DataLoader(TensorDataset(torch.zeros(3)))
    with pytest.raises(ValueError, match=r'TensorDataset.*get_gt_labels'):
        runner.call_hook('before_run')


@pytest.mark.parametrize(
    'leaf, option',
    [(CE, 'model.head.num_classes'), ('resnet8_cpmix', 'data_preprocessor.num_classes')],
)
def test_another_number_of_classes_is_an_error_before_training(tmp_path, leaf, option):
    runner = digits_runner(tmp_path / 'a', leaf, **{option: 12})
    with pytest.raises(ValueError, match=rf'{option}: expected 10, .*got 12'):
        runner.train()
    assert runner.iter == 0


def test_a_checkpoint_may_be_loaded_before_the_run(tmp_path):
    digits_runner(tmp_path / 'a', LA).train()
    tester = digits_runner(tmp_path / 'b', LA)
    tester.load_checkpoint(str(tmp_path / 'a' / 'epoch_1.pth'))
    assert tester.model.head.loss_module.class_counts.sum() == 305
    tester.test()


def test_buffers_that_the_counts_make_are_where_the_model_is(tmp_path):
    """The hook comes before EMAHook, which copies the model with whatever device they are on."""
    runner = digits_runner(tmp_path / 'a', 'resnet8_car')
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    runner.model.to('meta')
    ClassCountsHook().before_run(runner)
    assert {buffer.device.type for buffer in runner.model.head.buffers()} == {'meta'}


def test_counts_of_concatenated_data_are_added(tmp_path):
    part = dict(type='DigitsLT', split='train', pipeline=[dict(type='PackInputs')])
    both = [dict(part, imbalance_ratio=50), dict(part, imbalance_ratio=None)]
    runner = digits_runner(
        tmp_path / 'a',
        'resnet8_cpmix',
        **{
            'train_dataloader.dataset.dataset': dict(
                _delete_=True, type='ConcatDataset', datasets=both
            )
        },
    )
    runner.train()
    sampler = runner.train_dataloader.batch_sampler.sampler
    augment = runner.model.data_preprocessor.batch_augments.augments[0]
    assert augment.class_counts.tolist() == sampler.pools.counts.tolist()
    assert sampler.pools.counts.sum() > 305


class _OnADevice:
    """Stands for a sample whose labels are on a GPU already."""

    gt_label = torch.zeros(1, dtype=torch.long, device='meta')

    def __contains__(self, key):
        return key == 'gt_label'


def test_labels_are_looked_at_before_they_reach_the_device():
    model = torch.nn.Module()
    model.head = torch.nn.Identity()
    hook = ClassCountsHook()
    hook._training_counts = [3, 2, 1]
    runner = SimpleNamespace(model=model)
    for labels, said in (([0, 3], 'got 3$'), ([-1, 0], 'got -1$')):
        samples = [DataSample().set_gt_label(label) for label in labels]
        with pytest.raises(ValueError, match=r'^Identity.gt_label: .*\[0, 3\), ' + said):
            hook.before_train_iter(runner, 1, dict(data_samples=samples))
    fine = [DataSample().set_gt_label(label) for label in (0, 2)]
    on_a_device = dict(data_samples=[_OnADevice()])
    for batch in (dict(data_samples=fine), on_a_device, [torch.zeros(2)], None):
        hook.before_train_iter(runner, 1, batch)
