"""Published hyper-parameters, written down once more: a recipe that drifts from them is found."""

from __future__ import annotations

import math

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import PARAM_SCHEDULERS

from tests.configs.recipes import differences, resolved

# Of the papers and released code: epochs, label_start_epoch, top_k, 255 * omega, tau.
CONCUTMIX = {
    'cifar100_lt/resnet32_{}_ir100': (200, 100, 30, 20, 0.9),
    'cifar100_lt/resnet32_{}_ir50': (200, 100, 30, 20, 0.75),
    'cifar100_lt/resnet32_{}_ir10': (200, 100, 30, 20, 1.0),
    'cifar100_lt/resnet32_{}_400e_ir100': (400, 160, 30, 20, 0.79),
    'cifar10_lt/resnet32_{}_ir100': (200, 100, 3, 2, 0.85),
    'cifar10_lt/resnet32_{}_ir50': (200, 100, 3, 2, 0.81),
    'cifar10_lt/resnet32_{}_ir10': (200, 100, 3, 2, 1.0),
    'imagenet_lt/resnet50_{}': (100, 70, 30, 200, 0.99),
    'imagenet_lt/resnext50_{}': (90, 60, 30, 200, 0.99),
    'imagenet_lt/resnext50_{}_180e': (180, 120, 30, 200, 0.99),
    'inat2018/resnet50_{}': (100, 80, 30, 1628, 0.99),
}
# Weights of the two losses, temperature, width of the contrastive space, total batch.
SHARED = {
    'cifar10_lt': (2.0, 0.6, 0.1, 128, 256),
    'cifar100_lt': (2.0, 0.6, 0.1, 128, 256),
    'imagenet_lt': (1.0, 0.35, 0.07, 1024, 256),
    'inat2018': (1.0, 0.35, 0.07, 1024, 256),
}


def recipe(name):
    return ConfigDict(resolved(name))


@pytest.mark.parametrize('method', ['concutmix', 'concutmix_car'])
@pytest.mark.parametrize('name', CONCUTMIX)
def test_concutmix(name, method):
    cfg = recipe(name.format(method))
    head = cfg.model.head
    found = (
        cfg.train_cfg.max_epochs,
        head.label_start_epoch - 1,  # the released code rectifies from the epoch after it
        head.top_k,
        255 * head.omega,
        head.loss.tau,
    )
    assert found == pytest.approx(CONCUTMIX[name])
    assert cfg.train_dataloader.sampler == dict(type='PairSampler', partners='balanced')
    assert cfg.train_dataloader.batch_sampler == dict(type='PairBatchSampler', prob=0.5)
    assert ('loss_car' in head) == (method == 'concutmix_car')


@pytest.mark.parametrize(
    'name',
    [
        *(
            f'{data}/resnet32_{method}_ir100'
            for data in ('cifar10_lt', 'cifar100_lt')
            for method in ('bcl', 'concutmix')
        ),
        *(
            f'{leaf}_{method}'
            for leaf in ('imagenet_lt/resnet50', 'imagenet_lt/resnext50', 'inat2018/resnet50')
            for method in ('bcl', 'concutmix')
        ),
    ],
)
def test_bcl(name):
    cfg = recipe(name)
    head = cfg.model.head
    found = (
        head.loss.loss_weight,
        head.loss_bcl.loss_weight,
        head.loss_bcl.temperature,
        head.embedding_channels,
        cfg.auto_scale_lr.base_batch_size * cfg.optim_wrapper.get('accumulative_counts', 1),
    )
    assert found == SHARED[name.split('/')[0]]
    assert cfg.model.neck.out_channels == head.embedding_channels
    if name.endswith('bcl') or '_bcl_' in name:
        assert head.loss.tau == 1.0
        assert 'label_start_epoch' not in head and 'train_cfg' not in cfg.model


@pytest.mark.parametrize(
    'name', ['cifar10_lt/resnet32_car_ir100', 'imagenet_lt/resnext50_concutmix_car']
)
def test_car_is_the_papers(name):
    head = recipe(name).model.head
    options = head.get('loss_car') or head.loss
    assert options.get('setting', 'paper') == 'paper'
    assert not {'loss_weight', 'beta', 'r0', 'margin', 'temperature'} & set(options)


