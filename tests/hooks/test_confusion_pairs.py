"""Counts of confusion pairs in real runs: any head, samplers and augments fed, resume."""

import importlib
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from mmengine.hooks import Hook
from mmpretrain.models.heads import LinearClsHead
from torch import nn

from mmlt.hooks import ConfusionPairsHook
from mmlt.models.losses.confusion_pair_counts import ConfusionPairCounts
from tests.digits_runner import digits_runner
from tests.hooks.test_resume import stop_after
from tests.references import mixing as reference

K = 4


def steps(count=3, size=20, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [
        (torch.randn(size, K, generator=generator), torch.randint(K, (size,), generator=generator))
        for _ in range(count)
    ]


def epoch_counts(batches):
    return sum(reference.count_pairs(*batch) for batch in batches)


def run_epoch(pairs, batches):
    pairs.start_epoch()
    for batch in batches:
        pairs(*batch)
    return pairs.finish_epoch()


def test_finished_counts_are_those_of_the_last_epoch():
    pairs = ConfusionPairCounts(K)
    for seed in range(3):
        assert run_epoch(pairs, steps(seed=seed))
        torch.testing.assert_close(pairs.finished, epoch_counts(steps(seed=seed)).float())
    assert not pairs.counts.any() and pairs.num_epochs == 3
    assert pairs.begin_run()
    assert not pairs.finished.any() and pairs.num_epochs == 0


def test_finished_counts_as_an_average_over_epochs():
    pairs, expected = ConfusionPairCounts(K, momentum=0.7), None
    for seed in range(4):
        run_epoch(pairs, steps(seed=seed))
        fresh = epoch_counts(steps(seed=seed)).float()
        expected = fresh if expected is None else 0.7 * expected + 0.3 * fresh
        torch.testing.assert_close(pairs.finished, expected)


def test_an_epoch_without_images_leaves_the_former_counts():
    pairs = ConfusionPairCounts(K)
    run_epoch(pairs, steps())
    former = pairs.finished.clone()
    assert not run_epoch(pairs, [])
    assert torch.equal(pairs.finished, former)


def test_an_epoch_without_errors_leaves_no_pair():
    pairs = ConfusionPairCounts(K)
    run_epoch(pairs, steps())
    targets = torch.arange(K)
    assert run_epoch(pairs, [(F.one_hot(targets, K).float(), targets)])
    assert torch.equal(pairs.finished, torch.eye(K))


def test_nothing_is_counted_in_evaluation():
    pairs = ConfusionPairCounts(K).eval()
    assert not run_epoch(pairs, steps())


def test_state_survives_a_checkpoint_and_other_types():
    pairs, other = ConfusionPairCounts(K, momentum=0.5), ConfusionPairCounts(K, momentum=0.5)
    run_epoch(pairs, steps())
    pairs(*steps(1, seed=5)[0])
    other.load_sparse_state(pairs.sparse_state())
    assert torch.equal(other.counts, pairs.counts) and other.counts.any()
    for module in (pairs, other):
        module.half()
        module(*steps(1, seed=6)[0])
        module.finish_epoch()
    assert pairs.finished.dtype == torch.float32 and pairs.counts.dtype == torch.int32
    assert torch.equal(pairs.counts, other.counts) and torch.equal(pairs.finished, other.finished)


def test_a_checkpoint_holds_what_was_counted_only(tmp_path):
    classes = 1000
    counter, other = ConfusionPairCounts(classes, momentum=0.3), ConfusionPairCounts(classes)
    for seed in range(2):
        errors = torch.randint(classes, (50,), generator=torch.Generator().manual_seed(seed))
        counter(F.one_hot(errors, classes).float(), errors.flip(0))
        counter.finish_epoch()
    assert not torch.equal(counter.finished, counter.finished.round()), 'an average'
    path = tmp_path / 'state.pth'
    torch.save(counter.sparse_state(), path)
    assert path.stat().st_size < 30_000 < counter.finished.numel()
    other.load_sparse_state(torch.load(path, weights_only=True))
    assert torch.equal(other.finished, counter.finished) and other.finished.any()
    assert other.num_epochs == 2
    other.load_sparse_state(ConfusionPairCounts(classes).sparse_state())
    assert not other.finished.any()
    assert not counter.state_dict(), 'EMAHook and MMEngine copy what a state dict holds'


def test_counts_of_another_number_of_classes_are_passed_over():
    counter, other = ConfusionPairCounts(K), ConfusionPairCounts(K + 1)
    run_epoch(counter, steps())
    other.load_sparse_state(counter.sparse_state())
    assert not other.finished.any()


@pytest.mark.parametrize(
    'options, name',
    [
        (dict(num_classes=1), 'num_classes'),
        (dict(num_classes=3, momentum=1.0), 'momentum'),
        (dict(num_classes=3, mixed='some'), 'mixed'),
    ],
)
def test_bad_options(options, name):
    with pytest.raises(ValueError, match=name):
        ConfusionPairCounts(**options)


def test_logits_of_another_number_of_classes():
    with pytest.raises(ValueError, match='logits'):
        ConfusionPairCounts(K)(torch.zeros(2, 3), torch.zeros(2).long())


class FakeRunner:
    """As much of a runner as the hook needs."""

    def __init__(self, head):
        self.model = nn.Module()
        self.model.head = head
        self.hooks = []
        loader = SimpleNamespace(dataset=[], batch_sampler=None, sampler=None)
        self._train_loop = SimpleNamespace(dataloader=loader)


def test_a_second_run_counts_once():
    runner = FakeRunner(LinearClsHead(num_classes=K, in_channels=3))
    hook = ConfusionPairsHook()
    hook.before_run(runner)
    hook.before_run(runner)
    head = runner.model.head
    head.loss_module(*steps(1)[0])
    torch.testing.assert_close(head.confusion_pairs.counts, reference.count_pairs(*steps(1)[0]))


def test_a_loss_that_was_exchanged_is_found_again():
    runner = FakeRunner(LinearClsHead(num_classes=K, in_channels=3))
    hook = ConfusionPairsHook()
    hook.before_run(runner)
    head = runner.model.head
    former, head.loss_module = head.loss_module, nn.CrossEntropyLoss()
    hook.before_train_epoch(runner)
    former(*steps(1)[0])
    assert not head.confusion_pairs.counts.any()
    head.loss_module(*steps(1)[0])
    assert int(head.confusion_pairs.counts.sum()) == 20


@pytest.mark.parametrize('head', [nn.Linear(2, 2), None])
def test_a_head_without_a_loss_module(head):
    with pytest.raises(ValueError, match='loss_module'):
        ConfusionPairsHook().before_run(FakeRunner(head))


def test_a_head_that_does_not_tell_its_classes():
    head = nn.ModuleDict({'loss_module': nn.CrossEntropyLoss(), 'fc': nn.Linear(1, 1)})
    head.loss_module = head['loss_module']
    hook, runner = ConfusionPairsHook(), FakeRunner(head)
    with pytest.raises(ValueError, match=r'num_classes: expected .*LongTailHook'):
        hook.before_run(runner)
    hook.set_class_counts([3, 2, 1])
    hook.before_run(runner)
    assert runner.model.head.confusion_pairs.num_classes == 3


@pytest.mark.parametrize('options', [dict(momentum=1.0), dict(mixed='some'), dict(momentum='a')])
def test_bad_options_of_the_hook(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        ConfusionPairsHook(**options)


PAIRED = {
    'train_dataloader.sampler': dict(_delete_=True, type='PairSampler', partners='confusion'),
    'train_dataloader.batch_sampler': dict(type='PairBatchSampler', prob=0.5),
    'train_dataloader.dataset': dict(
        _delete_=True,
        type='PairedDataset',
        dataset=dict(
            type='DigitsLT', split='train', imbalance_ratio=50, pipeline=[dict(type='PackInputs')]
        ),
    ),
    'model.data_preprocessor': dict(
        type='PairedDataPreprocessor', num_classes=10, mean=[77.9] * 3, std=[96.0] * 3
    ),
    'model.train_cfg': dict(augments=dict(type='CPMixBatchAugment')),
}
IN_BATCH = {'model.train_cfg': dict(augments=dict(type='CPMixBatchAugment', prob=0.5))}
HEADS = {
    'linear': {},
    'car': {
        'model.head.loss': dict(
            _delete_=True, type='CARLoss', criterion=dict(type='LogitAdjustedLoss')
        )
    },
    'experts': {
        'model.head': dict(
            _delete_=True, type='MultiExpertClsHead', num_classes=10, in_channels=64, num_experts=2
        )
    },
}


class Record(Hook):
    """What reached the loss, epoch by epoch, counted with the loop; and what was handed over."""

    priority = 'VERY_HIGH'

    def __init__(self, consumer):
        self.consumer, self.epochs, self.received, self.counted = consumer, [], [], []

    def before_train(self, runner):
        runner.model.head.loss_module.register_forward_pre_hook(self.count, with_kwargs=True)
        target = self.consumer(runner)
        original = target.set_confusion_counts

        def record(counts):
            self.received.append(counts.to_dense().clone())
            original(counts)

        target.set_confusion_counts = record

    def before_train_epoch(self, runner):
        self.epochs.append(torch.zeros(10, 10, dtype=torch.int32))

    def count(self, loss, args, kwargs):
        logits, targets = args[:2]
        logits = logits.mean(0) if logits.ndim == 3 else logits
        self.epochs[-1] += reference.count_pairs(logits, targets)

    def after_train_epoch(self, runner):
        self.counted.append(self.epochs[-1].float())


def sampler_of(runner):
    return runner.train_dataloader.batch_sampler.sampler


def augment_of(runner):
    return runner.model.data_preprocessor.batch_augments.augments[0]


def runner_with(work_dir, *options, max_epochs=3, hook=None, **more):
    merged = {key: value for part in options for key, value in part.items()}
    return digits_runner(
        work_dir,
        max_epochs=max_epochs,
        **{
            **merged,
            'custom_hooks': [] if hook is None else [dict(type='ConfusionPairsHook', **hook)],
            'default_hooks.checkpoint.save_best': None,
            **more,
        },
    )


@pytest.mark.parametrize(
    'head, way',
    [('linear', 'paired'), ('car', 'paired'), ('experts', 'paired'), ('linear', 'in_batch')],
)
def test_counts_of_any_head_reach_sampler_or_augment(tmp_path, head, way):
    importlib.import_module('mmlt.models.heads.multi_expert_cls_head')
    options, consumer = {'paired': (PAIRED, sampler_of), 'in_batch': (IN_BATCH, augment_of)}[way]
    runner = runner_with(tmp_path / 'a', options, HEADS[head], max_epochs=2)
    record = Record(consumer)
    runner.register_hook(record)
    runner.train()
    assert len(record.received) == 2 and all(counts.any() for counts in record.counted)
    assert not record.received[0].any()
    for received, counts in zip(record.received[1:], record.counted, strict=False):
        torch.testing.assert_close(received, counts)
    saved = torch.load(tmp_path / 'a' / 'epoch_2.pth', weights_only=True)
    assert not any('confusion_pairs' in name for name in saved['state_dict'])
    other = ConfusionPairCounts(10)
    other.load_sparse_state(saved['confusion_pairs'])
    torch.testing.assert_close(other.finished, record.counted[-1])
    assert not other.counts.any()


@pytest.mark.parametrize('car', [True, False])
def test_a_contrastive_head_counts_its_clean_views_where_they_are_classified(tmp_path, car):
    """With CAR every image of every batch counts, once a view; without it, unmixed batches."""
    options = {
        'train_dataloader.sampler.partners': 'confusion',
        'model.train_cfg.augments': dict(type='CPMixBatchAugment', _delete_=True),
    }
    runner = digits_runner(
        tmp_path / 'a',
        'resnet8_concutmix_car' if car else 'resnet8_concutmix',
        max_epochs=2,
        **{**options, 'default_hooks.checkpoint.save_best': None},
    )
    head, seen = runner.model.head, []
    (head.loss_car if car else head.loss_module).register_forward_pre_hook(
        lambda loss, args: seen.append(reference.count_pairs(*args[:2]))
    )
    record = Record(sampler_of)
    record.count = lambda loss, args, kwargs: None
    runner.register_hook(record)
    runner.train()
    images, total = 2 * 305, int(sum(seen).sum())
    assert total == 2 * images if car else 0 < total < images
    first_epoch = sum(seen[: len(seen) // 2]).float()
    torch.testing.assert_close(record.received[1], first_epoch)
    assert record.received[1].any()


@pytest.mark.parametrize(
    'options, epochs', [pytest.param(PAIRED, 3, marks=pytest.mark.slow), (IN_BATCH, 2)]
)
def test_resumed_equals_uninterrupted(tmp_path, options, epochs):
    hook = dict(momentum=0.5)
    runner_with(tmp_path / 'whole', options, max_epochs=epochs, hook=hook).train()
    stop_after(runner_with(tmp_path / 'parts', options, max_epochs=epochs, hook=hook), epochs - 1)
    runner_with(tmp_path / 'parts', options, max_epochs=epochs, hook=hook, resume=True).train()
    whole, parts = (
        torch.load(tmp_path / name / f'epoch_{epochs}.pth', weights_only=True)
        for name in ('whole', 'parts')
    )
    assert len(whole['confusion_pairs']['finished'][1])
    for name in ('state_dict', 'confusion_pairs'):
        torch.testing.assert_close(parts[name], whole[name], rtol=0, atol=0)


def test_no_counts_where_nobody_wants_them(tmp_path):
    runner = runner_with(tmp_path / 'a', max_epochs=1)
    runner.train()
    assert not hasattr(runner.model.head, 'confusion_pairs')
    asked = runner_with(tmp_path / 'b', max_epochs=1, hook={})
    asked.train()
    assert asked.model.head.confusion_pairs.finished.any()


@pytest.mark.parametrize('update_buffers', [True, pytest.param(False, marks=pytest.mark.slow)])
def test_resumed_equals_uninterrupted_with_an_ema_of_the_model(tmp_path, update_buffers):
    options = dict(
        max_epochs=3,
        custom_hooks=[dict(type='EMAHook', momentum=0.1, update_buffers=update_buffers)],
    )
    runner_with(tmp_path / 'whole', PAIRED, **options).train()
    stop_after(runner_with(tmp_path / 'parts', PAIRED, **options), 2)
    runner_with(tmp_path / 'parts', PAIRED, **options, resume=True).train()
    whole, parts = (
        torch.load(tmp_path / name / 'epoch_3.pth', weights_only=True)
        for name in ('whole', 'parts')
    )
    assert len(whole['confusion_pairs']['finished'][1])
    for name in ('state_dict', 'ema_state_dict', 'confusion_pairs'):
        torch.testing.assert_close(parts[name], whole[name], rtol=0, atol=0)


def test_a_run_from_the_weights_of_another_begins_without_its_counts(tmp_path):
    runner_with(tmp_path / 'first', PAIRED, max_epochs=1).train()
    runner = runner_with(
        tmp_path / 'second', PAIRED, max_epochs=1, load_from=str(tmp_path / 'first' / 'epoch_1.pth')
    )
    record = Record(sampler_of)
    runner.register_hook(record)
    runner.train()
    assert not record.received[0].any()


@pytest.mark.parametrize('options', [PAIRED, IN_BATCH])
def test_a_loop_without_epochs_is_refused(tmp_path, options):
    runner = runner_with(
        tmp_path / 'a',
        options,
        train_cfg=dict(_delete_=True, by_epoch=False, max_iters=4),
        param_scheduler=None,
    )
    with pytest.raises(ValueError, match='by_epoch=True'):
        runner.train()


def test_ema_hook_copies_the_counts(tmp_path):
    runner = runner_with(
        tmp_path / 'a', PAIRED, max_epochs=2, custom_hooks=[dict(type='EMAHook', momentum=0.1)]
    )
    record = Record(sampler_of)
    runner.register_hook(record)
    runner.train()
    torch.testing.assert_close(record.received[1], record.counted[0])
    ema = next(hook for hook in runner.hooks if type(hook).__name__ == 'EMAHook')
    assert hasattr(ema.ema_model.module.head, 'confusion_pairs')
    copied = ema.ema_model.module.head
    before = runner.model.head.confusion_pairs.counts.clone()
    copied.train()
    copied.loss_module(torch.eye(10), torch.arange(10).flip(0))
    assert torch.equal(runner.model.head.confusion_pairs.counts, before)


def test_nothing_to_count_is_said(tmp_path, monkeypatch):
    messages = []
    monkeypatch.setattr(
        'mmlt.hooks.confusion_pairs_hook.print_log',
        lambda message, **kwargs: messages.append(message),
    )
    always = {'model.train_cfg': dict(augments=dict(type='CPMixBatchAugment', prob=1.0))}
    runner_with(tmp_path / 'a', always, max_epochs=1).train()
    assert len(messages) == 1 and "mixed='dominant'" in messages[0]
    dominant = runner_with(tmp_path / 'b', always, max_epochs=1, hook=dict(mixed='dominant'))
    dominant.train()
    assert dominant.model.head.confusion_pairs.finished.any() and len(messages) == 1


def test_an_epoch_that_begins_anew_is_counted_anew():
    runner = FakeRunner(LinearClsHead(num_classes=K, in_channels=3))
    hook = ConfusionPairsHook()
    hook.before_run(runner)
    head = runner.model.head
    head.loss_module(*steps(1)[0])
    hook.before_train_epoch(runner)
    assert not head.confusion_pairs.counts.any()
