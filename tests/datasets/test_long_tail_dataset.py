"""An imbalance on data sets of MMPretrain, which know nothing of long tails."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.dataset import BaseDataset as MMEngineDataset
from mmengine.dataset import Compose, ConcatDataset, RepeatDataset
from mmpretrain.datasets import BaseDataset, CustomDataset, KFoldDataset
from mmpretrain.registry import DATASETS

from mmlt.datasets import LongTailDataset, LongTailMixin
from mmlt.datasets.digits_lt import DigitsLT
from mmlt.datasets.labels import training_class_counts
from mmlt.datasets.paired_dataset import PairedDataset
from mmlt.datasets.reading import UnreadableImageError
from tests.datasets.logs import mmengine_log
from tests.datasets.tiny_trees import make_image_folder
from tests.references.imbalance import reference_indices


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_image_folder(tmp_path_factory.mktemp('images'), [8, 8, 8])


def _images(folder: str, **options: Any) -> dict:
    return dict(type='CustomDataset', data_prefix=folder, **options)


class Stubborn(BaseDataset):
    """Labels only; its pipeline gives up every image of odd index."""

    def load_data_list(self) -> list[dict]:
        return [dict(gt_label=i % 2) for i in range(20)]

    def prepare_data(self, idx: int) -> dict | None:
        return self.get_data_info(idx) if idx % 2 == 0 else None


def test_taken_as_it_is(folder: str) -> None:
    wrapped, plain = LongTailDataset(_images(folder)), CustomDataset(data_prefix=folder)
    assert wrapped.class_counts == [8, 8, 8]
    assert wrapped.metainfo['classes'] == plain.metainfo['classes']
    assert len(wrapped) == len(plain) == 24
    np.testing.assert_array_equal(wrapped.get_gt_labels(), plain.get_gt_labels())


def test_imposed_imbalance_keeps_the_images_of_the_protocol(folder: str) -> None:
    pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
    config = dict(
        type='LongTailDataset',
        dataset=_images(folder, pipeline=pipeline),
        imbalance_ratio=4,
        seed=5,
    )
    wrapped, plain = DATASETS.build(config), CustomDataset(data_prefix=folder)
    kept = reference_indices(plain.get_gt_labels().tolist(), [8, 4, 2], seed=5)
    assert wrapped.class_counts == [8, 4, 2]
    assert wrapped.get_gt_labels().tolist() == [0] * 8 + [1] * 4 + [2] * 2
    for i, position in enumerate(kept):
        assert wrapped.get_data_info(i)['img_path'] == plain.get_data_info(position)['img_path']
        assert wrapped.get_data_info(i)['sample_idx'] == position
        assert wrapped.get_cat_ids(i) == plain.get_cat_ids(position)
    assert wrapped[0]['inputs'].shape == (3, 32, 32)
    assert wrapped.prepare_data(13)['data_samples'].gt_label.item() == 2
    with pytest.raises(IndexError):
        wrapped.get_data_info(14)


def test_step_and_max_count(folder: str) -> None:
    wrapped = LongTailDataset(_images(folder), 2, 'step', max_count=6)
    assert wrapped.class_counts == [6, 6, 3]


def test_lazy_init_and_a_data_set_given_as_object(folder: str) -> None:
    plain = CustomDataset(data_prefix=folder, lazy_init=True)
    wrapped = LongTailDataset(plain, imbalance_ratio=8, lazy_init=True)
    assert wrapped.class_counts is None and not plain._fully_initialized
    assert 'not initialised' in repr(wrapped)
    assert len(wrapped) == 8 + 2 + 1
    assert wrapped.class_counts == [8, 2, 1]
    assert 'class_counts' not in plain.metainfo and len(plain) == 24, (
        'the wrapped data set is left alone'
    )
    assert wrapped.CLASSES == plain.CLASSES and wrapped.class_to_idx['class_1'] == 1


def test_metainfo_cannot_be_changed_from_outside(folder: str) -> None:
    wrapped = LongTailDataset(_images(folder))
    wrapped.class_counts[0] = 99
    assert wrapped.class_counts == [8, 8, 8]
    assert all(type(count) is int for count in wrapped.class_counts)


def test_pipeline_can_be_read_and_switched(folder: str) -> None:
    wrapped = LongTailDataset(_images(folder))
    assert wrapped.pipeline is wrapped.dataset.pipeline
    wrapped.pipeline = lambda info: 'switched'
    assert wrapped[0] == 'switched'


def test_replacement_of_a_broken_image_comes_from_the_kept_ones() -> None:
    images = Stubborn(ann_file='')
    images.prepare_data = lambda index: None if index % 4 == 0 else images.get_data_info(index)
    wrapped = LongTailDataset(images, imbalance_ratio=2, on_error='skip')
    kept = {wrapped.get_data_info(i)['sample_idx'] for i in range(len(wrapped))}
    for _ in range(5):
        seen = [wrapped[i] for i in range(len(wrapped))]
        assert {one['sample_idx'] for one in seen} <= kept
        assert all(one['sample_idx'] % 4 for one in seen)
        assert [one['gt_label'] for one in seen] == wrapped.get_gt_labels().tolist()


@pytest.mark.parametrize('test_mode', [True, False])
def test_an_image_that_the_pipeline_gives_up_is_an_error(test_mode: bool) -> None:
    with pytest.raises(UnreadableImageError, match=r'image 1: .* the pipeline gave no image'):
        LongTailDataset(Stubborn(ann_file='', test_mode=test_mode))[1]


def test_a_class_with_nothing_but_broken_images() -> None:
    odd = LongTailDataset(Stubborn(ann_file=''), on_error='skip', max_refetch=5)
    tried = []
    odd.dataset.prepare_data = lambda index: tried.append(index)
    with pytest.raises(UnreadableImageError, match=r'class 1: .* none of 6 that were tried'):
        odd[1]
    assert len(set(tried)) == 6 and all(index % 2 for index in tried)


def test_wrappers_around_it(folder: str) -> None:
    inner = dict(type='LongTailDataset', dataset=_images(folder), imbalance_ratio=4, seed=5)
    whole = DATASETS.build(inner)
    subset = whole.get_subset([0, 8, 13])
    assert subset.class_counts == [1, 1, 1]
    assert subset.get_data_info(2) == whole.get_data_info(13)
    assert whole.class_counts == [8, 4, 2]
    fold = KFoldDataset(inner, fold=1, num_splits=7)
    assert len(fold) == 12 and fold.get_gt_labels().tolist() == [0] * 6 + [1] * 4 + [2] * 2
    assert fold[2]['img_path'] == whole[4]['img_path']
    assert training_class_counts(fold) == [6, 4, 2]
    both = ConcatDataset([DATASETS.build(inner), whole])
    assert training_class_counts(both) == [16, 8, 4]
    assert both[14]['img_path'] == whole[0]['img_path']
    assert training_class_counts(RepeatDataset(whole, 3)) == [8, 4, 2]
    assert pickle.loads(pickle.dumps(whole))[3] == whole[3]


def test_wrappers_inside_it(folder: str) -> None:
    for inner in (
        RepeatDataset(CustomDataset(data_prefix=folder), 2),
        KFoldDataset(_images(folder), num_splits=4),
        dict(type='LongTailDataset', dataset=_images(folder), imbalance_ratio=2),
    ):
        wrapped = LongTailDataset(inner, imbalance_ratio=4)
        labels = wrapped.get_gt_labels()
        assert wrapped.class_counts == np.bincount(labels).tolist()
        assert [wrapped[i]['gt_label'] for i in range(len(wrapped))] == labels.tolist()


def test_a_subset_copies_no_object_of_an_earlier_data_set(folder: str, monkeypatch) -> None:
    whole = DATASETS.build(dict(type='LongTailDataset', dataset=_images(folder)))
    stale = {id(part): 'of a data set that is gone' for part in vars(whole).values()}
    defaults = (stale,)
    monkeypatch.setattr(MMEngineDataset._copy_without_annotation, '__defaults__', defaults)
    subset, before = whole.get_subset([0, 8, 13]), dict(stale)
    assert isinstance(subset.dataset, CustomDataset) and isinstance(subset.pipeline, Compose)
    assert stale == before


def test_a_class_without_a_name_is_not_lost_with_its_last_image() -> None:
    wrapped = LongTailDataset(Stubborn(ann_file=''), imbalance_ratio=100)
    assert wrapped.class_counts == [10, 0]
    assert wrapped.get_subset(3).class_counts == [3, 0]


def test_concatenated_data_sets_without_prepare_data(folder: str) -> None:
    both = ConcatDataset([CustomDataset(data_prefix=folder), CustomDataset(data_prefix=folder)])
    wrapped = LongTailDataset(both, imbalance_ratio=4)
    assert wrapped.class_counts == [16, 8, 4]
    assert [wrapped[i]['gt_label'] for i in range(28)] == wrapped.get_gt_labels().tolist()


def test_partners_of_concatenated_data_sets(folder: str) -> None:
    pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
    parts = [CustomDataset(data_prefix=folder, pipeline=pipeline) for _ in range(2)]
    paired = PairedDataset(LongTailDataset(ConcatDataset(parts), imbalance_ratio=4))
    assert paired.partner_pipeline is None
    assert paired[0, 27]['partner']['data_samples'].gt_label.item() == 2
    with pytest.raises(AttributeError):
        paired.dataset.pipeline  # noqa: B018  the parts have one each


def test_wrapped_long_tailed_set_counts_what_is_left() -> None:
    wrapped = LongTailDataset(DigitsLT(), imbalance_ratio=110)
    counts = wrapped.class_counts
    assert counts == np.bincount(wrapped.get_gt_labels(), minlength=10).tolist()
    assert all(a <= b for a, b in zip(counts, DigitsLT().class_counts, strict=True))


def test_empty_class_is_logged(folder: str, caplog: pytest.LogCaptureFixture) -> None:
    with mmengine_log(caplog):
        wrapped = LongTailDataset(_images(folder), imbalance_ratio=100)
    assert wrapped.class_counts == [8, 0, 0]
    assert '2 of 3 classes have no images: 1 (class_1), 2 (class_2)' in caplog.text


def test_bad_input(folder: str) -> None:
    with pytest.raises(ValueError, match='imbalance_ratio'):
        LongTailDataset(_images(folder), imbalance_ratio=0.1)
    with pytest.raises(ValueError, match=r'dataset: expected .*, got None'):
        LongTailDataset(None)


@pytest.mark.parametrize('label', [[0, 1], 0.5, 'cat'])
def test_labels_that_are_no_single_integer(label: object) -> None:
    class Odd(LongTailMixin):
        def load_data_list(self) -> list[dict]:
            return [dict(gt_label=0), dict(gt_label=label)]

    with pytest.raises(ValueError, match='one integer label'):
        Odd(ann_file='')


def test_mixin_filters_then_imposes_then_subsets(folder: str) -> None:
    class Filtered(LongTailMixin, CustomDataset):
        def load_data_list(self) -> list[dict]:
            return super().load_data_list()[:-4]

    train = Filtered(data_prefix=folder, imbalance_ratio=4, indices=13)
    assert train.class_counts == [8, 4, 1]
    assert len(train) == 13


def test_mixin_without_labels(tmp_path: Path) -> None:
    class Unlabelled(LongTailMixin, CustomDataset):
        pass

    root = make_image_folder(tmp_path, [2])
    bare = Unlabelled(data_prefix=root, with_label=False)
    assert bare.class_counts is None and len(bare) == 2
    with pytest.raises(ValueError, match='imbalance_ratio: expected a data set with labels'):
        Unlabelled(data_prefix=root, with_label=False, imbalance_ratio=2)
