"""Autocast without a GPU, worker seeds, memory layout, and what the tools do to a config."""

import argparse

import cli
import pytest
import torch
from cli import join_ranks, prepare_cpu_ranks, set_loader_defaults, set_work_dir
from mmengine.config import Config

from mmlt.autocast import CPUAutocastOptimWrapper
from mmlt.functional.checks import OptionError
from tests.digits_runner import digits_runner
from tests.tools.load_tool import load_tool

resume_anyway = load_tool('train.py').resume_anyway


def test_the_forward_pass_is_bfloat16_and_the_weights_stay_float32():
    model = torch.nn.Linear(4, 4)
    wrapper = CPUAutocastOptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    with wrapper.optim_context(model):
        output = model(torch.ones(2, 4))
    assert output.dtype == torch.bfloat16
    wrapper.update_params(output.float().sum())
    assert model.weight.dtype == torch.float32


@pytest.mark.slow
def test_a_run_in_bfloat16_learns(tmp_path):
    runner = digits_runner(
        tmp_path / 'a',
        'resnet8_logit_adjustment',
        max_epochs=8,
        **{
            'optim_wrapper.type': 'CPUAutocastOptimWrapper',
            'default_hooks.channels_last': dict(type='ChannelsLastHook'),
        },
    )
    runner.train()
    weight = runner.model.backbone.stages[0][0].conv1.weight
    assert weight.dtype == torch.float32
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert runner.message_hub.get_scalar('val/long_tail/top1').current() > 30


def test_loaders_without_workers_stay_valid():
    cfg = Config(dict(loader=dict(num_workers=0, persistent_workers=True, prefetch_factor=2)))
    set_loader_defaults(cfg, ('loader', 'absent'), pin_memory=True)
    assert cfg.loader.persistent_workers is False
    assert 'prefetch_factor' not in cfg.loader
    assert cfg.loader.collate_fn.type == 'default_collate'


def test_resume_anyway_finds_the_hook_of_the_config():
    hook = dict(type='LongTailHook')
    for given in (dict(default_hooks=dict(any=hook)), dict(custom_hooks=[dict(type='X'), hook])):
        cfg = Config(given)
        resume_anyway(cfg)
        hooks = [*cfg.get('default_hooks', {}).values(), *cfg.get('custom_hooks', [])]
        assert hooks[-1] == dict(type='LongTailHook', resume_anyway=True)
    scoped = Config(dict(default_hooks=dict(any=dict(type='mmpretrain.LongTailHook'))))
    resume_anyway(scoped)
    assert scoped.default_hooks.any.resume_anyway
    with pytest.raises(OptionError, match='--resume-anyway: expected default_hooks'):
        resume_anyway(Config({}))


def test_the_work_dir_comes_from_the_command_line_then_the_config_then_its_name():
    args = argparse.Namespace(work_dir=None, config='configs/a/b.py')
    cfg = Config({})
    set_work_dir(cfg, args)
    assert cfg.work_dir.endswith('b')
    cfg = Config(dict(work_dir='x'))
    set_work_dir(cfg, args)
    assert cfg.work_dir == 'x'
    args.work_dir = 'y'
    set_work_dir(cfg, args)
    assert cfg.work_dir == 'y'


@pytest.mark.skipif(torch.cuda.is_available(), reason='the host takes over where there is a GPU')
def test_cpu_ranks_need_torchrun(monkeypatch):
    for name in ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT'):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(OptionError, match=r'dist_train\.sh'):
        prepare_cpu_ranks(Config(dict(launcher='pytorch')))
    with pytest.raises(OptionError, match='slurm'):
        prepare_cpu_ranks(Config(dict(launcher='slurm')))
    cfg = Config(dict(launcher='none'))
    prepare_cpu_ranks(cfg)
    assert 'model_wrapper_cfg' not in cfg


def test_ranks_on_gpus_are_joined_as_the_runner_would(monkeypatch):
    """So that one of them can tell the others of a fault before anything is built."""
    called = []
    monkeypatch.setattr(cli.torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(
        cli, 'set_multi_processing', lambda **options: called.append(('processes', options))
    )
    monkeypatch.setattr(
        cli, 'init_dist', lambda launcher, **options: called.append((launcher, options))
    )
    env = dict(mp_cfg=dict(mp_start_method='fork'), dist_cfg=dict(backend='nccl', timeout=60))
    join_ranks(Config(dict(launcher='none', env_cfg=env)))
    assert called == []
    join_ranks(Config(dict(launcher='slurm', env_cfg=env)))
    assert called == [
        ('processes', dict(mp_start_method='fork', distributed=True)),
        ('slurm', dict(backend='nccl', timeout=60)),
    ]
