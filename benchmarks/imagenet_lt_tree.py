"""A tree of generated photographs with the lists and class counts of ImageNet-LT."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ['class_counts', 'write_tree']

COUNTS = Path(__file__).with_name('imagenet_lt_counts.txt')
SIZES = ((500, 375), (500, 375), (500, 333), (375, 500))  # width and height; ImageNet's usual ones
VAL, TEST = 20, 50  # images of a class


def class_counts() -> list[int]:
    """Training images of each class of ImageNet-LT, ``(1000,)``, in the order of its labels."""
    _, numbers = COUNTS.read_text(encoding='utf-8').split('\n', 1)
    return list(map(int, numbers.split()))


def write_tree(root: Path, counts: Sequence[int], files: int) -> dict[str, float]:
    """Folders and lists as :class:`mmlt.datasets.ImageNetLT` reads them.

    Every image of a list is a file of its own name and a link to one of a few.

    Args:
        root: becomes ``data_root``; a new folder.
        counts: training images of each class.
        files: different photographs.

    Returns:
        Rows of all lists, different files, and the mean bytes of a file.
    """
    pool = root / 'pool'
    pool.mkdir(parents=True)
    photographs = []
    for i, pixels in enumerate(_photographs(files)):
        photographs.append(pool / f'{i:04d}.JPEG')
        cv2.imwrite(str(photographs[-1]), pixels, [cv2.IMWRITE_JPEG_QUALITY, 95])
    rows = 0
    splits = (
        ('train', 'train', counts),
        ('val', 'train', [VAL] * len(counts)),
        ('test', 'val', [TEST] * len(counts)),
    )
    for split, parent, numbers in splits:
        lines = []
        for label, number in enumerate(numbers):
            folder = root / parent / f'n{label:08d}'
            folder.mkdir(parents=True, exist_ok=True)
            for i in range(number):
                path = folder / f'{folder.name}_{split}_{i}.JPEG'
                os.link(photographs[rows % files], path)
                lines.append(f'{path.relative_to(root).as_posix()} {label}\n')
                rows += 1
        (root / f'ImageNet_LT_{split}.txt').write_text(''.join(lines), encoding='utf-8')
    sizes = [path.stat().st_size for path in photographs]
    return {'rows': rows, 'files': files, 'mean_bytes': sum(sizes) / files}


def _photographs(number: int) -> Iterator[NDArray[np.uint8]]:
    """Cuttings of the two photographs in scikit-learn, with other colours and a sensor's grain."""
    from sklearn.datasets import load_sample_images  # here, as only the tree needs it

    rng = np.random.default_rng(0)
    originals = load_sample_images().images
    for i in range(number):
        original, (width, height) = originals[i % len(originals)], SIZES[i % len(SIZES)]
        scale = rng.uniform(0.6, 0.95) * min(original.shape[0] / height, original.shape[1] / width)
        tall, wide = int(scale * height), int(scale * width)
        top, left = (
            int(rng.integers(full - part + 1))
            for full, part in zip(original.shape, (tall, wide), strict=False)
        )
        cutting = original[top : top + tall, left : left + wide, ::-1]
        if rng.random() < 0.5:
            cutting = cutting[:, ::-1]
        pixels = cv2.resize(cutting, (width, height), interpolation=cv2.INTER_CUBIC)
        pixels = 255 * (pixels / 255.0) ** rng.uniform(0.7, 1.4, size=3)
        grain = rng.normal(0, 7, size=pixels.shape)
        yield np.clip(pixels + grain, 0, 255).astype(np.uint8)
