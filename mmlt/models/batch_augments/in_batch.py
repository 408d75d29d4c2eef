"""What batch augments share that pair within the batch."""

from __future__ import annotations

from mmengine.dist import get_dist_info
from torch import Tensor

from mmlt.functional.distributed import gather_with_grad

__all__ = ['InBatchMixin']


class InBatchMixin:
    """Chooses partners within the batch of this rank, or of all ranks.

    ``across_ranks=True`` gathers images and scores, so that W ranks with ``N / W`` images each
    equal one process with ``N``. It costs one all-gather of the images per mixed batch, and every
    rank has to come along: equally large batches, and ``prob`` here rather than ``probs`` of
    ``train_cfg``, whose draws differ from rank to rank. The default stays on the rank, as
    MMPretrain's ``Mixup`` does; the lambdas are those of one process then, too, but not the pairs.
    """

    def init_in_batch(self, prob: float, across_ranks: bool) -> None:
        """Take the options.

        Args:
            prob: share of the batches that are mixed, in ``[0, 1]``.
            across_ranks: whether partners may come from other ranks.

        Raises:
            ValueError: if ``prob`` is out of range.
        """
        if not 0 <= prob <= 1:
            raise ValueError(f'prob: expected a number in [0, 1], got {prob}')
        self.prob, self.across_ranks = float(prob), across_ranks

    def candidates(self, images: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Images and scores to choose partners from.

        Args:
            images: ``(N, C, H, W)`` of this rank.
            scores: ``(N, K)``.

        Returns:
            The same, or those of all ranks in the order that one process has them in: image ``i``
            of rank ``r`` at ``i * world_size + r``.
        """
        _, world_size = get_dist_info()
        if not self.across_ranks or world_size == 1:
            return images, scores
        return _interleaved(images, world_size), _interleaved(scores, world_size)


def _interleaved(rows: Tensor, world_size: int) -> Tensor:
    by_rank = gather_with_grad(rows.detach(), equal_sizes=True).view(world_size, *rows.shape)
    return by_rank.transpose(0, 1).flatten(0, 1)
