"""Stopped on two ranks within an epoch, a run goes on on one with the same global batches."""

from __future__ import annotations

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from tests.digits_runner import digits_config
from tests.distributed.launch import join, run_ranks

EPOCHS, TOTAL_BATCH, STOP_AT, SAVED = 3, 64, 8, 7


class Killed(Exception):
    """Power cut."""


class Watch(Hook):
    """Writes down the images of each iteration, and cuts the run short before one."""

    def __init__(self, stop_at=None):
        self.stop_at, self.seen = stop_at, {}

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.stop_at:
            raise Killed
        partner = data_batch.get('partner')
        parts = [data_batch] if partner is None else [data_batch, partner]
        images = [torch.stack(list(part['inputs'])).flatten(1) for part in parts]
        labels = [sample.gt_label.tolist() for sample in data_batch['data_samples']]
        self.seen[runner.iter] = torch.cat(images, dim=1).tolist(), labels


def build(folder, name, rank=0, world_size=1, **options):
    cfg = digits_config(
        folder,
        'resnet8_cmo',
        EPOCHS,
        **{
            'train_dataloader.batch_size': TOTAL_BATCH // world_size,
            'train_dataloader.collate_fn': dict(type='pseudo_collate'),
            'default_hooks.checkpoint': dict(
                _delete_=True, type='CheckpointHook', by_epoch=False, interval=SAVED
            ),
            **options,
        },
    )
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.experiment_name = f'{folder.parent.name}_{name}_{rank}'
    join(cfg, rank, world_size)
    return Runner.from_cfg(cfg)


def watched(runner, stop_at=None):
    watch = Watch(stop_at)
    runner.register_hook(watch)
    if stop_at is None:
        runner.train()
    else:
        with pytest.raises(Killed):
            runner.train()
    return watch.seen


def on_two_ranks(rank, world_size, folder):
    Runner._log_env = lambda runner, env_cfg: None
    return watched(build(folder, 'first', rank, world_size), STOP_AT)


def by_image(batch):
    """What was loaded, whichever rank had it."""
    return sorted(zip(*batch, strict=True))


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason='what happens without a GPU')
def test_stopped_on_two_ranks_goes_on_on_one(tmp_path):
    whole = watched(build(tmp_path / 'whole', 'whole'))
    first = run_ranks(on_two_ranks, 2, tmp_path / 'parts')
    second = watched(
        build(
            tmp_path / 'parts',
            'second',
            resume=True,
            **{'train_dataloader.num_workers': 2, 'train_dataloader.persistent_workers': True},
        )
    )
    assert list(second) == list(range(SAVED, EPOCHS * 5)) and SAVED % 5
    mixed = {len(images[0]) for images, _ in whole.values()}
    assert len(mixed) == 2, 'batches with partners and without'
    for iteration, batch in whole.items():
        if iteration in second:
            assert second[iteration] == batch
            continue
        ranks = [seen[iteration] for seen in first]
        images, labels = ([*mine, *other] for mine, other in zip(*ranks, strict=True))
        found, expected = by_image((images, labels)), by_image(batch)
        if iteration % 5 == 4:  # 305 images: one of two ranks gets one more, to have as many
            assert len(found) == len(expected) + 1
            assert [item for item in expected if item not in found] == []
        else:
            assert found == expected
