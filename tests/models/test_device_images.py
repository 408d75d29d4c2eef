"""Images on the device are augmented as those of the loader, and belong to the same labels."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from unittest import mock

import mmcv
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, RepeatDataset, default_collate, pseudo_collate
from mmengine.registry import DefaultScope
from mmpretrain.datasets import CustomDataset
from mmpretrain.registry import MODELS, TRANSFORMS
from PIL import Image
from torch._subclasses.fake_tensor import FakeTensorMode
from torchvision.transforms import AutoAugment, AutoAugmentPolicy, InterpolationMode
from torchvision.transforms.autoaugment import _apply_op

from mmlt.datasets import CIFAR10LT, ClippedCutout, LongTailDataset, PairedDataset
from mmlt.datasets.in_memory import images_and_labels
from mmlt.hooks.runner_parts import check_views, hold_images
from mmlt.models import DeviceImagesDataPreprocessor, device_images, device_views
from mmlt.models.device_augments import auto_augment, crop_and_flip, cut_out, draw_auto_augment
from tests.configs.recipes import CONFIGS
from tests.datasets import tiny_trees
from tests.models.test_device_views import Waits
from tests.references.image_statistics import STATISTICS

NORMALISED = dict(mean=[125.307, 122.961, 113.8575], std=[51.5865, 50.847, 51.255], num_classes=10)
PLAIN = dict(padding=0, flip_prob=0.0)


def pictures(number, side=32):
    """Smooth, colourful images, as uint8."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(number, 3, 9, 9, generator=generator)
    fine = torch.nn.functional.interpolate(coarse, side, mode='bicubic').clamp(0, 1)
    return (255 * fine).round().to(torch.uint8)


def as_array(image):
    return image.permute(1, 2, 0).numpy().copy()


def as_images(arrays):
    return torch.from_numpy(np.stack(list(arrays))).permute(0, 3, 1, 2)


def build(**options):
    return MODELS.build(dict(type='DeviceImagesDataPreprocessor', **NORMALISED) | options)


def held(number=12, **options):
    preprocessor = build(**options)
    preprocessor.hold(pictures(number), torch.arange(number) % 10)
    return preprocessor


def at(preprocessor, data, iteration=0, training=True):
    choice = preprocessor.batch_augments
    for part in (preprocessor, *(choice.augments if choice else ())):
        part.set_progress(0, 1, iteration, 7)
    return preprocessor(data, training=training)


def raw(images):
    mean, std = (torch.tensor(NORMALISED[key])[:, None, None] for key in ('mean', 'std'))
    return images * std + mean


POLICY = AutoAugment(AutoAugmentPolicy.CIFAR10)
OPERATIONS = sorted({(n, k) for policy in POLICY.policies for n, _, k in policy}, key=str)


@pytest.mark.parametrize(('name', 'level'), OPERATIONS)
def test_operations_are_those_of_the_loader(name, level):
    """Of torchvision on PIL images, up to rounding; what is rotated may miss a pixel by one."""
    images = pictures(3)
    values, signed = POLICY._augmentation_space(10, (32, 32))[name]
    magnitude = 0.0 if level is None else float(values[level])
    for value in (magnitude, -magnitude) if signed else (magnitude,):
        ours = auto_augment(images, np.array([[name]] * 3), np.full((3, 1), value), 128)
        theirs = as_images(
            np.array(
                _apply_op(
                    Image.fromarray(as_array(image)),
                    name,
                    value,
                    interpolation=InterpolationMode.NEAREST,
                    fill=[128] * 3,
                )
            )
            for image in images
        )
        apart = (ours.int() - theirs.int()).abs() > 1
        assert apart.float().mean() <= (0.002 if name in ('Rotate', 'ShearY') else 0)


def test_each_image_has_its_own_operations():
    images = pictures(40)
    names, magnitudes = draw_auto_augment(np.random.default_rng(0), 40, (32, 32))
    before = images.clone()
    together = auto_augment(images, names, magnitudes, 128)
    assert torch.equal(images, before)
    for n in range(40):
        alone = auto_augment(images[n : n + 1], names[n : n + 1], magnitudes[n : n + 1], 128)
        assert torch.equal(together[n : n + 1], alone)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert torch.equal(auto_augment(images, names, magnitudes, 128), together)


