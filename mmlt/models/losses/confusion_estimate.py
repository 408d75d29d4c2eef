"""The moving average of a classifier's soft confusion, as a module with buffers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import torch
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmlt.functional.checks import check_integer, refuse
from mmlt.functional.confusion.soft import (
    ConfusionOptions,
    ConfusionState,
    LabelPairs,
    confusion_norm_,
    label_pairs,
)
from mmlt.functional.distributed import gather_with_grad

from .loaded_state import fitting_state

__all__ = ['ConfusionEstimate']


@MODELS.register_module()
class ConfusionEstimate(nn.Module):
    r"""EMA of the soft confusion, ``confusion[true, predicted]``, and its spectral norm.

    The buffers are replicated: logits and labels are gathered over ranks with gradient
    (``N x K``, never ``K x K``), so every rank computes the same estimate from the global batch
    and the gradient is that of one process. They keep float32 under autocast and ``half()``.

    Args:
        num_classes: ``K``. None: the buffers are made by :meth:`set_num_classes`, which has to
            happen before a checkpoint is saved or the model is copied.
        max_labels: labels kept of an image with soft targets; 2 is exact for mixup and CutMix.
        **options: fields of :class:`mmlt.functional.confusion.soft.ConfusionOptions`.

    Raises:
        ValueError: if an option is out of range; in ``forward``, if logits or targets do not fit.

    Reference:
        CAR (Zhu et al., CVPR 2026).

    Example:
        >>> estimate = ConfusionEstimate(num_classes=2, beta=0.5)
        >>> estimate(torch.zeros(1, 2), torch.tensor([0]))
        tensor(0.1250)
        >>> int(estimate.num_updates)
        1
    """

    confusion: Tensor
    norm: Tensor
    row_weights: Tensor

    def __init__(self, num_classes: int | None = None, max_labels: int = 2, **options: Any) -> None:
        super().__init__()
        known = [field.name for field in fields(ConfusionOptions)]
        for name, value in options.items():
            if name not in known:
                raise refuse(name, f'an option of CAR ({", ".join(known)}) instead', value)
        self.options = ConfusionOptions(**options)
        self.max_labels = check_integer('max_labels', max_labels, '[1, inf)')
        self.num_classes: int | None = None
        if num_classes is not None:
            self.set_num_classes(num_classes)

    def set_num_classes(self, num_classes: int) -> None:
        """Make the buffers, all zero; those of the same size are left as they are."""
        check_integer('num_classes', num_classes, '[2, inf)')
        if num_classes == self.num_classes:
            return
        if self.num_classes is not None:
            raise refuse('num_classes', f'{self.num_classes}, as in the estimate', num_classes)
        self.num_classes = num_classes
        for name, tensor in ConfusionState.zeros(num_classes)._asdict().items():
            self.register_buffer(name, tensor)
        # Derived from the class counts, which a checkpoint keeps in its dataset_meta.
        self.register_buffer('row_weights', torch.ones(num_classes), persistent=False)

    def set_row_weights(self, row_weights: Tensor) -> None:
        """Take the weights ``(K,)`` of the norm, non-negative."""
        self.set_num_classes(row_weights.numel())
        self.row_weights.copy_(row_weights)

    @property
    def state(self) -> ConfusionState:
        """The buffers themselves, as the functions in ``mmlt.functional`` take them."""
        return ConfusionState(*(getattr(self, name) for name in ConfusionState._fields))

    def begin_run(self) -> bool:
        """Forget what the run has learned whose weights were loaded; whether there was any."""
        if self.num_classes is None:
            return False
        known = any(bool(tensor.any()) for tensor in self.state)
        for tensor in self.state:
            tensor.zero_()
        return known

    @torch.compiler.disable
    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Take a batch in and return the weighted spectral norm.

        Args:
            logits: ``(N, K)``, images of this rank; ``N`` is the same on every rank.
            targets: ``(N,)`` integers or ``(N, K)`` scores.

        Returns:
            Scalar, differentiable in ``logits``. In evaluation nothing is taken in, and the last
            norm is returned, without gradient.
        """
        if self.num_classes is None:
            raise refuse('num_classes', 'a number, given or by set_num_classes', None)
        if logits.ndim != 2 or logits.shape[1] != self.num_classes:
            raise ValueError(
                f'logits: expected (N, {self.num_classes}) for num_classes={self.num_classes}, '
                f'got shape {tuple(logits.shape)}'
            )
        if self.confusion.device != logits.device:
            self.to(logits.device)  # buffers that were made after the model had moved
        if not self.training:
            return self.norm.clone()
        pairs = label_pairs(targets, logits.shape[1], self.max_labels)
        if pairs.labels.shape[0] != logits.shape[0]:
            raise refuse('targets', f'{logits.shape[0]}, one per image', pairs.labels.shape[0])
        logits = gather_with_grad(logits.to(self.confusion.dtype), equal_sizes=True)
        pairs = LabelPairs(*(gather_with_grad(part, equal_sizes=True) for part in pairs))
        return confusion_norm_(logits, pairs, self.state, self.row_weights, self.options)

    def _apply(self, fn: Callable[[Tensor], Tensor], *args: Any, **kwargs: Any) -> nn.Module:
        """Follow to another device or to float64, but never below float32."""

        def keep_float32(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            halved = moved.is_floating_point() and moved.element_size() < 4
            return tensor.to(moved.device) if halved else moved

        return super()._apply(keep_float32, *args, **kwargs)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        """A checkpoint may bring the estimate before the number of classes is known."""
        saved = state_dict.get(f'{prefix}confusion')
        if saved is not None and self.num_classes is None:
            self.set_num_classes(saved.shape[0])
        if self.num_classes is not None:
            state_dict = fitting_state(self, state_dict, prefix, ConfusionState._fields)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def extra_repr(self) -> str:
        return f'num_classes={self.num_classes}, {self.options}'
