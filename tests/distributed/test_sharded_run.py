"""FSDP by MMEngine's ``FlexibleRunner``: the run of two processes with DDP, in shards."""

from __future__ import annotations

import os

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import FlexibleRunner
from torch.distributed.fsdp import FullyShardedDataParallel

from mmlt.functional.checks import OptionError
from tests.digits_runner import digits_config
from tests.distributed.launch import run_ranks
from tests.models.tuned import tuned_config, write_base

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(torch.cuda.is_available(), reason='what happens without a GPU'),
]
EPOCHS = 2
RECIPES = ('resnet8_cpmix_car', 'resnet8_concutmix_car')
# Both processes gather the state: with rank0_only, as with 'full', PyTorch 2.11 crashes on a CPU.
DDP = dict(
    type='DDPStrategy', model_wrapper=dict(type='MMDistributedDataParallel', device_ids=None)
)
FSDP = dict(
    type='FSDPStrategy',
    model_wrapper=dict(
        type='MMFullyShardedDataParallel', use_orig_params=True, device_id=torch.device('cpu')
    ),
    state_dict_cfg=dict(
        state_dict_type='FULL_STATE_DICT',
        state_dict_config=dict(type='FullStateDictConfig'),
        optim_state_dict_config=dict(type='FullOptimStateDictConfig'),
    ),
)
OF_RUNNER = (
    'model', 'work_dir', 'experiment_name', 'train_dataloader', 'optim_wrapper',
    'param_scheduler', 'train_cfg', 'default_hooks', 'data_preprocessor', 'randomness',
)  # fmt: skip


class Losses(Hook):
    def __init__(self):
        self.found = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.found.append([float(outputs[name]) for name in sorted(outputs)])


def build(cfg, rank, strategy, name, **options):
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE='2',
        MASTER_ADDR='127.0.0.1',
        MASTER_PORT='0',
    )
    cfg.train_dataloader.batch_size = 16
    cfg.default_hooks.checkpoint.save_best = None
    cfg.experiment_name = f'sharded_{name}_{rank}'
    given = {name: value for name, value in cfg.to_dict().items() if name in OF_RUNNER}
    return FlexibleRunner(
        **given,
        cfg=cfg,
        strategy=strategy,
        launcher='pytorch',
        env_cfg=dict(dist_cfg=dict(backend='gloo')),
        default_scope='mmpretrain',
        log_level='WARNING',
        **options,
    )


def trained(rank, work_dir, leaf, strategy):
    runner = build(digits_config(work_dir, leaf, EPOCHS), rank, strategy, f'{leaf}_{work_dir.name}')
    losses = Losses()
    runner.register_hook(losses)
    runner.train()
    sharded = isinstance(runner.model, FullyShardedDataParallel)
    return dict(losses=losses.found, sharded=sharded)


def refusal(runner):
    with pytest.raises(OptionError) as caught:
        runner.train()
    return str(caught.value)


def everything(rank, world_size, folder):
    found = {}
    for leaf in RECIPES:
        found[leaf, 'ddp'] = trained(rank, folder / leaf / 'ddp', leaf, DDP)
        found[leaf, 'fsdp'] = trained(rank, folder / leaf / 'fsdp', leaf, FSDP)
    finished = folder / RECIPES[0] / 'fsdp'
    cfg = digits_config(finished, RECIPES[0], EPOCHS + 1)
    checkpoint = str(finished / 'epoch_2.pth')
    found['resume'] = refusal(build(cfg, rank, FSDP, 'resumed', load_from=checkpoint, resume=True))
    base = write_base(folder / f'vit_{rank}.pth')
    cfg = tuned_config(folder / 'tuned', 'resnet8_logit_adjustment', base, 'adapter')
    found['tuned'] = refusal(build(cfg, rank, FSDP, 'tuned'))
    return found


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('sharded')


@pytest.fixture(scope='module')
def ranks(folder):
    return run_ranks(everything, 2, folder)


def state(path):
    return torch.load(path, weights_only=True)


@pytest.mark.parametrize('leaf', RECIPES)
def test_shards_train_as_whole_copies_do(ranks, folder, leaf):
    for found in ranks:
        assert found[leaf, 'fsdp']['sharded'] and not found[leaf, 'ddp']['sharded']
        expected = torch.tensor(found[leaf, 'ddp']['losses'])
        assert len(expected) == EPOCHS * 10
        torch.testing.assert_close(
            torch.tensor(found[leaf, 'fsdp']['losses']), expected, rtol=1e-3, atol=1e-4
        )
    whole, sharded = (state(folder / leaf / kind / 'epoch_2.pth') for kind in ('ddp', 'fsdp'))
    names = {name.removeprefix('module.') for name in whole['state_dict']}
    assert names == set(sharded['state_dict'])
    for name in ('mmlt', 'dataset_meta'):
        assert whole['meta'][name] == sharded['meta'][name]
    if 'cpmix' in leaf:
        assert 'confusion_pairs' in sharded


@pytest.mark.parametrize(
    ('which', 'expected'),
    [
        ('resume', 'resume: expected a run of Runner, got FlexibleRunner with FSDP'),
        ('tuned', 'TunedBackbone: expected Runner, got FlexibleRunner with FSDP'),
    ],
)
def test_what_does_not_work_in_shards_is_refused_in_one_line(ranks, which, expected):
    for found in ranks:
        assert found[which].startswith(expected) and '\n' not in found[which]
