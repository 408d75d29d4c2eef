"""What a training step draws follows from seed, iteration and rank."""

from __future__ import annotations

import random

import numpy as np
import torch

from mmlt.hooks.epoch_seed_hook import seed_iteration


def test_the_cpu_draws_alike_with_and_without_a_gpu(monkeypatch):
    drawn = []
    for device, rank in (('cpu', 0), ('cuda', 0), ('cuda', 1)):
        monkeypatch.setattr('mmlt.hooks.epoch_seed_hook.get_device', lambda device=device: device)
        seed_iteration(3, 7, rank)
        drawn.append((random.random(), np.random.random(), torch.rand(1).item()))
    assert drawn[0] == drawn[1]
    assert all(one != other for one, other in zip(drawn[1], drawn[2], strict=True))