def test_operations_are_drawn_as_often_as_by_torchvision():
    number = 40_000
    names, magnitudes = draw_auto_augment(np.random.default_rng(0), number, (32, 32))
    space = POLICY._augmentation_space(10, (32, 32))
    for turn in range(2):
        expected = {}
        for policy in POLICY.policies:
            name, probability, level = policy[turn]
            values, signed = space[name]
            value = 0.0 if level is None else float(values[level])
            for sign in (1, -1) if signed else (1,):
                key = (name, round(sign * value, 4))
                expected[key] = expected.get(key, 0) + probability / (2 if signed else 1)
        drawn = list(zip(names[:, turn].tolist(), magnitudes[:, turn].round(4), strict=True))
        for key, share in expected.items():
            share /= len(POLICY.policies)
            error = 5 * (share * (1 - share) / number) ** 0.5
            assert abs(drawn.count(key) / number - share) <= error, key
        assert set(drawn) - set(expected) <= {('', value) for _, value in drawn}


def test_crops_and_mirror_images_are_those_of_the_loader():
    images = pictures(6)
    corners = np.random.default_rng(0).integers(9, size=(6, 2))
    flipped = np.array([True, False] * 3)
    ours = crop_and_flip(images, corners, flipped, 4)
    crop = TRANSFORMS.build(dict(type='RandomCrop', crop_size=32, padding=4))
    for n, image in enumerate(images):
        with mock.patch.object(crop, 'rand_crop_params', return_value=(*corners[n], 32, 32)):
            theirs = crop(dict(img=as_array(image)))['img']
        theirs = mmcv.imflip(theirs) if flipped[n] else theirs
        assert torch.equal(ours[n], as_images([theirs])[0])


@pytest.mark.parametrize('side', [1, 7, 16, 70])
def test_cutout_is_that_of_the_loader(side):
    images = pictures(50)
    centres = np.random.default_rng(0).integers(32, size=(50, 2))
    ours = cut_out(images, centres, side)
    transform = ClippedCutout(side)
    for n, image in enumerate(images):
        with mock.patch('numpy.random.randint', side_effect=centres[n].tolist()):
            theirs = transform(dict(img=as_array(image)))['img']
        assert torch.equal(ours[n], as_images([theirs])[0])


def test_hidden_squares_are_as_large_as_those_of_the_loader():
    """Of 16 pixels in 32 x 32, clipped around any pixel: 14 x 14 in the mean."""
    number = 20_000
    preprocessor = build(**PLAIN, cutout=16, mean=None, std=None)
    preprocessor.hold(torch.full((1, 3, 32, 32), 255, dtype=torch.uint8), torch.tensor([0]))
    hidden = at(preprocessor, dict(inputs=[0] * number))['inputs'][:, 0] == 0
    areas = hidden.sum((1, 2)).double()
    assert abs(float(areas.mean()) - 196) < 5 * float(areas.std()) / number**0.5
    corners = [hidden[:, y, x].double().mean() for y in (0, -1) for x in (0, -1)]
    # Rows 0 .. 8 of a centre reach the first row, and 24 .. 31 the last.
    expected = [(a / 32) * (b / 32) for a in (9, 8) for b in (9, 8)]
    assert corners == pytest.approx(expected, abs=0.01)


def test_places_of_crops_are_uniform_and_half_is_mirrored():
    """Every pixel says where it was."""
    number = 8_000
    places = torch.stack(torch.meshgrid(torch.arange(32), torch.arange(32), indexing='ij'))
    preprocessor = DeviceImagesDataPreprocessor()
    image = torch.cat([places, places[:1]]).to(torch.uint8)
    preprocessor.hold(image[None], torch.zeros(1, dtype=torch.long))
    views = at(preprocessor, dict(inputs=torch.zeros(number, dtype=torch.long)))['inputs']
    middle, right = views[:, :2, 16, 16], views[:, 1, 16, 17]
    mirrored = right < middle[:, 1]
    assert abs(float(mirrored.float().mean()) - 0.5) < 5 * 0.5 / number**0.5
    top = middle[:, 0] - 12
    left = torch.where(mirrored, middle[:, 1] - 11, middle[:, 1] - 12)
    counts = torch.bincount((9 * top + left).long(), minlength=81)
    assert len(counts) == 81
    expected = number / 81
    assert float(((counts - expected) ** 2 / expected).sum()) < 81 + 5 * (2 * 80) ** 0.5


