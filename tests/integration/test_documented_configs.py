"""The configs printed in README.md and docs/methods.md load, and build the model they promise."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest
from mmengine.config import Config
from mmpretrain.registry import MODELS

import mmlt  # noqa: F401

REPOSITORY = Path(__file__).parents[2]
PROMISED = {
    'LogitAdjustedLoss': 'LogitAdjustedLoss',
    'LDAMLoss': 'CosineClsHead',
    'CARLoss': 'CARLoss',
    'resnet50_concutmix_car': 'ContrastiveClsHead',
    'DeviceViewsDataPreprocessor': 'DeviceViewsDataPreprocessor',
    'CPMixBatchAugment': 'PairedDataPreprocessor',
    'RemixBatchAugment': 'ImageClassifier',
}


def python_blocks(page):
    text = (REPOSITORY / page).read_text(encoding='utf-8')
    return [textwrap.dedent(block)
            for block in re.findall(r'^ *```python\n(.*?)^ *```', text, re.DOTALL | re.MULTILINE)]


@pytest.fixture(scope='module')
def own_config(tmp_path_factory):
    """The own-data config of the README, as a file."""
    block, = [block for block in python_blocks('README.md') if 'mmpretrain::' in block]
    path = tmp_path_factory.mktemp('mine') / 'resnet50_logit_adjustment.py'
    path.write_text(block)
    return path


def test_the_own_data_config_of_the_readme_builds(own_config):
    cfg = Config.fromfile(own_config)
    model = MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor))
    assert type(model.head.loss_module).__name__ == 'LogitAdjustedLoss'
    assert model.head.num_classes == cfg.train_dataloader.dataset.num_classes == 34
    assert cfg.default_hooks.checkpoint.type == 'CheckpointHook'


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
