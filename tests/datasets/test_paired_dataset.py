"""An image with its partner: what is decoded, which views are made, what is passed through."""

from __future__ import annotations

import numpy as np
import pytest
from mmcv.transforms import BaseTransform
from mmengine.dataset import ConcatDataset, RepeatDataset, default_collate
from mmpretrain.registry import DATASETS, TRANSFORMS
from torch.utils.data import TensorDataset

from mmlt.datasets import LongTailDataset, PairedDataset
from mmlt.datasets.labels import training_class_counts
from mmlt.datasets.reading import UnreadableImageError
from tests.datasets.toy import COUNTS, ToyDataset, toy_labels

LABELS = toy_labels()


class Decode(BaseTransform):
    """Stands for loading an image; counts how often."""

    def __init__(self):
        self.times = 0

    def transform(self, results):
        self.times += 1
        return results


@TRANSFORMS.register_module(name='PairedTestAdd')
class Add(BaseTransform):
    """Stands for a view: adds a number, so that views can be told apart."""

    def __init__(self, amount=0, size=8):
        self.amount, self.size, self.times = amount, size, 0

    def transform(self, results):
        self.times += 1
        image = results['img'].astype(np.int16) + self.amount
        return {**results, 'img': image[: self.size, : self.size]}


PACK = dict(type='PackInputs')


def multi_view(decode, first, contrastive):
    views = dict(type='MultiView', num_views=[1, 2], transforms=[[first], [contrastive]])
    return [decode, TRANSFORMS.build(views), TRANSFORMS.build(PACK)]


def pixel(inputs):
    return int(inputs[0, 0, 0])


def test_single_view():
    data = PairedDataset(ToyDataset(pipeline=[PACK]))
    sample = data[3, 7]
    assert pixel(sample['inputs']) == 3 and pixel(sample['partner']['inputs']) == 7
    assert int(sample['data_samples'].gt_label) == LABELS[3]
    assert int(sample['partner']['data_samples'].gt_label) == LABELS[7]
    assert set(sample['partner']) == {'inputs', 'data_samples'}


def test_without_partner_nothing_is_decoded_for_it():
    decode = Decode()
    data = PairedDataset(ToyDataset(pipeline=[decode, TRANSFORMS.build(PACK)]))
    for index in ((3, None), 3):
        assert 'partner' not in data[index]
    assert decode.times == 2
    assert set(data[3, 3]) == {'inputs', 'data_samples', 'partner'}
    assert decode.times == 4


def test_a_partner_takes_the_first_view_only():
    decode, first, contrastive = Decode(), Add(100), Add(200)
    data = PairedDataset(ToyDataset(pipeline=multi_view(decode, first, contrastive)))
    sample = data[3, 7]
    assert [pixel(view) for view in sample['inputs']] == [103, 203, 203]
    assert pixel(sample['partner']['inputs']) == 107
    assert (decode.times, first.times, contrastive.times) == (2, 2, 2)


def test_own_partner_pipeline():
    decode = Decode()
    data = PairedDataset(
        ToyDataset(pipeline=multi_view(decode, Add(100), Add(200))),
        partner_pipeline=[dict(type='PairedTestAdd', amount=50), PACK],
    )
    assert pixel(data[3, 7]['partner']['inputs']) == 57
    assert decode.times == 1


def test_views_that_are_no_multi_view_transform():
    data = ToyDataset(
        pipeline=[
            lambda results: {**results, 'img': [results['img'], results['img']]},
            TRANSFORMS.build(PACK),
        ]
    )
    assert pixel(PairedDataset(data)[3, 7]['partner']['inputs']) == 7


def test_collated():
    data = PairedDataset(ToyDataset(pipeline=multi_view(Decode(), Add(100), Add(200))))
    batch = default_collate([data[0, 1], data[2, 3]])
    assert [tuple(view.shape) for view in batch['inputs']] == [(2, 3, 8, 8)] * 3
    assert tuple(batch['partner']['inputs'].shape) == (2, 3, 8, 8)
    assert len(batch['partner']['data_samples']) == 2
    assert 'partner' not in default_collate([data[0, None], data[2, None]])


