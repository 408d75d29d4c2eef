"""Which images a config trains and evaluates on, from its data sets; no image is read."""

from __future__ import annotations

import inspect
import logging
import os.path as osp
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mmengine.config import Config
from mmengine.dataset import ClassBalancedDataset, RepeatDataset
from mmengine.fileio import get
from mmengine.logging import MMLogger
from mmengine.registry import DATASETS, init_default_scope
from torch.utils.data import ConcatDataset, Subset

from mmlt.datasets import PairedDataset
from mmlt.datasets.labels import names_of_classes
from mmlt.functional.checks import one_line

from .files import Decoder

__all__ = ['Listed', 'Split', 'read_splits']

LOADERS = {name: f'{name}_dataloader' for name in ('train', 'val', 'test')}
# Images that are missing shall all be found here, and nothing shall be downloaded. Annotations are
# serialised for the processes of a data loader, which takes long.
FOR_THE_SCAN = dict(check_images=0, download=False, serialize_data=False)

Label = int | tuple[int, ...] | None


class Listed(NamedTuple):
    """One image of a data set; ``line`` of ``list_file``, where it comes from one."""

    path: str
    label: Label
    list_file: str | None = None
    line: int | None = None


@dataclass
class Split:
    """The images of one data loader, or of several that have the same data set.

    Args:
        names: ``train``, ``val``, ``test``.
        data_set: its class.
        images: those in local files, in the order of the data set.
        in_memory: how many others come without a file.
        remote: how many others lie on a server.
        decoders: of its ``LoadImageFromFile``.
        fault: why it cannot be read; None if it can.
        log: warnings of the data set.
        classes: their names in the order of the labels; empty where it has none.
    """

    names: tuple[str, ...]
    data_set: str = ''
    images: list[Listed] = field(default_factory=list)
    in_memory: int = 0
    remote: int = 0
    decoders: tuple[Decoder, ...] = ()
    fault: str | None = None
    log: list[str] = field(default_factory=list)
    classes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """For people."""
        return '/'.join(self.names)

    @property
    def trains(self) -> bool:
        """Whether it is the training set."""
        return 'train' in self.names


def read_splits(cfg: Config) -> list[Split]:
    """The images of every data loader of a config.

    Args:
        cfg: as it is trained.

    Returns:
        Splits, the training set first. One whose data set cannot be built has a ``fault``.

    Raises:
        ValueError: if the config has no data loader.
    """
    init_default_scope(cfg.get('default_scope') or 'mmengine')
    splits: list[tuple[Any, Split]] = []
    for name, key in LOADERS.items():
        data_set = (cfg.get(key) or {}).get('dataset')
        if data_set is None:
            continue
        same = next((split for other, split in splits if _equal(other, data_set)), None)
        if same is not None:
            same.names += (name,)
        else:
            splits.append((data_set, _read_split(name, data_set)))
    if not splits:
        raise ValueError(f'expected a config with {" or ".join(LOADERS.values())}, got none')
    return [split for _, split in splits]


def _equal(one: Any, other: Any) -> bool:
    return isinstance(one, dict) and isinstance(other, dict) and dict(one) == dict(other)


def _read_split(name: str, data_set: Any) -> Split:
    split = Split((name,))
    with _logged(split.log):
        try:
            if isinstance(data_set, dict):
                split.data_set = str(data_set.get('type'))
                data_set = DATASETS.build(_for_the_scan(deepcopy(data_set)))
            split.data_set = type(data_set).__name__
            if hasattr(data_set, 'full_init'):
                data_set.full_init()
            split.decoders = tuple(dict.fromkeys(_decoders(data_set)))
            _list_images(data_set, split)
            split.classes = names_of_classes(data_set, split.data_set)
        except Exception as error:  # whatever a data set raises would end a training too
            split.fault = f'{type(error).__name__}: {one_line(error)}'
    return split


def _for_the_scan(data_set: dict[str, Any]) -> dict[str, Any]:
    """The config of a data set, and of those inside it, changed so that nothing is left out."""
    kind = data_set.get('type')
    if isinstance(kind, str):
        with DATASETS.switch_scope_and_registry(None) as registry:
            kind = registry.get(kind)
    for option, value in FOR_THE_SCAN.items():
        if _takes(kind, option):
            data_set[option] = value
    for inner in [data_set.get('dataset'), *(data_set.get('datasets') or ())]:
        if isinstance(inner, dict):
            _for_the_scan(inner)
    return data_set


