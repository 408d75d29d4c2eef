"""Contrastive views on the device: what the loader is spared, and what the device then pays.

python benchmarks/device_views.py [--image-folder DIR] [--images 64] [--device cuda]

The loader (one process, one thread, 224 px) makes three views of each image, or one view and the
source of the others, a whole image resized to 320 px. The device renders two views of a batch by
kornia from its sources. Passes of the loader alternate; medians.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import torch
from data_path import CLASSIFICATION_VIEW, PIPELINE, images_per_second, write_photographs
from mmengine.registry import init_default_scope
from mmpretrain.datasets import CustomDataset
from side_by_side import Row, cost, shown

from mmlt.models import DeviceViewsDataPreprocessor

SOURCE = 320
ONE_VIEW_PIPELINE = [
    PIPELINE[0],
    dict(
        type='MultiView',
        num_views=[1, 1],
        transforms=[CLASSIFICATION_VIEW, [dict(type='Resize', scale=(SOURCE, SOURCE))]],
    ),
    PIPELINE[-1],
]


def loader_rates(folder: Path, num_images: int, repeats: int) -> dict[str, float]:
    """Images/s of both loaders."""
    ways = {'three views': PIPELINE, 'one view and the source': ONE_VIEW_PIPELINE}
    data = {
        name: CustomDataset(data_prefix=str(folder), pipeline=pipeline)
        for name, pipeline in ways.items()
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    batch = [list(range(min(num_images, len(data['three views']))))]
    for turn in range(repeats + 1):
        for name, dataset in data.items():
            rate = images_per_second(dataset.__getitem__, batch)
            if turn:  # the first pass warms up
                rates[name].append(rate)
    return {name: statistics.median(values) for name, values in rates.items()}


def rendering_seconds(num_images: int, device: torch.device, repeats: int) -> float:
    """Median time of two views of a batch, from sources that are on the device."""
    preprocessor = DeviceViewsDataPreprocessor(
        view_size=224, num_views=2, crops_in='source', mean=[0.0] * 3, std=[1.0] * 3
    ).to(device)
    source = torch.randint(
        0,
        256,
        (num_images, 3, SOURCE, SOURCE),
        dtype=torch.uint8,
        generator=torch.Generator().manual_seed(0),
    ).to(device)
    preprocessor.set_progress(epoch=0, max_epochs=1, iteration=0, seed=0)
    return cost(lambda: preprocessor.render(source), repeats, device).seconds


def main(argv: Sequence[str] | None = None) -> list[Row]:
    """Measure the loaders beside each other, and the device."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--image-folder', type=Path, help='one sub-folder a class; default: made')
    parser.add_argument('--images', type=int, default=64, help='images in one pass and batch')
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--device', type=torch.device, default='cpu')
    args = parser.parse_args(argv)
    init_default_scope('mmpretrain')
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.image_folder or Path(temporary)
        if args.image_folder is None:
            write_photographs(folder, args.images)
        rates = loader_rates(folder, args.images, args.repeats)
    rendered = args.images / rendering_seconds(args.images, args.device, args.repeats)
    size = f'{args.images} images at 224 px'
    what = 'loader without the contrastive views, against all three'
    device = f'two views rendered by kornia on {args.device}'
    return shown(
        [
            Row(what, size, *rates.values(), 'images/s'),
            Row(device, size, None, rendered, 'images/s'),
        ]
    )


if __name__ == '__main__':
    main()
