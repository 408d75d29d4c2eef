"""Images that lie on the device: augmented, they are those of one process on two ranks."""

from __future__ import annotations

import pytest
import torch
from mmengine.runner import Runner

from tests.distributed.exact_runs import (
    INDICES,
    Float64Runner,
    FreezeBatchNorm,
    assert_same_run,
    rank_config,
    spare_the_compilers,
    train,
)
from tests.distributed.launch import run_ranks

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(torch.cuda.is_available(), reason='what happens without a GPU'),
]


def exact(rank, world_size, work_dir):
    """CP-Mix + CAR with every augmentation of the view to classify, with frozen BatchNorm."""
    Runner._log_env = spare_the_compilers
    augmented = dict(
        type='DeviceImagesDataPreprocessor', padding=1, auto_augment_fill=128, cutout=3
    )
    options = {f'data_preprocessor.{key}': value for key, value in augmented.items()}
    options['model.head.loss.num_classes'] = 10
    cfg = rank_config(work_dir, 'resnet8_cpmix_car', rank, world_size, **options)
    cfg.train_dataloader.dataset.dataset.update(indices=INDICES, pipeline=[dict(type='PackIndex')])
    return train(Float64Runner.from_cfg(cfg), FreezeBatchNorm())


def test_two_ranks_are_one_process(tmp_path, monkeypatch):
    monkeypatch.setattr(Runner, '_log_env', spare_the_compilers)
    whole = exact(0, 1, tmp_path)
    assert any(whole.mixed)
    for found in run_ranks(exact, 2, tmp_path):
        assert_same_run(found, whole, 1e-6)
