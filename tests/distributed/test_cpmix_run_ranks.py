"""CP-Mix + CAR on two ranks: counts, pairs, images, labels, gradients."""

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

# In the second epoch partners are drawn by the confusion of the first.
WAYS = ('anchor', 'pairs')

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(torch.cuda.is_available(), reason='what happens without a GPU'),
]


def exact(rank, world_size, work_dir, way):
    """Everything deterministic, in float64, with frozen BatchNorm."""
    cfg = rank_config(
        work_dir / f'exact_{way[:2]}',
        'resnet8_cpmix_car',
        rank,
        world_size,
        **{'model.head.loss.num_classes': 10, 'train_dataloader.sampler.pairing': way},
    )
    cfg.train_dataloader.dataset.dataset.update(indices=INDICES, pipeline=[dict(type='PackInputs')])
    return train(Float64Runner.from_cfg(cfg), FreezeBatchNorm())


def everything(rank, world_size, work_dir):
    """One start of the processes for all runs: importing the host takes most of the time."""
    Runner._log_env = spare_the_compilers
    return {way: exact(rank, world_size, work_dir, way) for way in WAYS}


@pytest.fixture(autouse=True)
def lean_host(monkeypatch):
    monkeypatch.setattr(Runner, '_log_env', spare_the_compilers)


@pytest.fixture(scope='module')
def work_dir(tmp_path_factory):
    return tmp_path_factory.mktemp('cpmix_ranks')


@pytest.fixture(scope='module')
def ranks(work_dir):
    return run_ranks(everything, 2, work_dir)


@pytest.mark.parametrize('way', WAYS)
def test_a_run_on_two_ranks_is_that_of_one_process(ranks, work_dir, way):
    whole = exact(0, 1, work_dir, way)
    counted = whole.state['confusion_pairs']
    assert counted.sum() > counted.diagonal().sum() > 0, 'errors and correct predictions'
    assert {True, False} == set(whole.mixed), 'both kinds of batches are compared'
    for result in ranks:
        assert torch.equal(result[way].state['confusion_pairs'], counted)
        assert_same_run(result[way], whole, 1e-10)
