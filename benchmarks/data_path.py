"""Data path of ConCutMix at 224 px: images per second of one loader process, one thread.

Compared are, for the same anchors and partners,

- paired: decode once, three views; a partner, in the batches that are mixed, costs a decoding
  and one view (``PairedDataset``, ``PairSampler``, ``PairBatchSampler``);
- doubled: the usual way, two samplers and two data sets: both images are decoded and get three
  views each, in every batch.

The pipeline is that of the ImageNet-LT recipes.

Usage: python benchmarks/data_path.py [--image-folder DIR] [--images 64] [--prob 0.5]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.datasets import CustomDataset
from side_by_side import Row, shown

from mmlt.datasets import PairBatchSampler, PairedDataset, PairSampler

VIEWS = Config.fromfile(
    Path(__file__).resolve().parents[1] / 'configs/_base_/datasets/imagenet_lt_views.py'
)
CLASSIFICATION_VIEW, PIPELINE = VIEWS.classification_view, VIEWS.train_pipeline


def write_photographs(folder: Path, num_images: int) -> None:
    """JPEGs of ImageNet's usual size: cuttings of the two photographs in scikit-learn."""
    from sklearn.datasets import load_sample_images

    rng = np.random.default_rng(0)
    photographs = load_sample_images().images
    for i in range(num_images):
        photograph = photographs[i % len(photographs)]
        height, width = 300, 400
        top = int(rng.integers(photograph.shape[0] - height))
        left = int(rng.integers(photograph.shape[1] - width))
        cutting = cv2.resize(photograph[top : top + height, left : left + width], (500, 375))
        target = folder / f'class_{i % 8}'
        target.mkdir(exist_ok=True)
        cv2.imwrite(
            str(target / f'{i:05d}.jpg'), cutting[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90]
        )


def images_per_second(load: Callable[[Any], Any], batches: list[Any]) -> float:
    """Anchors that one pass over the batches loads in a second of processor time."""
    start = time.process_time()
    for batch in batches:
        for pair in batch:
            load(pair)
    return sum(map(len, batches)) / (time.process_time() - start)


def main(argv: Sequence[str] | None = None) -> list[Row]:
    """Measure both ways in turn; medians."""
    parser = argparse.ArgumentParser(description='Images/s of the paired data path at 224 px.')
    parser.add_argument('--image-folder', type=Path, help='one sub-folder per class; default: made')
    parser.add_argument('--images', type=int, default=64, help='anchors in one pass')
    parser.add_argument('--batch-size', type=int, default=8)
    parser.add_argument('--prob', type=float, default=0.5, help='share of mixed batches')
    parser.add_argument('--repeats', type=int, default=5)
    args = parser.parse_args(argv)
    init_default_scope('mmpretrain')
    torch.set_num_threads(1)
    cv2.setNumThreads(1)

    with tempfile.TemporaryDirectory() as temporary:
        folder = args.image_folder or Path(temporary)
        if args.image_folder is None:
            write_photographs(folder, args.images)
        data = CustomDataset(data_prefix=str(folder), pipeline=PIPELINE)
        paired = PairedDataset(data)
        batches = PairBatchSampler(PairSampler(paired, seed=0), args.batch_size, args.prob)
        doubled = PairBatchSampler(PairSampler(paired, seed=0), args.batch_size, prob=1.0)
        ways: dict[str, tuple[Callable[[Any], Any], PairBatchSampler]] = {
            'doubled': (lambda pair: (data[pair[0]], data[pair[1]]), doubled),
            'paired': (paired.__getitem__, batches),
        }
        rates: dict[str, list[float]] = {name: [] for name in ways}
        mixed: list[bool] = []
        for epoch in range(args.repeats + 1):
            for name, (load, sampler) in ways.items():
                sampler.sampler.set_epoch(epoch)
                some = list(sampler)[: max(1, args.images // args.batch_size)]
                rate = images_per_second(load, some)
                if epoch:  # the first pass warms up
                    rates[name].append(rate)
                    if name == 'paired':
                        mixed += [batch[0][1] is not None for batch in some]
    doubled_rate, paired_rate = (statistics.median(values) for values in rates.values())
    share = f'{np.mean(mixed):.0%} of the batches mixed'
    what = 'data path of ConCutMix at 224 px, against two data sets of three views'
    return shown([Row(what, share, doubled_rate, paired_rate, 'images/s')])


if __name__ == '__main__':
    main()