def test_config_and_proxies():
    inner = ToyDataset(pipeline=[PACK])
    data = DATASETS.build(dict(type='PairedDataset', dataset=inner))
    data.full_init()
    assert len(data) == len(inner)
    assert data.metainfo == inner.metainfo and training_class_counts(data) == COUNTS
    assert data.get_cat_ids(4) == [LABELS[4]]
    assert data.get_data_info(4)['gt_label'] == LABELS[4]
    np.testing.assert_array_equal(data.get_gt_labels(), LABELS)


@pytest.mark.parametrize(
    'wrap, index, expected',
    [
        (lambda data: RepeatDataset(data, 2), len(LABELS) + 3, 3),
        (lambda data: ConcatDataset([data, data]), len(LABELS) + 3, 3),
    ],
)
def test_wrapped(wrap, index, expected):
    inner = ToyDataset(pipeline=multi_view(Decode(), Add(100), Add(200)))
    data = PairedDataset(wrap(inner))
    assert pixel(data[0, index]['partner']['inputs']) == 100 + expected
    np.testing.assert_array_equal(data.get_gt_labels(), np.tile(LABELS, 2))


def test_different_pipelines_inside():
    single = ConcatDataset(
        [ToyDataset(pipeline=[PACK]), ToyDataset(pipeline=[Add(5), *[TRANSFORMS.build(PACK)]])]
    )
    assert pixel(PairedDataset(single)[0, len(LABELS) + 3]['partner']['inputs']) == 8
    several = ConcatDataset(
        [ToyDataset(pipeline=[PACK]), ToyDataset(pipeline=multi_view(Decode(), Add(100), Add(200)))]
    )
    with pytest.raises(ValueError, match='partner_pipeline'):
        PairedDataset(several)


def test_partner_of_another_size():
    data = PairedDataset(
        ToyDataset(pipeline=[PACK]), partner_pipeline=[dict(type='PairedTestAdd', size=6), PACK]
    )
    with pytest.raises(ValueError, match=r'\(3, 6, 6\).*\(3, 8, 8\)'):
        data[0, 1]


def test_pipeline_that_returns_nothing():
    data = PairedDataset(ToyDataset(pipeline=[PACK]), partner_pipeline=[lambda results: None])
    with pytest.raises(UnreadableImageError, match=r'image 1: .* the pipeline gave no image'):
        data[0, 1]


def test_a_partner_that_cannot_be_loaded_gives_way_to_one_of_its_class():
    """As an anchor does; one broken file must not end a long run."""
    missing = {LABELS.tolist().index(k) for k in (0, 1, 3)}

    def broken(results):
        return None if results['sample_idx'] in missing else results

    whole = ToyDataset(pipeline=multi_view(Decode(), Add(100), Add(200)))
    whole = LongTailDataset(whole, on_error='skip')
    data = PairedDataset(whole, partner_pipeline=[broken, Decode(), PACK])
    for index in missing:
        partner = data[0, index]['partner']['data_samples']
        assert partner.sample_idx not in missing
        assert partner.gt_label == LABELS[index]
        again = data[0, index]['partner']['data_samples']
        assert again.sample_idx == partner.sample_idx


def test_the_partners_follow_when_the_pipeline_is_exchanged():
    """As SwitchRecipeHook does it, from the outside in."""
    inner = ToyDataset(pipeline=multi_view(Decode(), Add(100), Add(200)))
    data = PairedDataset(inner)
    before = pixel(data[0, 1]['partner']['inputs'])
    inner.pipeline = ToyDataset(pipeline=multi_view(Decode(), Add(150), Add(200))).pipeline
    assert pixel(data[0, 1]['partner']['inputs']) == before + 50


@pytest.mark.parametrize(
    'arguments, error, message',
    [
        (dict(dataset=3), ValueError, '^dataset: expected'),
        (dict(dataset=[1, 2]), ValueError, '^dataset: expected'),
        (dict(dataset=TensorDataset(), partner_pipeline=[]), TypeError, 'get_data_info'),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        PairedDataset(**arguments)
