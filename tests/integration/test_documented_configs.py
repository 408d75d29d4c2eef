"""The configs printed in README.md and docs/methods.md load, and build the model they promise."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmpretrain.registry import MODELS
from PIL import Image

import mmlt  # noqa: F401

HOST_CONFIG = """
_base_ = 'mmpretrain::resnet/resnet18_8xb16_cifar10.py'
data = dict(
    num_workers=0, persistent_workers=False, batch_size=4,
    dataset=dict(_delete_=True, type='CustomDataset', data_root={folder!r}, pipeline=[
        dict(type='LoadImageFromFile'), dict(type='Resize', scale=32), dict(type='PackInputs')]))
train_dataloader = val_dataloader = test_dataloader = data
model = dict(head=dict(num_classes=3))
data_preprocessor = dict(num_classes=3)
train_cfg = dict(max_epochs=1)
"""
REPOSITORY = Path(__file__).parents[2]
PROMISED = {
    'LogitAdjustedLoss': 'LogitAdjustedLoss',
    'LDAMLoss': 'CosineClsHead',
    'frozen_stages': 'ResNet',
    'CARLoss': 'CARLoss',
    'resnet50_concutmix_car': 'ContrastiveClsHead',
    'DeviceViewsDataPreprocessor': 'DeviceViewsDataPreprocessor',
    'CPMixBatchAugment': 'PairedDataPreprocessor',
    'RemixBatchAugment': 'ImageClassifier',
}


def python_blocks(page):
    text = (REPOSITORY / page).read_text(encoding='utf-8')
    return [
        textwrap.dedent(block)
        for block in re.findall(r'^ *```python\n(.*?)^ *```', text, re.DOTALL | re.MULTILINE)
    ]


@pytest.fixture(scope='module')
def own_config(tmp_path_factory):
    """The own-data config of the README, as a file."""
    (block,) = [block for block in python_blocks('README.md') if 'mmpretrain::' in block]
    path = tmp_path_factory.mktemp('mine') / 'resnet50_logit_adjustment.py'
    path.write_text(block)
    return path


def test_the_own_data_config_of_the_readme_builds(own_config):
    cfg = Config.fromfile(own_config)
    model = MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor))
    assert type(model.head.loss_module).__name__ == 'LogitAdjustedLoss'
    assert model.head.num_classes == cfg.train_dataloader.dataset.num_classes == 34
    assert cfg.default_hooks.checkpoint.type == 'CheckpointHook'


@pytest.fixture
def project_of_the_host(tmp_path):
    """A stock config of MMPretrain on a folder of images: what a user has before."""
    generator = np.random.default_rng(0)
    for name, number in (('bee', 6), ('cat', 3), ('emu', 1)):
        (tmp_path / 'images' / name).mkdir(parents=True)
        for n in range(number):
            pixels = generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / 'images' / name / f'{n}.png')
    path = tmp_path / 'before.py'
    path.write_text(HOST_CONFIG.format(folder=str(tmp_path / 'images')))
    return path


def run(path, lines):
    after = path.with_name('after.py')
    after.write_text(f"_base_ = './{path.name}'\n{lines}")
    cfg = Config.fromfile(after)
    cfg.work_dir, cfg.log_level = str(path.parent / 'run'), 'WARNING'
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


def test_the_first_lines_of_the_readme_are_all_that_a_project_needs(project_of_the_host):
    runner = run(project_of_the_host, python_blocks('README.md')[0])
    assert runner.model.head.loss_module.class_counts.tolist() == [6, 3, 1]
    assert {'long_tail/top1', 'long_tail/few_shot'} <= set(runner.test())


def test_cpmix_within_the_batch_in_a_project_of_the_host(project_of_the_host):
    hooks = python_blocks('docs/methods.md')[0]
    runner = run(
        project_of_the_host,
        hooks
        + """
default_hooks.update(confusion=dict(type='EMAConfusionHook'))
model = dict(train_cfg=dict(augments=dict(type='CPMixBatchAugment', alpha=1.0, tau=1.0)))
""",
    )
    (augment,) = runner.model.data_preprocessor.batch_augments.augments
    assert augment.class_counts.tolist() == [6, 3, 1]


def test_the_second_stage_of_crt_trains_the_classifier_alone(project_of_the_host):
    first = run(project_of_the_host, '')
    (lines,) = (block for block in python_blocks('docs/methods.md') if 'frozen_stages' in block)
    lines = lines.replace(
        'work_dirs/resnet50_ce/epoch_100.pth', f'{first.work_dir}/epoch_1.pth'
    ).replace('max_epochs=10', 'max_epochs=1')
    second = run(project_of_the_host, lines)
    for (name, before), after in zip(
        first.model.backbone.state_dict().items(),
        second.model.backbone.state_dict().values(),
        strict=True,
    ):
        assert torch.equal(before, after), name
    assert not torch.equal(first.model.head.fc.weight, second.model.head.fc.weight)


@pytest.mark.parametrize('name', PROMISED)
def test_the_lines_of_a_method_merge_into_it(own_config, name, tmp_path):
    block = next(block for block in python_blocks('docs/methods.md') if name in block)
    if '_base_ = ' in block:
        block = block.replace("'../", f"'{REPOSITORY / 'configs'}/")
    else:
        block = f"_base_ = '{own_config}'\n{block}"
    path = tmp_path / 'method.py'
    path.write_text(block)
    cfg = Config.fromfile(path)
    model = MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor))
    parts = {type(part).__name__ for part in model.modules()}
    assert PROMISED[name] in parts
    assert cfg.default_hooks.class_counts.type == 'ClassCountsHook'
