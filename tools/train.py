"""Train a model: MMPretrain's own flags, on GPUs, on one CPU and on several CPU processes."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

import torch
from cli import (
    add_common_arguments,
    join_ranks,
    set_loader_defaults,
    set_work_dir,
    show_names_as_text,
)
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from preflight import check_run, read_config, run_tool

import mmlt
from mmlt.apps.config import apply_options
from mmlt.functional.checks import OptionError
from mmlt.hooks.checkpoint_content import disarm_checkpoints
from mmlt.registry import type_name
from mmlt.weight_files import SUFFIX

LOADERS = ('train_dataloader', 'val_dataloader')  # that are read


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Train a model')
    parser.add_argument('config', help='path of the config file')
    parser.add_argument(
        '--resume',
        nargs='?',
        type=str,
        const='auto',
        help='continue from this checkpoint, or without a value from the latest in the work dir',
    )
    parser.add_argument(
        '--resume-anyway',
        action='store_true',
        help='resume although the config has changed so much that it is another method',
    )
    parser.add_argument('--no-validate', action='store_true', help='do not evaluate while training')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate by actual over base batch size',
    )
    parser.add_argument(
        '--no-persistent-workers',
        action='store_true',
        help='start the data loading workers anew for each epoch',
    )
    add_common_arguments(parser)
    args = parser.parse_args(argv)
    if (args.resume or '').endswith(SUFFIX):
        parser.error(
            f'--resume: expected a checkpoint of a run, got {args.resume}, which holds weights '
            f"only; start from it with --cfg-options load_from='{args.resume}'"
        )
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def merge_args(cfg: Config, args: argparse.Namespace) -> Config:
    """Apply the command line to the config; ``--cfg-options`` comes last and wins."""
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.launcher = args.launcher
    set_work_dir(cfg, args)
    if args.resume is not None:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else args.resume
    if args.resume_anyway:
        resume_anyway(cfg)
    if args.cfg_options is not None:
        apply_options(cfg, args.cfg_options)
    if args.auto_scale_lr:
        if not cfg.get('auto_scale_lr'):
            raise OptionError(
                '--auto-scale-lr: the config has no auto_scale_lr=dict(base_batch_size=...)'
            )
        cfg.auto_scale_lr.enable = True
    if args.amp:
        choose_autocast(cfg)
    loaders = ('train_dataloader', 'val_dataloader', 'test_dataloader')
    set_loader_defaults(cfg, loaders, pin_memory=not args.no_pin_memory)
    if args.no_persistent_workers:
        for name in loaders:
            if cfg.get(name) is not None:
                cfg[name].persistent_workers = False
    return cfg


def resume_anyway(cfg: Config) -> None:
    """Tell the hook that compares a resumed run with its checkpoint."""
    hooks = [*(cfg.get('default_hooks') or {}).values(), *(cfg.get('custom_hooks') or ())]
    ours = [hook for hook in hooks if isinstance(hook, dict) and type_name(hook) == 'LongTailHook']
    if not ours:
        raise OptionError(
            "--resume-anyway: expected default_hooks = dict(long_tail=dict(type='LongTailHook')) "
            'in the config, which compares a resumed run with its checkpoint, got none'
        )
    ours[0].resume_anyway = True


def choose_autocast(cfg: Config) -> None:
    """Mixed precision for the device at hand, said in the log."""
    if torch.cuda.is_available():
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
        return
    cfg.optim_wrapper.type = 'CPUAutocastOptimWrapper'
    for key in ('loss_scale', 'dtype'):
        cfg.optim_wrapper.pop(key, None)
    print_log('--amp without a GPU: bfloat16 autocast on the CPU', logger='current')


def build(cfg: Config) -> Runner:
    """The runner of a config, after the checks that precede every run."""
    join_ranks(cfg)
    check_run(cfg, LOADERS)
    show_names_as_text(cfg)
    runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    disarm_checkpoints(runner)
    print_log(f'mmlt {mmlt.__version__}', logger='current')
    return runner


def main(argv: Sequence[str] | None = None) -> Runner:
    """Train; returns the runner, for callers in the same process."""
    args = parse_args(argv)
    runner = build(merge_args(read_config(args.config), args))
    runner.train()
    return runner


if __name__ == '__main__':
    run_tool(main)
