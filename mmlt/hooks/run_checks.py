"""Whether the parts of a run fit together, asked before its first step."""

from __future__ import annotations

from typing import Any

from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.dist import get_world_size
from mmengine.runner import Runner
from mmpretrain.datasets import RepeatAugSampler

from mmlt.datasets.dataset_labels import unsliced
from mmlt.datasets.paired_dataset import PairedDataset
from mmlt.datasets.samplers.epoch_sampler import EpochSampler
from mmlt.datasets.samplers.pair_sampler import PairSampler
from mmlt.models.batch_augments.in_batch import InBatchMixin
from mmlt.models.batch_augments.paired import PairedBatchAugment
from mmlt.models.paired_data_preprocessor import PairedDataPreprocessor

from .components import batch_augments, sampler_of, switched, training_dataset, unwrap
from .ema_confusion_hook import EMAConfusionHook

__all__ = ['check_batch_sizes', 'check_pairing']

_SAMPLERS_OF_SINGLE_IMAGES = (DefaultSampler, InfiniteSampler, RepeatAugSampler)
_SAMPLER = "train_dataloader.sampler=dict(type='PairSampler', ...)"
_DATASET = "train_dataloader.dataset=dict(type='PairedDataset', dataset=dict(...))"
_PREPROCESSOR = "data_preprocessor=dict(type='PairedDataPreprocessor')"
_AUGMENT = "model.train_cfg=dict(augments=dict(type='ConCutMixAugment'))"


def check_pairing(runner: Runner) -> None:
    """Refuse a run in which pairs are drawn, loaded or mixed, but not all three.

    Args:
        runner: with its training loop built.

    Raises:
        ValueError: naming what is there and what is missing.
    """
    model = unwrap(runner.model)
    dataset, sampler = unsliced(training_dataset(runner)), sampler_of(runner)
    preprocessor = getattr(model, 'data_preprocessor', None)
    augments = [
        augment for augment in batch_augments(model) if isinstance(augment, PairedBatchAugment)
    ]
    draws, loads = isinstance(sampler, PairSampler), isinstance(dataset, PairedDataset)
    mixes = isinstance(preprocessor, PairedDataPreprocessor)

    if draws and not loads:
        _refuse(
            'PairSampler draws pairs',
            'the training data set',
            dataset,
            f'{_DATASET}, around every other wrapper',
        )
    if (
        loads
        and not draws
        and (isinstance(sampler, EpochSampler) or type(sampler) in _SAMPLERS_OF_SINGLE_IMAGES)
    ):
        _refuse('PairedDataset loads pairs', 'the sampler', sampler, _SAMPLER)
    if loads and not mixes:
        _refuse(
            'PairedDataset loads pairs',
            'the preprocessor, which drops the partners,',
            preprocessor,
            _PREPROCESSOR,
        )
    if mixes and augments and not loads:
        _refuse(
            f'{type(augments[0]).__name__} mixes pairs',
            'the training data set',
            dataset,
            f'{_DATASET} and {_SAMPLER}',
        )
    if not mixes and any(not isinstance(augment, InBatchMixin) for augment in augments):
        _refuse(
            f'{type(augments[0]).__name__} mixes pairs',
            'the preprocessor',
            preprocessor,
            f'{_PREPROCESSOR}, {_DATASET} and {_SAMPLER}',
        )
    if draws and mixes and not augments and not switched(runner, 'batch_augments'):
        choice = preprocessor.batch_augments
        if choice is None or not choice.paired:
            _refuse(
                'PairSampler draws pairs',
                'the batch augment',
                choice and choice.augments[0],
                _AUGMENT,
            )
    if draws:
        _warn_of_the_schedule(runner, sampler)


def check_batch_sizes(runner: Runner) -> None:
    """Refuse uneven ranks where a module counts on batches of one size: it would hang.

    Args:
        runner: with its training loop built.

    Raises:
        ValueError: naming the sampler's option and the module's.
    """
    if getattr(sampler_of(runner), 'round_up', True):
        return
    if len(training_dataset(runner)) % get_world_size() == 0:
        return
    names = [
        name
        for name, module in unwrap(runner.model).named_modules()
        if getattr(module, 'equal_batch_sizes', False)
    ]
    if names:
        raise ValueError(
            'train_dataloader.sampler.round_up=False: ranks have batches of other sizes, but '
            f'{" and ".join(names)} gather batches of one size; expected round_up=True, or '
            'equal_batch_sizes=False of those'
        )


def _refuse(fact: str, part: str, found: Any, expected: str) -> None:
    name = 'None' if found is None else type(found).__name__
    raise ValueError(f'{fact}, but {part} is {name}; expected {expected}')


def _warn_of_the_schedule(runner: Runner, sampler: PairSampler) -> None:
    if sampler.start_epoch >= runner.max_epochs:
        runner.logger.warning(
            f'PairSampler: start_epoch={sampler.start_epoch} is never reached in '
            f'{runner.max_epochs} epochs, so its law is never used'
        )
    if sampler.law == 'confusion' and not any(
        isinstance(hook, EMAConfusionHook) for hook in runner.hooks
    ):
        runner.logger.warning(
            "PairSampler: law='confusion' needs counts after its first epoch, and there is no "
            "dict(type='EMAConfusionHook') in the hooks to bring them"
        )
