"""Every config is built and takes training steps, on tiny data with the layout of its own."""

from __future__ import annotations

import gc
import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

import mmlt  # noqa: F401
from tests.datasets import tiny_trees

CONFIGS = Path(__file__).parents[2] / 'configs'
LEAVES = sorted(
    str(path.relative_to(CONFIGS)) for path in CONFIGS.rglob('*.py') if '_base_' not in path.parts
)
STEPS = 2
# They share data, model and method with a sibling and differ in a number, or are a sibling on
# photographs less a part of its method; with the slow tests.
VARIANT = re.compile(
    r'_(ir50|ir10|400e|180e)[._]|^(imagenet_lt|inat2018|places_lt)/\w+_(bcl|concutmix)\.py'
)


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


def prepare(leaf, root, work_dir):
    cfg = Config.fromfile(CONFIGS / leaf)
    cfg.work_dir = str(work_dir)
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        loader = cfg[name]
        loader.update(num_workers=0, persistent_workers=False, batch_size=2 if 'vit' in leaf else 4)
        loader.setdefault('collate_fn', dict(type='default_collate'))
        for dataset in data_sets(loader):
            if 'data_root' in dataset:
                dataset.data_root = root
        if 'vit' not in leaf:
            shrink(loader, 32)
    if 'vit' not in leaf:
        shrink(cfg.data_preprocessor, 32)
    if cfg.model.backbone.get('init_cfg') and 'Pretrained' in str(cfg.model.backbone.init_cfg):
        cfg.model.backbone.init_cfg = None
    cfg.load_from = None
    return cfg


@pytest.fixture(autouse=True)
def lean_host(monkeypatch):
    """Spare a second per runner: asking compilers for versions, collecting garbage per data set."""
    monkeypatch.setattr(Runner, '_log_env', lambda runner, env_cfg: None)
    monkeypatch.setattr(gc, 'collect', lambda *args: 0)


@pytest.mark.parametrize(
    'leaf',
    [
        pytest.param(leaf, marks=pytest.mark.slow) if VARIANT.search(leaf) else leaf
        for leaf in LEAVES
    ],
)
def test_config_trains(leaf, trees, tmp_path):
    cfg = prepare(leaf, trees(leaf.split('/')[0]), tmp_path)
    cfg.experiment_name = leaf.replace('/', '_')[:-3] + '_test'
    with tiny_trees.without_md5():
        runner = Runner.from_cfg(cfg)
        stop = StopAfter()
        runner.register_hook(stop)
        with pytest.raises(EnoughSteps):
            runner.train()
    assert len(stop.losses) == STEPS
    assert all(torch.isfinite(torch.as_tensor(loss)) for loss in stop.losses)
    head = (CONFIGS / leaf).read_text().splitlines()[:3]
    assert all(line.startswith('# ') for line in head), 'the head says paper, command and hardware'
    assert leaf in head[1]


def sibling_of(leaf):
    same_numbers = re.sub(r'_ir(50|10)\b', '_ir100', re.sub(r'_(400e|180e)', '', leaf))
    if VARIANT.search(same_numbers):
        return re.sub(r'_(bcl|concutmix)\.py', '_concutmix_car.py', same_numbers)
    return same_numbers


@pytest.mark.slow
def test_a_variant_has_a_sibling_that_trains_above():
    for leaf in filter(VARIANT.search, LEAVES):
        sibling = sibling_of(leaf)
        assert sibling in LEAVES and not VARIANT.search(sibling)
        for name in ('type', 'backbone', 'neck'):
            assert Config.fromfile(CONFIGS / leaf).model.get(name) == Config.fromfile(
                CONFIGS / sibling
            ).model.get(name), leaf


def test_a_leaf_inherits_from_bases_only():
    for leaf in LEAVES:
        bases = Config._get_base_files(str(CONFIGS / leaf))
        assert all('_base_' in base for base in bases), leaf
