"""What every sampler of ours promises; a new one joins by an entry in ``OPTIONS``."""

from __future__ import annotations

import numpy as np
import pytest
from mmengine.dataset import ClassBalancedDataset, ConcatDataset, RepeatDataset
from mmpretrain.registry import DATA_SAMPLERS
from torch.utils.data import DataLoader, Subset

import mmlt.datasets.samplers as samplers
from mmlt.datasets.samplers.epoch import EpochSampler
from tests.datasets.toy import COUNTS, ToyDataset, on_rank, toy_labels
from tests.references import sampling as reference

BALANCED, INVERSE = (reference.class_law(COUNTS, power) for power in (0, -1))
UNIFORM = reference.class_law(COUNTS, 1)


def _mean(first, second):
    return (first + second) / 2


# Type, options, probabilities of the class drawn in epoch 2.
OPTIONS = {
    'balanced': ('ClassBalancedSampler', {}, BALANCED),
    'sqrt': ('ClassBalancedSampler', dict(power=0.5), reference.class_law(COUNTS, 0.5)),
    'inverse': ('ClassBalancedSampler', dict(power=-1), INVERSE),
    'instance': ('ClassBalancedSampler', dict(power=1), UNIFORM),
    'progressive': (
        'ClassBalancedSampler',
        dict(progressive=True, num_epochs=4),
        _mean(UNIFORM, BALANCED),
    ),
    'effective': (
        'ClassBalancedSampler',
        dict(effective_number=0.9),
        reference.effective_number_law(COUNTS, 0.9),
    ),
    'class-aware': ('ClassBalancedSampler', dict(replacement=False), BALANCED),
    'class-aware progressive': (
        'ClassBalancedSampler',
        dict(replacement=False, progressive=True, num_epochs=4),
        _mean(UNIFORM, BALANCED),
    ),
    'pair balanced': ('PairSampler', {}, UNIFORM),
    'pair inverse': ('PairSampler', dict(partners='inverse', start_epoch=9), UNIFORM),
    'pair power': ('PairSampler', dict(partners=0.5), UNIFORM),
    'pair both': ('PairSampler', dict(partners='inverse', pairing='pairs'), UNIFORM),
    'pair confusion': ('PairSampler', dict(partners='confusion'), UNIFORM),
}
everything = pytest.mark.parametrize('name', OPTIONS)


def build(name, dataset=None, epoch=0, seed=3, **kwargs):
    kind, options, _ = OPTIONS[name]
    dataset = ToyDataset() if dataset is None else dataset
    sampler = DATA_SAMPLERS.build(
        dict(type=kind, **options, **kwargs), default_args=dict(dataset=dataset, seed=seed)
    )
    sampler.set_epoch(epoch)
    return sampler


def test_every_registered_sampler_is_under_contract():
    ours = {name for name in samplers.__all__ if issubclass(getattr(samplers, name), EpochSampler)}
    assert ours == {kind for kind, _, _ in OPTIONS.values()}
    assert all(DATA_SAMPLERS.get(name) is getattr(samplers, name) for name in samplers.__all__)