def distance(first, second):
    """Of two samples of one size, by Kolmogorov and Smirnov."""
    together, rounding = np.sort(np.concatenate([first, second])), 1e-3
    below = [np.searchsorted(np.sort(part), together + rounding) for part in (first, second)]
    return np.abs(below[0] - below[1]).max() / len(first)


@pytest.mark.parametrize('method', ['ce', 'concutmix_car'])
def test_views_have_the_statistics_of_the_loaders(method):
    """Of the two recipes, over many draws from one picture."""
    number, image = 500, pictures(1)[0]
    ours_cfg, theirs_cfg = (
        Config.fromfile(CONFIGS / f'cifar10_lt/resnet32_{method}{part}_ir100.py')
        for part in ('_device_images', '')
    )
    preprocessor = MODELS.build(dict(ours_cfg.data_preprocessor, mean=None, std=None))
    preprocessor.hold(image[None], torch.zeros(1, dtype=torch.long))
    ours = at(preprocessor, dict(inputs=[0] * number))['inputs']
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        load = Compose(theirs_cfg.train_pipeline)
    np.random.seed(0)
    torch.manual_seed(0)
    loaded = default_collate([load(dict(img=as_array(image), gt_label=0)) for _ in range(number)])
    statistics = {
        **STATISTICS,
        'darkness of the border': lambda x: (x[:, :, 0] < 0.5).float().mean((1, 2)),
    }
    ours = ours if isinstance(ours, list) else [ours]
    theirs = loaded['inputs'] if isinstance(loaded['inputs'], list) else [loaded['inputs']]
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        for name, summary in statistics.items():
            found = distance(summary(mine.float()), summary(other.float()))
            assert found < 0.11, name  # 5 % of equal distributions are farther apart than 0.086


@pytest.fixture
def cifar10(tmp_path):
    with tiny_trees.without_md5():
        yield tiny_trees.make_cifar10(tmp_path, per_class=20)


WRAPPERS = {
    'plain': lambda root, pipeline: CIFAR10LT(root, imbalance_ratio=5, pipeline=pipeline),
    'some': lambda root, pipeline: CIFAR10LT(
        root, imbalance_ratio=5, pipeline=pipeline, indices=[3, 50, -1]
    ),
    'subset': lambda root, pipeline: CIFAR10LT(
        root, imbalance_ratio=5, pipeline=pipeline
    ).get_subset(range(9, 30)),
    'imposed': lambda root, pipeline: LongTailDataset(
        CIFAR10LT(root, imbalance_ratio=None, pipeline=pipeline), imbalance_ratio=5
    ),
    'repeated': lambda root, pipeline: RepeatDataset(
        CIFAR10LT(root, imbalance_ratio=5, pipeline=pipeline), 2
    ),
    'in pairs': lambda root, pipeline: PairedDataset(
        CIFAR10LT(root, imbalance_ratio=5, pipeline=pipeline)
    ),
}


