"""Images that could not be read are named once, at the end of the epoch."""

from __future__ import annotations

from collections import Counter
from typing import Any

from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS

from mmlt.datasets.long_tail import begin_epoch, skips
from mmlt.datasets.reading import skipped_in

from .runner_parts import loader_of

__all__ = ['SkippedImagesHook', 'skips_images']

_MOST_NAMED = 20


@HOOKS.register_module()
class SkippedImagesHook(Hook):
    """Names the images that data sets with ``on_error='skip'`` have replaced, in one warning.

    The workers that read images are processes of their own, and so are the ranks. A sample
    therefore carries the names of the images that it stands for, in the ``metainfo`` of its
    ``DataSample``; here they are counted batch by batch, and added over the ranks at the end of an
    epoch of training, a validation or a test. The hook also tells the data sets seed and epoch, by
    which the replacements are drawn.

    Example:
        >>> custom_hooks = [dict(type='SkippedImagesHook')]
    """

    priority = 'NORMAL'

    def __init__(self) -> None:
        self._skipped: dict[str, Counter[str]] = {}

    def _before_epoch(self, runner: Runner, mode: str = 'train') -> None:
        dataset = getattr(runner, f'{mode}_dataloader').dataset
        begin_epoch(dataset, runner.seed, runner.epoch)
        self._skipped.pop(mode, None)
        # All ranks have the same config, so they agree on whether there is something to gather.
        if skips(dataset):
            self._skipped[mode] = Counter()

    def _after_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
        mode: str = 'train',
    ) -> None:
        if mode in self._skipped:
            self._skipped[mode].update(skipped_in(data_batch))

    def _after_epoch(self, runner: Runner, mode: str = 'train') -> None:
        counts = self._skipped.pop(mode, None)
        if counts is None:
            return
        total: Counter[str] = sum(all_gather_object(counts), Counter())
        if total:
            named = '; '.join(sorted(total)[:_MOST_NAMED])
            more = f'; and {len(total) - _MOST_NAMED} more' if len(total) > _MOST_NAMED else ''
            runner.logger.warning(
                f'{mode}: {len(total)} images could not be read and were replaced {total.total()} '
                f'times by others of their classes: {named}{more}'
            )


def skips_images(runner: Runner) -> bool:
    """Whether data of this run may skip images; loops that are not built yet have no data."""
    loaders = (loader_of(runner, mode) for mode in ('train', 'val', 'test'))
    return any(skips(loader.dataset) for loader in loaders if loader is not None)
