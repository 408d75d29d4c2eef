"""Gathering over ranks: values, gradients, unequal sizes."""

import pytest
import torch

from mmlt.functional.distributed import all_reduce_sum, gather_with_grad
from tests.distributed.launch import run_ranks

ROWS = torch.arange(12, dtype=torch.float64).reshape(6, 2)
SPLITS = {2: [4, 2], 3: [1, 0, 5]}


def gather_and_differentiate(rank, world_size, equal):
    if equal:
        mine = ROWS.chunk(world_size)[rank].clone().requires_grad_()
    else:
        mine = ROWS.split(SPLITS[world_size])[rank].clone().requires_grad_()
    everything = gather_with_grad(mine, equal_sizes=equal)
    weights = torch.arange(1.0, 7.0).double()[:, None]
    (everything.sin() * weights).sum().backward()
    labels = gather_with_grad(mine.detach().sum(1).long(), equal_sizes=equal)
    return everything.detach(), mine.grad, labels, all_reduce_sum(torch.tensor(rank + 1.0))


@pytest.mark.parametrize('world_size, equal', [(2, True), (2, False), (3, False)])
def test_ranks_equal_one_process(world_size, equal):
    results = run_ranks(gather_and_differentiate, world_size, equal)
    whole = ROWS.clone().requires_grad_()
    (whole.sin() * torch.arange(1.0, 7.0).double()[:, None]).sum().backward()
    for everything, _, labels, total in results:
        torch.testing.assert_close(everything, ROWS)
        torch.testing.assert_close(labels, ROWS.sum(1).long())
        assert float(total) == sum(range(1, world_size + 1))
    # every rank computes the loss, so the summed gradient is world_size times that of one
    # process: what DistributedDataParallel's averaging then divides out
    gradient = torch.cat([grad for _, grad, _, _ in results]) / world_size
    torch.testing.assert_close(gradient, whole.grad, rtol=1e-12, atol=0)


def test_without_a_group_it_is_the_identity():
    tensor = torch.rand(3, requires_grad=True)
    assert gather_with_grad(tensor) is tensor
    with pytest.raises(ValueError, match='dimension'):
        gather_with_grad(torch.tensor(1.0))
