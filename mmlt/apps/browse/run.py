"""What only a run knows: the confusion that partners follow, and the head that rectifies labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS
from torch import Tensor

from mmlt.functional.checks import one_line
from mmlt.models.heads.label_rectifier import LabelRectifier

__all__ = ['confusion_of', 'rectifier_of']

Rectify = Callable[[Sequence[Tensor], Tensor], Tensor]


def confusion_of(checkpoint: dict[str, Any]) -> Tensor | None:
    """``confusion[true, predicted]`` that the run had counted, sparse ``(K, K)``, or None."""
    state = checkpoint.get('confusion_pairs')
    if not state or not state.get('num_epochs'):
        return None
    positions, values = state['finished']
    classes = int(state['num_classes'])
    places = torch.stack([positions // classes, positions % classes])
    return torch.sparse_coo_tensor(places, values, (classes, classes)).coalesce()


def has_rectifier(cfg: Config) -> int | None:
    """The epoch from which the head rectifies labels, None where it does not."""
    head = (cfg.get('model') or {}).get('head')
    start = head.get('label_start_epoch') if isinstance(head, dict) else None
    return None if start is None else int(start)


def rectifier_of(
    cfg: Config, checkpoint: dict[str, Any], counts: Sequence[int], epoch: int
) -> Rectify | None:
    """How the head of a run changes the labels of mixed images.

    Args:
        cfg: of the run; not changed.
        checkpoint: with the weights.
        counts: ``(K,)`` training images.
        epoch: from 0.

    Returns:
        Views V of ``(N, C, H, W)`` and scores ``(N, K)`` to scores ``(N, K)``; None where the head
        leaves labels as they are in this epoch.

    Raises:
        ValueError: if the model cannot be built, or the weights are those of another.
    """
    start = has_rectifier(cfg)
    if start is None or epoch < start:
        return None
    try:
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            model = MODELS.build(deepcopy(cfg.model))
        weights = checkpoint['state_dict']
        lacking = model.load_state_dict(weights, strict=False).missing_keys
    except Exception as error:  # whatever constructors say to wrong options
        raise ValueError(
            f'--checkpoint: expected the weights of the model of the config, got others: '
            f'{one_line(error)}'
        ) from error
    lost = [name for name in lacking if not name.startswith(('head.loss', 'data_preprocessor'))]
    if lost:
        raise ValueError(f'--checkpoint: expected the weights of the model, got none for {lost[0]}')
    head = model.head
    if not isinstance(getattr(head, 'rectifier', None), LabelRectifier):
        return None
    head.rectifier.set_class_counts(counts)
    model.train()

    @torch.no_grad()
    def rectify(views: Sequence[Tensor], scores: Tensor) -> Tensor:
        projections = model.extract_feat(list(views))[-2]
        changed, _ = head.rectifier(projections[: len(scores)], head.prototypes(), scores)
        return changed

    return rectify
