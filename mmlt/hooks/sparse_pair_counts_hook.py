"""Keeps checkpoints with counts of confusion pairs small."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmlt.models.losses.confusion_pair_counts import sparse_entries

from .confusion_pairs_hook import NAME

__all__ = ['SparsePairCountsHook']


class SparsePairCountsHook(Hook):
    """Saves the counts of confusion pairs by what is not zero.

    As they are, those of 8,142 classes would add 530 MB to every checkpoint. It comes last, since
    ``EMAHook`` puts a second model into the checkpoint.
    """

    priority = 'LOWEST'

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Replace the matrices in every model of the checkpoint."""
        for state in (checkpoint['state_dict'], checkpoint.get('ema_state_dict', {})):
            for name in list(state):
                if name.endswith((f'{NAME}.counts', f'{NAME}.law')):
                    state.update(sparse_entries(name, state.pop(name)))
