"""The effective prior of two ranks is that of one process with both batches."""

import torch

from tests.distributed.launch import run_ranks

COUNTS = [50, 30, 5]
TARGETS = torch.tensor([0, 0, 1, 2, 2, 0, 1, 1])


def observe(rank, world_size):
    from mmlt.models.losses import LogitAdjustedLoss

    loss = LogitAdjustedLoss(prior='effective', class_counts=COUNTS)
    mine = TARGETS[rank::world_size]
    for _ in range(3):
        loss(torch.zeros(len(mine), 3, requires_grad=True), mine)
    return loss.running_prior


def test_two_ranks_equal_one_process():
    first, second = run_ranks(observe, 2)
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    torch.testing.assert_close(first, observe(0, 1), rtol=0, atol=1e-7)