@pytest.mark.parametrize(
    'name', ['cifar10_lt/resnet32_cpmix_experts_ir100', 'imagenet_lt/resnext50_cpmix_car']
)
def test_cpmix_draws_both_images_of_a_pair(name):
    cfg = recipe(name)
    assert cfg.train_dataloader.sampler == dict(
        type='PairSampler', partners='confusion', pairing='pairs'
    )
    assert cfg.train_dataloader.batch_sampler.prob == 0.5
    assert cfg.model.train_cfg.augments == dict(type='CPMixBatchAugment', alpha=1.0, tau=1.0)


@pytest.mark.parametrize(('data', 'power'), [('cifar10_lt', 0.5), ('cifar100_lt', 0.9)])
def test_unimix_mixes_every_batch_of_64(data, power):
    cfg = recipe(f'{data}/resnet32_unimix_ir100')
    loader = cfg.train_dataloader
    assert (loader.sampler.partners, loader.batch_sampler.prob) == (power, 1.0)
    assert loader.batch_size == cfg.auto_scale_lr.base_batch_size == 64


@pytest.mark.parametrize('data', ['cifar10_lt', 'cifar100_lt'])
def test_ldam_drw(data):
    cfg = recipe(f'{data}/resnet32_ldam_drw_ir100')
    assert cfg.model.head.loss == dict(
        type='LDAMLoss', max_margin=0.5, scale=30.0, logit_scale=30.0
    )
    assert cfg.default_hooks.reweighting.start_epoch == 160
    assert cfg.train_cfg.max_epochs == 200


def test_car_vit_on_imagenet_lt():
    cfg = recipe('imagenet_lt/vit_small_car')
    first, crop = cfg.train_dataloader.dataset.pipeline[1:3]
    assert (first.scale, crop.scale, crop.crop_ratio_range) == (246, 224, (0.8, 1.0))
    assert 'ColorJitter' not in str(cfg.train_dataloader)
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        assert loader.dataset.pipeline[1].scale == 246
    assert 'drop_path_rate' not in cfg.model.backbone
    other = recipe('imagenet_lt/vit_small_concutmix_car')
    assert other.model.backbone == cfg.model.backbone
    for name in ('val_dataloader', 'test_dataloader'):
        assert other[name] == cfg[name]
    views = recipe('imagenet_lt/resnet50_concutmix').train_dataloader
    assert other.train_dataloader == {**views, 'batch_size': 16}
    assert 8 * 16 == other.auto_scale_lr.base_batch_size == cfg.auto_scale_lr.base_batch_size
    backbone = recipe('cifar100_lt/vit_small_p16_car_ir100').model.backbone
    assert (backbone.arch, backbone.img_size, backbone.patch_size) == ('deit-small', 224, 16)


def test_rand_augment_is_timms():
    view = recipe('imagenet_lt/resnext50_bcl').train_dataloader.dataset.pipeline[1]
    operations = view.transforms[0][-1].policies
    assert sorted(one.bits for one in operations if one.type == 'Posterize') == [3, 4]
    for kind in ('Rotate', 'Shear', 'Translate'):
        used = {one.interpolation for one in operations if one.type == kind}
        assert used == {'bilinear', 'bicubic'}
    assert len(operations) == 2 * 15


@pytest.mark.parametrize('name', ['imagenet_lt/resnet50_ce', 'imagenet_lt/resnext50_bcl'])
def test_photographs_are_resized_with_antialiasing(name):
    cfg = recipe(name)
    text = str(cfg.train_dataloader) + str(cfg.test_dataloader)
    assert text.count("'backend': 'pillow'") == text.count('RandomResizedCrop') + 1


@pytest.mark.parametrize('data', ['cifar10_lt', 'cifar100_lt'])
def test_variants_of_the_released_codes(data):
    view = recipe(f'{data}/resnet32_bcl_cutout_ir100').train_dataloader.dataset.pipeline[0]
    assert view.transforms[0][-1] == dict(type='ClippedCutout', size=16)
    assert (
        recipe(f'{data}/resnet32_concutmix_seed10_ir100').train_dataloader.dataset.dataset.seed
        == 10
    )


def test_inaturalist_contrasts_batches_of_128():
    for method in ('bcl', 'concutmix', 'concutmix_car'):
        cfg = recipe(f'inat2018/resnet50_{method}')
        assert cfg.train_dataloader.batch_size * 8 == cfg.auto_scale_lr.base_batch_size == 128
        assert cfg.optim_wrapper.accumulative_counts == 2


