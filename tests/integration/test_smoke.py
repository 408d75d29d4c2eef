"""Does the project work on this stack: everything registers, builds, trains, resumes, tests.

Needs pytest and the stack only, since ``make test-onedl`` runs this file in an environment of its
own.
"""

from __future__ import annotations

import inspect
import json

import mmpretrain.registry
import numpy as np
import pytest
import torch
from mmengine.registry import Registry

import mmlt
from mmlt.datasets.feature_files import FeatureFile, FeatureSplit, write_features
from tests.digits_runner import CONFIGS
from tests.tools.load_tool import load_tool

run_train = load_tool('train.py').main
run_test = load_tool('test.py').main

OPTIONS = {
    'BCLNeck': dict(in_channels=8),
    'CARLoss': dict(criterion=dict(type='CrossEntropyLoss')),
    'CIFAR100LT': dict(data_root='nowhere', lazy_init=True),
    'CIFAR10LT': dict(data_root='nowhere', lazy_init=True),
    'ConfusionPairCounts': dict(num_classes=4),
    'ContrastiveClsHead': dict(num_classes=4, in_channels=8),
    'CosineClsHead': dict(num_classes=4, in_channels=8),
    'DeferredReweightingHook': dict(start_epoch=1),
    'IdentityBackbone': dict(channels=4),
    'ImageNetLT': dict(data_root='nowhere', lazy_init=True),
    'INaturalist2018': dict(data_root='nowhere', lazy_init=True),
    'LongTailDataset': dict(dataset=dict(type='DigitsLT'), imbalance_ratio=10),
    'LongTailListDataset': dict(data_root='nowhere', ann_file='nowhere.txt', lazy_init=True),
    'MultiExpertClsHead': dict(num_classes=4, in_channels=8),
    'MultiViewClassifier': dict(backbone=dict(type='CIFARResNet', depth=8)),
    'PairedDataset': dict(dataset=dict(type='DigitsLT')),
    'PlacedCrop': dict(crop_size=4),
    'PlacesLT': dict(data_root='nowhere', lazy_init=True),
    'ProCoLoss': dict(num_classes=4, embedding_channels=16),
    'TunedBackbone': dict(
        backbone=dict(
            type='VisionTransformer',
            arch=dict(embed_dims=8, num_layers=1, num_heads=1, feedforward_channels=8),
            img_size=4,
            patch_size=2,
        )
    ),
}


def registered():
    """Name -> registry and class, of every class of mmlt in the host's registries."""
    registries = [
        value for value in vars(mmpretrain.registry).values() if isinstance(value, Registry)
    ]
    return {
        name: (registry, cls)
        for registry in registries
        for name, cls in registry.module_dict.items()
        if inspect.isclass(cls) and cls.__module__.startswith('mmlt.')
    }


def needed_objects(name, folder):
    """Arguments that are objects rather than options."""
    if name == 'CPUAutocastOptimWrapper':
        return dict(optimizer=torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1))
    if name == 'FeaturesLT':
        split = FeatureSplit(np.zeros((2, 4), np.float16), np.array([0, 1]), ('', ''))
        network = dict(name='N', backbone='{}', sha256='0' * 64)
        file = FeatureFile(dict(train=split, val=split, test=split), ('a', 'b'), network)
        write_features(folder / 'features.npz', file)
        return dict(file=str(folder / 'features.npz'))
    if name in ('PairSampler', 'ClassBalancedSampler', 'PairBatchSampler'):
        digits = mmlt.datasets.DigitsLT()
        if name != 'PairBatchSampler':
            return dict(dataset=digits, seed=0)
        return dict(sampler=mmlt.datasets.samplers.PairSampler(digits, seed=0), batch_size=8)
    return {}


@pytest.mark.parametrize('name', sorted(registered()))
def test_builds(name, tmp_path):
    """One that needs options has them in the table above."""
    registry, cls = registered()[name]
    built = registry.build(
        dict(type=name, **OPTIONS.get(name, {}), **needed_objects(name, tmp_path))
    )
    assert isinstance(built, cls)


def test_the_host_knows_the_parts_of_the_documentation():
    assert {
        'CIFARResNet',
        'LogitAdjustedLoss',
        'LDAMLoss',
        'DigitsLT',
        'LongTailDataset',
        'ClassBalancedSampler',
        'PairSampler',
        'ClassCountsHook',
        'LongTailMetric',
    } <= set(registered())


def arguments(work_dir, epochs, *options):
    """For tools/train.py; runs of one process need names of their own."""
    return [
        '--work-dir',
        str(work_dir),
        '--cfg-options',
        f'train_cfg.max_epochs={epochs}',
        'train_cfg.val_interval=1',
        f'experiment_name=smoke_{work_dir.name}_{epochs}',
        *options,
    ]


def last_validation(work_dir):
    """Figures in the newest line of the newest log."""
    log = sorted(work_dir.glob('*/vis_data/scalars.json'))[-1]
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return {
        name: value
        for name, value in [line for line in lines if 'long_tail/top1' in line][-1].items()
        if name.startswith('long_tail/')
    }


@pytest.mark.parametrize(
    'leaf', ['resnet8_ce', pytest.param('resnet8_logit_adjustment', marks=pytest.mark.slow)]
)
def test_trains_saves_resumes_and_tests(tmp_path, leaf):
    config, work_dir = str(CONFIGS / 'digits_lt' / f'{leaf}.py'), tmp_path / leaf
    first = run_train([config, *arguments(work_dir, 2)])
    assert first.epoch == 2
    steps = len(first.train_dataloader)
    resumed = run_train([config, '--resume', *arguments(work_dir, 3)])
    assert (resumed.epoch, resumed.iter) == (3, 3 * steps)
    if hasattr(torch.serialization, 'add_safe_globals'):  # since torch 2.4
        state = torch.load(work_dir / 'epoch_3.pth', weights_only=True)
        assert state['meta']['iter'] == 3 * steps

    out = tmp_path / 'figures.json'
    figures = run_test(
        [
            config,
            str(work_dir / 'epoch_3.pth'),
            '--work-dir',
            str(tmp_path / 'test'),
            '--out',
            str(out),
            '--out-item',
            'metrics',
            '--cfg-options',
            f'experiment_name=smoke_test_{leaf}',
        ]
    )
    expected = last_validation(work_dir)
    assert set(expected) > {'long_tail/few_shot', 'long_tail/worst_class'}
    assert {name: figures[name] for name in expected} == pytest.approx(expected, abs=1e-3)
    assert json.loads(out.read_text()) == pytest.approx(figures)
