"""What a model predicts for each image of a split, as one file that other tools read too.

``predictions.npz`` holds plain arrays: cleanlab takes ``labels`` and ``probabilities``, FiftyOne
``paths`` and ``features``. The pickled list that MMPretrain's ``test.py --out`` writes is read
without running what it may contain.
"""

from __future__ import annotations

import collections
import io
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mmlt.checkpoints import written_whole
from mmlt.functional.checks import one_line
from mmlt.functional.counts import validate_class_counts

__all__ = ['Predictions', 'load_predictions', 'save_predictions']


SUM_TOLERANCE = 0.01  # of the probabilities of an image; half precision is off by less than 0.001


@dataclass(frozen=True)
class Predictions:
    """Predictions of ``N`` images among ``K`` classes.

    Args:
        paths: ``(N,)`` str, '' for an image without a file.
        labels: ``(N,)`` int64, the true classes, in ``[0, K)``.
        probabilities: ``(N, K)`` float32.
        classes: ``(K,)`` str, names.
        class_counts: ``(K,)`` int64 training images per class, None if unknown.
        features: ``(N, D)`` float32, None if they were not kept.
        split: name of the split, such as ``'test'``.
    """

    paths: NDArray[np.str_]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    classes: NDArray[np.str_]
    class_counts: NDArray[np.int64] | None = None
    features: NDArray[np.float32] | None = None
    split: str = ''

    def __post_init__(self) -> None:
        """Refuse parts that do not fit together, with the name of the part."""
        shape = self.probabilities.shape
        if len(shape) != 2 or 0 in shape:
            raise ValueError(f'probabilities: expected shape (N, K) with images, got {shape}')
        for name, size in (('paths', shape[0]), ('labels', shape[0]), ('classes', shape[1])):
            found = getattr(self, name).shape
            if found != (size,):
                raise ValueError(f'{name}: expected shape ({size},), got {found}')
        if not 0 <= self.labels.min() <= self.labels.max() < shape[1]:
            got = f'{self.labels.min()} .. {self.labels.max()}'
            raise ValueError(f'labels: expected classes in [0, {shape[1]}), got {got}')
        if self.class_counts is not None:
            if self.class_counts.shape != (shape[1],):
                found = self.class_counts.shape[0] if self.class_counts.ndim else 'a number'
                raise ValueError(
                    f'class counts: expected {shape[1]}, as many as there are classes, got {found}'
                )
            validate_class_counts(self.class_counts)
        if self.features is not None and self.features.shape[:1] != shape[:1]:
            raise ValueError(f'features: expected {shape[0]} rows, got {self.features.shape}')

    def with_counts(self, counts: Any) -> Predictions:
        """The same with these training images per class, ``(K,)``."""
        return replace(self, class_counts=np.asarray(counts, dtype=np.int64))


def save_predictions(path: Path, predictions: Predictions) -> None:
    """Write ``predictions.npz``: plain arrays, nothing pickled.

    ``class_counts`` and ``features`` are left out where they are None.
    """
    optional = dict(class_counts=predictions.class_counts, features=predictions.features)
    kept: dict[str, Any] = {name: part for name, part in optional.items() if part is not None}
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as aside, aside.open('wb') as file:
        np.savez(
            file,
            paths=predictions.paths.astype(str),
            labels=predictions.labels,
            probabilities=predictions.probabilities,
            classes=predictions.classes.astype(str),
            split=np.array(predictions.split),
            **kept,
        )


def load_predictions(path: Path, trust: bool = False) -> Predictions:
    """Read ``predictions.npz``, or the ``.pkl`` that MMPretrain's test tool writes.

    Args:
        path: the file.
        trust: unpickle a ``.pkl`` as it is, which can run any code.

    Returns:
        The predictions. A ``.pkl`` tells neither names of classes nor counts.

    Raises:
        ValueError: if it is not such a file, with one line that says why.
    """
    if not path.is_file():
        got = 'a folder' if path.is_dir() else 'no such file'
        raise ValueError(f'{path}: expected predictions (.npz or .pkl), got {got}')
    if path.suffix == '.npz':
        return _from_npz(path)
    if path.suffix in ('.pkl', '.pickle'):
        return _from_pickle(path, trust)
    raise ValueError(f'{path}: expected predictions (.npz or .pkl), got another kind of file')


def _from_npz(path: Path) -> Predictions:
    expected = f'{path}: expected arrays labels and probabilities'
    try:
        file = np.load(path, allow_pickle=False)
        if isinstance(file, np.ndarray):
            raise ValueError('it holds one array, as a .npy file does')
        with file:
            parts = {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f'{expected}, got a file that cannot be read: {error}') from error
    missing = [name for name in ('labels', 'probabilities') if name not in parts]
    if missing:
        raise ValueError(f'{expected}, got none named {", ".join(missing)}')
    probabilities = _numeric(path, 'probabilities', parts['probabilities'])
    probabilities = probabilities.astype(np.float32, copy=False)
    sums = probabilities.sum(1) if probabilities.ndim == 2 else np.ones(1, np.float32)
    wrong = sums[np.abs(sums - 1) > SUM_TOLERANCE]  # not those of nan, which is no prediction
    if wrong.size:
        raise ValueError(
            f'{path}: probabilities: expected rows that sum to 1, got one of sum {wrong[0]:g}'
        )
    images, classes = probabilities.shape if probabilities.ndim == 2 else (0, 0)
    counts, features = parts.get('class_counts'), parts.get('features')
    try:
        return Predictions(
            paths=parts.get('paths', np.full(images, '', dtype=str)).astype(str),
            labels=_numeric(path, 'labels', parts['labels']).astype(np.int64),
            probabilities=probabilities,
            classes=parts.get('classes', np.arange(classes)).astype(str),
            class_counts=counts.astype(np.int64) if counts is not None and counts.size else None,
            features=features if features is not None and features.size else None,
            split=str(parts.get('split', '')),
        )
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error


