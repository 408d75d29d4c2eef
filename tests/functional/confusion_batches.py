"""Batches and numbers for the tests of the confusion estimate."""

from pathlib import Path

import numpy as np
import torch

GOLDEN = dict(np.load(Path(__file__).parents[1] / 'golden' / 'car.npz'))


def golden(name):
    return torch.from_numpy(np.asarray(GOLDEN[name]))


def random_batch(count=12, classes=6, seed=0, soft=False):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(count, classes, generator=generator, dtype=torch.float64)
    # The last two classes are absent.
    targets = torch.randint(classes - 2, (count,), generator=generator)
    if soft:
        other = torch.randint(classes - 2, (count,), generator=generator)
        part = torch.rand(count, 1, generator=generator, dtype=torch.float64)
        eye = torch.eye(classes, dtype=torch.float64)
        targets = part * eye[targets] + (1 - part) * eye[other]
    return logits, targets