@pytest.mark.parametrize(
    ('name', 'epochs', 'width'),
    [
        ('imagenet_lt/vit_base_clip_{}', 10, 32),
        ('places_lt/vit_base_clip_{}', 10, 8),
        ('inat2018/vit_base_clip_{}', 20, 256),
        ('cifar100_lt/vit_base_clip_{}_ir100', 10, 4),
    ],
)
def test_lift(name, epochs, width):
    """Released code: utils/config.py, configs/model/clip_vit_b16.yaml, trainer.py (images), README,
    models/peft_vit.py (width by classes and layers)."""
    cfg = recipe(name.format('logit_adjustment'))
    assert width == 2 ** int(math.log2(cfg.num_classes / (2 * 12)))
    backbone, head = cfg.model.backbone, cfg.model.head
    assert (backbone.tune, backbone.width, backbone.scale) == ('adapter', width, None)
    assert (head.type, head.scale) == ('CosineClsHead', 25.0)
    assert head.loss == dict(type='LogitAdjustedLoss', tau=1.0)
    assert cfg.optim_wrapper.optimizer == dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=5e-4)
    assert cfg.auto_scale_lr.base_batch_size == cfg.train_dataloader.batch_size == 128
    assert cfg.train_cfg.max_epochs == cfg.param_scheduler.T_max == epochs
    pipeline = [part['type'] for part in cfg.train_dataloader.dataset.pipeline]
    expected = ['RandomResizedCrop', 'RandomFlip', 'PackInputs']
    assert [kind for kind in pipeline if kind != 'LoadImageFromFile'] == expected
    resize, crop = cfg.test_dataloader.dataset.pipeline[-3:-1]
    assert (resize.scale, crop.type, crop.crop_size) == (256, 'CenterCrop', 224)
    (resize,) = (part for part in cfg.tta_pipeline if part.type == 'ResizeEdge')
    assert (resize.scale, resize.backend) == (248, 'pillow')
    for other in ('logit_adjustment_car', 'cpmix', 'concutmix_car'):
        cfg = recipe(name.format(other))
        assert (cfg.train_cfg.max_epochs, cfg.model.backbone.width) == (epochs, width)
        assert cfg.train_dataloader.batch_size == 128
    assert cfg.model.head.cosine and cfg.model.head.get('scale') == 25.0


@pytest.mark.parametrize('weights', ['in21k', 'dinov2'])
def test_other_weights_change_the_network_and_its_pixels_alone(weights):
    for method in ('logit_adjustment', 'logit_adjustment_car', 'cpmix', 'concutmix_car'):
        one, other = (resolved(f'places_lt/vit_base_{w}_{method}') for w in ('clip', weights))
        found = differences(one, other)
        pixels = {'data_preprocessor.mean', 'data_preprocessor.std'}
        assert pixels < found
        assert all(p in pixels or p.startswith('model.backbone.backbone.') for p in found)
        assert other['model']['backbone']['backbone'] == other[weights]


def learning_rates(cfg):
    """That of each epoch, as MMEngine's schedulers set it."""
    optimizer = torch.optim.SGD(
        [torch.zeros(1, requires_grad=True)], lr=cfg.optim_wrapper.optimizer.lr
    )
    schedulers = [
        PARAM_SCHEDULERS.build(dict(part, optimizer=optimizer)) for part in cfg.param_scheduler
    ]
    for _ in range(cfg.train_cfg.max_epochs):
        yield optimizer.param_groups[0]['lr']
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()


@pytest.mark.parametrize(
    ('name', 'epochs', 'rate', 'decay'),
    [
        ('cifar100_lt/resnet34_ce_ir100', 200, 0.01, 5e-3),
        ('cifar100_lt/resnet34_over_smoothing_ir100', 20, 5e-4, 0),
        ('cifar10_lt/resnet32_over_smoothing_ir100', 20, 5e-4, 0),
    ],
)
def test_both_stages_of_over_smoothing(name, epochs, rate, decay):
    cfg = recipe(name)
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.momentum, optimizer.weight_decay) == (0.9, decay)
    assert cfg.train_dataloader.batch_size == cfg.auto_scale_lr.base_batch_size == 64
    cosine = [rate * (1 + math.cos(math.pi * epoch / epochs)) / 2 for epoch in range(epochs)]
    assert list(learning_rates(cfg)) == pytest.approx(cosine)
    smoothing = cfg.model.head.loss.get('label_smooth_val', 0)
    assert smoothing == (0.98 if 'over_smoothing' in name else 0)