def _takes(kind: Any, option: str) -> bool:
    """Whether a class has an option, of its own or handed on to a base."""
    for base in getattr(kind, '__mro__', ()):
        constructor = vars(base).get('__init__')
        if inspect.isfunction(constructor):
            parameters = inspect.signature(constructor).parameters
            if option in parameters:
                return True
            if not any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
                return False
    return False


@contextmanager
def _logged(lines: list[str]) -> Iterator[None]:
    """Collect the warnings of data sets, in place of printing them."""

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    logger = MMLogger.get_current_instance()
    handlers, collect = list(logger.handlers), Collect(logging.WARNING)
    logger.handlers = [collect]
    try:
        yield
    finally:
        logger.handlers = handlers


def _list_images(data_set: Any, split: Split) -> None:
    lines = _lines(data_set)
    for leaf, positions in _leaves(data_set):
        for index in positions:
            info = leaf.get_data_info(index)
            path = info.get('img_path')
            if path is None:
                split.in_memory += 1
            elif '://' in str(path):
                split.remote += 1
            else:
                label = _label(info.get('gt_label'))
                where = lines.get((str(path), label))
                split.images.append(Listed(str(path), label, *(where.popleft() if where else ())))


def _label(value: Any) -> Label:
    if value is None:
        return None
    try:
        return int(value)
    except (TypeError, ValueError):
        return tuple(int(one) for one in value)


def _parts(data_set: Any) -> list[Any]:
    """What a wrapper wraps."""
    inner = getattr(data_set, 'datasets', None)
    if inner is None:
        inner = [getattr(data_set, 'dataset', None)]
    return [part for part in inner if part is not None]


def _leaves(data_set: Any) -> Iterator[tuple[Any, Iterable[int]]]:
    """Data sets and their positions that are used, without what wrappers only repeat."""
    if isinstance(data_set, (ConcatDataset, RepeatDataset, ClassBalancedDataset, PairedDataset)):
        for part in _parts(data_set):
            yield from _leaves(part)
    elif isinstance(data_set, Subset):
        yield data_set.dataset, (int(index) for index in data_set.indices)
    else:
        yield data_set, range(len(data_set))


def _lines(data_set: Any) -> dict[tuple[str, Label], deque[tuple[str, int]]]:
    """Where the lists of a data set and of those inside it name an image: list and line."""
    found: dict[tuple[str, Label], deque[tuple[str, int]]] = defaultdict(deque)
    list_file = str(getattr(data_set, 'ann_file', '') or '')
    if list_file and not list_file.endswith(('.json', '.pkl', '.yaml', '.yml', '.csv')):
        try:
            text = get(list_file).decode('utf-8-sig')
        except (OSError, UnicodeDecodeError):
            text = ''  # a data set with a format of its own
        prefixes = getattr(data_set, 'data_prefix', None)
        prefix = str(prefixes.get('img_path') or '') if isinstance(prefixes, dict) else ''
        for number, line in enumerate(text.split('\n'), start=1):
            row, *label = line.rsplit(None, 1) or ['']
            if label and label[0].isdecimal():
                found[osp.join(prefix, row), int(label[0])].append((list_file, number))
            elif line.strip():
                found[osp.join(prefix, line.strip()), None].append((list_file, number))
    for part in _parts(data_set):
        for key, where in _lines(part).items():
            found[key].extend(where)
    return found


def _decoders(data_set: Any) -> Iterator[Decoder]:
    """What the loading transforms of a data set, and of those inside it, decode with."""
    for transform in _transforms(getattr(data_set, 'pipeline', None)):
        if hasattr(transform, 'imdecode_backend'):
            color = getattr(transform, 'color_type', 'color')
            yield str(transform.imdecode_backend or 'cv2'), str(color)
    for part in _parts(data_set):
        yield from _decoders(part)


def _transforms(pipeline: Any) -> Iterator[Any]:
    inner = getattr(pipeline, 'transforms', None)
    if not isinstance(inner, (list, tuple)):
        return
    for transform in inner:
        yield transform
        yield from _transforms(transform)
