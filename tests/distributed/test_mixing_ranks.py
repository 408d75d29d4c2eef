"""W ranks mix and count what one process does with the whole batch."""

import pytest
import torch

from mmlt.models.losses.confusion_pair_counts import ConfusionPairCounts
from tests.distributed.launch import run_ranks
from tests.models.batch_augment_cases import IN_BATCH, PAIRED, apply, batch, build

ITERATIONS, SIZE, CLASSES = 4, 12, 6


def part_of(tensor, rank, world_size, paired):
    """Every ``world_size``-th image, of anchors and partners each where there are partners."""
    if not paired:
        return tensor[rank::world_size]
    return tensor.unflatten(0, (2, -1))[:, rank::world_size].flatten(0, 1)


def augmented(rank, world_size):
    made = {}
    for name in (*PAIRED, *IN_BATCH):
        augment = build(name, **(dict(prob=0.7) if name in IN_BATCH else {}))
        made[name] = []
        for iteration in range(ITERATIONS):
            augment.set_progress(epoch=0, max_epochs=1, iteration=iteration, seed=5)
            tensors = [
                part_of(tensor, rank, world_size, name in PAIRED)
                for tensor in batch(SIZE, soft=iteration % 2 == 1, seed=iteration)
            ]
            made[name].append(apply(name, augment, *tensors))
    return made


def counted(rank, world_size):
    """Two epochs, of which one has a batch with a mixed image on rank 0 alone."""
    made = []
    for mixed in ('skip', 'dominant'):
        counter = ConfusionPairCounts(CLASSES, momentum=0.25, mixed=mixed)
        for epoch in range(2):
            for step in range(3):
                generator = torch.Generator().manual_seed(10 * epoch + step)
                logits = torch.randn(SIZE, CLASSES, generator=generator)
                scores = torch.eye(CLASSES)[torch.randint(CLASSES, (SIZE,), generator=generator)]
                if step == 1:
                    scores[0] = scores[0] * 0.8 + 0.2 / CLASSES
                counter(logits[rank::world_size], scores[rank::world_size])
            made.append(counter.counts.clone())
            counter.finish_epoch()
            made.append(counter.finished.clone())
    return made


def everything(rank, world_size):
    return augmented(rank, world_size), counted(rank, world_size)


@pytest.fixture(scope='module')
def ranks():
    return run_ranks(everything, 2)


@pytest.mark.parametrize('name', PAIRED)
def test_images_and_labels(ranks, name):
    for iteration, whole in enumerate(augmented(0, 1)[name]):
        for rank, (made, _) in enumerate(ranks):
            for ours, all_of_them in zip(made[name][iteration], whole, strict=True):
                torch.testing.assert_close(ours, all_of_them[rank::2], rtol=0, atol=0)


@pytest.mark.parametrize('name', IN_BATCH)
def test_within_the_batch_all_ranks_mix_or_none(ranks, name):
    decisions = []
    for rank, (made, _) in enumerate(ranks):
        clean = [part_of(batch(SIZE, seed=i)[0], rank, 2, False) for i in range(ITERATIONS)]
        decisions.append(
            [
                torch.equal(images, unmixed)
                for (images, _), unmixed in zip(made[name], clean, strict=True)
            ]
        )
    assert decisions[0] == decisions[1] and len(set(decisions[0])) == 2


def test_counts(ranks):
    expected = counted(0, 1)
    assert all(counts.any() for counts in expected)
    for _, found in ranks:
        for ours, one_process in zip(found, expected, strict=True):
            assert torch.equal(ours, one_process)