# Of the released scripts of DDC: weight decay and rho.
STRONG = {
    'cifar100_lt/resnet32_ce_strong_ir100': (1e-4, 0.2),
    'cifar100_lt/resnet32_vs_strong_ir100': (2e-4, 0.3),
    'cifar10_lt/resnet32_ce_strong_ir100': (1e-4, 0.1),
    'cifar10_lt/resnet32_vs_strong_ir100': (2e-4, 0.1),
}


@pytest.mark.parametrize('name', STRONG)
def test_strong_recipes_are_ddcs(name):
    cfg = recipe(name)
    (sam,) = cfg.custom_hooks
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.weight_decay, sam.rho) == STRONG[name]
    assert (optimizer.type, optimizer.momentum) == ('SGD', 0.9)
    assert cfg.train_dataloader.batch_size == cfg.auto_scale_lr.base_batch_size == 128
    if '_vs_' in name:
        assert cfg.model.head.loss == dict(type='VSLoss', tau=1.0, gamma=0.05)
    released = []
    for epoch in range(1, 401):
        factor = 1e-4 if epoch > 360 else 1e-2 if epoch > 320 else epoch / 5 if epoch <= 10 else 1
        released.append(0.1 * factor)
    assert list(learning_rates(cfg)) == pytest.approx(released)


@pytest.mark.parametrize('data', ['cifar10_lt', 'cifar100_lt'])
def test_strong_recipes_augment_as_ddc(data):
    """AutoAugment and Cutout, on RGB images as CIFAR's are here."""
    cfg = recipe(f'{data}/resnet32_ce_strong_ir100')
    pipeline = cfg.train_dataloader.dataset.pipeline
    view = recipe(f'{data}/resnet32_bcl_ir100').train_dataloader.dataset.pipeline[0]
    assert pipeline[:-2] == view.transforms[0]
    assert pipeline[-3:-1] == [
        dict(type='CIFARAutoAugment', fill=128),
        dict(type='ClippedCutout', size=16),
    ]
    assert not cfg.data_preprocessor.to_rgb


@pytest.mark.parametrize('data', ['cifar10_lt', 'cifar100_lt'])
@pytest.mark.parametrize('method', ['bcl', 'concutmix'])
def test_strong_recipes_of_ours(data, method):
    cfg, plain = (recipe(f'{data}/resnet32_{method}{part}_ir100') for part in ('_strong', ''))
    assert cfg.optim_wrapper == plain.optim_wrapper
    assert cfg.custom_hooks[0].rho == STRONG[f'{data}/resnet32_vs_strong_ir100'][1]
    rates = list(learning_rates(cfg))
    assert len(rates) == 400 and max(rates) == pytest.approx(rates[9]) == pytest.approx(0.15)
    assert rates[10:] == sorted(rates[10:], reverse=True) and rates[-1] < 1e-4


@pytest.mark.parametrize('data', ['cifar10_lt', 'cifar100_lt'])
def test_proco(data):
    """Released code: sh/ProCo_CIFAR.sh and ProCo_cifar/main.py."""
    cfg = recipe(f'{data}/resnet32_proco_ir100')
    optimizer = dict(type='SGD', lr=0.3, momentum=0.9, weight_decay=2e-4)
    assert cfg.optim_wrapper.optimizer == optimizer
    loader = cfg.train_dataloader
    assert loader.batch_size == cfg.auto_scale_lr.base_batch_size == 256 and loader.drop_last
    rates = list(learning_rates(cfg))
    warm_up, levels = [0.06, 0.12, 0.18, 0.24, 0.3], [0.3] * 155 + [0.03] * 20 + [0.003] * 20
    assert rates == pytest.approx(warm_up + levels)
    classified, contrasted = loader.dataset.pipeline[0].transforms
    assert [part.type for part in classified] == [
        'RandomCrop',
        'RandomFlip',
        'CIFARAutoAugment',
        'ClippedCutout',
    ]
    assert contrasted[0] == dict(type='RandomResizedCrop', scale=32, crop_ratio_range=(0.08, 1.0))
    blurred = recipe(f'{data}/resnet32_bcl_ir100').train_dataloader.dataset.pipeline[0]
    assert contrasted[1:] == blurred.transforms[1][1:-1]
    assert blurred.transforms[1][-1].type == 'GaussianBlur'
    head = cfg.model.head
    assert (head.loss.tau, head.loss.loss_weight) == (1.0, 1.0)
    assert (head.loss_bcl.temperature, head.loss_bcl.loss_weight) == (0.1, 1.0)