@everything
@pytest.mark.parametrize('world_size', [1, 2, 3])
def test_ranks_partition_one_list(name, world_size, monkeypatch):
    whole = list(build(name, epoch=2))
    assert len(whole) == sum(COUNTS)
    parts = []
    for rank in range(world_size):
        on_rank(monkeypatch, rank, world_size)
        sampler = build(name, epoch=2)
        parts.append(list(sampler))
        assert len(parts[-1]) == len(sampler)
    total = -(-len(whole) // world_size) * world_size
    interleaved = [parts[i % world_size][i // world_size] for i in range(total)]
    assert interleaved == (whole + whole)[:total]
    assert sum(map(len, parts)) == total


@everything
def test_seed_and_epoch_decide(name):
    sampler = build(name, epoch=2)
    first = list(sampler)
    assert list(sampler) == first
    assert list(build(name, epoch=2)) == first
    sampler.set_epoch(3)
    assert list(sampler) != first
    sampler.set_epoch(2)
    assert list(sampler) == first
    assert list(build(name, epoch=2, seed=4)) != first


@everything
def test_resumed_is_uninterrupted(name):
    uninterrupted = build(name)
    for epoch in range(5):
        uninterrupted.set_epoch(epoch)
        last = list(uninterrupted)
    assert list(build(name, epoch=4)) == last


@everything
def test_class_frequencies(name):
    labels = toy_labels()
    sampler = build(name)
    times = np.zeros(len(COUNTS))
    for seed in range(60):
        sampler.seed = seed
        sampler._drawn = (0, np.zeros(len(COUNTS), int))
        sampler.set_epoch(2)
        times += np.bincount(labels[list(sampler)], minlength=len(COUNTS))
    assert reference.chi_square_p_value(times, OPTIONS[name][2] * times.sum()) > 1e-3


@everything
def test_entries_are_plain_ints(name):
    for index in build(name):
        assert type(index) is int and 0 <= index < sum(COUNTS)


@everything
def test_no_global_randomness(name):
    np.random.seed(0)
    state = np.random.get_state()[1].copy()
    list(build(name))
    np.testing.assert_array_equal(np.random.get_state()[1], state)


@everything
@pytest.mark.parametrize('num_workers', [0, 2])
def test_workers_change_nothing(name, num_workers):
    sampler = build(name, epoch=1)
    loader = DataLoader(
        _Echo(), sampler=sampler, batch_size=7, num_workers=num_workers, collate_fn=list
    )
    assert [entry for batch in loader for entry in batch] == list(sampler)


class _Echo:
    def __len__(self):
        return sum(COUNTS)

    def __getitem__(self, index):
        return index


@everything
def test_single_image_and_single_class(name):
    lone = ToyDataset(labels=[0], num_classes=1)
    kind, options, _ = OPTIONS[name]
    sampler = DATA_SAMPLERS.build(dict(type=kind, dataset=lone, seed=0, **options))
    assert list(sampler) == [0]


WRAPPERS = {
    'repeat': (lambda data: RepeatDataset(data, 2), lambda labels: np.tile(labels, 2)),
    'concat': (
        lambda data: ConcatDataset([data, ToyDataset(labels=[1, 0])]),
        lambda labels: np.append(labels, [1, 0]),
    ),
    'subset': (lambda data: Subset(data, [4, 1, 2]), lambda labels: labels[[4, 1, 2]]),
    'oversampled': (lambda data: ClassBalancedDataset(data, 0.2), None),
    'subset of mmpretrain': (lambda data: data.get_subset([5, 7]), lambda labels: labels[[5, 7]]),
    'indices': (lambda data: ToyDataset(indices=10), lambda labels: labels[:10]),
}


@pytest.mark.parametrize('wrapper', WRAPPERS)
@pytest.mark.parametrize('name', ['balanced', 'pair balanced'])
def test_labels_through_wrappers(name, wrapper):
    make, expected = WRAPPERS[wrapper]
    dataset = make(ToyDataset())
    sampler = build(name, dataset=dataset)
    if expected is None:
        labels = [dataset.get_cat_ids(i)[0] for i in range(len(dataset))]
    else:
        labels = expected(toy_labels())
    np.testing.assert_array_equal(sampler.labels, labels)
    assert len(list(sampler)) == len(labels)


class _NoLabels:
    def __len__(self):
        return 3


class _ManyLabels(_NoLabels):
    def get_cat_ids(self, index):
        return [0, 1]


class _FewLabels(_NoLabels):
    def get_gt_labels(self):
        return [0, 1]


class _TooFewClasses(_NoLabels):
    metainfo = dict(classes=('a', 'b'))

    def get_gt_labels(self):
        return [0, 1, 2]


@pytest.mark.parametrize(
    'dataset, error, message',
    [
        (_NoLabels(), TypeError, 'get_gt_labels'),
        (_ManyLabels(), ValueError, 'one integer label'),
        (_FewLabels(), ValueError, '3 images but 2 labels'),
        (_TooFewClasses(), ValueError, 'has 2 classes'),
        ([], ValueError, 'dataset: expected a data set'),
    ],
)
@pytest.mark.parametrize('name', ['balanced', 'pair balanced'])
def test_unusable_data(name, dataset, error, message):
    with pytest.raises(error, match=message):
        build(name, dataset=dataset)


@pytest.mark.parametrize(
    'kind, options, argument',
    [
        ('ClassBalancedSampler', dict(progressive=True), 'num_epochs'),
        ('ClassBalancedSampler', dict(power=0.5, effective_number=0.9), 'effective_number'),
        ('ClassBalancedSampler', dict(power=None), 'power'),
        ('ClassBalancedSampler', dict(replacement=0), 'replacement'),
        ('ClassBalancedSampler', dict(effective_number=1.0), 'effective_number'),
        ('ClassBalancedSampler', dict(power=float('inf')), 'power'),
        ('ClassBalancedSampler', dict(seed=-1), 'seed'),
        ('PairSampler', dict(partners='confused'), 'partners'),
        ('PairSampler', dict(partners=None), 'partners.*power'),
        ('PairSampler', dict(partners=float('nan')), 'partners'),
        ('PairSampler', dict(pairing='pair'), 'pairing'),
        ('PairSampler', dict(pair_fraction=2), 'pair_fraction'),
        ('PairSampler', dict(start_epoch=-1), 'start_epoch'),
        ('PairSampler', dict(start_epoch='3'), 'start_epoch'),
        ('PairSampler', dict(normalize_confusion=1), 'normalize_confusion'),
    ],
)
def test_bad_options(kind, options, argument):
    with pytest.raises(ValueError, match=argument):
        DATA_SAMPLERS.build(dict(type=kind, dataset=ToyDataset(), **options))


def test_class_aware_exhausts_pools_across_epochs():
    sampler = build('class-aware')
    images = []
    for epoch in range(12):
        sampler.set_epoch(epoch)
        images += list(sampler)
    assert not reference.repeats_before_exhaustion(images, toy_labels())
    times = np.bincount(toy_labels()[images], minlength=5)
    assert np.ptp(times[[0, 1, 3, 4]]) <= 12


def test_progressive_probabilities_move_and_stay():
    sampler = build('progressive')
    np.testing.assert_allclose(sampler.class_probabilities(0), UNIFORM)
    np.testing.assert_allclose(sampler.class_probabilities(3), 0.25 * UNIFORM + 0.75 * BALANCED)
    np.testing.assert_allclose(sampler.class_probabilities(7), BALANCED)
