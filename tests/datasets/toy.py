"""Tiny data sets of MMPretrain's own classes."""

from __future__ import annotations

import numpy as np
from mmpretrain.datasets import BaseDataset

COUNTS = [60, 25, 0, 9, 1]
CONFUSION = np.array(
    [[50, 6, 2, 3, 0], [4, 20, 0, 1, 0], [0, 0, 0, 0, 0], [5, 1, 0, 3, 0], [0, 0, 0, 0, 1]]
)


def toy_labels(counts=COUNTS):
    return np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))


class ToyDataset(BaseDataset):
    """Images whose every pixel is their index, of ``size`` by ``size`` pixels."""

    def __init__(self, labels=None, num_classes=5, size=8, pipeline=(), **kwargs):
        self.toy_labels = toy_labels() if labels is None else labels
        self.size = size
        # MMEngine collects garbage when it serialises, which takes longer than a test should.
        kwargs.setdefault('serialize_data', False)
        super().__init__(
            ann_file='', pipeline=pipeline, classes=[f'c{k}' for k in range(num_classes)], **kwargs
        )

    def load_data_list(self):
        return [
            dict(img=np.full((self.size, self.size, 3), i % 256, np.uint8), gt_label=int(label))
            for i, label in enumerate(self.toy_labels)
        ]


def on_rank(monkeypatch, rank, world_size):
    """Make samplers that are built from now on believe that they are on this rank."""
    monkeypatch.setattr('mmlt.datasets.samplers.epoch.get_dist_info', lambda: (rank, world_size))
