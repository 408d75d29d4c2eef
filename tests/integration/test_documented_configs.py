"""The configs that README and documentation print load, build what they promise, and train."""

from __future__ import annotations

import inspect
import re

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmpretrain.registry import DATA_SAMPLERS, DATASETS, HOOKS, METRICS, MODELS
from PIL import Image

import mmlt  # noqa: F401
from tests.conftest import REPOSITORY
from tests.docs.blocks import PAGES, python_blocks

README = python_blocks('README.md')
OWN_DATA = python_blocks('docs/own_data.md')
# Configs that stand alone, by page and number of the block.
CONFIGS = {
    f'{page}-{number}': block
    for page in PAGES
    for number, block in enumerate(python_blocks(page))
    if '_base_ = ' in block and 'my_project' not in block
}
ON_A_PROJECT = [name for name, block in CONFIGS.items() if "['mmpretrain::" in block]
# Those that put data of the user's own in the place of the data of a recipe.
REPLACED_DATA = {name: block for name, block in CONFIGS.items() if "ann_file='train.txt'" in block}
# What they promise: a part that the model, or the training loader, must have.
PROMISED = {
    'README.md': 'LogitAdjustedLoss',
    'docs/own_data.md': 'LogitAdjustedLoss',
    'docs/which_method.md': 'CPMixBatchAugment',
    'docs/methods/logit_adjustment.md': 'LinearClsHead',
    'docs/methods/ldam_drw.md': 'LDAMLoss',
    'docs/methods/class_balanced.md': 'LinearClsHead',
    'docs/methods/two_stages.md': 'ResNet',
    'docs/methods/car.md': 'CARLoss',
    'docs/methods/bcl.md': 'BalancedContrastiveLoss',
    'docs/methods/concutmix.md': 'ConCutMixAugment',
    'docs/methods/cpmix.md': 'CPMixBatchAugment',
    'docs/methods/remix_cmo_unimix.md': 'BatchAugment',
    'docs/methods/experts.md': 'CIFARResNetStage',
    'docs/methods/parameter_efficient.md': 'LoRALinear',
}
# Each way to switch something on, trained in the fast suite; the others are slow.
TRAINED_FAST = (
    'docs/methods/car.md-0',
    'docs/methods/cpmix.md-0',
    'docs/methods/cpmix.md-1',
    'docs/which_method.md-0',
)
PROJECT = """
_base_ = 'mmpretrain::resnet/resnet18_8xb16_cifar10.py'
data = dict(
    num_workers=0, persistent_workers=False, batch_size=4,
    dataset=dict(_delete_=True, type='CustomDataset', data_root={folder!r}, pipeline=[
        dict(type='LoadImageFromFile'), dict(type='Resize', scale=32), dict(type='PackInputs')]))
train_dataloader = val_dataloader = test_dataloader = data
model = dict(
    backbone=dict(stem_channels=8, base_channels=8), head=dict(num_classes=3, in_channels=64))
data_preprocessor = dict(num_classes=3)
train_cfg = dict(max_epochs=1)
"""


def load(block, folder):
    """A block as a config file, beside that of the page on own data."""
    block = block.replace("'mmlt::", f"'{REPOSITORY / 'configs'}/")
    (folder / 'resnet50_logit_adjustment.py').write_text(OWN_DATA[0])
    path = folder / 'shown.py'
    path.write_text(block)
    return Config.fromfile(path)


def check_options(config, registry):
    """Every option that a config gives to a class of ours exists there."""
    registered = registry.get(config['type'])
    assert registered is not None, config['type']
    if registered.__module__.startswith('mmlt'):
        options = {name: value for name, value in config.items() if name != 'type'}
        inspect.signature(registered).bind_partial(**options)


def test_every_page_of_a_method_shows_a_config():
    pages = {name.rsplit('-', 1)[0] for name in CONFIGS}
    assert {page for page in PAGES if page.startswith('docs/methods/')} <= pages
    assert set(PROMISED) <= pages


