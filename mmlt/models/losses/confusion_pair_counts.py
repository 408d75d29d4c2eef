"""Confusion counted over an epoch, for the pairs that the next epoch draws."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import torch
from mmengine.logging import print_log
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmlt.functional.checks import check_choice, check_integer, check_number, refuse
from mmlt.functional.confusion.pairs import confusion_entries, count_entries_, without_mixed_batches
from mmlt.functional.distributed import gather_with_grad

__all__ = ['ConfusionPairCounts']


@MODELS.register_module()
class ConfusionPairCounts(nn.Module):
    r"""Counts ``confusion[true, predicted]`` of the running epoch, and keeps those of the last.

    The state is replicated: every rank gathers the entries of each step (one integer per image,
    without gradient and without making the CPU wait) and counts the global batch. So a
    checkpoint, which rank 0 writes, is right at any step, and nothing is reduced at its end.

    Memory: two ``(K, K)`` tensors of 4 bytes (530 MB at ``K = 8142``). They are no buffers: a
    checkpoint would hold them as they are, ``EMAHook`` would copy or average them in each
    iteration, and MMEngine would send them to all ranks. The hook that owns the counts writes
    :meth:`sparse_state` into the checkpoint instead.

    Args:
        num_classes: ``K``, at least 2.
        momentum: share of the former counts that an epoch leaves in place, in ``[0, 1)``: 0 is the
            last epoch alone, more an average over epochs.
        mixed: ``'skip'`` leaves out the batches in which a label is mixed, ``'dominant'`` counts
            every image for the class with the larger share.

    Raises:
        OptionError: if an option is out of range; in ``forward``, if logits or targets do not fit.

    Reference:
        CP-Mix (Yoon et al., arXiv 2411.07621): the multiset of the misclassified training images
        of an epoch. Correct predictions, on the diagonal, make no pair; they are counted because
        error rates are relative to all images of a class.

    Example:
        >>> counter = ConfusionPairCounts(num_classes=2)
        >>> counter(torch.tensor([[0.0, 9.0], [0.0, 9.0]]), torch.tensor([0, 1]))
        >>> counter.finish_epoch()
        True
        >>> counter.finished
        tensor([[0., 1.],
                [0., 1.]])
    """

    def __init__(self, num_classes: int, momentum: float = 0.0, mixed: str = 'skip') -> None:
        super().__init__()
        self.num_classes = check_integer('num_classes', num_classes, '[2, inf)')
        self.momentum = check_number('momentum', momentum, '[0, 1)')
        self.mixed = check_choice('mixed', mixed, ('skip', 'dominant'))
        # Replicated over ranks, all three; see the class.
        self.counts = torch.zeros(num_classes, num_classes, dtype=torch.int32)
        self.finished = torch.zeros(num_classes, num_classes)
        self.num_epochs = 0

    @torch.no_grad()
    def forward(self, logits: Tensor, targets: Tensor) -> None:
        """Count a batch, while training.

        Args:
            logits: ``(N, K)``, images of this rank; ``N`` is the same on all ranks.
            targets: ``(N,)`` integers or ``(N, K)`` scores.
        """
        if not self.training:
            return
        if logits.ndim != 2 or logits.shape[1] != self.num_classes:
            raise refuse('logits', f'shape (N, {self.num_classes})', tuple(logits.shape))
        entries = confusion_entries(logits, targets, self.mixed)
        entries = gather_with_grad(entries, equal_sizes=True)
        count_entries_(self.counts, without_mixed_batches(entries))

    @torch.no_grad()
    def start_epoch(self) -> None:
        """Forget the running epoch: one that was interrupted begins anew."""
        self.counts.zero_()

    @torch.no_grad()
    def finish_epoch(self) -> bool:
        """Hand the counts of the running epoch to the next one, and begin a new count.

        Returns:
            Whether any image was counted. If none was, the former counts stay.
        """
        # The CPU waits for the device here, once per epoch.
        if not bool(self.counts.any()):
            return False
        momentum = self.momentum if self.num_epochs else 0.0
        self.finished.mul_(momentum).add_(self.counts, alpha=1 - momentum)
        self.num_epochs += 1
        self.counts.zero_()
        return True

    @torch.no_grad()
    def begin_run(self) -> bool:
        """Forget what the run has counted whose weights were loaded; whether there was any."""
        known = self.num_epochs > 0 or bool(self.counts.any())
        self.counts.zero_()
        self.finished.zero_()
        self.num_epochs = 0
        return known

    def finished_sparse(self) -> Tensor:
        """``finished`` as a sparse CPU tensor ``(K, K)``, which is as large as what was counted."""
        return self.finished.to_sparse().cpu()

    def sparse_state(self) -> dict[str, Any]:
        """What a checkpoint holds: the entries that are not zero.

        Returns:
            ``num_classes``, ``num_epochs``, and for ``counts`` and ``finished`` a pair of CPU
            tensors, positions ``true * K + predicted`` and values, ``(E,)`` each.
        """
        return {
            'num_classes': self.num_classes,
            'num_epochs': self.num_epochs,
            'counts': _entries(self.counts),
            'finished': _entries(self.finished),
        }

    def load_sparse_state(self, state: dict[str, Any]) -> None:
        """Take what :meth:`sparse_state` gave.

        Args:
            state: left as it is; passed over, with a warning, if it is that of another number of
                classes, as MMEngine does with the weights of such a classifier.
        """
        if state['num_classes'] != self.num_classes:
            print_log(
                f'ConfusionPairCounts: the checkpoint has its state for {state["num_classes"]} '
                f'classes, the model has {self.num_classes}; that state is left out',
                logger='current',
                level=logging.WARNING,
            )
            return
        self.num_epochs = state['num_epochs']
        for name in ('counts', 'finished'):
            matrix = getattr(self, name)
            positions, values = (part.to(matrix.device) for part in state[name])
            matrix.zero_().view(-1)[positions] = values

    def _apply(self, fn: Callable[[Tensor], Tensor], *args: Any, **kwargs: Any) -> nn.Module:
        """Move with the model, but keep the types: half precision cannot hold counts."""
        super()._apply(fn, *args, **kwargs)
        self.counts = fn(self.counts)
        self.finished = self.finished.to(self.counts.device)
        return self

    def extra_repr(self) -> str:
        return f'{self.num_classes}, momentum={self.momentum}, mixed={self.mixed!r}'


def _entries(matrix: Tensor) -> tuple[Tensor, Tensor]:
    positions = matrix.view(-1).nonzero()[:, 0]
    return positions.cpu(), matrix.view(-1)[positions].cpu()
