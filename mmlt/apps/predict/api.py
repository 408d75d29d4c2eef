"""Predictions from Python, and the loop that the command uses too."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mmlt.apps.model import Model, load_model
from mmlt.functional.checks import check_integer
from mmlt.functional.metrics.priors import reweighted

from .images import find_images
from .prior import prior_offset

__all__ = ['Batch', 'Predictions', 'predict', 'predict_batches']

READERS = 4  # threads; decoders release Python's lock


class Batch(NamedTuple):
    """Some images in their order.

    Args:
        paths: ``N`` of them.
        probabilities: ``(N, K)``.
        skipped: path and reason of those that could not be read.
    """

    paths: list[str]
    probabilities: NDArray[np.float32]
    skipped: list[tuple[str, str]]


@dataclass(frozen=True)
class Predictions:
    """What a model says to some images.

    Args:
        paths: of the ``N`` images that could be read.
        probabilities: ``(N, K)`` float32; rows sum to 1.
        classes: names of the ``K`` classes.
        skipped: path and reason of the images that could not be read.
    """

    paths: list[str]
    probabilities: NDArray[np.float32]
    classes: tuple[str, ...]
    skipped: list[tuple[str, str]]

    @property
    def names(self) -> list[str]:
        """The most probable class of each image."""
        return [self.classes[k] for k in self.probabilities.argmax(axis=1)]

    def top(self, k: int = 5) -> list[list[tuple[str, float]]]:
        """Name and probability of the best ``k`` classes of each image, best first."""
        check_integer('k', k, '[1, inf)')
        best = np.argsort(-self.probabilities, axis=1, kind='stable')[:, :k]
        return [
            [(self.classes[j], float(row[j])) for j in order]
            for order, row in zip(best, self.probabilities, strict=True)
        ]


def predict(
    model: str | Path,
    images: str | Path | Sequence[str | Path],
    *,
    config: str | Path | None = None,
    test_prior: str | None = None,
    batch_size: int = 32,
    device: str | None = None,
    root: str | Path | None = None,
    base: str | Path | None = None,
) -> Predictions:
    """Class probabilities of images, by the model of a checkpoint.

    Images are prepared by the test pipeline of the training, so that the result is that of
    ``tools/test.py``. Images that cannot be read are left out and named in ``skipped``.

    Args:
        model: a checkpoint, alone if a run with :class:`~mmlt.hooks.LongTailHook` saved it, or a
            file that ``mmlt export`` wrote.
        images: an image, a folder, a list (``.txt``), or several of them.
        config: the config of a checkpoint that does not describe its model.
        test_prior: how frequent the classes are among these images: ``'uniform'``, ``'train'`` (as
            in training) or a file (see :func:`mmlt.apps.predict.prior.prior_offset`); None leaves
            the probabilities as the model gives them.
        batch_size: images at a time, at least 1.
        device: ``'cpu'``, ``'cuda'``, ...; None: a GPU where there is one.
        root: what the paths of lists are relative to; the folder of the list by default.
        base: the pre-trained weights that a checkpoint of :class:`~mmlt.models.TunedBackbone` was
            trained on; None: where the run had them, or beside the checkpoint.

    Returns:
        Paths, probabilities, names of the classes, and what was skipped.

    Raises:
        ValueError: if an option, a path or the model does not fit; one line.

    Example:
        >>> found = mmlt.predict('work_dirs/mine/epoch_100.pth', 'photos')  # doctest: +SKIP
        >>> found.paths[0], found.names[0], found.top(2)[0]  # doctest: +SKIP
        ('photos/1.jpg', 'fox', [('fox', 0.93), ('dog', 0.04)])
    """
    check_integer('batch_size', batch_size, '[1, inf)')
    sources = [images] if isinstance(images, (str, Path)) else images
    paths = find_images(sources, root)
    loaded = load_model(model, config, device, base)
    kept: list[str] = []
    rows: list[NDArray[np.float32]] = []
    skipped: list[tuple[str, str]] = []
    for batch in predict_batches(loaded, paths, batch_size, test_prior):
        kept += batch.paths
        skipped += batch.skipped
        if batch.paths:
            rows.append(batch.probabilities)
    classes = loaded.recipe.classes
    probabilities = np.concatenate(rows) if rows else np.zeros((0, len(classes)), np.float32)
    return Predictions(kept, probabilities, loaded.class_names(probabilities.shape[1]), skipped)


def predict_batches(
    model: Model, paths: Iterable[str], batch_size: int, test_prior: str | None = None
) -> Iterator[Batch]:
    """Predict some images, batch by batch; those that cannot be read count as well.

    Args:
        model: it may run on a GPU, while threads read the next images.
        paths: of image files.
        batch_size: files at a time.
        test_prior: see :func:`predict`.

    Yields:
        One batch after the other, in the order of the paths.
    """
    offset: NDArray[np.float64] | None = None
    for group in _read(model.prepare, paths, batch_size):
        images: list[Tensor] = []
        kept, skipped = [], []
        for path, future in group:
            try:
                images.append(future.result())
                kept.append(path)
            except ValueError as error:
                skipped.append((path, str(error)))
        if not images:
            yield Batch([], np.zeros((0, 0), np.float32), skipped)
            continue
        probabilities = model(images)
        if test_prior is not None:
            if offset is None:
                names = model.class_names(probabilities.shape[1])
                offset = prior_offset(model.recipe, names, test_prior)
            probabilities = reweighted(probabilities, offset).astype(np.float32)
        yield Batch(kept, probabilities, skipped)


def _read(
    prepare: Callable[[str], Tensor], paths: Iterable[str], batch_size: int
) -> Iterator[list[tuple[str, Future[Tensor]]]]:
    """Groups of images that threads read, at most one group ahead."""
    waiting: deque[tuple[str, Future[Tensor]]] = deque()
    with ThreadPoolExecutor(READERS) as threads:
        for path in paths:
            waiting.append((path, threads.submit(prepare, path)))
            if len(waiting) == 2 * batch_size:
                yield [waiting.popleft() for _ in range(batch_size)]
        while waiting:
            yield [waiting.popleft() for _ in range(min(batch_size, len(waiting)))]
