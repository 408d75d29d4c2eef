"""Labels of a batch, checked where they come in: hard classes or soft scores."""

from __future__ import annotations

import torch
from torch import Tensor

from .checks import refuse

__all__ = ['check_classes', 'check_targets', 'refuse_left_out']


def check_classes(name: str, classes: Tensor, num_classes: int) -> Tensor:
    """Hard labels as int64.

    Args:
        name: what the error calls them.
        classes: ``(N,)`` integers of any width in ``[0, K)``. Their range is looked at on the CPU
            only: elsewhere the CPU would have to wait for the device in every step, and
            ``ClassCountsHook`` looks at them before they get there.
        num_classes: ``K``.

    Returns:
        ``(N,)`` int64; an ``OptionError`` shows the first that is wrong.

    Example:
        >>> check_classes('targets', torch.tensor([0, 2], dtype=torch.int16), 2)
        Traceback (most recent call last):
        mmlt.functional.checks.OptionError: targets: expected classes in [0, 2), got 2
    """
    if classes.is_floating_point() or classes.is_complex() or classes.dtype == torch.bool:
        raise refuse(name, 'integers', classes.dtype)
    classes = classes.long()
    if classes.device.type == 'cpu':
        wrong = (classes < 0) | (classes >= num_classes)
        if bool(wrong.any()):
            raise refuse(name, f'classes in [0, {num_classes})', int(classes[wrong][0]))
    return classes


def check_targets(name: str, targets: Tensor, logits: Tensor) -> Tensor:
    """Hard or soft labels that fit the logits.

    Args:
        name: what the error calls them.
        targets: ``(N,)`` integers, see :func:`check_classes`, or ``(N, K)`` floating-point scores.
        logits: ``(N, K)`` of at least one image, since a mean over none is not defined.

    Returns:
        ``(N,)`` int64, or the scores as they are; an ``OptionError`` if they do not fit.
    """
    if logits.ndim != 2 or not len(logits):
        raise refuse('logits', '(N, K) with N >= 1', tuple(logits.shape))
    if targets.shape not in (logits.shape, logits.shape[:1]):
        expected = f'(N,) classes or (N, K) scores for logits {tuple(logits.shape)}'
        raise refuse(name, expected, tuple(targets.shape))
    if targets.ndim == 1:
        return check_classes(name, targets, logits.shape[1])
    if not targets.is_floating_point():
        raise refuse(name, '(N, K) floating-point scores', targets.dtype)
    return targets


def refuse_left_out(name: str, targets: Tensor, log_prior: Tensor) -> None:
    """``OptionError`` for a hard label of a class that ``empty_classes='ignore'`` leaves out.

    Its loss would be infinite. On the CPU only, see :func:`check_classes`.
    """
    if targets.ndim == 1 and targets.device.type == 'cpu':
        left_out = torch.isneginf(log_prior)[targets]
        if bool(left_out.any()):
            expected = (
                "classes with training images, since empty_classes='ignore' leaves others out"
            )
            raise refuse(name, expected, int(targets[left_out][0]))
