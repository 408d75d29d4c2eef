from __future__ import annotations

import sys

import pytest
import torch
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from mmlt.models import device_views as module
from mmlt.models.device_views import DeviceViewsDataPreprocessor


def build(**options):
    return MODELS.build(
        dict(
            type='DeviceViewsDataPreprocessor',
            view_size=8,
            view=dict(crop_scale=(0.2, 1.0)),
            mean=[10.0, 20.0, 30.0],
            std=[2.0, 4.0, 8.0],
            num_classes=4,
        )
        | options
    )


def batch(num_images=4, ori_shape=(30, 20)):
    generator = torch.Generator().manual_seed(0)
    samples = [
        DataSample(metainfo=dict(ori_shape=ori_shape)).set_gt_label(n % 4)
        for n in range(num_images)
    ]
    return dict(
        inputs=[
            torch.randint(0, 256, (num_images, 3, 8, 8), generator=generator, dtype=torch.uint8),
            torch.randint(0, 256, (num_images, 3, 12, 12), generator=generator, dtype=torch.uint8),
        ],
        data_samples=samples,
    )


def views(preprocessor, data, iteration=0):
    preprocessor.set_progress(0, 1, iteration, 7)
    return preprocessor(data, training=True)['inputs']


def test_view_zero_is_the_classification_view_and_the_rest_is_normalised():
    preprocessor = build(num_views=3)
    data = batch()
    out = views(preprocessor, data)
    assert [tuple(view.shape) for view in out] == [(4, 3, 8, 8)] * 4
    mean, std = preprocessor.mean, preprocessor.std
    torch.testing.assert_close(out[0], (data['inputs'][0].float() - mean) / std)
    raw = out[1] * std + mean
    assert raw.min() >= -1e-3 and raw.max() <= 255 + 1e-3
    assert not torch.equal(out[1], out[2])
    assert len(data['inputs']) == 2, 'the batch is left as it is'


def test_a_resumed_run_renders_what_an_uninterrupted_one_renders():
    uninterrupted = build()
    runs = [views(uninterrupted, batch(), iteration) for iteration in range(4)]
    for mine, other in zip(runs[3], views(build(), batch(), 3), strict=True):
        assert torch.equal(mine, other)
    assert not torch.equal(runs[2][1], runs[3][1])


def test_ranks_render_what_one_process_renders(monkeypatch):
    whole = views(build(), batch(4))
    for rank in range(2):
        monkeypatch.setattr(module, 'get_dist_info', lambda rank=rank: (rank, 2))
        data = batch(4)
        mine = dict(
            inputs=[view[rank::2] for view in data['inputs']],
            data_samples=data['data_samples'][rank::2],
        )
        for part, expected in zip(views(build(), mine), whole, strict=True):
            torch.testing.assert_close(part, expected[rank::2])


def test_channels_keep_their_order():
    view = dict(crop_scale=(1.0, 1.0), crop_ratio=(1.0, 1.0), flip_prob=0.0)
    data = batch(ori_shape=(12, 12))
    swapped = {**data, 'inputs': [view.flip(1) for view in data['inputs']]}
    plain = views(build(view=view), data)
    turned = views(build(view=view, to_rgb=True), swapped)
    for mine, expected in zip(turned, plain, strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-4, atol=1e-3)


def test_at_test_it_is_the_plain_preprocessor():
    images = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
    preprocessor = build()
    torch.testing.assert_close(
        preprocessor(dict(inputs=images))['inputs'],
        (images.float() - preprocessor.mean) / preprocessor.std,
    )


def test_bad_input():
    with pytest.raises(ValueError, match='1 view'):
        views(build(), dict(inputs=torch.zeros(2, 3, 8, 8)))
    with pytest.raises(ValueError, match='3 views'):
        views(build(), dict(inputs=[torch.zeros(2, 3, 8, 8)] * 3))
    data = batch()
    data['inputs'][1] = [torch.zeros(3, 9, 9)] * 3 + [torch.zeros(3, 8, 9)]
    with pytest.raises(ValueError, match='one size'):
        views(build(), data)
    data = batch()
    data['data_samples'] = [DataSample().set_gt_label(0)] * 4
    with pytest.raises(ValueError, match='ori_shape'):
        views(build(), data)
    assert len(views(build(crops_in='source'), data)) == 3
    for options in (
        dict(crops_in='x'),
        dict(num_views=2.0),
        dict(num_views=0),
        dict(blur_kernel=2),
        dict(view_size=(1, 2, 3)),
        dict(view_size=8, blur_kernel=17),
        dict(view=dict(hue=3)),
        dict(view=dict(hues=0.1)),
    ):
        name = 'hue' if options == dict(view=dict(hue=3)) else list(options)[-1]
        with pytest.raises(ValueError, match=f'^{name}: expected '):
            DeviceViewsDataPreprocessor(**options)


def test_without_kornia_it_is_not_built(monkeypatch):
    monkeypatch.setitem(sys.modules, 'kornia', None)
    with pytest.raises(ImportError, match=r"pip install 'mmlt\[kornia\]'"):
        DeviceViewsDataPreprocessor()