@pytest.mark.parametrize(
    'collate', [default_collate, pytest.param(pseudo_collate, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize('name', WRAPPERS)
def test_without_augmentation_a_batch_is_that_of_the_loader(cifar10, name, collate):
    of_loader = WRAPPERS[name](cifar10, [dict(type='PackInputs')])
    of_device = WRAPPERS[name](cifar10, [dict(type='PackIndex')])
    assert len(of_device) == len(of_loader)
    assert getattr(of_device, 'class_counts', 0) == getattr(of_loader, 'class_counts', 0)
    order = np.random.default_rng(0).permutation(len(of_loader))
    ours, theirs = build(**PLAIN), MODELS.build(dict(type='ClsDataPreprocessor', **NORMALISED))
    ours.hold(*images_and_labels(of_device))
    ours = at(ours, collate([of_device[int(i)] for i in order]))
    theirs = theirs(collate([of_loader[int(i)] for i in order]), training=True)
    assert torch.equal(ours['inputs'], theirs['inputs'])
    labels = [[sample.gt_label for sample in side['data_samples']] for side in (ours, theirs)]
    assert torch.equal(*map(torch.cat, labels))


def test_partners_are_those_of_the_pairs(cifar10):
    paired = WRAPPERS['in pairs'](cifar10, [dict(type='PackIndex')])
    augment = dict(type='ConCutMixAugment')
    preprocessor = build(**PLAIN, batch_augments=dict(augments=[augment], probs=[1.0]))
    preprocessor.hold(*images_and_labels(paired))
    images, labels = images_and_labels(paired)
    pairs = [(0, 50), (7, 3), (31, 31)]
    batch = default_collate([paired[pair] for pair in pairs])
    seen = []

    def mix(anchors, partners, scores, partner_scores):
        seen.append((anchors, partners, scores, partner_scores))
        return anchors, scores

    preprocessor.batch_augments.augments[0].mix = mix
    at(preprocessor, batch)
    for k in range(2):
        chosen = [pair[k] for pair in pairs]
        torch.testing.assert_close(raw(seen[0][k]), images[chosen].float(), rtol=0, atol=1e-3)
        assert torch.equal(seen[0][2 + k].argmax(1), labels[chosen])


EVERYTHING = dict(
    auto_augment_fill=128,
    cutout=8,
    num_views=2,
    view=dict(crop_scale=(0.2, 1.0), blur_prob=0.5),
    batch_augments=dict(augments=[dict(type='ConCutMixAugment')], probs=[1.0]),
)


def pairs_of(anchors, partners):
    return dict(inputs=torch.tensor(anchors), partner=dict(inputs=torch.tensor(partners)))


def test_a_resumed_run_draws_what_an_uninterrupted_one_draws():
    batch = pairs_of([3, 1, 4, 1], [5, 9, 2, 6])
    uninterrupted = held(**EVERYTHING)
    runs = [at(uninterrupted, batch, iteration)['inputs'] for iteration in range(3)]
    resumed = at(held(**EVERYTHING), batch, 2)['inputs']
    assert len(resumed) == 3
    assert all(map(torch.equal, runs[2], resumed))
    assert not any(map(torch.equal, runs[1], resumed))
    assert not torch.equal(resumed[1], resumed[2])


def test_the_second_pass_of_sam_sees_the_same_views():
    preprocessor, batch = held(**EVERYTHING), pairs_of([3, 1], [5, 9])
    first = at(preprocessor, batch)['inputs']
    other = preprocessor(batch, training=True)['inputs']
    preprocessor.rewind()
    preprocessor.batch_augments.augments[0].rewind()
    again = preprocessor(batch, training=True)['inputs']
    assert all(map(torch.equal, first, again))
    assert not any(map(torch.equal, first, other))


def test_ranks_draw_what_one_process_draws(monkeypatch):
    options = dict(EVERYTHING, batch_augments=None)
    anchors = [3, 1, 4, 1, 5, 9]
    whole = at(held(**options), dict(inputs=torch.tensor(anchors)))['inputs']
    for rank in range(2):
        for module in (device_images, device_views):
            monkeypatch.setattr(module, 'get_dist_info', lambda rank=rank: (rank, 2))
        mine = at(held(**options), dict(inputs=torch.tensor(anchors[rank::2])))['inputs']
        for part, expected in zip(mine, whole, strict=True):
            torch.testing.assert_close(part, expected[rank::2])


def test_held_images_are_no_state_of_the_model():
    preprocessor = held()
    assert not preprocessor.state_dict()
    assert not any(part.ndim == 4 for _, part in preprocessor.named_buffers())


def test_at_test_it_is_the_plain_preprocessor():
    images = pictures(2)
    batch = build()(dict(inputs=images))['inputs']
    torch.testing.assert_close(raw(batch), images.float(), rtol=0, atol=1e-3)
    shown = held()(dict(inputs=torch.tensor([1, 0])))  # as mmlt browse shows an image
    torch.testing.assert_close(shown['inputs'], batch.flip(0))


def test_images_of_the_loader_are_augmented_too():
    """As when SwitchRecipeHook exchanges the pipeline."""
    preprocessor = held()
    by_index = preprocessor.looked_up(dict(inputs=torch.tensor([3, 1, 4])))
    expected = at(preprocessor, dict(inputs=torch.tensor([3, 1, 4])))['inputs']
    assert torch.equal(at(preprocessor, copy.deepcopy(by_index))['inputs'], expected)
    as_list = dict(by_index, inputs=list(by_index['inputs']))
    assert torch.equal(at(preprocessor, as_list)['inputs'], expected)


def test_the_cpu_never_waits_for_the_device():
    names = np.array([[name] for name, _ in OPERATIONS])
    magnitudes = np.full((len(names), 1), 3.0)
    with FakeTensorMode(), Waits() as waits:
        images = torch.empty(len(names), 3, 32, 32, device='cuda', dtype=torch.uint8)
        images = crop_and_flip(images, np.zeros((len(names), 2)).astype(int), names[:, 0] == '', 4)
        images = auto_augment(images, names, magnitudes, 128)
        assert cut_out(images, np.ones((len(names), 2)), 16).device.type == 'cuda'
    assert not waits.found


def test_bad_input():
    with pytest.raises(ValueError, match=r'training images.*LongTailHook'):
        at(build(), dict(inputs=torch.tensor([0])))
    for options in (
        dict(to_rgb=True),
        dict(padding=-1),
        dict(flip_prob=2),
        dict(auto_augment_fill=256),
        dict(cutout=0),
        dict(num_views=-1),
        dict(view=dict(hues=1)),
    ):
        with pytest.raises(ValueError, match=f'^{next(iter(options))}: expected '):
            build(**options)
    preprocessor, labels = build(num_views=1), torch.zeros(2, dtype=torch.long)
    for images, name in (
        (torch.zeros(2, 1, 9, 9), 'images'),
        (torch.zeros(2, 3, 6, 9, dtype=torch.uint8), 'images'),
        (torch.zeros(2, 3, 9, 9), 'images'),
        (torch.zeros(3, 3, 9, 9, dtype=torch.uint8), 'labels'),
    ):
        with pytest.raises(ValueError, match=f'^{name}: expected '):
            preprocessor.hold(images, labels)


def test_what_does_not_fit_is_said_before_training(cifar10, tmp_path):
    def cifar(*pipeline):
        return CIFAR10LT(cifar10, imbalance_ratio=None, pipeline=list(pipeline))

    index = dict(type='PackIndex')
    preprocessor = build()
    hold_images(cifar(dict(type='PackInputs')), preprocessor)
    assert preprocessor._images is None
    hold_images(cifar(index), preprocessor)
    assert preprocessor._images.shape == (200, 3, 32, 32)
    stock = MODELS.build(dict(type='ClsDataPreprocessor'))
    with pytest.raises(ValueError, match=r'^data_preprocessor.type: .*, got .*ClsData'):
        hold_images(cifar(index), stock)
    with pytest.raises(ValueError, match=r'^train_dataloader.dataset.pipeline: .* alone'):
        hold_images(cifar(dict(type='RandomFlip', prob=0.5), index), preprocessor)
    both = torch.utils.data.ConcatDataset([cifar(index), cifar(index)])
    with pytest.raises(ValueError, match=r'^train_dataloader.dataset: expected one data set'):
        hold_images(both, preprocessor)
    root = tiny_trees.make_image_folder(tmp_path / 'files', [2, 1])
    files = CustomDataset(data_prefix=root, pipeline=[index])
    with pytest.raises(ValueError, match=r'^train_dataloader.dataset: expected images in memory'):
        hold_images(files, preprocessor)


def test_several_views_need_a_classifier_for_several(cifar10):
    dataset = CIFAR10LT(cifar10, imbalance_ratio=None, pipeline=[dict(type='PackIndex')])
    for num_views in (0, 2):
        preprocessor = dict(type='DeviceImagesDataPreprocessor', num_views=num_views)
        backbone = dict(type='CIFARResNet', depth=8, base_channels=2)
        model = MODELS.build(
            dict(type='ImageClassifier', backbone=backbone, data_preprocessor=preprocessor)
        )
        runner = SimpleNamespace(model=model, train_dataloader=SimpleNamespace(dataset=dataset))
        if num_views:
            with pytest.raises(
                ValueError, match=r"^model.type: expected 'Multi.*num_views=2 makes"
            ):
                check_views(runner)
        else:
            check_views(runner)
