"""Hard counts of confusion pairs over an epoch, and the law that they make for the next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmlt.functional.confusion.pairs import add_pair_codes_, pair_codes, without_mixed_batches
from mmlt.functional.distributed import gather_with_grad

__all__ = ['ConfusionPairCounts', 'sparse_entries']


@MODELS.register_module()
class ConfusionPairCounts(nn.Module):
    r"""Counts ``confusion[true, predicted]`` of the running epoch, and the law of the last ones.

    The state is replicated: every rank gathers the ``N`` pairs of each step (one integer an
    image, without gradient and without a host synchronisation) and counts the global batch. So a
    checkpoint, which rank 0 writes, is right at any step, and nothing is reduced at its end.

    Memory: two ``(K, K)`` buffers of 4 bytes (530 MB at ``K = 8142``). A checkpoint
    holds what is not zero: :func:`sparse_entries`.

    Args:
        num_classes: ``K``.
        momentum: share of the former law that an epoch leaves in place, in ``[0, 1)``: 0 is the
            last epoch alone, more an average over epochs.
        mixed: ``'skip'`` leaves out the batches in which a label is mixed, ``'dominant'`` counts
            every image for the class with the larger share.
        equal_batch_sizes: every rank has the same number of images, as training loaders see to.
            False exchanges the sizes first, which makes the host wait.

    Raises:
        ValueError: if an option is out of range; in ``forward``, if logits or targets do not fit.

    Reference:
        CP-Mix (Yoon et al., arXiv 2411.07621): the multiset of the misclassified training images
        of an epoch. Correct predictions, on the diagonal, make no pair; errors are divided by them
        and the errors together, where rates are asked for.

    Example:
        >>> pairs = ConfusionPairCounts(num_classes=2)
        >>> pairs(torch.tensor([[0.0, 9.0], [0.0, 9.0]]), torch.tensor([0, 1]))
        >>> pairs.finish_epoch()
        True
        >>> pairs.law
        tensor([[0., 1.],
                [0., 1.]])
    """

    counts: Tensor
    law: Tensor
    num_epochs: Tensor

    def __init__(
        self,
        num_classes: int,
        momentum: float = 0.0,
        mixed: str = 'skip',
        equal_batch_sizes: bool = True,
    ) -> None:
        super().__init__()
        if num_classes < 2:
            raise ValueError(f'num_classes: expected at least 2, got {num_classes}')
        if not 0 <= momentum < 1:
            raise ValueError(f'momentum: expected a number in [0, 1), got {momentum}')
        if mixed not in ('skip', 'dominant'):
            raise ValueError(f"mixed: expected 'skip' or 'dominant', got {mixed!r}")
        self.num_classes, self.momentum, self.mixed = num_classes, momentum, mixed
        self.equal_batch_sizes = equal_batch_sizes
        shape = (num_classes, num_classes)
        # Replicated over ranks, all three; see the class.
        self.register_buffer('counts', torch.zeros(shape, dtype=torch.int32))
        self.register_buffer('law', torch.zeros(shape))
        self.register_buffer('num_epochs', torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def forward(self, logits: Tensor, targets: Tensor) -> None:
        """Count a batch, while training.

        Args:
            logits: ``(N, K)``, images of this rank.
            targets: ``(N,)`` integers or ``(N, K)`` scores.
        """
        if not self.training:
            return
        if logits.ndim != 2 or logits.shape[1] != self.num_classes:
            raise ValueError(
                f'logits: expected (N, {self.num_classes}), got shape {tuple(logits.shape)}'
            )
        codes = gather_with_grad(pair_codes(logits, targets, self.mixed), self.equal_batch_sizes)
        add_pair_codes_(self.counts, without_mixed_batches(codes))

    @torch.no_grad()
    def start_epoch(self) -> None:
        """Forget the running epoch: one that was interrupted begins anew."""
        self.counts.zero_()

    @torch.no_grad()
    def finish_epoch(self) -> bool:
        """Make the law of the running epoch, for the next one, and begin a new count.

        Returns:
            Whether any image was counted. If none was, the law stays.
        """
        # The host waits here, once an epoch.
        if not bool(self.counts.any()):
            return False
        momentum = self.momentum if int(self.num_epochs) else 0.0
        self.law.mul_(momentum).add_(self.counts, alpha=1 - momentum)
        self.num_epochs.add_(1)
        self.counts.zero_()
        return True

    @torch.no_grad()
    def reset(self) -> None:
        """Forget the law as well: another run begins."""
        for buffer in (self.counts, self.law, self.num_epochs):
            buffer.zero_()

    @torch.no_grad()
    def sparse_law(self) -> Tensor:
        """The law as a sparse CPU tensor ``(K, K)``, for samplers; its size is that of the pairs
        on record, not ``K * K``."""
        return self.law.to_sparse().cpu()

    def _apply(self, fn: Callable[[Tensor], Tensor], *args: Any, **kwargs: Any) -> nn.Module:
        """Follow to another device, but keep the law's type: half cannot hold counts."""

        def keep_type(tensor: Tensor) -> Tensor:
            return tensor.to(fn(tensor).device)

        return super()._apply(keep_type, *args, **kwargs)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Take what :func:`sparse_entries` made, too."""
        own = dict(state_dict)
        for name in ('counts', 'law'):
            indices = own.pop(f'{prefix}{name}_indices', None)
            values = own.pop(f'{prefix}{name}_values', None)
            if indices is not None and values is not None:
                dense = torch.zeros_like(getattr(self, name), device=values.device)
                dense[indices[0], indices[1]] = values
                own[prefix + name] = dense
        super()._load_from_state_dict(own, prefix, *args)

    def extra_repr(self) -> str:
        return f'{self.num_classes}, momentum={self.momentum}, mixed={self.mixed!r}'


def sparse_entries(name: str, matrix: Tensor) -> dict[str, Tensor]:
    """What a state dict holds in place of a matrix of counts.

    Args:
        name: of the matrix.
        matrix: ``(K, K)``.

    Returns:
        ``{name}_indices (2, E)`` int64 and ``{name}_values (E,)`` of the entries that are not zero.

    Example:
        >>> sparse_entries('law', torch.tensor([[0, 3], [0, 0]]))
        {'law_indices': tensor([[0],
                [1]]), 'law_values': tensor([3])}
    """
    indices = matrix.nonzero().T.contiguous()
    return {f'{name}_indices': indices, f'{name}_values': matrix[indices[0], indices[1]]}
