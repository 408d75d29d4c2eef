"""Draws by position: the same for any workers and ranks, and from any batch of an epoch on."""

from __future__ import annotations

import hashlib
import random

import numpy as np
import pytest
import torch
from mmengine.dataset import ConcatDataset, RepeatDataset
from mmengine.runner import Runner
from torch.utils.data import DataLoader, Subset

from mmlt.datasets.samplers.positions import PositionedBatches, SeededItems, draw_by_position
from tests.datasets.toy import CONFUSION, ToyDataset

TOTAL_BATCH = 12
SAMPLERS = {
    'default': dict(sampler=dict(type='DefaultSampler', shuffle=True)),
    'repeat': dict(sampler=dict(type='RepeatAugSampler')),
    'class-aware': dict(sampler=dict(type='ClassBalancedSampler', replacement=False)),
    'pairs': dict(
        sampler=dict(type='PairSampler', partners='confusion', pairing='pairs'),
        batch_sampler=dict(type='PairBatchSampler', prob=0.5),
    ),
}


class Drawing(ToyDataset):
    """Items are their index, or both of a pair, and a draw of each generator."""

    def __getitem__(self, index):
        return index, (random.random(), float(np.random.rand()), float(torch.rand(())))


def as_they_are(items):
    return items


def loader_of(monkeypatch, name, rank=0, world_size=1, workers=0, dataset=None):
    for module in ('mmlt.datasets.samplers.epoch', 'mmlt.datasets.samplers.positions'):
        monkeypatch.setattr(f'{module}.get_dist_info', lambda: (rank, world_size))
    for module in ('mmengine.dataset', 'mmpretrain.datasets.samplers'):
        file = 'sampler' if module.startswith('mmengine') else 'repeat_aug'
        monkeypatch.setattr(f'{module}.{file}.get_dist_info', lambda: (rank, world_size))
    loader = Runner.build_dataloader(
        dict(
            dataset=Drawing() if dataset is None else dataset,
            batch_size=TOTAL_BATCH // world_size,
            num_workers=workers,
            persistent_workers=bool(workers),
            collate_fn=as_they_are,
            **{
                part: dict(options, _scope_='mmpretrain')
                for part, options in SAMPLERS[name].items()
            },
        ),
        seed=5,
    )
    sampler = loader.batch_sampler.sampler
    if name == 'pairs':
        sampler.set_confusion_counts(CONFUSION)
    draw_by_position(loader, seed=5)
    return loader


def epoch_of(loader, epoch, start=0):
    loader.batch_sampler.sampler.set_epoch(epoch)
    loader.batch_sampler.epoch, loader.batch_sampler.start = epoch, start
    return [list(batch) for batch in loader]


def sequence(monkeypatch, name, world_size, workers, epoch):
    """What all ranks load in an epoch, by position, without what fills up the last batch."""
    items = {}
    for rank in range(world_size):
        loader = loader_of(monkeypatch, name, rank, world_size, workers)
        batches = epoch_of(loader, epoch)
        mine = [item for batch in batches for item in batch]
        items.update({place * world_size + rank: item for place, item in enumerate(mine)})
        size = TOTAL_BATCH // world_size
        assert all(len(batch) == size for batch in batches[:-1])
    return [items[position] for position in range(len(Drawing()))]


def fingerprint(items):
    return hashlib.sha256(repr(items).encode()).hexdigest()


@pytest.mark.parametrize('name', SAMPLERS)
def test_any_number_of_ranks_and_workers_loads_the_same(monkeypatch, name):
    alone = sequence(monkeypatch, name, 1, 0, epoch=2)
    assert len({draws for _, draws in alone}) == len(alone), 'images draw for themselves'
    if name == 'pairs':
        mixed = [index[1] is not None for index, _ in alone]
        assert any(mixed) and not all(mixed)
    for world_size in (2, 3, 4):
        found = sequence(monkeypatch, name, world_size, 0, epoch=2)
        assert fingerprint(found) == fingerprint(alone), world_size
    assert fingerprint(sequence(monkeypatch, name, 1, 0, epoch=3)) != fingerprint(alone)


