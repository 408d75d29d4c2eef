"""MMPretrain's own configs with our lines on top, as a user writes them: built and trained."""

from __future__ import annotations

import pytest
from mmengine.config import Config
from mmengine.runner import Runner
from mmpretrain.registry import MODELS

import mmlt  # noqa: F401
from tests.datasets.tiny_trees import make_image_folder

COUNTS = (6, 3, 1)
SIZE = 64
# Config, channels of its features (for the neck of BCL), whether it says `neck` (None included,
# which `_delete_=True` replaces as well), and what makes the backbone small.
STOCK = {
    'resnet': ('resnet/resnet18_8xb32_in1k.py', 512, True, {}),
    'resnext': ('resnext/resnext50-32x4d_8xb32_in1k.py', 2048, True, {}),
    'mobilenet_v3': ('mobilenet_v3/mobilenet-v3-small_8xb128_in1k.py', 576, True, {}),
    'efficientnet': ('efficientnet/efficientnet-b0_8xb32_in1k.py', 1280, True, {}),
    'swin': (
        'swin_transformer/swin-tiny_16xb64_in1k.py',
        768,
        True,
        dict(img_size=SIZE, pad_small_map=True),
    ),
    'convnext': ('convnext/convnext-tiny_32xb128_in1k.py', 768, False, {}),
    'deit': ('deit/deit-tiny_4xb256_in1k.py', 192, True, dict(img_size=SIZE)),
    'distilled deit': ('deit/deit-tiny-distilled_4xb256_in1k.py', 192, True, dict(img_size=SIZE)),
    'conformer': ('conformer/conformer-tiny-p16_8xb128_in1k.py', 384, True, {}),
    'beit': (
        'beit/benchmarks/beit-base-p16_8xb128-coslr-100e_in1k.py',
        768,
        True,
        dict(img_size=SIZE, init_cfg=None),
    ),
    'levit': ('levit/levit-128s_8xb256_in1k.py', 384, True, dict(img_size=SIZE)),
    # SyncBN, which this config has, trains on GPUs only.
    'rsb-a1': (
        'resnet/resnet50_8xb256-rsb-a1-600e_in1k.py',
        2048,
        True,
        dict(norm_cfg=dict(type='BN')),
    ),
    'csra': ('csra/resnet101-csra_1xb16_voc07-448px.py', 2048, True, dict(depth=50, init_cfg=None)),
}
# LeViT's stock head stops training, with or without us, unless this is said.
HEADS = {'levit': 'distillation=False, '}
LINES = {
    'LogitAdjustedLoss': """
model = dict(head=dict(num_classes=3, {head}loss=dict(
    _delete_=True, type='LogitAdjustedLoss', label_smooth_val=0.1)))
""",
    'CARLoss': """
model = dict(head=dict(num_classes=3, {head}loss=dict(
    _delete_=True, type='CARLoss', criterion=dict(type='CrossEntropyLoss'))))
""",
    'CPMixBatchAugment': """
model = dict(
    head=dict(num_classes=3, {head}loss=dict(_delete_=True, type='CrossEntropyLoss')),
    train_cfg=dict(augments=[dict(type='CPMixBatchAugment')]))
""",
    'ConCutMixAugment': """
data_preprocessor.update(type='PairedDataPreprocessor')
train_dataloader.update(
    dataset=dict(_delete_=True, type='PairedDataset', dataset=views),
    sampler=dict(_delete_=True, type='PairSampler', partners='balanced'),
    batch_sampler=dict(type='PairBatchSampler', prob=0.5))
model = dict(
    type='MultiViewClassifier',
    neck=dict({neck}type='BCLNeck', in_channels={channels}, out_channels=16),
    head=dict(_delete_=True, type='ContrastiveClsHead', num_classes=3, in_channels={channels},
              embedding_channels=16),
    train_cfg=dict(augments=[dict(type='ConCutMixAugment')]))
""",
    'ClassBalancedSampler': """
model = dict(head=dict({head}num_classes=3))
train_dataloader.update(sampler=dict(_delete_=True, type='ClassBalancedSampler'))
""",
}
# The three lines of every user, and what makes a run small.
DATA = """
_base_ = ['mmpretrain::{config}']
custom_imports = dict(imports=['mmlt'])
default_hooks = dict(long_tail=dict(type='LongTailHook'))
load, size = dict(type='LoadImageFromFile'), dict(type='Resize', scale=({size}, {size}))
images = dict(type='CustomDataset', data_root={folder!r},
              pipeline=[load, size, dict(type='PackInputs')])
views = dict(images, pipeline=[load, dict(type='MultiView', num_views=3, transforms=[[size]]),
                               dict(type='PackInputs')])
train_dataloader = dict(batch_size=4, num_workers=0, persistent_workers=False,
                        dataset=dict(images, _delete_=True))
val_dataloader = val_evaluator = val_cfg = param_scheduler = None
data_preprocessor = dict(num_classes=3)
train_cfg = dict(by_epoch=True, max_epochs=1)
"""
# Several outputs of the backbone at once.
SEVERAL = ('distilled deit', 'conformer')


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    return make_image_folder(tmp_path_factory.mktemp('images'), COUNTS)


