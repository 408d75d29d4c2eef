"""On two ranks BatchNorm statistics become their mean, and components have one seed."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.model import ExponentialMovingAverage

from tests.distributed.launch import run_ranks


def synchronised(rank, world_size):
    from mmlt.hooks import BatchNormSyncHook

    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, 1),
        torch.nn.BatchNorm2d(2),
        torch.nn.BatchNorm1d(3, track_running_stats=False),
    )
    model.register_buffer('own', torch.tensor(float(rank)))
    model[1].running_mean.copy_(torch.tensor([1.0, 2.0]) * (rank + 1))
    model[1].running_var.fill_(rank)
    averaged = SimpleNamespace(ema_model=ExponentialMovingAverage(model))
    BatchNormSyncHook().after_train_epoch(
        SimpleNamespace(model=model, hooks=[averaged, SimpleNamespace()])
    )
    assert torch.equal(averaged.ema_model.module[1].running_mean, model[1].running_mean)
    return model[1].running_mean, model[1].running_var, model.own


def test_running_statistics_are_averaged():
    for rank, (mean, var, own) in enumerate(run_ranks(synchronised, 2)):
        torch.testing.assert_close(mean, torch.tensor([1.5, 3.0]))
        torch.testing.assert_close(var, torch.tensor([0.5, 0.5]))
        assert own == rank


def test_one_rank_changes_nothing():
    mean, var, _ = synchronised(0, 1)
    assert mean.tolist() == [1.0, 2.0] and var.tolist() == [0.0, 0.0]


def heard(rank, world_size):
    """What components are told where every rank has a seed of its own."""
    from mmlt.hooks import TrainingProgressHook

    model = torch.nn.Module()
    model.data_preprocessor, model.seeds = None, []
    model.set_progress = lambda **progress: model.seeds.append(progress['seed'])
    runner = SimpleNamespace(model=model, hooks=[], seed=40 + rank, iter=1, epoch=0, max_epochs=1)
    hook = TrainingProgressHook()
    hook.before_train(runner)
    hook.before_train_iter(runner, 0)
    return model.seeds


def test_components_have_one_seed_on_all_ranks():
    assert run_ranks(heard, 2) == [[40], [40]]


class _Log(list):
    warning = list.append


def skipped(rank, world_size):
    """Each rank replaces two images of its half; one image belongs to both."""
    from mmengine.dataset import default_collate
    from torch.utils.data import DataLoader, Subset

    from mmlt.hooks import SkippedImagesHook
    from tests.hooks.test_skipped_images import broken_digits

    images = Subset(broken_digits(), [0, 1, 4] if rank == 0 else [2, 4, 5])
    loader = DataLoader(images, 2, collate_fn=default_collate)
    runner = SimpleNamespace(train_dataloader=loader, seed=0, epoch=0, logger=_Log())
    hook = SkippedImagesHook()
    hook.before_train_epoch(runner)
    replaced = []
    for i, batch in enumerate(loader):
        hook.after_train_iter(runner, i, batch)
        replaced += [one.sample_idx for one in batch['data_samples']]
    hook.after_train_epoch(runner)
    return list(runner.logger), replaced


@pytest.mark.slow
def test_the_images_that_ranks_skipped_are_counted_together():
    (lines, first), (others, second) = run_ranks(skipped, 2)
    assert lines == others and len(lines) == 1
    assert lines[0].startswith('train: 2 images could not be read and were replaced 3 times')
    assert first[2] == second[1], 'the same replacement on every rank'
