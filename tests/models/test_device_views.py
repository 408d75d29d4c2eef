"""Rendered views have torchvision's pixels; the preprocessor gives each batch its views."""

from __future__ import annotations

import contextlib
import math
import sys
from dataclasses import replace

import kornia
import numpy as np
import pytest
import torch
from mmengine.utils import digit_version
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torchvision import transforms
from torchvision.transforms import functional as F

from mmlt.functional.view_parameters import ViewOptions, draw_view_parameters
from mmlt.models import device_views as module
from mmlt.models.device_views import DeviceViewsDataPreprocessor, render_views
from tests.references.image_statistics import STATISTICS

PLAIN = dict(crop_scale=(1, 1), crop_ratio=(1, 1), flip_prob=0, jitter_prob=0, gray_prob=0)


def draw(options, number, size, seed=0):
    sizes = np.tile(size, (number, 1))
    return draw_view_parameters(np.random.default_rng(seed), sizes, options)


def deciles(values):
    return np.quantile(values.numpy(), np.linspace(0.05, 0.95, 10))


def test_rendered_views_have_the_statistics_of_the_cpu_pipeline():
    """Mean, spread, colourfulness and sharpness over many draws from one picture."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, 20, 20, generator=generator)
    image = torch.nn.functional.interpolate(coarse, 32, mode='bicubic').clamp(0, 1)[0]
    number = 1500
    cpu = transforms.Compose(
        [
            transforms.RandomResizedCrop(32, (0.2, 1.0), antialias=False),
            transforms.RandomHorizontalFlip(),
            transforms.RandomApply([transforms.ColorJitter(0.4, 0.4, 0.4, 0.1)], 0.8),
            transforms.RandomGrayscale(0.2),
            transforms.RandomApply([transforms.GaussianBlur(13, (0.1, 2.0))], 0.5),
        ]
    )
    torch.manual_seed(0)
    theirs = torch.stack([cpu(image) for _ in range(number)])
    drawn = draw(ViewOptions(crop_scale=(0.2, 1.0), blur_prob=0.5), number, (32, 32))
    ours = render_views((255 * image).expand(number, -1, -1, -1), drawn, (32, 32)) / 255
    for name, summary in STATISTICS.items():
        mine, expected = summary(ours), summary(theirs)
        np.testing.assert_allclose(
            deciles(mine), deciles(expected), atol=0.35 * float(expected.std()), err_msg=name
        )


JITTERS = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)


def as_torchvision(image, drawn, n):
    """The view of one image in ``[0, 1]`` without its crop: one operation after the other."""
    if drawn.flipped[n]:
        image = F.hflip(image)
    if drawn.jittered[n]:
        for kind in drawn.order[n]:
            factor = float(drawn.factors[n, kind])
            image = JITTERS[kind](image, factor / (2 * math.pi) if kind == 3 else factor)
    if drawn.grayed[n]:
        image = F.rgb_to_grayscale(image, 3)
    if drawn.blurred[n]:
        image = F.gaussian_blur(image, [13, 13], [float(drawn.sigma[n])] * 2)
    return image


@pytest.mark.parametrize(
    ('tolerance', 'options'),
    [
        (1e-5, dict(flip_prob=0.5)),
        (3e-4, dict(jitter_prob=1, brightness=1, contrast=0, saturation=0, hue=0)),
        (3e-4, dict(jitter_prob=1, brightness=0, contrast=1, saturation=0, hue=0)),
        (3e-4, dict(jitter_prob=1, brightness=0, contrast=0, saturation=1, hue=0)),
        (1e-5, dict(jitter_prob=1, brightness=0, contrast=0, saturation=0, hue=0.5)),
        (3e-4, dict(gray_prob=0.5)),
        (1e-5, dict(blur_prob=0.8)),
        (2e-3, dict(flip_prob=0.5, jitter_prob=0.8, gray_prob=0.2, blur_prob=0.5, hue=0.3)),
    ],
    ids=['flip', 'brightness', 'contrast', 'saturation', 'hue', 'gray', 'blur', 'all'],
)
def test_operations_are_those_of_torchvision(tolerance, options):
    """Image by image with torchvision's operations, which take one factor at a time.

    torchvision rounds the luma of red to 0.2989; the hue of nearly grey pixels enlarges that.
    """
    images = torch.rand(24, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    images[0] = 0.4  # grey, so that it has no hue
    images[1, :, :4] = torch.tensor([1.0, 0.0, 0.0])[:, None, None]
    drawn = draw(ViewOptions(**PLAIN | options), 24, (16, 16))
    assert len(np.unique(drawn.order, axis=0)) > 12
    rendered = render_views(255 * images, drawn, (16, 16)) / 255
    for n, image in enumerate(images):
        torch.testing.assert_close(
            rendered[n], as_torchvision(image, drawn, n), rtol=0, atol=tolerance
        )


def test_crops_are_those_of_torchvision():
    images = torch.rand(3, 3, 9, 11, generator=torch.Generator().manual_seed(0))
    boxes = np.array([[0, 0, 9, 11], [2, 1, 5, 7], [0, 3, 9, 8]])
    drawn = draw(ViewOptions(**PLAIN), 3, (9, 11))
    drawn = replace(
        drawn, boxes=boxes / np.array([9, 11, 9, 11]), flipped=np.array([False, True, False])
    )
    rendered = render_views(255 * images, drawn, (12, 13)) / 255
    for n, box in enumerate(boxes.tolist()):
        expected = F.resized_crop(images[n], *box, [12, 13], antialias=False)
        expected = expected.flip(-1) if drawn.flipped[n] else expected
        # Beyond the border of its box, ours sees the neighbouring pixels of the image.
        torch.testing.assert_close(
            rendered[n, :, 2:-2, 2:-2], expected[:, 2:-2, 2:-2], rtol=1e-4, atol=1e-4
        )


def test_each_image_is_rendered_by_its_own_parameters_alone():
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (8, 3, 16, 16), generator=generator, dtype=torch.uint8)
    drawn = draw(ViewOptions(blur_prob=0.5), 8, (16, 16))
    together = render_views(images, drawn, (12, 10))
    for n in range(8):
        alone = render_views(images[n : n + 1], drawn[n : n + 1], (12, 10))
        torch.testing.assert_close(together[n : n + 1], alone, rtol=1e-5, atol=1e-3)
    assert together.min() >= 0 and together.max() <= 255
    same = draw(ViewOptions(**PLAIN), 8, (16, 16))
    torch.testing.assert_close(
        render_views(images, same, (16, 16)), images.float(), rtol=0, atol=1e-3
    )


def test_mixed_precision_leaves_the_views_alone():
    images = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 255
    drawn = draw(ViewOptions(blur_prob=0.5), 8, (16, 16))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        inside = render_views(images, drawn, (16, 16))
    assert torch.equal(inside, render_views(images, drawn, (16, 16)))


class Waits(TorchDispatchMode):
    """Notes what makes the CPU wait for the device: blocking copies, and values that are read."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, op, types, args=(), kwargs=None):
        out = op(*args, **(kwargs or {}))
        name = op.overloadpacket.__name__
        devices = [x.device.type for x in (*args, out) if isinstance(x, torch.Tensor)]
        blocking = len(set(devices)) > 1 and not (kwargs or {}).get('non_blocking')
        if name in ('_local_scalar_dense', 'nonzero') or (name == '_to_copy' and blocking):
            self.found.append((name, *devices))
        return out


@pytest.mark.skipif(
    digit_version(kornia.__version__) < digit_version('0.9'),
    reason='older versions copy constants to the device, and wait',
)
def test_the_cpu_never_waits_for_the_device(monkeypatch):
    # A pretended GPU shows copies that block.
    drawn = draw(ViewOptions(), 16, (16, 16))
    with FakeTensorMode(), Waits() as waits:
        render_views(torch.empty(16, 3, 16, 16, device='cuda'), drawn, (8, 8))
    assert not waits.found
    # It cannot hold the numbers of the blur, which are looked at on the CPU. The meta device can,
    # and to read a value back from it is an error.
    monkeypatch.setattr(torch, 'autocast', lambda *args, **options: contextlib.nullcontext())
    drawn = draw(ViewOptions(blur_prob=0.5), 16, (16, 16))
    assert render_views(torch.empty(16, 3, 16, 16, device='meta'), drawn, (8, 8)).is_meta


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
    with pytest.raises(ValueError, match=r'^images: expected shape'):
        render_views(torch.zeros(3, 3, 8, 8), draw(ViewOptions(), 2, (8, 8)), (8, 8))
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
        dict(view_size=(1, 2, 3)),
        dict(view_size=6),
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
