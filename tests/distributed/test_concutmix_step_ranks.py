"""ConCutMix + CAR on two ranks: the whole path, from the pair sampler to the averaged gradient.

A second, ordinary run has none of what makes the first one exact.
"""

from __future__ import annotations

import pytest
import torch
from mmengine.runner import Runner

from tests.distributed.exact_runs import (
    EPOCHS,
    INDICES,
    STEPS,
    Float64Runner,
    FreezeBatchNorm,
    assert_close,
    assert_same_run,
    rank_config,
    spare_the_compilers,
    train,
)
from tests.distributed.launch import run_ranks

LEAF, WORLD_SIZE = 'resnet8_concutmix_car', 2
OPTIONS = {'model.head.label_start_epoch': 1, 'model.head.confidence': 0.3}
VIEWS = [
    [dict(type='RandomFlip', prob=0.0)],
    [dict(type='RandomFlip', prob=1.0)],
    [dict(type='RandomFlip', prob=1.0, direction='vertical')],
]
# Prior, or SAM with that of the training data, to the relative deviation that is allowed: a running
# prior is kept in float32.
PRIORS = {'train': 1e-10, 0.5: 1e-6, 'sam': 1e-10}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(torch.cuda.is_available(), reason='what happens without a GPU'),
]


def exact(rank, world_size, work_dir, prior):
    """Everything deterministic, in float64, with frozen BatchNorm."""
    cfg = rank_config(
        work_dir / f'exact_{prior}',
        LEAF,
        rank,
        world_size,
        **{
            **OPTIONS,
            'model.head.loss.prior': 'train' if prior == 'sam' else prior,
            'custom_hooks': [dict(type='SAMHook', rho=0.05)] if prior == 'sam' else [],
            # Known at once, the estimate is widened with the model; else it is made in float32.
            'model.head.loss_car.num_classes': 10,
            'train_dataloader.dataset.dataset.indices': INDICES,
        },
    )
    cfg.train_dataloader.dataset.dataset.pipeline[0].update(num_views=[1, 1, 1], transforms=VIEWS)
    return train(Float64Runner.from_cfg(cfg), FreezeBatchNorm())


def ordinary(rank, world_size, work_dir):
    """The config as it is, with the odd last batch and BatchNorm by rank."""
    cfg = rank_config(work_dir / 'ordinary', LEAF, rank, world_size, **OPTIONS)
    return train(Runner.from_cfg(cfg))


def everything(rank, world_size, work_dir):
    """One start of the processes for all runs: importing the host takes most of the time."""
    Runner._log_env = spare_the_compilers
    return {
        **{prior: exact(rank, world_size, work_dir, prior) for prior in PRIORS},
        'ordinary': ordinary(rank, world_size, work_dir),
    }


@pytest.fixture(autouse=True)
def lean_host(monkeypatch):
    monkeypatch.setattr(Runner, '_log_env', spare_the_compilers)


@pytest.fixture(scope='module')
def work_dir(tmp_path_factory):
    return tmp_path_factory.mktemp('ranks')


@pytest.fixture(scope='module')
def ranks(work_dir):
    return run_ranks(everything, WORLD_SIZE, work_dir)


@pytest.mark.parametrize('prior', PRIORS)
def test_gradients_of_every_step_are_those_of_one_process(ranks, work_dir, prior):
    whole = exact(0, 1, work_dir, prior)
    assert {True, False} == set(whole.mixed), 'both kinds of batches are compared'
    assert any('gamma' in losses for losses in whole.losses[STEPS // 2 :]), 'rectified labels too'
    for result in ranks:
        assert_same_run(result[prior], whole, PRIORS[prior])


@pytest.mark.parametrize('prior', PRIORS)
def test_losses_over_gathered_images_are_the_same_on_all_ranks(ranks, work_dir, prior):
    first, second = (result[prior].losses for result in ranks)
    for ours, theirs in zip(first, second, strict=True):
        for name in ('loss_bcl', 'loss_car'):
            assert_close(ours[name], theirs[name], 1e-10, name)
        assert ours.keys() == theirs.keys()


def test_ranks_of_an_ordinary_run_end_with_one_model_and_one_confusion_estimate(ranks):
    first, second = (result['ordinary'] for result in ranks)
    assert len(first.losses) == EPOCHS * 5 and first.mixed == second.mixed
    assert first.state['head.loss_car.estimate.confusion'].any()
    assert first.state['head.loss_car.estimate.num_updates'] == EPOCHS * 5
    per_rank = ('running_mean', 'running_var')
    for name, value in first.state.items():
        if name.endswith(per_rank):
            continue
        torch.testing.assert_close(second.state[name], value, rtol=0, atol=0, msg=name)
