"""One image of a data set, through any wrappers, and what is said of one that cannot be read.

MMEngine's ``BaseDataset`` puts a random other image, most likely of a head class, in the place of
one that its pipeline gives up, and says nothing. Here an image is read or it is an error; what is
put in its place is for the data sets of mmlt to decide, who know its class.
"""

from __future__ import annotations

import bisect
import logging
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from mmengine.dataset import BaseDataset, ClassBalancedDataset, RepeatDataset
from mmengine.fileio import get_text
from mmengine.logging import print_log
from mmengine.structures import BaseDataElement
from mmpretrain.datasets import KFoldDataset
from torch.utils.data import ConcatDataset, Subset

from .labels import unsliced

__all__ = ['UnreadableImageError', 'describe', 'mark_skipped', 'prepare', 'skipped_in', 'unwrapped']

Pipeline = Callable[[dict], Any]

_SKIPPED = 'skipped_images'


class UnreadableImageError(RuntimeError):
    """An image that cannot be read, or prepared; the message names its file, and line of a list."""

    def alone(self) -> ValueError:
        """What it says, without the traceback that a worker of a loader puts before it."""
        said = str(self).strip().splitlines()[-1]
        return ValueError(said.split('UnreadableImageError: ')[-1])


def unwrapped(dataset: Any, index: int) -> tuple[Any, int]:
    """The data set inside wrappers that holds image ``index``, and its index there."""
    while True:
        dataset = unsliced(dataset)
        if isinstance(dataset, (ConcatDataset, RepeatDataset, ClassBalancedDataset, KFoldDataset)):
            index += len(dataset) if index < 0 else 0  # which also initialises it
        if isinstance(dataset, ConcatDataset):
            part = bisect.bisect_right(dataset.cumulative_sizes, index)
            index -= dataset.cumulative_sizes[part - 1] if part else 0
            dataset = dataset.datasets[part]
        elif isinstance(dataset, (RepeatDataset, ClassBalancedDataset)):
            dataset, index = dataset.dataset, dataset._get_ori_dataset_idx(index)
        elif isinstance(dataset, Subset):
            dataset, index = dataset.dataset, int(dataset.indices[index])
        elif isinstance(dataset, KFoldDataset):
            dataset = dataset.dataset
        else:
            return dataset, index


def prepare(dataset: Any, index: int, pipeline: Pipeline | None = None) -> Any:
    """An image through the pipeline, its data set's own or another.

    Raises what the pipeline raises; ``ValueError`` if that returns nothing.
    """
    dataset, index = unwrapped(dataset, index)
    if pipeline is not None:
        sample = pipeline(dataset.get_data_info(index))
    elif isinstance(dataset, BaseDataset):
        sample = dataset.prepare_data(index)  # its __getitem__ would try other images
    else:
        sample = dataset[index]
    image = sample.get('img', sample) if isinstance(sample, dict) else sample
    if image is None:
        raise ValueError('the pipeline gave no image')
    return sample


def describe(dataset: Any, index: int, error: Exception) -> str:
    """What an image is that could not be read: file and line of its list, class and reason."""
    if isinstance(error, UnreadableImageError):
        return str(error)  # from a data set of mmlt inside a wrapper of the user's own
    leaf, index = unwrapped(dataset, index)
    while hasattr(leaf, 'wrapped_image'):  # a LongTailDataset
        leaf, index = unwrapped(*leaf.wrapped_image(index))
    try:
        info = dict(leaf.get_data_info(index))
    except Exception:  # nothing more is known of it
        info = {}
    path, label, ann_file = info.get('img_path'), info.get('gt_label'), _list_of(leaf)
    where = f'{type(leaf).__name__}, image {index}'
    if ann_file and path:
        line = info.get('line') or _line_of(path, ann_file)
        where = f'{ann_file}, line {line}' if line else ann_file
    names = (getattr(leaf, 'metainfo', None) or {}).get('classes') or ()
    name = f' ({names[label]})' if isinstance(label, int) and 0 <= label < len(names) else ''
    what = f'{path or "one in memory"}{"" if label is None else f", class {label}{name}"}'
    reason = f'{type(error).__name__}: {error}'.strip().split('\n')[0][:300]
    return f'{where}: expected an image that can be read, got {what} ({reason})'


def _list_of(dataset: Any) -> str:
    ann_file = getattr(dataset, 'ann_file', None)
    return ann_file if isinstance(ann_file, str) else ''


@lru_cache(maxsize=1024)
def _line_of(path: str, ann_file: str) -> int | None:
    """Line of an image in a list of a data set of MMPretrain, which keeps no number."""
    try:
        lines = get_text(ann_file).splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    for number, line in enumerate(lines, start=1):
        for listed in (line.strip(), *line.rsplit(None, 1)[:1]):
            if listed and (path == listed or path.endswith(f'/{listed}')):
                return number
    return None


def mark_skipped(sample: Any, skipped: Sequence[str]) -> None:
    """Write into a sample which images it stands for, so that workers tell the main process."""
    packed = sample.get('data_samples') if isinstance(sample, dict) else None
    if isinstance(packed, (list, tuple)) and packed:
        packed = packed[0]
    if isinstance(packed, BaseDataElement):
        packed.set_field(tuple(skipped), _SKIPPED, field_type='metainfo')
        return
    for one in skipped:  # a pipeline without PackInputs: said here and now
        print_log(f'skipped: {one}', logger='current', level=logging.WARNING)


def skipped_in(batch: Any) -> Iterator[str]:
    """What :func:`mark_skipped` wrote into the samples of a batch, partners included."""
    if isinstance(batch, BaseDataElement):
        yield from batch.metainfo.get(_SKIPPED, ())
    elif isinstance(batch, dict):
        for part in batch.values():
            yield from skipped_in(part)
    elif isinstance(batch, (list, tuple)):
        for part in batch:
            yield from skipped_in(part)
