"""Test a checkpoint: MMPretrain's own flags, on GPUs, on one CPU and on several CPU processes."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from copy import deepcopy

import mmengine
import torch
from cli import (
    add_common_arguments,
    join_ranks,
    set_loader_defaults,
    set_work_dir,
    show_names_as_text,
)
from flags import integer, number
from mmengine.config import Config, ConfigDict
from mmengine.evaluator import DumpResults
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from preflight import check_run, read_config, run_tool

import mmlt  # noqa: F401  registers everything, and lets torch load checkpoints safely
from mmlt.apps.config import apply_options
from mmlt.functional.checks import OptionError
from mmlt.hooks import WeightsCheckHook

LOADERS = ('test_dataloader',)  # that are read


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Test a checkpoint')
    parser.add_argument('config', help='path of the config file')
    parser.add_argument('checkpoint', help='path of the checkpoint')
    parser.add_argument(
        '--out',
        help='file for the predictions (.pkl) or, see --out-item, the figures (.json, .pkl)',
    )
    parser.add_argument(
        '--out-item',
        choices=['metrics', 'pred'],
        help='what --out receives; predictions unless said otherwise',
    )
    parser.add_argument('--show-dir', help='folder for pictures of the predictions')
    parser.add_argument('--show', action='store_true', help='show predictions in a window')
    parser.add_argument('--interval', type=integer(1), default=1, help='show every n-th image')
    parser.add_argument('--wait-time', type=number(0), default=2, help='seconds each window stays')
    parser.add_argument(
        '--tta',
        action='store_true',
        help='test-time augmentation: tta_model and tta_pipeline of the config, '
        'or averaged scores of the image and its mirror image',
    )
    add_common_arguments(parser)
    args = parser.parse_args(argv)
    suffixes = ('.json', '.pkl') if args.out_item == 'metrics' else ('.pkl',)
    if args.out is not None and not args.out.endswith(suffixes):
        hint = '; --out-item metrics writes the figures as .json' if len(suffixes) == 1 else ''
        parser.error(f'--out: expected a file {"/".join(suffixes)}, got {args.out!r}{hint}')
    if args.out is None and args.out_item is not None:
        parser.error('--out-item needs --out, the file that the results go to')
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def merge_args(cfg: Config, args: argparse.Namespace) -> Config:
    """Apply the command line to the config; ``--cfg-options`` comes last and wins."""
    cfg.launcher = args.launcher
    set_work_dir(cfg, args)
    cfg.load_from = args.checkpoint
    if args.show or args.show_dir is not None:
        show_predictions(cfg, args)
    if args.cfg_options is not None:
        apply_options(cfg, args.cfg_options)
    if args.tta:  # around the model and the pipeline of the options
        add_test_time_augmentation(cfg)
    if args.amp and torch.cuda.is_available():
        cfg.test_cfg.fp16 = True
    set_loader_defaults(cfg, ('test_dataloader',), pin_memory=not args.no_pin_memory)
    return cfg


def show_predictions(cfg: Config, args: argparse.Namespace) -> None:
    if 'visualization' not in cfg.default_hooks:
        raise OptionError(
            '--show and --show-dir need default_hooks.visualization='
            "dict(type='VisualizationHook') in the config"
        )
    cfg.default_hooks.visualization.update(
        enable=True,
        show=args.show,
        wait_time=args.wait_time,
        out_dir=args.show_dir,
        interval=args.interval,
    )


def add_test_time_augmentation(cfg: Config) -> None:
    if 'tta_model' not in cfg:
        cfg.tta_model = dict(type='mmpretrain.AverageClsScoreTTA')
    if 'tta_pipeline' not in cfg:
        pipeline = deepcopy(cfg.test_dataloader.dataset.pipeline)
        flips = [dict(type='RandomFlip', prob=prob) for prob in (1.0, 0.0)]
        cfg.tta_pipeline = [
            *pipeline[:-1],
            dict(type='TestTimeAug', transforms=[flips, [pipeline[-1]]]),
        ]
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline


def main(argv: Sequence[str] | None = None) -> dict:
    """Test; returns the metrics, for callers in the same process."""
    args = parse_args(argv)
    cfg = merge_args(read_config(args.config), args)
    join_ranks(cfg)
    check_run(cfg, LOADERS)
    show_names_as_text(cfg)
    runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    runner.register_hook(WeightsCheckHook())
    if args.out and args.out_item in ('pred', None):
        runner.test_evaluator.metrics.append(DumpResults(out_file_path=args.out))
    if args.amp and not torch.cuda.is_available():
        with torch.autocast('cpu', torch.bfloat16):
            metrics = runner.test()
    else:
        metrics = runner.test()
    if args.out and args.out_item == 'metrics':
        mmengine.dump(metrics, args.out)
    return metrics


if __name__ == '__main__':
    run_tool(main)
