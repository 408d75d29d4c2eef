"""ProCo: a contrastive loss whose keys are drawn from the estimated distribution of each class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmpretrain.registry import MODELS
from torch import Tensor

from mmlt.functional.checks import check_integer, check_number, refuse
from mmlt.functional.contrastive import unit_vectors
from mmlt.functional.distributed import gather_with_grad
from mmlt.functional.logit_adjustment import log_prior
from mmlt.functional.proco import concentration, proco_logits
from mmlt.functional.targets import check_classes

from .class_counts_loss import ClassCountsLoss
from .loaded_state import fitting_state

__all__ = ['ProCoLoss']

_STATE = ('sums', 'counts', 'last_sums', 'last_counts', 'epoch')


@MODELS.register_module()
class ProCoLoss(ClassCountsLoss):
    r"""Contrastive loss over infinitely many keys of each class, in place of
    :class:`BalancedContrastiveLoss`.

    The directions of the embeddings of a class are taken as von Mises-Fisher distributed. Mean and
    concentration are those of the last epoch's embeddings and the running one's, over all ranks
    and views. The state, two ``(K, D)`` tensors, is in the checkpoint.

    Args:
        num_classes: ``K``.
        embedding_channels: ``D``, at least 16, for which the Bessel function's expansion is good.
        temperature: positive; 0.1 for CIFAR, 0.07 for ImageNet-LT.
        loss_weight: factor on the result.
        class_counts: ``(K,)``; None waits for :class:`mmlt.hooks.LongTailHook`.

    Raises:
        ValueError: if an option is out of range; in ``forward``, if no class counts have arrived
            or the embeddings have another width.

    Reference:
        Du et al., Probabilistic Contrastive Learning for Long-Tailed Visual Recognition, TPAMI
        2024.

    Example:
        >>> loss = ProCoLoss(num_classes=2, embedding_channels=16, class_counts=[3, 1])
        >>> views = torch.eye(2, 16)[:, None].repeat(1, 2, 1)
        >>> float(loss(views, torch.tensor([0, 1]))) < 0.01
        True
    """

    derived = (*ClassCountsLoss.derived, 'train_log_prior')
    #: Without them the embeddings of the whole run would count as those of now.
    needs_epochs = True
    #: Its classes are distributions of the embeddings, so that the head builds no prototypes.
    needs_prototypes = False

    train_log_prior: Tensor
    sums: Tensor
    counts: Tensor
    last_sums: Tensor
    last_counts: Tensor
    epoch: Tensor

    def __init__(
        self,
        num_classes: int,
        embedding_channels: int,
        temperature: float = 0.1,
        loss_weight: float = 1.0,
        class_counts: Any = None,
    ) -> None:
        super().__init__()
        num_classes = check_integer('num_classes', num_classes, '[2, inf)')
        channels = check_integer('embedding_channels', embedding_channels, '[16, inf)')
        self.temperature = check_number('temperature', temperature, '(0, inf)')
        self.loss_weight = check_number('loss_weight', loss_weight, '[0, inf)')
        for name in ('sums', 'last_sums'):
            self.register_buffer(name, torch.zeros(num_classes, channels))
        for name in ('counts', 'last_counts'):
            self.register_buffer(name, torch.zeros(num_classes))
        self.register_buffer('epoch', torch.zeros((), dtype=torch.int64))
        if class_counts is not None:
            self.set_class_counts(class_counts)

    def set_class_counts(self, class_counts: Sequence[int]) -> None:
        """Take the training images per class, ``(K,)``; those without any are no candidates."""
        super().set_class_counts(class_counts)
        self.train_log_prior = log_prior(class_counts, 'ignore').float()

    def set_progress(self, epoch: int, **kwargs: Any) -> None:
        """At the beginning of an epoch the running estimate becomes the last one."""
        del kwargs
        if epoch != self._seen_epoch():
            self.last_sums.copy_(self.sums)
            self.last_counts.copy_(self.counts)
            self.sums.zero_()
            self.counts.zero_()
            self.epoch.fill_(epoch)
            self._epoch = epoch

    _epoch: int | None = None

    def _seen_epoch(self) -> int:
        if self._epoch is None:
            self._epoch = int(self.epoch)  # waits for the device once, after a checkpoint
        return self._epoch

    def begin_run(self) -> bool:
        """Forget the embeddings of the run whose weights were loaded; whether there were any."""
        known = bool(self.counts.any() or self.last_counts.any())
        for name in _STATE:
            getattr(self, name).zero_()
        self._epoch = 0
        return known

    def forward(
        self, embeddings: Tensor, targets: Tensor, prototypes: Tensor | None = None
    ) -> Tensor:
        """The loss; while training, the estimate takes the batch in.

        Args:
            embeddings: ``(N, V, D)``, V views of this rank's images; ``N`` is the same on all.
            targets: ``(N,)`` integer classes.
            prototypes: not used, None; :class:`BalancedContrastiveLoss` takes them.

        Returns:
            Scalar, the mean over images and views of all ranks.
        """
        del prototypes
        num_classes, channels = self.sums.shape
        if embeddings.ndim != 3 or embeddings.shape[2] != channels or not len(embeddings):
            expected = f'(N, V, {channels}) with N >= 1 for embedding_channels={channels}'
            raise refuse('embeddings', expected, tuple(embeddings.shape))
        targets = check_classes('ProCoLoss.targets', targets, num_classes)
        if targets.shape != (len(embeddings),):
            raise refuse('targets', f'({len(embeddings)},) classes', tuple(targets.shape))
        self.require_class_counts(embeddings.new_empty(0, num_classes))
        embeddings = gather_with_grad(unit_vectors(embeddings), equal_sizes=True)
        targets = gather_with_grad(targets, equal_sizes=True)
        vectors, labels = embeddings.flatten(0, 1), targets.repeat_interleave(embeddings.shape[1])
        if self.training and torch.is_grad_enabled():
            self._take_in(vectors.detach(), labels)
        counts = self.counts + self.last_counts
        means = (self.sums + self.last_sums) / counts.clamp(min=1)[:, None]
        lengths = means.norm(dim=1)
        logits = proco_logits(
            vectors, unit_vectors(means), concentration(lengths, channels), self.temperature
        )
        logits = logits + self.train_log_prior.to(logits)
        return self.loss_weight * F.cross_entropy(logits, labels)

    @torch.no_grad()
    def _take_in(self, vectors: Tensor, labels: Tensor) -> None:
        # A step that overflowed is skipped by the gradient scaler; here it would stay for an epoch.
        finite = vectors.isfinite().all(dim=1)
        vectors = torch.where(finite[:, None], vectors, 0.0)
        self.sums.index_add_(0, labels, vectors.to(self.sums.dtype))
        self.counts.index_add_(0, labels, finite.to(self.counts.dtype))

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        state_dict = fitting_state(self, state_dict, prefix, _STATE[:-1])
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
        self._epoch = None

    def extra_repr(self) -> str:
        return f'temperature={self.temperature}, loss_weight={self.loss_weight}'