def config_of(tmp_path, images, name, method, more=''):
    """The config of a user, small; ``more`` is written at its end."""
    config, channels, says_neck, backbone = STOCK[name]
    lines = LINES[method].format(
        head=HEADS.get(name, ''), neck='_delete_=True, ' if says_neck else '', channels=channels
    )
    data = DATA.format(config=config, folder=str(images), size=SIZE)
    path = tmp_path / 'config.py'
    path.write_text(f'{data}{lines}model.update(backbone=dict({backbone!r}))\n{more}')
    cfg = Config.fromfile(path)
    cfg.work_dir, cfg.log_level = str(tmp_path / 'run'), 'WARNING'
    # Without warm-up, on a dozen tiny images, gradients overflow inside LeViT for some seeds.
    cfg.randomness = dict(seed=0)
    cfg.experiment_name = f'{tmp_path.parent.name}_{tmp_path.name}'
    cfg.default_hooks.checkpoint.update(interval=-1, save_last=False)
    return cfg


def train(cfg):
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert runner.iter == len(runner.train_dataloader)
    state = runner.model.state_dict()
    assert all(value.isfinite().all() for value in state.values() if value.is_floating_point())


@pytest.mark.parametrize(
    'name, method',
    [
        ('swin', 'CPMixBatchAugment'),
        ('swin', 'ConCutMixAugment'),
        ('convnext', 'ConCutMixAugment'),
        ('resnet', 'CPMixBatchAugment'),
    ],
)
def test_our_lines_merge_with_configs_that_mix_and_that_do_not(name, method, tmp_path, images):
    cfg = config_of(tmp_path, images, name, method)
    assert [augment.type for augment in cfg.model.train_cfg.augments] == [method]
    if name == 'resnet':
        MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor))


@pytest.mark.slow
@pytest.mark.parametrize('method', LINES)
@pytest.mark.parametrize('name', [name for name in STOCK if name != 'csra'])
def test_our_lines_train_a_stock_config(name, method, tmp_path, images):
    cfg = config_of(tmp_path, images, name, method)
    if method == 'ConCutMixAugment' and name in SEVERAL:
        with pytest.raises(ValueError, match=r'expected one output .* got 2 together'):
            train(cfg)
        return
    train(cfg)


@pytest.mark.slow
def test_a_distilled_transformer_takes_bcl_as_the_message_says(tmp_path, images):
    more = "model['backbone'].update(out_type='avg_featmap')\n"
    train(config_of(tmp_path, images, 'distilled deit', 'ConCutMixAugment', more))


SMALL = "model['backbone'].update(base_channels=8, stem_channels=8)\n"


@pytest.mark.parametrize(
    'name, method, more, message',
    [
        (
            'resnet',
            'ConCutMixAugment',
            "model['type'] = 'ImageClassifier'\n" + SMALL,
            "model.type: expected 'MultiViewClassifier', got 'ImageClassifier'",
        ),
        (
            'resnet',
            'ClassBalancedSampler',
            "train_dataloader['dataset'] = dict(views, _delete_=True)\n" + SMALL,
            "model.type: expected 'MultiViewClassifier', got 'ImageClassifier'",
        ),
        (
            'resnet',
            'ClassBalancedSampler',
            "train_dataloader['dataset'] = dict(views, _delete_=True)\n"
            "model['type'] = 'MultiViewClassifier'\n" + SMALL,
            "data_preprocessor.type: expected 'PairedDataPreprocessor'",
        ),
        ('csra', 'LogitAdjustedLoss', '', 'one label per image, got CSRAClsHead'),
        ('csra', 'ClassBalancedSampler', '', 'one label per image, got CSRAClsHead'),
    ],
    ids=['classifier of BCL', 'classifier', 'preprocessor', 'several labels', 'sampler'],
)
def test_what_is_missing_is_said_before_the_first_step(
    name, method, more, message, tmp_path, images
):
    runner = Runner.from_cfg(config_of(tmp_path, images, name, method, more))
    with pytest.raises(ValueError, match=message):
        runner.train()
    assert runner.iter == 0
