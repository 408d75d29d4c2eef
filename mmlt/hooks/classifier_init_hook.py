"""Where a classifier begins: at the class means of the features, or at embeddings of the names."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dataset import Compose
from mmengine.dist import all_reduce, get_dist_info
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS
from torch import Tensor, nn

from mmlt.datasets.labels import dataset_labels, names_of_classes
from mmlt.datasets.paired_dataset import PairedDataset
from mmlt.feature_pass import features_of, pipeline_of
from mmlt.functional.checks import check_text
from mmlt.functional.contrastive import unit_vectors

from .runner_parts import training_dataset, unwrap

__all__ = ['ClassifierInitHook']

CLASS_MEANS = 'class_means'
_TOLD_EVERY = 10  # times in a pass that the log hears of it


@HOOKS.register_module()
class ClassifierInitHook(Hook):
    """Starts the classifier of a pre-trained network where its features already are.

    A rare class has few steps to move its vector from a random place. Here each row of the
    classifier starts as a vector of length 1 that points to its class; biases start at 0. That is
    done once, before the first step, also to a classifier that ``load_from`` brought; a resumed
    run goes on with what it has.

    Args:
        source: ``'class_means'``: the mean of the features of each class, from one pass over the
            training images, prepared as those of the validation or test; or an ``.npz`` file with
            ``embeddings`` ``(K, D)``, such as those that the text tower of CLIP makes of the names,
            and ``classes``, ``(K,)`` names in the same order.

    Raises:
        ValueError: before training, if the model has no linear or cosine classifier, a class has
            no training images, no data loader says how images are prepared for a test, or the
            embeddings are of other classes, of another order of them, or of another ``D``.

    Reference:
        Shi et al., Long-Tail Learning with Foundation Model: Heavy Fine-Tuning Hurts (LIFT), ICML
        2024, which starts a cosine classifier of scale 25 from text embeddings or class means.

    Example:
        >>> custom_hooks = [dict(type='ClassifierInitHook', source='class_means')]
        >>> head = dict(type='CosineClsHead', scale=25.0)
    """

    # After the weights are loaded, and before EMAHook copies them at its first step.
    priority = 'NORMAL'

    def __init__(self, source: str = CLASS_MEANS) -> None:
        self.source = check_text('source', source)
        if source != CLASS_MEANS and not source.endswith('.npz'):
            raise ValueError(f'source: expected {CLASS_MEANS!r} or a file .npz, got {source!r}')

    def before_train(self, runner: Runner) -> None:
        """Set the weights, in a run that begins."""
        if runner.iter:
            return
        model = unwrap(runner.model)
        classifiers = classifiers_of(model)
        num_classes, channels = classifiers[0].weight.shape
        if self.source == CLASS_MEANS:
            rows = self._class_means(runner, num_classes)
        else:
            names = names_of_classes(training_dataset(runner), 'train_dataloader.dataset')
            rows = read_embeddings(Path(self.source), names)
            if not names:
                runner.logger.warning(
                    f'ClassifierInitHook.source: expected training data that name their classes, '
                    f'got none: whether {self.source} has their order is not checked'
                )
        if tuple(rows.shape) != (num_classes, channels):
            raise ValueError(
                f'ClassifierInitHook.source: expected vectors {(num_classes, channels)}, as in the '
                f'classifier, got {tuple(rows.shape)} from {self.source}'
            )
        with torch.no_grad():
            for classifier in classifiers:
                classifier.weight.copy_(unit_vectors(rows))
                if getattr(classifier, 'bias', None) is not None:
                    classifier.bias.zero_()
        runner.logger.info(f'The classifier starts from {self.source}')

    def _class_means(self, runner: Runner, num_classes: int) -> Tensor:
        """Means of the features, ``(K, D)``; each rank passes its share of the images."""
        dataset = training_dataset(runner)
        while isinstance(dataset, PairedDataset):
            dataset = dataset.dataset
        labels = torch.from_numpy(dataset_labels(dataset))
        counts = torch.bincount(labels, minlength=num_classes)
        if not counts.all():
            raise ValueError(
                'ClassifierInitHook: expected training images of each class, got none of class '
                f'{int(counts.argmin())}'
            )
        model = unwrap(runner.model)
        training, device = model.training, next(model.parameters()).device
        rank, world_size = get_dist_info()
        mine = torch.arange(rank, len(labels), world_size)
        pipeline = _evaluation_pipeline(runner)
        workers = runner.train_dataloader.num_workers
        sums, done = torch.zeros(0), 0
        for features in features_of(model, dataset, mine.tolist(), pipeline, num_workers=workers):
            if not done:
                sums = torch.zeros(num_classes, features.shape[1], dtype=torch.float64)
            sums.index_add_(0, labels[mine[done : done + len(features)]], features.double())
            before, done = done, done + len(features)
            if done * _TOLD_EVERY // len(mine) > before * _TOLD_EVERY // len(mine):
                runner.logger.info(f'Class means: {done} of {len(mine)} images')
        model.train(training)
        sums = sums.to(device)
        all_reduce(sums)
        return (sums / counts[:, None].to(device)).float()


def _evaluation_pipeline(runner: Runner) -> Compose | None:
    """Transforms of the validation or test; None for features, which need none."""
    loop = runner.val_loop or runner.test_loop
    if loop is not None:
        return pipeline_of(loop.dataloader.dataset)
    pipeline = pipeline_of(training_dataset(runner))
    if pipeline is not None:
        raise ValueError(
            'ClassifierInitHook: expected a val_dataloader or test_dataloader, whose transforms '
            'prepare the images for the class means, got none'
        )
    return None


def classifiers_of(model: nn.Module) -> list[Any]:
    """The linear or cosine classifiers of a head, one for each expert.

    Raises ``ValueError`` if it has none.
    """
    head: Any = getattr(model, 'head', None)
    num_classes = getattr(head, 'num_classes', None)
    modules = dict(head.named_modules()) if isinstance(head, nn.Module) else {}
    fitting = [
        name
        for name, part in modules.items()
        if num_classes is not None and _rows(part) == num_classes
    ]
    found = [name for name in fitting if name == 'fc' or name.startswith('classifiers.')]
    if not found:
        # Before the last of several numbered layers there may be others of as many units.
        last = {re.sub(r'\d+', '', name): name for name in fitting if 'pre_logits' not in name}
        found = list(last.values())
    if not found:
        raise ValueError(
            f'ClassifierInitHook: expected a head with a linear or cosine classifier, got '
            f'{type(head).__name__}'
        )
    return [modules[name] for name in found]


def _rows(part: Any) -> int | None:
    """Of the weight matrix of a layer; None where it has none."""
    weight = getattr(part, 'weight', None)
    return len(weight) if isinstance(weight, Tensor) and weight.ndim == 2 else None


def read_embeddings(path: Path, classes: tuple[str, ...]) -> Tensor:
    """Embeddings ``(K, D)`` of classes from an ``.npz`` file.

    Args:
        path: with ``embeddings`` and ``classes``.
        classes: names in the order of the training data; ``()`` where it has none, so that there
            is nothing to compare.

    Raises:
        ValueError: one line, if it is no such file, or its classes are others or stand in another
            order.
    """
    name = f'{path}: embeddings'
    try:
        with np.load(path, allow_pickle=False) as file:
            rows = file['embeddings'].astype(np.float32)
            given = tuple(map(str, file['classes'].tolist()))
    except (
        OSError,
        ValueError,
        KeyError,
        AttributeError,
        TypeError,
        EOFError,
        zipfile.BadZipFile,
    ) as error:
        raise ValueError(
            f'{name}: expected a file .npz with embeddings (K, D) and classes (K,), got another: '
            f'{" ".join(str(error).split())}'
        ) from error
    if rows.ndim != 2 or len(rows) != len(given) or not np.isfinite(rows).all():
        raise ValueError(
            f'{name}: expected finite numbers (K, D) for K = {len(given)} classes, got {rows.shape}'
        )
    if classes and len(given) != len(classes):
        raise ValueError(f'{name}: expected {len(classes)} classes, got {len(given)}')
    for index, (expected, got) in enumerate(zip(classes, given, strict=False)):
        if expected != got:
            where = f', which stands at {given.index(expected)}' if expected in given else ''
            raise ValueError(
                f'{name}: expected class {expected!r} at index {index}, as in the training data'
                f'{where}, got {got!r}'
            )
    return torch.from_numpy(rows)
