"""A class has one index everywhere, and what is told of a split stands beside the metainfo."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.dataset import ClassBalancedDataset, ConcatDataset, RepeatDataset
from mmpretrain.datasets import KFoldDataset
from torch.utils.data import ConcatDataset as TorchConcatDataset
from torch.utils.data import Subset, TensorDataset

from mmlt.datasets import DigitsLT, LongTailDataset, PairedDataset
from mmlt.datasets.labels import (
    check_class_names,
    dataset_labels,
    dataset_num_classes,
    names_of_classes,
    training_class_counts,
)
from tests.datasets.toy import ToyDataset


def toy(names: str, **options: Any) -> ToyDataset:
    data = ToyDataset(labels=[0, 0, 1], num_classes=2, **options)
    data._metainfo['classes'] = tuple(names.split())
    return data


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        ('a c', "val: expected class 'c' at index 2, as in the training data, got it at 1"),
        ('b a c', "val: expected class 'b' at index 1, as in the training data, got it at 0"),
        ('0 a', "val: expected class 'a' at index 0, as in the training data, got it at 1"),
        ('a b c d', "at most 3 classes, as in the training data, got 4, with 'd' at index 3"),
        ('0 1 2 3', "at most 3 classes, as in the training data, got 4, with '3' at index 3"),
    ],
)
def test_a_name_that_stands_elsewhere_is_named_with_both_indices(given, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        check_class_names(['a', 'b', 'c'], given.split(), 'val', 'the training data')


@pytest.mark.parametrize(
    ('expected', 'given'),
    [
        ('a b c', 'a b c'),
        ('a b c', 'a b'),
        ('a b 2', 'a b c'),
        ('a b c', '2 0 1'),
        ('2 0 1', '0 1 2'),
        ('', 'a b'),
        ('a b', ''),
        ('crane b crane', 'crane b crane'),
    ],
)
def test_names_that_agree_or_say_nothing(expected, given):
    assert check_class_names(expected.split(), given.split(), 'val', 'train') is None


def test_other_names_at_the_same_place_are_a_warning():
    note = check_class_names(['a', 'b', 'c'], ['a', 'x', 'y'], 'val', 'the training data')
    assert note == (
        'val: 2 of 3 classes have other names than in the training data; the first: '
        "1 is 'x', and 'b' there"
    )


def test_the_parts_of_a_data_set_are_compared_too():
    parts = [toy('a b c'), toy('a b'), LongTailDataset(toy('a b c d'))]
    assert names_of_classes(TorchConcatDataset(parts[:2]), 'train') == ('a', 'b', 'c')
    assert names_of_classes(Subset(RepeatDataset(parts[0], 2), [0]), 'train') == ('a', 'b', 'c')
    own = SimpleNamespace(dataset=parts[1], datasets=3)
    assert names_of_classes(own, 'train') == ('a', 'b')
    assert names_of_classes(SimpleNamespace(dataset='birds'), 'train') == ()
    assert names_of_classes(TensorDataset(torch.zeros(2)), 'train') == ()
    with pytest.raises(ValueError, match="train: expected class 'c' at index 2, as in another"):
        names_of_classes(TorchConcatDataset([*parts, toy('a c')]), 'train')


def test_names_in_the_format_of_openmmlab():
    data = ToyDataset(labels=[0, 1], num_classes=2)
    data._metainfo = dict(categories=[dict(id=1, category_name='b'), dict(id=0, category_name='a')])
    assert names_of_classes(PairedDataset(data), 'train') == ('a', 'b')
    assert dataset_num_classes(data, np.array([0])) == 2


def test_parts_of_ours_and_of_mmpretrain_concatenate_in_any_order():
    """MMEngine compares the metainfo of all parts, so the counts of a part are not in it."""
    ours = [LongTailDataset(toy('a b'), imbalance_ratio=ratio) for ratio in (1, 2)]
    for parts in (ours, [ours[0], toy('a b')], [toy('a b'), ours[1]]):
        both = ConcatDataset(parts)
        assert 'class_counts' not in both.metainfo
        labels = dataset_labels(both)
        assert training_class_counts(both) == np.bincount(labels).tolist()
        assert [int(both[i]['gt_label']) for i in range(len(both))] == labels.tolist()


def test_counts_of_wrappers_are_those_of_the_labels_that_they_give():
    whole = LongTailDataset(toy('a b'))
    assert whole.class_counts == [2, 1]
    for wrapper, expected in (
        (Subset(whole, [0, 2]), [1, 1]),
        (Subset(whole, [0, 1]), [2, 0]),
        (PairedDataset(whole), [2, 1]),
        (PairedDataset(RepeatDataset(whole, 3)), [2, 1]),
        (PairedDataset(Subset(whole, [2])), [0, 1]),
        (ClassBalancedDataset(whole, 0.9), [2, 1]),
        (TorchConcatDataset([whole, Subset(whole, [1])]), [3, 1]),
        (RepeatDataset(LongTailDataset(toy('a b'), lazy_init=True), 2), [2, 1]),
    ):
        assert training_class_counts(wrapper) == expected, type(wrapper).__name__


def test_counts_of_a_subset_are_of_what_is_left():
    whole = LongTailDataset(toy('a b'))
    assert whole.get_subset([2]).class_counts == [0, 1]
    assert whole.class_counts == [2, 1]
    whole.class_counts[0] = 7
    assert whole.class_counts == [2, 1]


@pytest.mark.parametrize('test_mode', [False, True])
def test_folds_of_a_long_tailed_data_set(test_mode):
    inner = dict(type='LongTailDataset', dataset=dict(type='DigitsLT'), imbalance_ratio=10)
    fold = KFoldDataset(inner, fold=1, num_splits=5, test_mode=test_mode)
    labels = [fold[i]['gt_label'] for i in range(len(fold))]
    assert dataset_labels(fold).tolist() == labels
    assert training_class_counts(fold) == np.bincount(labels, minlength=10).tolist()
    assert 'class_counts' not in fold.metainfo


def test_a_class_that_only_one_nameless_part_has():
    parts = [LongTailDataset(ToyDataset(labels=labels)) for labels in ([0, 1], [0, 3])]
    for part in parts:
        part._metainfo.pop('classes')
    assert dataset_num_classes(TorchConcatDataset(parts), np.array([0, 1, 0, 3])) == 5
    with pytest.raises(ValueError, match='expected labels below 2, because it has 2 classes'):
        dataset_num_classes(toy('a b'), np.array([2]))


def test_digits_tell_their_counts_beside_the_metainfo():
    assert set(DigitsLT().metainfo) == {'classes'}
