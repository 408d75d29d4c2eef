"""The embedded digits: sizes, a split without overlap, and images that stock transforms take."""

from __future__ import annotations

import numpy as np
import pytest
from mmpretrain.registry import DATASETS
from sklearn.datasets import load_digits

from mmlt.datasets.digits_lt import DigitsLT


def _images(dataset: DigitsLT) -> np.ndarray:
    return np.stack([dataset[i]['img'] for i in range(len(dataset))])


def test_default_sizes() -> None:
    train, test = DATASETS.build(dict(type='DigitsLT')), DigitsLT(split='test', test_mode=True)
    assert train.metainfo['class_counts'] == [110, 71, 46, 29, 19, 12, 8, 5, 3, 2]
    assert len(train) == 305
    assert test.metainfo['class_counts'] == [60] * 10
    assert train.metainfo['classes'] == tuple('0123456789')


@pytest.mark.parametrize('seed', [0, 3])
def test_images_and_labels_are_those_of_scikit_learn(seed: int) -> None:
    digits = load_digits()
    known = {
        np.rint(image * 255 / 16).astype(np.uint8).tobytes(): label
        for image, label in zip(digits.images, digits.target, strict=True)
    }
    for dataset in (DigitsLT(seed=seed), DigitsLT('test', seed=seed)):
        images = _images(dataset)
        assert images.dtype == np.uint8 and images.shape[1:] == (8, 8, 3)
        assert images.max() == 255
        assert (images == images[..., :1]).all()
        found = [known[np.ascontiguousarray(image[..., 0]).tobytes()] for image in images]
        np.testing.assert_array_equal(found, dataset.get_gt_labels())


def test_splits_share_no_image_and_depend_on_the_seed_only() -> None:
    pool = DigitsLT(imbalance_ratio=None)
    assert pool.metainfo['class_counts'] == [110] * 10
    sets = {
        name: {image.tobytes() for image in _images(dataset)}
        for name, dataset in (('pool', pool), ('test', DigitsLT('test')), ('lt', DigitsLT()))
    }
    assert len(sets['test']) == 600
    assert not sets['test'] & sets['pool']
    assert sets['lt'] < sets['pool']
    np.testing.assert_array_equal(_images(DigitsLT()), _images(DigitsLT()))
    assert {image.tobytes() for image in _images(DigitsLT('test', seed=1))} != sets['test']


def test_test_split_does_not_depend_on_the_training_options() -> None:
    np.testing.assert_array_equal(
        _images(DigitsLT('test')), _images(DigitsLT('test', imbalance_ratio=10, max_count=50))
    )


def test_stock_pipeline() -> None:
    pipeline = [
        dict(type='RandomCrop', crop_size=8, padding=1),
        dict(type='RandomFlip', prob=0.5, direction='horizontal'),
        dict(type='PackInputs'),
    ]
    item = DigitsLT(pipeline=pipeline)[304]
    assert item['inputs'].shape == (3, 8, 8)
    assert item['data_samples'].gt_label.item() == 9


def test_bad_options() -> None:
    with pytest.raises(ValueError, match="split must be 'train' or 'test', got 'val'"):
        DigitsLT('val')
    with pytest.raises(ValueError, match=r'at most 174 .*, got 60 \+ 150'):
        DigitsLT(max_count=150)
    with pytest.raises(ValueError, match='test_per_class must be at least 1'):
        DigitsLT(test_per_class=0)
    with pytest.raises(ValueError, match='annotation file'):
        DigitsLT(ann_file='x.txt')
    with pytest.raises(ValueError, match='imbalance_ratio'):
        DigitsLT(imbalance_ratio=0.02)
