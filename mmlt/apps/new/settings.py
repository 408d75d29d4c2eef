"""Image size, batch, epochs, logging and workers, from the data and the machine.

The rules are few, so that the README of a project can say them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image

from ..command_line import cores
from .network import SMALL

__all__ = ['Machine', 'Settings', 'choose_settings', 'median_side']

_LOOKED_AT = 200  # images


@dataclass(frozen=True)
class Machine:
    """What there is to train on."""

    cores: int
    gpu: bool

    @classmethod
    def here(cls) -> Machine:
        """This one."""
        return cls(cores(), torch.cuda.is_available())


@dataclass(frozen=True)
class Settings:
    """The single variables of a project with the reason for each, and the steps of an epoch."""

    image_size: int
    batch_size: int
    epochs: int
    log_interval: int
    workers: int
    steps: int
    reasons: dict[str, str]


def median_side(paths: Sequence[str]) -> int:
    """Median of the shorter sides of images, in pixels, from the headers of a few."""
    sides = []
    for path in paths[:: max(1, len(paths) // _LOOKED_AT)]:
        try:
            with Image.open(path) as image:
                sides.append(min(image.size))
        except Exception:  # what only the decoder of the config reads
            continue
    return sorted(sides)[len(sides) // 2] if sides else 224


def choose_settings(
    train_images: int, side: int, weights: bool, network_is_small: bool, machine: Machine
) -> Settings:
    """The settings of a project.

    Args:
        train_images: how many.
        side: see :func:`median_side`.
        weights: whether the network is fine-tuned.
        network_is_small: whether it is one for images of 32 pixels.
        machine: to train on.
    """
    where = 'a GPU' if machine.gpu else f'{machine.cores} CPU cores, no GPU'
    image_size, why_size = _image_size(side, weights, network_is_small, machine, where)
    largest = 64 if machine.gpu else 32
    batch_size = 8
    while batch_size < largest and train_images >= 20 * batch_size:
        batch_size *= 2
    while train_images % batch_size == 1:  # BatchNorm cannot train on a last batch of one image
        batch_size -= 1
    steps = -(-train_images // batch_size)
    target = (1500 if weights else 10_000) if machine.gpu else (600 if weights else 2000)
    low, high = (5, 60) if weights else (10, 200)
    epochs = min(max(round(target / steps), low), high)
    log_interval = min(max(steps // 5, 1), 50 if machine.gpu else 10)
    workers = min(8, machine.cores - 1) if machine.gpu else min(4, machine.cores // 2)
    workers = max(workers, 1)
    kind = 'to fine-tune' if weights else 'to train from scratch'
    reasons = dict(
        image_size=why_size,
        batch_size=f'{steps} steps per epoch; at most {largest} ({where})',
        epochs=f'about {epochs * steps:,} steps {kind} ({where})',
        log_interval='five lines or more per epoch',
        workers=f'processes that load images ({where})',
    )
    return Settings(image_size, batch_size, epochs, log_interval, workers, steps, reasons)


def _image_size(
    side: int, weights: bool, network_is_small: bool, machine: Machine, where: str
) -> tuple[int, str]:
    if network_is_small or (side <= SMALL and not weights):
        size = min(max(side // 8 * 8, 16), 64)
        return size, f'the images have {side} pixels'
    largest = 224 if machine.gpu else (96 if machine.cores < 8 else 128)
    size = min(max(side // 32 * 32, 96 if weights else 64), largest)
    reason = f'the images have {side} pixels (median of the shorter side)'
    if size == largest:
        reason += f'; at most {largest} ({where})'
    return size, reason