def _numeric(path: Path, name: str, values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype.kind not in 'iuf':
        raise ValueError(f'{path}: {name}: expected numbers, got {values.dtype}')
    return values


def _from_pickle(path: Path, trust: bool) -> Predictions:
    expected = f'{path}: expected the predictions that tools/test.py --out writes'
    content = path.read_bytes()
    try:
        samples = pickle.loads(content) if trust else _PlainUnpickler(io.BytesIO(content)).load()
    except (
        pickle.UnpicklingError, EOFError, AttributeError, ImportError, IndexError, KeyError,
        TypeError, ValueError, RuntimeError,
    ) as error:  # fmt: skip
        raise ValueError(f'{expected}, got one that cannot be read: {one_line(error)}') from error
    fits = isinstance(samples, list) and samples and isinstance(samples[0], dict)
    if not fits or not {'pred_score', 'gt_label'} <= set(samples[0]):
        raise ValueError(f'{expected}, got none with pred_score and gt_label for each image')
    try:
        return gather(samples)
    except (KeyError, TypeError, RuntimeError, ValueError) as error:
        raise ValueError(f'{expected}, got samples that do not fit together: {error}') from error


def gather(samples: list[dict[str, Any]], classes: Any = None, split: str = '') -> Predictions:
    """Predictions from the data samples of MMPretrain, as dicts.

    Args:
        samples: with ``pred_score`` ``(K,)`` and ``gt_label`` ``(1,)`` each, ``img_path`` where
            there is a file.
        classes: ``K`` names; numbers are taken where they are missing.
        split: its name.

    Raises:
        ValueError: if an image has not exactly one label, or the scores are no probabilities.
    """
    for sample in samples:
        if 'gt_label' not in sample or torch.as_tensor(sample['gt_label']).numel() != 1:
            raise ValueError('gt_label: expected one label per image, got none or several')
    scores = torch.stack([torch.as_tensor(sample['pred_score']) for sample in samples])
    probabilities = scores.float().cpu().numpy()
    if not bool(((probabilities >= 0) | np.isnan(probabilities)).all()):
        raise ValueError(
            'pred_score: expected probabilities (a head that ends in a softmax), got negative ones'
        )
    num_classes = probabilities.shape[1]
    names = list(classes or ())
    if len(names) != num_classes:
        names = list(range(num_classes))
    return Predictions(
        paths=np.array([str(sample.get('img_path') or '') for sample in samples], dtype=str),
        labels=np.array(
            [int(torch.as_tensor(sample['gt_label']).reshape(())) for sample in samples]
        ),
        probabilities=probabilities,
        classes=np.array([str(name) for name in names], dtype=str),
        split=split,
    )


def _load_storage(content: bytes) -> Any:
    """Stands for ``torch.storage._load_from_bytes``, which would unpickle anything."""
    return torch.load(io.BytesIO(content), map_location='cpu', weights_only=True)


def _encode(text: str, encoding: str) -> bytes:
    """Stands for ``_codecs.encode``, by which old pickles write bytes."""
    if encoding != 'latin1':
        raise pickle.UnpicklingError(f'refused: bytes in encoding {encoding!r}')
    return text.encode('latin1')


def _allowed() -> dict[tuple[str, str], Any]:
    """What predictions are made of: tensors, arrays and numbers of numpy, ordered dicts."""
    core = getattr(np, '_core', None) or np.core
    named: dict[tuple[str, str], Any] = {
        ('torch._utils', '_rebuild_tensor_v2'): torch._utils._rebuild_tensor_v2,
        ('torch.storage', '_load_from_bytes'): _load_storage,
        ('torch', 'Size'): torch.Size,
        ('collections', 'OrderedDict'): collections.OrderedDict,
        ('numpy', 'ndarray'): np.ndarray,
        ('numpy', 'dtype'): np.dtype,
        ('_codecs', 'encode'): _encode,
    }
    functions: dict[str, Callable[..., Any]] = {
        'multiarray._reconstruct': core.multiarray._reconstruct,
        'multiarray.scalar': core.multiarray.scalar,
        'numeric._frombuffer': core.numeric._frombuffer,
    }
    for package in ('numpy.core', 'numpy._core'):
        for name, function in functions.items():
            module, attribute = name.split('.')
            named[f'{package}.{module}', attribute] = function
    return named


class _PlainUnpickler(pickle.Unpickler):
    """Finds tensors, arrays and plain types, and refuses all other names of a pickle."""

    allowed = _allowed()

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in self.allowed:
            return self.allowed[module, name]
        raise pickle.UnpicklingError(
            f'refused: it names {module}.{name}, which could run any code; --trust reads a file '
            'that you or people you trust have made'
        )
