"""Recipes are built and take training steps, on tiny data with the layout of their own.

A recipe trains among the fast tests if it brings a setting or a method that no other brings; the
rest are made of the same parts with other numbers, and train among the slow tests.
"""

from __future__ import annotations

import gc

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from tests.configs.recipes import CONFIGS, RECIPES, resolved, settings
from tests.datasets import tiny_trees
from tests.models.tuned import write_base

STEPS = 2
TRAINED = [
    # every method
    *(recipe for recipe in RECIPES if recipe.startswith('digits_lt/')),
    'cifar10_lt/resnet32_cpmix_experts_ir100',
    # every data set, pipeline, backbone and schedule
    'cifar10_lt/resnet32_proco_ir100',
    'cifar10_lt/resnet32_concutmix_car_15e_ir100',
    'cifar10_lt/resnet32_concutmix_car_device_images_ir100',
    'cifar10_lt/vit_small_car_ir100',
    'cifar100_lt/resnet32_balpoe_ir100',
    'cifar100_lt/resnet32_cmo_drw_ir100',
    'cifar100_lt/resnet32_ce_ir10',
    'cifar100_lt/resnet32_vs_strong_ir100',
    'cifar100_lt/resnet32_concutmix_seed10_ir100',
    'cifar100_lt/vit_small_p16_car_ir100',
    'cifar100_lt/wide_resnet32_ce_ir100',
    'cifar10_lt/resnet32_crt_ir100',
    'cifar100_lt/resnet34_over_smoothing_ir100',
    'imagenet_lt/resnet50_ce',
    'imagenet_lt/resnext50_concutmix_car_device_views',
    'cifar100_lt/vit_base_clip_concutmix_car_ir100',
    'imagenet_lt/vit_small_car_finetune',
    'imagenet_lt/vit_base_clip_logit_adjustment',
    'imagenet_lt/vit_base_dinov2_logit_adjustment_car',
    'inat2018/vit_base_in21k_cpmix',
    'places_lt/convnext_tiny_logit_adjustment_car_finetune',
    'places_lt/convnext_tiny_logit_adjustment_finetune',
    'inat2018/resnet50_ce',
    'places_lt/resnet152_concutmix',
]


class EnoughSteps(Exception):
    """Raised by the hook below: the config has shown that it trains."""


class StopAfter(Hook):
    priority = 'LOWEST'

    def before_train(self, runner):
        self.losses = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.losses.append(outputs['loss'])
        if len(self.losses) == STEPS:
            raise EnoughSteps


@pytest.fixture(scope='session')
def trees(tmp_path_factory):
    """Makes the tree of a data set when its first config asks for it."""
    makers = {
        'cifar10_lt': lambda root: tiny_trees.make_cifar10(root, per_class=100),
        'cifar100_lt': lambda root: tiny_trees.make_cifar100(root, per_class=100),
        'imagenet_lt': tiny_trees.make_imagenet_lt,
        'places_lt': tiny_trees.make_places_lt,
        'inat2018': tiny_trees.make_inat2018,
        'digits_lt': lambda root: None,
    }
    made = {}

    def tree(name):
        if name not in made:
            made[name] = makers[name](tmp_path_factory.mktemp(name))
        return made[name]

    return tree


def data_sets(loader):
    """The data set config of a loader and what it wraps."""
    dataset = loader.dataset
    while dataset is not None:
        yield dataset
        dataset = dataset.get('dataset')


