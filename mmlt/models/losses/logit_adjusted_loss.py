"""Logit-adjusted cross-entropy as a loss module of MMPretrain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmpretrain.registry import MODELS
from torch import Tensor

from mmlt.functional.checks import check_choice, check_number, refuse
from mmlt.functional.distributed import all_reduce_sum
from mmlt.functional.logit_adjustment import (
    blended_log_prior,
    cross_entropy,
    log_prior,
    scaled_log_prior,
    update_running_prior,
)
from mmlt.functional.targets import refuse_left_out

from .class_counts_loss import ClassificationLoss
from .loaded_state import fitting_state

__all__ = ['LogitAdjustedLoss']


@MODELS.register_module()
class LogitAdjustedLoss(ClassificationLoss):
    r"""Cross-entropy of ``logits + tau * log(prior)``; hard and soft targets.

    Args:
        tau: strength. 1 is Balanced Softmax; 0 plain cross-entropy, which together with
            ``class_weight`` is the class-balanced loss.
        prior: whose prior is compensated. ``'train'``: the training class counts (published).
            ``'effective'``: a running mean of the label mass that really arrives, after sampling
            and mixing, summed over ranks. A number in ``[0, 1]`` interpolates between the logs
            of the two (0 = train, 1 = effective).
        momentum: memory of the effective prior: the plain mean over the first
            ``1 / (1 - momentum)`` steps, an exponential one after that.
        class_weight: ``(K,)`` class weights, ``'effective_number'``, or None. The mean is divided
            by the weights of the targets; of a batch that one factor mixes (mixup, CutMix, CMO;
            without label smoothing), the mean of each of the two labels by its own,
            ``lam * L(a) + (1 - lam) * L(b)``.
        empty_classes: ``'error'`` or ``'ignore'``, for classes without training images.
        label_smooth_val: label smoothing as in MMPretrain's ``LabelSmoothLoss`` (mode
            ``'original'``), in ``[0, 1)``: the target ``t`` becomes
            ``(1 - label_smooth_val) * t + label_smooth_val / K`` under the adjusted softmax. The
            priors are those of the labels as they are. For ``mode='classy_vision'`` with ``e``,
            give ``e / (1 + e)``.
        class_counts: ``(K,)``; None waits for :class:`mmlt.hooks.LongTailHook`.
        reduction: ``'mean'``, ``'sum'`` or ``'none'``.
        loss_weight: factor on the result.

    Raises:
        ValueError: for an unknown option; in ``forward``, if no class counts have arrived.

    Reference:
        Menon et al., ICLR 2021, eq. 10; Ren et al. (Balanced Softmax), NeurIPS 2020. The
        effective prior is this project's extension.

    Example:
        >>> loss = LogitAdjustedLoss(class_counts=[3, 1])
        >>> loss(torch.zeros(1, 2), torch.tensor([1]))
        tensor(1.3863)
    """

    derived = (*ClassificationLoss.derived, 'train_log_prior')

    train_log_prior: Tensor | None = None
    running_prior: Tensor  # with an effective prior, once there are counts
    running_steps: Tensor

    def __init__(
        self,
        tau: float = 1.0,
        prior: str | float = 'train',
        momentum: float = 0.999,
        class_weight: Sequence[float] | str | None = None,
        empty_classes: str = 'error',
        label_smooth_val: float = 0.0,
        class_counts: Sequence[int] | None = None,
        reduction: str = 'mean',
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(class_weight, reduction, loss_weight)
        if isinstance(prior, str):
            if prior not in ('train', 'effective'):
                raise refuse('prior', "'train', 'effective' or a number in [0, 1]", prior)
            prior = float(prior == 'effective')
        self.blend = check_number('prior', prior, '[0, 1]')
        self.tau = check_number('tau', tau, '[0, inf)')
        self.momentum = check_number('momentum', momentum, '[0, 1)')
        self.empty_classes = check_choice('empty_classes', empty_classes, ('error', 'ignore'))
        self.label_smooth_val = check_number('label_smooth_val', label_smooth_val, '[0, 1)')
        if self.blend > 0:
            self.register_buffer('running_prior', None)
            self.register_buffer('running_steps', torch.zeros((), dtype=torch.int64))
        if class_counts is not None:
            self.set_class_counts(class_counts)

    def set_class_counts(self, class_counts: Sequence[int]) -> None:
        """Take the training images per class, ``(K,)``; the running prior starts from them."""
        super().set_class_counts(class_counts)
        prior = log_prior(class_counts, self.empty_classes).float()
        self.train_log_prior = prior
        if self.blend > 0:
            known = self._buffers['running_prior']
            if known is None or known.numel() != prior.numel():
                self.running_prior = prior.exp().to(self.running_steps.device)

    def begin_run(self) -> bool:
        """Forget the running prior of the run whose weights were loaded; whether there was one."""
        if self.blend == 0 or self.train_log_prior is None or not bool(self.running_steps):
            return False
        self.running_prior.copy_(self.train_log_prior.exp())
        self.running_steps.zero_()
        return True

    def _cross_entropy(self, logits: Tensor, target: Tensor, reduction: str) -> Tensor:
        if self.blend > 0 and self.running_prior.device != logits.device:
            self.to(logits.device)  # where the module was not moved
        if self.empty_classes == 'ignore' and self.train_log_prior is not None:
            refuse_left_out('LogitAdjustedLoss.target', target, self.train_log_prior)
        logits = self._scaled(logits) + self._offset(target, logits)
        return cross_entropy(logits, target, self.class_weight, reduction, self.label_smooth_val)

    def _scaled(self, logits: Tensor) -> Tensor:
        """Logits with the factors of their classes, of which there are none."""
        return logits

    def _offset(self, target: Tensor, logits: Tensor) -> Tensor:
        offset: Any = self.train_log_prior
        if self.blend > 0:
            if self.training and torch.is_grad_enabled():
                self._observe(target)
            offset = blended_log_prior(offset, self.running_prior, self.blend)
        return scaled_log_prior(offset, self.tau).to(logits.dtype)

    @torch.no_grad()
    def _observe(self, target: Tensor) -> None:
        scores = F.one_hot(target, self.running_prior.numel()) if target.ndim == 1 else target
        mass = all_reduce_sum(scores.sum(dim=0).to(self.running_prior.dtype))
        prior, steps = update_running_prior(
            self.running_prior, mass, self.running_steps, self.momentum
        )
        self.running_prior.copy_(prior)
        self.running_steps.copy_(steps)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        """A checkpoint may bring the running prior before the counts arrive."""
        saved = state_dict.get(f'{prefix}running_prior')
        if self.blend > 0 and saved is not None and self._buffers['running_prior'] is None:
            self.running_prior = torch.zeros_like(saved, device=self.running_steps.device)
        if self.blend > 0:
            names = ('running_prior', 'running_steps')
            state_dict = fitting_state(self, state_dict, prefix, names)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def extra_repr(self) -> str:
        return f'tau={self.tau}, prior={self.blend} of effective, loss_weight={self.loss_weight}'
