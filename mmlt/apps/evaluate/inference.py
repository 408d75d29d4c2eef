"""Predictions of a checkpoint, through MMEngine's test loop: hooks and EMA weights act as there."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stdout
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import METRICS
from numpy.typing import NDArray

from mmlt.datasets.reading import UnreadableImageError
from mmlt.hooks.weights_check import WeightsCheckHook
from mmlt.registry import wrong_part

from ..command_line import progress_bar
from ..places import images_of
from ..predictions import Predictions, gather

__all__ = ['predict_split', 'same_images']


@METRICS.register_module()
class KeptPredictions(BaseMetric):
    """Keeps label, probabilities and path of each image."""

    kept = ('gt_label', 'pred_score', 'img_path')

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Move what is kept to the CPU."""
        for sample in data_samples:
            if 'pred_score' not in sample:
                raise ValueError(
                    'pred_score: expected probabilities of the classes from the head, got none'
                )
            part = {name: sample[name] for name in self.kept if name in sample}
            self.results.append(
                {name: x.cpu() if hasattr(x, 'cpu') else x for name, x in part.items()}
            )

    def compute_metrics(self, results: list[dict[str, Any]]) -> dict[str, float]:
        """Hand over all images; there are no figures here."""
        self.samples = list(results)
        return {}


class _ShowProgress(Hook):
    """A bar of the batches on stderr, where that is a terminal."""

    def __init__(self, split: str) -> None:
        self.split, self.bar = split, progress_bar()

    def before_test(self, runner: Runner) -> None:
        self.bar.start()
        self.task = self.bar.add_task(self.split, total=len(runner.test_dataloader))

    def after_test_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        self.bar.advance(self.task)


class _KeepFeatures(Hook):
    """Hands what the head computes before its classifier to the metric, batch by batch."""

    def __init__(self) -> None:
        self.batches: list[NDArray[np.float32]] = []

    def before_test(self, runner: Runner) -> None:
        model = getattr(runner.model, 'module', runner.model)
        head: Any = getattr(model, 'head', None)
        if not hasattr(head, 'pre_logits'):
            raise ValueError(
                '--features: expected a classifier whose head has pre_logits, as those of '
                f'MMPretrain have, got {type(head or model).__name__}'
            )
        self.head, self.compute = head, head.pre_logits
        head.pre_logits = self._keep

    def _keep(self, *args: Any, **kwargs: Any) -> Any:
        found = self.compute(*args, **kwargs)
        # Some have several, as DeiT with its two tokens, or experts with an axis of their own.
        parts = found if isinstance(found, (tuple, list)) else (found,)
        joined = torch.cat([part.flatten(1) for part in parts], dim=1)
        self.batches.append(joined.float().cpu().numpy())
        return found

    def after_test(self, runner: Runner) -> None:
        self.head.pre_logits = self.compute


def same_images(cfg: Config) -> bool:
    """Whether validation and test data of a config are the same images, however prepared."""
    loaders = [cfg.get(f'{name}_dataloader') for name in ('val', 'test')]
    if None in loaders:
        return False
    val, test = (images_of(loader.dataset) for loader in loaders)
    return bool(val == test)


def _built(cfg: Config) -> Runner:
    try:
        return Runner.from_cfg(cfg)
    except (KeyError, TypeError) as error:
        said = wrong_part(error)
        if said is None:
            raise
        raise ValueError(said) from error


def predict_split(cfg: Config, checkpoint: str, split: str, features: bool = False) -> Predictions:
    """Predict the images of a split.

    Args:
        cfg: not changed.
        checkpoint: path.
        split: ``'test'`` or ``'val'``.
        features: keep what the head computes before its classifier.

    Returns:
        The predictions, without class counts.

    Raises:
        ValueError: if the config has no such split, names a part that does not exist or fit, or an
            image cannot be read or has not one label.
    """
    if cfg.get(f'{split}_dataloader') is None:
        raise ValueError(f'{split}_dataloader: expected it in the config, got none')
    cfg = deepcopy(cfg)
    cfg.test_dataloader = cfg[f'{split}_dataloader']
    cfg.test_dataloader.setdefault('collate_fn', dict(type='default_collate'))
    cfg.test_dataloader.setdefault('num_workers', 0)
    if cfg.test_dataloader.num_workers == 0:
        cfg.test_dataloader.persistent_workers = False
        cfg.test_dataloader.pop('prefetch_factor', None)
    # The runner takes all parts of a loop or none, and a config for testing may lack some.
    for part in ('train_dataloader', 'train_cfg', 'optim_wrapper', 'param_scheduler'):
        cfg[part] = None
    for part in ('val_dataloader', 'val_cfg', 'val_evaluator', 'auto_scale_lr'):
        cfg[part] = None
    cfg.test_evaluator = dict(type='KeptPredictions')
    cfg.setdefault('test_cfg', dict())
    if cfg.test_cfg is None:
        cfg.test_cfg = dict()
    cfg.load_from, cfg.resume, cfg.launcher, cfg.log_level = checkpoint, False, 'none', 'ERROR'
    cfg.visualizer = dict(type='UniversalVisualizer', vis_backends=[])
    # MMEngine prints which file it loads; a progress bar and the answer are on other streams.
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(io.StringIO()):
        cfg.work_dir = folder
        cfg.experiment_name = f'evaluate_{Path(folder).name}_{split}'
        runner = _built(cfg)
        runner.register_hook(WeightsCheckHook())
        progress = _ShowProgress(split)
        runner.register_hook(progress)
        keeper = _KeepFeatures()
        if features:
            runner.register_hook(keeper)
        try:
            runner.test()
        except UnreadableImageError as error:
            raise error.alone() from error
        finally:
            progress.bar.stop()
    metric = runner.test_evaluator.metrics[0]
    names = (metric.dataset_meta or {}).get('classes')
    predictions = gather(metric.samples, names, split)
    return (
        replace(predictions, features=np.concatenate(keeper.batches)) if features else predictions
    )
