"""BatchNorm statistics of two ranks become their mean; everything else stays."""

from types import SimpleNamespace

import torch

from tests.distributed.launch import run_ranks


def synchronised(rank, world_size):
    from mmlt.hooks import BatchNormSyncHook
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), torch.nn.BatchNorm2d(2),
                                torch.nn.BatchNorm1d(3, track_running_stats=False))
    model.register_buffer('own', torch.tensor(float(rank)))
    model[1].running_mean.copy_(torch.tensor([1.0, 2.0]) * (rank + 1))
    model[1].running_var.fill_(rank)
    BatchNormSyncHook().after_train_epoch(SimpleNamespace(model=model))
    return model[1].running_mean, model[1].running_var, model.own


def test_running_statistics_are_averaged():
    for rank, (mean, var, own) in enumerate(run_ranks(synchronised, 2)):
        torch.testing.assert_close(mean, torch.tensor([1.5, 3.0]))
        torch.testing.assert_close(var, torch.tensor([0.5, 0.5]))
        assert own == rank


def test_one_rank_changes_nothing():
    mean, var, _ = synchronised(0, 1)
    assert mean.tolist() == [1.0, 2.0] and var.tolist() == [0.0, 0.0]
