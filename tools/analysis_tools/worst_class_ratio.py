"""WR: test accuracy of the worst class over the same class's training accuracy, of a checkpoint.

python tools/analysis_tools/worst_class_ratio.py CONFIG CHECKPOINT

The model runs over the training images with the test pipeline, then over the test set, both
through the runner's test loop, so that hooks and EMA weights act as they do in a test.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.runner import Runner

import mmlt  # noqa: F401  registers everything, and lets torch load checkpoints safely

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from cli import (
    add_run_arguments,
    checkpoint_file,
    config_file,
    out_file,
    prepare_cpu_ranks,
    set_loader_defaults,
)
from flags import integer  # noqa: F401  for confusion_by_shot.py
from preflight import run_tool

from mmlt.apps.config import apply_options
from mmlt.functional.metrics.figures import worst_class_ratio
from mmlt.hooks import WeightsCheckHook

PAIRING_WRAPPERS = ('PairedDataset', 'mmpretrain.PairedDataset')


@dataclass(frozen=True)
class WorstClass:
    """The worst class of the test set; accuracies in per cent, ``ratio`` without unit.

    Of several that are as low it is one; ``ties`` names the others.
    """

    class_id: int
    name: str
    test_accuracy: float
    train_accuracy: float
    ratio: float
    ties: tuple[str, ...] = ()


def training_set_for_testing(dataset: dict[str, Any], pipeline: list[Any]) -> dict[str, Any]:
    """Config of the training set with the test pipeline and without partners for mixing.

    ``dataset`` is not changed. Raises ``ValueError`` if no part of it has a pipeline to replace.
    """
    dataset = deepcopy(dataset)
    while dataset.get('type') in PAIRING_WRAPPERS:
        dataset = dataset['dataset']
    if _replace_pipelines(dataset, pipeline) == 0:
        raise ValueError(
            'train_dataloader.dataset: expected a pipeline to replace by that of the test set, '
            f'got none in {dataset.get("type")}'
        )
    return dataset


def _replace_pipelines(dataset: dict[str, Any], pipeline: list[Any]) -> int:
    """Number of pipelines that were replaced, inside wrappers too."""
    replaced = 'pipeline' in dataset
    if replaced:
        dataset['pipeline'] = deepcopy(pipeline)
    inner = [dataset['dataset']] if 'dataset' in dataset else dataset.get('datasets', [])
    return replaced + sum(_replace_pipelines(part, pipeline) for part in inner)


def per_class_accuracy_of(cfg: Config, dataset: dict[str, Any]) -> tuple[Any, list[str]]:
    """Per-class accuracy of the config's checkpoint on a data set, and the class names."""
    cfg = deepcopy(cfg)
    cfg.test_dataloader.dataset = dataset
    cfg.test_dataloader.sampler = dict(type='DefaultSampler', shuffle=False)
    cfg.test_dataloader.pop('batch_sampler', None)
    cfg.test_evaluator = dict(type='LongTailMetric')
    with redirect_stdout(io.StringIO()):  # MMEngine prints which file it loads
        runner = Runner.from_cfg(cfg)
        runner.register_hook(WeightsCheckHook())
        metric = runner.test_evaluator.metrics[0]
        runner.test()
    return metric.tallies.accuracy, list((metric.dataset_meta or {}).get('classes') or ())


def measure(cfg: Config) -> WorstClass:
    """The worst class of the test set and its ratio; ``cfg`` has ``load_from`` set."""
    test_set = cfg.test_dataloader.dataset
    if not test_set.get('pipeline'):
        raise ValueError(
            'test_dataloader.dataset: expected a pipeline, for the training images too, got none'
        )
    train_set = training_set_for_testing(cfg.train_dataloader.dataset, test_set.pipeline)
    train, _ = per_class_accuracy_of(cfg, train_set)
    test, names = per_class_accuracy_of(cfg, test_set)
    index, ratio = worst_class_ratio(test, train)
    others = [int(k) for k in np.flatnonzero(test == test[index]) if k != index]
    return WorstClass(
        class_id=index,
        name=str(names[index]) if index < len(names) else '',
        test_accuracy=100 * float(test[index]),
        train_accuracy=100 * float(train[index]),
        ratio=ratio,
        ties=tuple(str(names[k]) if k < len(names) else str(k) for k in others),
    )


def describe(result: WorstClass) -> str:
    """One sentence."""
    ratio = (
        'undefined (the class is not recognised in training either)'
        if np.isnan(result.ratio)
        else f'{result.ratio:.3f}'
    )
    ties = f'; as low in the test: {", ".join(result.ties)}' if result.ties else ''
    return (
        f'worst class {result.class_id} ({result.name}): test accuracy '
        f'{result.test_accuracy:.2f} %, training accuracy {result.train_accuracy:.2f} %, '
        f'WR {ratio}{ties}'
    )


def load_config(args: argparse.Namespace) -> Config:
    """The config as the tool runs it: the checkpoint, a work directory of its own."""
    cfg = Config.fromfile(args.config)
    cfg.launcher = args.launcher
    cfg.load_from = args.checkpoint
    cfg.log_level = 'ERROR'  # the answer and no more
    cfg.visualizer = dict(type='UniversalVisualizer', vis_backends=[])
    cfg.work_dir = args.work_dir or str(
        Path('work_dirs') / Path(args.config).stem / 'worst_class_ratio'
    )
    if args.cfg_options is not None:
        apply_options(cfg, args.cfg_options)
    set_loader_defaults(cfg, ('test_dataloader',), pin_memory=True)
    prepare_cpu_ranks(cfg)
    return cfg


def main(argv: Sequence[str] | None = None) -> WorstClass:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', type=config_file, help='path of the config file')
    parser.add_argument('checkpoint', type=checkpoint_file, help='path of the checkpoint')
    add_run_arguments(parser)
    parser.add_argument('--out', type=out_file('.json'), help='file for the result (.json)')
    args = parser.parse_args(argv)
    result = measure(load_config(args))
    print(describe(result))
    if args.out:
        known = asdict(result)
        if np.isnan(result.ratio):
            known['ratio'] = None  # JSON has no "not a number"
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(known, indent=2) + '\n', encoding='utf-8')
    return result


if __name__ == '__main__':
    run_tool(main)
