"""How a config compensates the frequency of classes, and what prior its logits still carry."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .functional.mixing import moves_label
from .registry import dicts_in, type_name

__all__ = ['sampling_corrections', 'trained_prior']


def trained_prior(cfg: dict[str, Any]) -> tuple[float, tuple[str, ...]]:
    """``prior_power`` and ``corrections`` of a config, see :class:`mmlt.recipe.Recipe`."""
    head = cfg['model'].get('head')
    losses = _classification_losses(head)
    if any(type_name(part) == 'VSLoss' for part in losses):
        # Factors and offsets together: no power of the training prior is left to name.
        return 0.0, ('VSLoss',)
    taus = [
        (float(part.get('tau', 1.0)) if type_name(part) == 'LogitAdjustedLoss' else None)
        for part in losses
    ]
    adjusted = [tau for tau in taus if tau is not None]
    if any(adjusted):
        # Experts count together, and their logits are averaged.
        tau = sum(adjusted) / len(taus)
        return 1.0 - tau, (f'LogitAdjustedLoss(tau={tau:g})',)
    balancing = tuple(dict.fromkeys(_balancing(cfg)))
    return (0.0, balancing) if balancing else (1.0, ())


def _classification_losses(head: Any) -> list[dict[str, Any]]:
    """The loss of a head, or one for each expert; a criterion inside a regulariser is the loss."""
    loss = head.get('loss') if isinstance(head, dict) else None
    losses = list(loss) if isinstance(loss, (list, tuple)) else [loss]
    found = []
    for part in losses:
        while isinstance(part, dict) and isinstance(part.get('criterion'), dict):
            part = part['criterion']
        found.append(part if isinstance(part, dict) else {})
    return found


def _balancing(cfg: dict[str, Any]) -> Iterator[str]:
    """Everything else that compensates how frequent classes are."""
    for part in dicts_in(cfg['model'].get('head')):
        if part.get('class_weight') is not None:
            yield f'{type_name(part)}(class_weight=...)'
    for part in dicts_in(cfg['model'].get('train_cfg')):
        kind = type_name(part)
        rule = part.get('label_rule', 'prior')
        if kind == 'RemixBatchAugment':
            yield kind
        elif kind == 'CPMixBatchAugment' and moves_label(rule, part.get('tau', 1.0)):
            yield f'{kind}(label_rule={rule!r})'
    yield from sampling_corrections(cfg.get('train_dataloader'))
    hooks = [*(cfg.get('default_hooks') or {}).values(), *(cfg.get('custom_hooks') or ())]
    for part in hooks:
        if isinstance(part, dict) and type_name(part) == 'DeferredReweightingHook':
            yield 'DeferredReweightingHook'


def sampling_corrections(train_dataloader: Any) -> Iterator[str]:
    """What in the config of a loader draws rare classes more often than their images say."""
    for part in dicts_in(train_dataloader):
        kind = type_name(part)
        by_image = part.get('effective_number') is None and part.get('power', 0) == 1
        if kind == 'ClassBalancedDataset' or (kind == 'ClassBalancedSampler' and not by_image):
            yield kind