def shrink(node, size):
    """Images of 32 pixels are enough to see a convolutional network train."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ('scale', 'crop_size', 'view_size') and value == 224:
                node[key] = size
            else:
                shrink(value, size)
    elif isinstance(node, (list, tuple)):
        for value in node:
            shrink(value, size)


def shrink_tuned(cfg, folder):
    """A small transformer of the same form, with random weights in a file."""
    inside = cfg.model.backbone.backbone
    inside.arch = dict(embed_dims=32, num_layers=2, num_heads=2, feedforward_channels=64)
    options = {key: value for key, value in inside.items() if key != 'init_cfg'}
    inside.init_cfg.update(
        write_base(folder / 'weights.pth', **options, prefix=inside.init_cfg.prefix)
    )
    cfg.model.backbone.width = 4
    cfg.model.head.in_channels = 32
    if cfg.model.get('neck') is not None:
        cfg.model.neck.in_channels = 32


def prepare(recipe, root, work_dir):
    cfg = Config.fromfile(CONFIGS / f'{recipe}.py')
    cfg.work_dir = str(work_dir)
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        loader = cfg[name]
        size = 2 if 'vit' in recipe else 4
        loader.update(num_workers=0, persistent_workers=False, batch_size=size)
        loader.setdefault('collate_fn', dict(type='default_collate'))
        for dataset in data_sets(loader):
            if 'data_root' in dataset:
                dataset.data_root = root
        if 'vit' not in recipe:
            shrink(loader, 32)
    if 'vit' not in recipe:
        shrink(cfg.data_preprocessor, 32)
    backbone = cfg.model.backbone
    if backbone.type == 'TunedBackbone':
        shrink_tuned(cfg, work_dir)
    if backbone.get('arch') == 'deit-small':  # two blocks are as good as twelve
        backbone.arch = dict(embed_dims=384, num_layers=2, num_heads=6, feedforward_channels=384)
    if 'Pretrained' in str(backbone.get('init_cfg')):
        backbone.init_cfg = None
    if backbone.get('depth') == 152:
        backbone.depth = 50
    cfg.load_from = None
    cfg.experiment_name = recipe.replace('/', '_') + '_test'
    return cfg


@pytest.fixture(autouse=True)
def no_collected_garbage(monkeypatch):
    """Each data set of MMEngine collects it, which takes longer than its few images."""
    monkeypatch.setattr(gc, 'collect', lambda *args: 0)


@pytest.mark.parametrize(
    'recipe',
    [
        recipe if recipe in TRAINED else pytest.param(recipe, marks=pytest.mark.slow)
        for recipe in RECIPES
    ],
)
def test_recipe_trains(recipe, trees, tmp_path):
    cfg = prepare(recipe, trees(recipe.split('/')[0]), tmp_path)
    with tiny_trees.without_md5():
        runner = Runner.from_cfg(cfg)
        stop = StopAfter()
        runner.register_hook(stop)
        with pytest.raises(EnoughSteps):
            runner.train()
    assert len(stop.losses) == STEPS
    assert all(torch.isfinite(torch.as_tensor(loss)) for loss in stop.losses)


def parts(recipe):
    """Settings of a recipe with numbers and paths blurred, and its method as a whole."""
    cfg = resolved(recipe)
    # Schedules of one optimiser differ in numbers and in the classes of their phases.
    keys = ('model', 'data_preprocessor', 'default_hooks', 'optim_wrapper', 'param_scheduler')
    keys += ('train_dataloader', 'val_dataloader', 'test_dataloader')
    for path, value in settings({key: cfg[key] for key in keys}):
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            value = 'a number'
        # Accumulated gradients are MMEngine's, with 8,142 classes too slow for the fast tests.
        if not path.endswith(('data_root', '.checkpoint', 'accumulative_counts')):
            # In a pair or alone a data set is the same, and so is a transform of one view.
            path = path.replace('dataset.dataset', 'dataset').replace('.transforms[][]', '')
            yield path, value
    model = {key: value for key, value in cfg['model'].items() if key != 'backbone'}
    loader = cfg['train_dataloader']
    method = (model, loader['sampler'], loader.get('batch_sampler'))
    yield (
        'method',
        frozenset(
            value
            for path, value in settings(method)
            if path.endswith('type') and 'init_cfg' not in path
        ),
    )


def test_what_trains_here_has_every_part_of_the_rest():
    seen = {part for recipe in TRAINED for part in parts(recipe)}
    missing = {recipe: set(parts(recipe)) - seen for recipe in RECIPES}
    assert not {recipe: found for recipe, found in missing.items() if found}


@pytest.mark.parametrize('recipe', RECIPES)
def test_the_head_of_a_recipe_says_paper_command_and_hardware(recipe):
    head = (CONFIGS / f'{recipe}.py').read_text().splitlines()[:3]
    assert all(line.startswith('# ') for line in head)
    assert f'configs/{recipe}.py' in head[1]
