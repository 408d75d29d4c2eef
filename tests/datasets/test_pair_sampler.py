"""Pairs: ordinary anchors, partners by probability, batches that are mixed or not."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler
from mmengine.runner import Runner
from mmpretrain.registry import DATA_SAMPLERS

from mmlt.datasets import PairBatchSampler, PairedDataset, PairSampler
from tests.datasets.toy import CONFUSION, COUNTS, ToyDataset, on_rank, toy_labels
from tests.references import sampling as reference

LABELS = toy_labels()
CLASSES = [0, 1, 3, 4]


def build(epoch=0, seed=5, counts=CONFUSION, **options):
    sampler = PairSampler(ToyDataset(), seed=seed, **options)
    if counts is not None:
        sampler.set_confusion_counts(counts)
    sampler.set_epoch(epoch)
    return sampler


def pairs_of_epochs(sampler, epochs):
    """(n, 2) anchors and partners of the mixed batches."""
    pairs = []
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        pairs.append(np.stack(sampler.pairs(), axis=1))
    return np.concatenate(pairs)


@pytest.mark.parametrize('pairing', ['anchor', 'pairs'])
@pytest.mark.parametrize('partners', ['balanced', 'inverse', 'confusion', 0.25])
@pytest.mark.parametrize('world_size', [1, 2])
def test_anchors_are_those_of_the_default_sampler(partners, pairing, world_size, monkeypatch):
    for rank in range(world_size):
        on_rank(monkeypatch, rank, world_size)
        monkeypatch.setattr('mmengine.dataset.sampler.get_dist_info', lambda: (rank, world_size))  # noqa: B023
        ordinary = DefaultSampler(ToyDataset(), seed=5)
        ordinary.set_epoch(3)
        assert list(build(3, partners=partners, pairing=pairing)) == list(ordinary)


@pytest.mark.parametrize(
    'partners, power', [('balanced', 0), ('inverse', -1), (1, 1), (0.25, 0.25), (np.float64(0), 0)]
)
@pytest.mark.parametrize('pairing', ['anchor', 'pairs'])
def test_partners_by_power(partners, power, pairing):
    sampler = build(partners=partners, pairing=pairing)
    times = np.bincount(LABELS[pairs_of_epochs(sampler, 40)[:, 1]], minlength=5)
    expected = reference.class_law(COUNTS, power) * times.sum()
    assert reference.chi_square_p_value(times, expected) > 1e-3


@pytest.mark.parametrize('normalize', [False, True])
def test_confusion_partners_given_the_anchor(normalize):
    pairs = pairs_of_epochs(build(partners='confusion', normalize_confusion=normalize), 80)
    expected = reference.partner_law(CONFUSION, COUNTS, normalize)
    anchors, partners = LABELS[pairs].T
    for k in CLASSES:
        times = np.bincount(partners[anchors == k], minlength=5)
        assert reference.chi_square_p_value(times, expected[k] * times.sum()) > 1e-3


@pytest.mark.parametrize('normalize', [False, True])
def test_confusion_pairs_of_both_classes(normalize):
    sampler = build(
        partners='confusion', pairing='pairs', pair_fraction=1, normalize_confusion=normalize
    )
    observed = np.zeros((5, 5))
    np.add.at(observed, tuple(LABELS[pairs_of_epochs(sampler, 60)].T), 1)
    expected = reference.pair_law(CONFUSION, COUNTS, normalize) * observed.sum()
    assert reference.chi_square_p_value(observed, expected) > 1e-3


def test_partners_are_uniform_within_the_class():
    partners = pairs_of_epochs(build(partners='confusion'), 80)[:, 1]
    of_class = np.flatnonzero(LABELS == 3)
    times = np.bincount(partners, minlength=len(LABELS))[of_class]
    assert reference.chi_square_p_value(times, np.full(9, times.sum() / 9)) > 1e-3


def test_a_fraction_of_the_anchors_is_replaced():
    ordinary = pairs_of_epochs(build(partners='confusion'), 40)
    options = dict(partners='confusion', pairing='pairs')
    some = pairs_of_epochs(build(pair_fraction=0.3, **options), 40)
    assert 0.25 < (some != ordinary).any(axis=1).mean() < 0.33
    none = pairs_of_epochs(build(pair_fraction=0.0, **options), 40)
    assert (none == ordinary).all()


def test_before_its_start_partners_are_balanced():
    for partners in ('confusion', 'inverse'):
        sampler = build(partners=partners, pairing='pairs', start_epoch=5)
        balanced = pairs_of_epochs(build(), 5)
        assert (pairs_of_epochs(sampler, 5) == balanced).all()
        sampler.set_epoch(5)
        later = build(5, partners=partners, pairing='pairs')
        assert all(map(np.array_equal, sampler.pairs(), later.pairs()))


def test_confusion_without_counts():
    sampler = build(2, partners='confusion', start_epoch=2, counts=None)
    assert sampler.wants_confusion_counts and not build().wants_confusion_counts
    assert all(map(np.array_equal, sampler.pairs(), build(2).pairs()))
    sampler.set_epoch(3)
    with pytest.raises(ValueError, match='LongTailHook'):
        sampler.pairs()


@pytest.mark.parametrize('pairing', ['anchor', 'pairs'])
def test_no_recorded_error_falls_back_to_balanced(pairing):
    sampler = build(partners='confusion', pairing=pairing, counts=np.diag(COUNTS))
    times = np.bincount(LABELS[pairs_of_epochs(sampler, 40)[:, 1]], minlength=5)
    expected = reference.class_law(COUNTS, 0) * times.sum()
    assert reference.chi_square_p_value(times, expected) > 1e-3


def test_empty_class_in_the_counts_is_left_out():
    counts = np.full((5, 5), 7)
    partners = pairs_of_epochs(build(partners='confusion', counts=counts), 5)[:, 1]
    assert set(LABELS[partners]) == set(CLASSES)


def test_counts_of_wrong_form():
    sampler = build(partners='confusion')
    with pytest.raises(ValueError, match=r'\(5, 5\)'):
        sampler.set_confusion_counts(np.zeros((4, 4)))
    build(partners='balanced').set_confusion_counts('not wanted')


def test_counts_are_not_kept():
    labels = np.arange(1000)
    sampler = PairSampler(ToyDataset(labels, 1000), partners='confusion', seed=0)
    counts = torch.zeros(1000, 1000)
    counts[3, 4] = 1
    sampler.set_confusion_counts(counts)
    counts.zero_()
    sampler.dataset = None
    assert len(pickle.dumps(sampler)) < 200_000
    pairs = dict(zip(*sampler.pairs(), strict=True))
    assert pairs[3] == 4 and pairs[4] == 3


def batches(prob=0.5, epoch=0, batch_size=8, drop_last=False, **options):
    return PairBatchSampler(build(epoch, **options), batch_size, prob, drop_last)


@pytest.mark.parametrize('drop_last', [False, True])
def test_batches_are_those_of_the_sampler(drop_last):
    pairs, found = (
        list(zip(*build().pairs(), strict=True)),
        list(batches(prob=0.5, drop_last=drop_last)),
    )
    kept = len(pairs) // 8 * 8 if drop_last else len(pairs)
    assert len(found) == len(batches(drop_last=drop_last)) == -(-kept // 8)
    flat = [pair for batch in found for pair in batch]
    for (anchor, partner), (same, partner_or_none) in zip(pairs, flat, strict=False):
        assert anchor == same and partner_or_none in (partner, None)
    assert len(flat) == kept


@pytest.mark.parametrize('pairing', ['anchor', 'pairs'])
def test_unmixed_batches_hold_the_ordinary_anchors(pairing):
    """Errors are counted on them: replaced anchors would feed the counts with their own draws."""
    options = dict(partners='confusion', pairing=pairing, epoch=3)
    ordinary = list(build(3))
    found = [pair for batch in batches(**options) for pair in batch]
    mixed = [partner is not None for _, partner in found]
    assert {True, False} == set(mixed)
    for (anchor, _), same, is_mixed in zip(found, ordinary, mixed, strict=True):
        assert is_mixed or anchor == same
    replaced = [pair[0] != same for pair, same in zip(found, ordinary, strict=True)]
    assert any(replaced) == (pairing == 'pairs')


def test_a_batch_is_mixed_or_not_as_a_whole():
    mixed = []
    for epoch in range(60):
        for batch in batches(prob=0.3, epoch=epoch):
            with_partner = {partner is not None for _, partner in batch}
            assert len(with_partner) == 1
            mixed.append(with_partner.pop())
    assert 0.25 < np.mean(mixed) < 0.35


@pytest.mark.parametrize('prob', [0, 1])
def test_all_or_no_batches(prob):
    assert all(
        (partner is not None) == bool(prob) for batch in batches(prob=prob) for _, partner in batch
    )


WAYS = {
    'balanced': {},
    'confusion': dict(partners='confusion'),
    'pairs': dict(partners='confusion', pairing='pairs'),
    'power, later': dict(partners=0.5, pairing='pairs', start_epoch=2),
}
every_way = pytest.mark.parametrize('way', WAYS)


@every_way
@pytest.mark.parametrize('world_size', [2, 3])
def test_ranks_share_one_list_of_pairs(way, world_size, monkeypatch):
    for epoch in (1, 3):
        whole = [pair for batch in batches(1, epoch, **WAYS[way]) for pair in batch]
        for rank in range(world_size):
            on_rank(monkeypatch, rank, world_size)
            part = [pair for batch in batches(1, epoch, **WAYS[way]) for pair in batch]
            assert part == (whole + whole)[rank : world_size * len(part) : world_size]
            on_rank(monkeypatch, 0, 1)


@every_way
def test_seed_and_epoch_decide_about_pairs(way):
    np.random.seed(0)
    state = np.random.get_state()[1].copy()
    sampler = batches(epoch=3, **WAYS[way])
    first = list(sampler)
    assert list(sampler) == first == list(batches(epoch=3, **WAYS[way]))
    for other in (batches(epoch=4, **WAYS[way]), batches(epoch=3, seed=6, **WAYS[way])):
        assert list(other) != first
    assert (np.random.get_state()[1] == state).all()


@every_way
def test_a_single_image_is_its_own_partner(way):
    sampler = PairSampler(ToyDataset(labels=[0], num_classes=1), seed=0, **WAYS[way])
    sampler.set_confusion_counts([[5]])
    assert list(PairBatchSampler(sampler, 4)) == [[(0, 0)]]


def test_ranks_agree_on_what_is_mixed(monkeypatch):
    decisions = []
    for rank in range(2):
        on_rank(monkeypatch, rank, 2)
        decisions.append([batch[0][1] is None for batch in batches(batch_size=3, epoch=7)])
    assert decisions[0] == decisions[1] and len(set(decisions[0])) == 2


def test_the_decision_follows_the_epoch():
    first = batches(epoch=1)
    again = batches()
    again.sampler.set_epoch(1)
    assert list(again) == list(first)
    assert not np.array_equal(batches(epoch=2).mixed_batches(), first.mixed_batches())


def test_an_epoch_without_mixed_batches_draws_no_partners(monkeypatch):
    never = batches(prob=0)
    monkeypatch.setattr(PairSampler, 'pairs', lambda self: pytest.fail('partners were drawn'))
    assert sum(map(len, never)) == len(LABELS)


@pytest.mark.parametrize(
    'arguments, error, message',
    [
        (dict(sampler=DefaultSampler([1, 2], seed=0), batch_size=2), ValueError, 'PairSampler'),
        (dict(batch_size=2, prob=1.5), ValueError, 'prob'),
        (dict(batch_size=0), ValueError, 'batch_size'),
        (dict(batch_size=2, prob='half'), ValueError, 'prob'),
    ],
)
def test_bad_batch_options(arguments, error, message):
    with pytest.raises(error, match=message):
        PairBatchSampler(**{'sampler': build(), **arguments})


@pytest.mark.parametrize('num_workers', [0, 2])
def test_a_data_loader_of_mmengine(num_workers):
    pipeline = [dict(type='PackInputs')]
    loader = Runner.build_dataloader(
        dict(
            batch_size=8,
            num_workers=num_workers,
            collate_fn=dict(type='default_collate'),
            dataset=PairedDataset(ToyDataset(pipeline=pipeline)),
            sampler=dict(type='PairSampler', _scope_='mmpretrain'),
            batch_sampler=dict(type='PairBatchSampler', prob=0.5, _scope_='mmpretrain'),
        ),
        seed=5,
    )
    loader.batch_sampler.sampler.set_epoch(1)
    expected = list(batches(epoch=1))
    for batch, pairs in zip(loader, expected, strict=True):
        assert batch['inputs'][:, 0, 0, 0].tolist() == [anchor for anchor, _ in pairs]
        if pairs[0][1] is None:
            assert 'partner' not in batch
        else:
            partners = batch['partner']['inputs'][:, 0, 0, 0].tolist()
            assert partners == [partner for _, partner in pairs]
            assert [int(s.gt_label) for s in batch['partner']['data_samples']] == [
                LABELS[partner] for _, partner in pairs
            ]


def test_registered():
    assert DATA_SAMPLERS.get('PairBatchSampler') is PairBatchSampler
