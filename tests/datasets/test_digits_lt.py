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
    assert train.class_counts == [110, 71, 46, 29, 19, 12, 8, 5, 3, 2]
    assert len(train) == 305
    assert test.class_counts == [60] * 10
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
    assert pool.class_counts == [110] * 10
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


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(split='val'), "split: expected 'train' or 'test', got 'val'"),
        (dict(max_count=150), r'max_count: expected an integer in \[1, 114\], got 150'),
        (dict(imbalance_ratio=0.02), r'imbalance_ratio: expected a number in \[1, inf\), got 0.02'),
        (dict(seed=-1), 'seed: expected an integer'),
    ],
)
def test_bad_options(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DigitsLT(**options)


def test_the_rarest_digit_limits_both_splits() -> None:
    assert min(np.bincount(load_digits().target)) == 174
    assert len(DigitsLT(imbalance_ratio=None, max_count=114)) == 1140
