"""Heads on frozen features: what long-tailed methods are worth when the network is pre-trained.

python tools/studies/fine_tuning.py CONFIG FEATURES.npz --seeds 10
python tools/studies/fine_tuning.py CONFIG FEATURES.npz --seeds 10 --imbalance-ratio 50

CONFIG is that of cross-entropy, FEATURES what mmlt features has made with it. Every variant is a
run of MMEngine's runner with each seed; the seed makes the order of the images and the first
weights. With an imposed ratio, it also makes which training images are kept. Mean over seeds with
the 95 % interval of Student's t, and the mean time of a run. Prints one Markdown table.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.runner import Runner

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from flags import integer, number

import mmlt  # noqa: F401
from mmlt.apps.features import frozen_config
from mmlt.functional.logit_adjustment import adjusted_bias, tau_normalize
from mmlt.functional.metrics.uncertainty import t_interval

ADJUSTED = dict(type='LogitAdjustedLoss')
COLUMNS = {
    'all': 'top1',
    'many': 'many_shot',
    'medium': 'medium_shot',
    'few': 'few_shot',
    'worst class': 'worst_class',
    'harmonic mean': 'harmonic_mean',
}


def loss(value: dict[str, Any]) -> Callable[[Config], None]:
    """The change of a config to another loss."""

    def change(cfg: Config) -> None:
        cfg.model.head.loss = value

    return change


def class_balanced(cfg: Config) -> None:
    cfg.train_dataloader.sampler = dict(type='ClassBalancedSampler')


def cpmix(cfg: Config) -> None:
    loader = cfg.train_dataloader
    loader.dataset = dict(type='PairedDataset', dataset=loader.dataset)
    loader.sampler = dict(type='PairSampler', partners='confusion', pairing='pairs')
    loader.batch_sampler = dict(type='PairBatchSampler', prob=0.5)
    num_classes = cfg.model.head.num_classes
    cfg.data_preprocessor = dict(type='PairedDataPreprocessor', num_classes=num_classes)
    cfg.model.train_cfg = dict(augments=dict(type='CPMixBatchAugment'))


def cosine(cfg: Config) -> None:
    """Logit adjustment; the step of a cosine classifier does not depend on the features' length."""
    cfg.model.head = dict(
        type='CosineClsHead',
        num_classes=cfg.model.head.num_classes,
        in_channels=cfg.model.head.in_channels,
        scale=25.0,
        loss=ADJUSTED,
    )
    cfg.optim_wrapper.optimizer.lr = 0.05


def class_means(cfg: Config) -> None:
    cosine(cfg)
    cfg.custom_hooks = [dict(type='ClassifierInitHook', source='class_means')]


def cpmix_adjusted(cfg: Config) -> None:
    cpmix(cfg)
    cfg.model.head.loss = dict(ADJUSTED, prior='effective')


VARIANTS: dict[str, Callable[[Config], None]] = {
    'CE': lambda cfg: None,
    'class-balanced sampling': class_balanced,
    'LA': loss(ADJUSTED),
    'LA + CAR': loss(dict(type='CARLoss', criterion=ADJUSTED)),
    'CP-Mix of features': cpmix,
    'CP-Mix of features + LA, effective prior': cpmix_adjusted,
    'cosine classifier, LA': cosine,
    'cosine classifier, LA, from class means': class_means,
}
POST_HOC = ('CE, then tau-norm (tau 1)', 'CE, then LA (tau 1)')


def one_run(base: Config, label: str, seed: int) -> dict[str, dict[str, float]]:
    """Figures of the last epoch and the seconds that it took; of CE also after its corrections."""
    cfg = deepcopy(base)
    VARIANTS[label](cfg)
    dataset = cfg.train_dataloader.dataset
    (dataset if dataset.type == 'FeaturesLT' else dataset.dataset).seed = seed
    cfg.randomness = dict(seed=seed)
    cfg.log_level = 'ERROR'
    cfg.default_hooks.checkpoint = None
    cfg.visualizer = dict(type='UniversalVisualizer', vis_backends=[])
    with tempfile.TemporaryDirectory() as folder:
        cfg.work_dir, cfg.experiment_name = folder, Path(folder).name
        start = time.perf_counter()
        runner = Runner.from_cfg(cfg)
        runner.train()
        results = {label: dict(_figures(runner), seconds=time.perf_counter() - start)}
        if label == 'CE':
            results.update(zip(POST_HOC, post_hoc(runner), strict=True))
    return results


def _figures(runner: Runner) -> dict[str, float]:
    hub = runner.message_hub.log_scalars
    return {
        name: hub[f'val/long_tail/{name}'].current()
        for name in COLUMNS.values()
        if f'val/long_tail/{name}' in hub
    }


def post_hoc(runner: Runner) -> list[dict[str, float]]:
    """Figures of the trained classifier after tau-norm, and after logit adjustment."""
    fc = runner.model.head.fc
    weight, bias = fc.weight.detach().clone(), fc.bias.detach().clone()
    counts = runner.train_dataloader.dataset.class_counts
    found = []
    with torch.no_grad():
        for rows, offsets in (
            (tau_normalize(weight, 1.0), torch.zeros_like(bias)),
            (weight, adjusted_bias(bias, counts, 1.0)),
        ):
            fc.weight.copy_(rows)
            fc.bias.copy_(offsets)
            found.append(
                {
                    name.removeprefix('long_tail/'): value
                    for name, value in runner.val_loop.run().items()
                }
            )
    return found


def to_markdown(results: dict[str, list[dict[str, float]]]) -> str:
    """A row per variant: mean and half the interval."""
    columns = [name for name, key in COLUMNS.items() if key in next(iter(results.values()))[0]]
    lines = [
        f'| variant | {" | ".join(columns)} | seconds |',
        '| --- |' + ' --- |' * (len(columns) + 1),
    ]
    for label, runs in results.items():
        cells = [interval([run[COLUMNS[name]] for run in runs]) for name in columns]
        seconds = [run['seconds'] for run in runs if 'seconds' in run]
        cells.append(f'{sum(seconds) / len(seconds):.1f}' if seconds else '')
        lines.append(f'| {label} | {" | ".join(cells)} |')
    return '\n'.join(lines)


def interval(values: Sequence[float]) -> str:
    """Mean and half of the 95 % interval; the mean of one value."""
    mean = sum(values) / len(values)
    if len(values) < 2:
        return f'{mean:.1f}'
    low, high = t_interval(values)
    return f'{mean:.1f} ± {(high - low) / 2:.1f}'


def main(argv: Sequence[str] | None = None) -> int:
    """Run the study; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', type=Path)
    parser.add_argument('features', type=Path)
    parser.add_argument('--seeds', type=integer(1), default=10)
    parser.add_argument('--imbalance-ratio', type=number(1))
    parser.add_argument('--out', type=Path, help='figures of every run, .json')
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    base = frozen_config(Config.fromfile(args.config), args.features)
    if args.imbalance_ratio is not None:
        base.train_dataloader.dataset.imbalance_ratio = args.imbalance_ratio
    results: dict[str, list[dict[str, float]]] = {}
    for seed in range(args.seeds):
        for label in VARIANTS:
            for name, figures in one_run(base, label, seed).items():
                results.setdefault(name, []).append(figures)
                print(f'seed {seed}, {name}: {figures["top1"]:.1f} %', file=sys.stderr, flush=True)
        if args.out is not None:
            args.out.write_text(json.dumps(results, indent=1), encoding='utf-8')
    print(to_markdown(results))
    return 0


if __name__ == '__main__':
    sys.exit(main())
