"""Everything in a runner that takes part in long-tailed training, found by what it defines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.dist import get_world_size
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmpretrain.datasets import RepeatAugSampler
from mmpretrain.engine.hooks import SwitchRecipeHook
from torch import nn

from mmlt.datasets.labels import unsliced
from mmlt.datasets.paired_dataset import PairedDataset
from mmlt.datasets.samplers.epoch import EpochSampler
from mmlt.datasets.samplers.pairs import PairSampler
from mmlt.models.batch_augments.paired import PairedBatchAugment
from mmlt.models.preprocessors import PairedDataPreprocessor

__all__ = [
    'batch_augments',
    'check_batch_sizes',
    'check_pairing',
    'components_with',
    'num_classes_of',
    'sampler_of',
    'switched',
    'training_dataset',
    'unwrap',
]


def unwrap(model: nn.Module) -> nn.Module:
    """The model inside DDP and other wrappers."""
    while is_model_wrapper(model):
        model = model.module
    return model


def batch_augments(model: nn.Module) -> Iterator[Any]:
    """Batch augments are no modules; MMPretrain keeps them inside the data preprocessor."""
    choice = getattr(getattr(model, 'data_preprocessor', None), 'batch_augments', None)
    yield from getattr(choice, 'augments', None) or ()


def num_classes_of(part: Any) -> int | None:
    """``num_classes`` of a head or preprocessor that has such a number."""
    num_classes = getattr(part, 'num_classes', None)
    return num_classes if isinstance(num_classes, int) else None


def switched(runner: Runner, what: str) -> bool:
    """Whether a ``SwitchRecipeHook`` is going to exchange ``'loss'`` or ``'batch_augments'``."""
    return any(
        what in recipe
        for hook in runner.hooks
        if isinstance(hook, SwitchRecipeHook)
        for recipe in hook.schedule.values()
    )


def _built_loader(runner: Runner, which: str) -> Any:
    loop = getattr(runner, f'_{which}_loop', None)
    return getattr(loop, 'dataloader', None)


def sampler_of(runner: Runner) -> Any:
    """The sampler of the training loader, inside its batch sampler."""
    loader = _built_loader(runner, 'train')
    inside = getattr(getattr(loader, 'batch_sampler', None), 'sampler', None)
    return getattr(loader, 'sampler', None) if inside is None else inside


def _all(runner: Runner) -> Iterator[Any]:
    model = unwrap(runner.model)
    yield from model.modules()
    yield from batch_augments(model)
    loader = _built_loader(runner, 'train')
    if loader is not None:
        yield loader.batch_sampler
        yield getattr(loader.batch_sampler, 'sampler', None)
        yield loader.sampler
    for which in ('val', 'test'):
        evaluator = getattr(getattr(runner, f'_{which}_loop', None), 'evaluator', None)
        yield from getattr(evaluator, 'metrics', ())


def components_with(runner: Runner, method: str) -> list[Any]:
    """Model parts, batch augments, samplers and metrics that define ``method``, each once.

    Args:
        runner: an MMEngine runner; loops that are not built yet are passed over.
        method: for example ``'set_class_counts'``.
    """
    found: dict[int, Any] = {}
    for component in _all(runner):
        if component is not None and callable(getattr(component, method, None)):
            found.setdefault(id(component), component)
    return list(found.values())


def training_dataset(runner: Runner) -> Any:
    """The training data set, or None where there is none (testing)."""
    return getattr(_built_loader(runner, 'train'), 'dataset', None)


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
    if not mixes and any(not augment.mixes_within_batch for augment in augments):
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
    from .ema_confusion_hook import EMAConfusionHook

    if sampler.wants_confusion_counts and not any(
        isinstance(hook, EMAConfusionHook) for hook in runner.hooks
    ):
        runner.logger.warning(
            "PairSampler: partners='confusion' needs counts after its first epoch, and there is no "
            "dict(type='EMAConfusionHook') in the hooks to bring them"
        )
