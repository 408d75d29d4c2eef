"""Everything in a runner that takes part in long-tailed training, found by what it defines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmpretrain.engine.hooks import SwitchRecipeHook
from torch import nn

__all__ = [
    'batch_augments',
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