@pytest.mark.parametrize('name', CONFIGS)
def test_a_shown_config_builds(name, tmp_path):
    cfg = load(CONFIGS[name], tmp_path)
    if cfg.model.backbone.type == 'TunedBackbone':  # a small one, without the file of its weights
        small = dict(embed_dims=32, num_layers=2, num_heads=2, feedforward_channels=64)
        cfg.model.backbone.backbone.update(arch=small, init_cfg=None)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor))
    assert cfg.default_hooks.long_tail.type == 'LongTailHook'
    assert 'mmlt' in cfg.custom_imports['imports']
    for hook in cfg.default_hooks.values():
        check_options(hook, HOOKS)
    for part, registry in (
        ('sampler', DATA_SAMPLERS),
        ('batch_sampler', DATA_SAMPLERS),
        ('dataset', DATASETS),
    ):
        if part in cfg.train_dataloader:
            check_options(cfg.train_dataloader[part], registry)
    check_options(cfg.val_evaluator, METRICS)

    augments = getattr(model.data_preprocessor, 'batch_augments', None)
    parts = [*model.modules(), *(augments.augments if augments else ())]
    names = ' '.join(type(part).__name__ for part in parts)
    assert PROMISED.get(name.rsplit('-', 1)[0], '') in names


@pytest.mark.parametrize('name', REPLACED_DATA)
def test_a_config_for_own_data_replaces_all_of_the_data(name, tmp_path):
    cfg = load(REPLACED_DATA[name], tmp_path)
    numbers = [cfg.model.head.num_classes, cfg.data_preprocessor.num_classes]
    for which in ('train', 'val', 'test'):
        dataset = cfg[f'{which}_dataloader'].dataset
        dataset = dataset.get('dataset', dataset)  # of pairs
        numbers.append(dataset.num_classes)
        assert dataset.ann_file == f'{which}.txt' and dataset.pipeline
        assert (dataset.type, dataset.data_root) == ('LongTailListDataset', 'data/mine')
    assert set(numbers) == {34}
    assert cfg.default_hooks.checkpoint.type == 'CheckpointHook'


@pytest.fixture
def project(tmp_path):
    """A config of MMPretrain on a folder of images: what a user has before."""
    generator = np.random.default_rng(0)
    for name, number in (('bee', 6), ('cat', 3), ('emu', 1)):
        (tmp_path / 'images' / name).mkdir(parents=True)
        for n in range(number):
            pixels = generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / 'images' / name / f'{n}.png')
    path = tmp_path / 'project.py'
    path.write_text(PROJECT.format(folder=str(tmp_path / 'images')))
    return path


def train(project, block, save=False):
    """Train the project for an epoch with the lines of a block on top."""
    block = re.sub(r'^_base_ = .*$', f"_base_ = ['./{project.name}']", block, flags=re.MULTILINE)
    path = project.with_name('shown.py')
    path.write_text(block.replace('num_classes=34', 'num_classes=3'))
    cfg = Config.fromfile(path)
    cfg.work_dir, cfg.log_level = str(project.parent / 'run'), 'WARNING'
    cfg.train_cfg.max_epochs = 1
    cfg.default_hooks.checkpoint.update(interval=1 if save else -1, save_last=save)
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


def test_the_lines_of_the_readme_are_all_that_a_project_needs(project):
    runner = train(project, README[0] + README[1])
    assert runner.model.head.loss_module.class_counts.tolist() == [6, 3, 1]
    assert {'long_tail/top1', 'long_tail/few_shot'} <= set(runner.test())


@pytest.mark.parametrize(
    'name',
    [
        pytest.param(name, marks=() if name in TRAINED_FAST else pytest.mark.slow)
        for name in ON_A_PROJECT
        if not name.startswith(('README', 'docs/own_data', 'docs/methods/two_stages'))
    ],
)
def test_a_shown_config_trains_a_project(name, project):
    runner = train(project, CONFIGS[name])
    assert runner.iter == 3
    assert all(value.isfinite().all() for value in runner.model.state_dict().values())


def test_the_second_stage_of_crt_trains_the_classifier_alone(project):
    first = train(project, "_base_ = ['']\n", save=True)
    weights = f'{first.work_dir}/epoch_1.pth'
    again, over_smoothed = (
        train(project, block.replace('work_dirs/resnet50_ce/epoch_100.pth', weights))
        for block in python_blocks('docs/methods/two_stages.md')
    )
    for (name, before), after in zip(
        first.model.backbone.state_dict().items(),
        again.model.backbone.state_dict().values(),
        strict=True,
    ):
        assert torch.equal(before, after), name
    assert not torch.equal(first.model.head.fc.weight, again.model.head.fc.weight)
    # The classifier goes on from the first stage, by small steps.
    moved = over_smoothed.model.head.fc.weight - first.model.head.fc.weight
    assert 0 < moved.abs().max() < 0.01
    assert over_smoothed.model.head.loss_module.label_smooth_val == 0.98