@pytest.mark.parametrize('name', ['pairs', pytest.param('default', marks=pytest.mark.slow)])
def test_workers_that_outlive_epochs_load_the_same(monkeypatch, name):
    for world_size in (1, 2):
        loaders = [
            loader_of(monkeypatch, name, world_size - 1, world_size, workers) for workers in (0, 2)
        ]
        for epoch in (0, 1):
            without, with_workers = (epoch_of(loader, epoch) for loader in loaders)
            assert with_workers == without


@pytest.mark.parametrize('name', SAMPLERS)
def test_an_epoch_begins_at_any_batch(monkeypatch, name):
    """As in accelerate's issues 4071 and 4233: the next batch, and then a new permutation."""
    loader = loader_of(monkeypatch, name)
    whole, following = epoch_of(loader, 0), epoch_of(loader, 1)
    assert len(whole) == len(loader) == 8
    for start in (1, 7, 8):
        assert epoch_of(loader, 0, start) == whole[start:]
        assert len(loader) == 8, 'hooks ask for the length of the whole epoch'
    assert [list(batch) for batch in loader] != following  # sampler is still at epoch 0
    again = loader_of(monkeypatch, name)
    epoch_of(again, 0, 3)
    assert epoch_of(again, 1) == following != whole


class Refusing(Drawing):
    def __getitem__(self, index):
        assert index not in self.refused, 'what was trained already is not loaded'
        return super().__getitem__(index)


def test_what_is_skipped_is_not_loaded(monkeypatch):
    loader = loader_of(monkeypatch, 'default', dataset=Refusing())
    loader.batch_sampler.sampler.set_epoch(0)
    loader.dataset.refused = {index for batch in list(loader.batch_sampler)[:5] for index in batch}
    assert len(epoch_of(loader, 0, start=5)) == 3


def test_the_process_of_the_training_keeps_its_generators(monkeypatch):
    loader = loader_of(monkeypatch, 'default')
    batch = next(iter(loader.batch_sampler))
    expected, found = [], []
    for seen, load in (
        (expected, lambda: None),
        (found, lambda: loader.dataset.__getitems__(batch)),
    ):
        random.seed(1), np.random.seed(1), torch.manual_seed(1)
        load()
        seen += [random.random(), np.random.rand(), float(torch.rand(()))]
    assert found == expected


@pytest.mark.parametrize(
    'wrap',
    [
        lambda data: Subset(data, range(90)),
        lambda data: ConcatDataset([data, Drawing()]),
        lambda data: RepeatDataset(data, 2),
    ],
)
def test_data_sets_inside_others(monkeypatch, wrap):
    loader = loader_of(monkeypatch, 'default', dataset=wrap(Drawing()))
    assert epoch_of(loader, 0) == epoch_of(loader, 0)
    draws = {draws for batch in epoch_of(loader, 0) for _, draws in batch}
    assert len(draws) == len(loader.dataset)


def test_it_is_installed_once_and_only_where_there_are_batches_of_indices(monkeypatch):
    loader = loader_of(monkeypatch, 'default')
    draw_by_position(loader, seed=6)
    assert not isinstance(loader.batch_sampler.batches, PositionedBatches)
    assert (loader.batch_sampler.batch_size, loader.batch_sampler.drop_last) == (12, False)
    single = DataLoader(ToyDataset(), batch_size=None)
    draw_by_position(single, seed=0)
    assert single.batch_sampler is None
    assert SeededItems([7, 8], seed=0)([1]) == [8], 'a batch without positions'


def test_nothing_is_seeded_for_items_that_draw_nothing(monkeypatch):
    class DrawsNothing(ToyDataset):
        draws_nothing = True

    seeded = []
    monkeypatch.setattr(
        'mmlt.datasets.samplers.positions.seed_generators', lambda *key: seeded.append(key)
    )
    alone, both = DrawsNothing(), ConcatDataset([DrawsNothing(), Drawing()])
    epoch_of(loader_of(monkeypatch, 'default', dataset=alone), 0)
    assert not seeded
    epoch_of(loader_of(monkeypatch, 'default', dataset=both), 0)
    assert seeded
