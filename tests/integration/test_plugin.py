"""An unmodified MMPretrain config takes one of our parts by ``custom_imports`` and one ``type``."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from tests.datasets.tiny_trees import make_image_folder

COUNTS = (12, 6, 2)
STOCK = """
default_scope = 'mmpretrain'
model = dict(
    type='ImageClassifier',
    backbone=dict(type='ResNet_CIFAR', depth=18, base_channels=8, stem_channels=8,
                  out_indices=(0, ), num_stages=1, strides=(1, ), dilations=(1, )),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=3, in_channels=8,
              loss=dict(type='CrossEntropyLoss', loss_weight=1.0), topk=(1, )))
data_preprocessor = dict(num_classes=3, mean=[127.5] * 3, std=[127.5] * 3, to_rgb=True)
pipeline = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=16),
            dict(type='PackInputs')]
train_dataloader = dict(
    batch_size=8, num_workers=0, collate_fn=dict(type='default_collate'),
    dataset=dict(type='CustomDataset', data_root='{root}', with_label=True, pipeline=pipeline),
    sampler=dict(type='DefaultSampler', shuffle=True))
val_dataloader = dict(
    batch_size=8, num_workers=0, collate_fn=dict(type='default_collate'),
    dataset=dict(type='CustomDataset', data_root='{root}', with_label=True, pipeline=pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False))
val_evaluator = dict(type='Accuracy', topk=(1, ))
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.01))
train_cfg = dict(by_epoch=True, max_epochs=2, val_interval=2)
val_cfg = dict()
env_cfg = dict(mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
               dist_cfg=dict(backend='nccl'))
log_level = 'WARNING'
randomness = dict(seed=0)
"""
PLUG = "custom_imports = dict(imports=['mmlt'], allow_failed_imports=False)\n"
CHANGES = {
    'loss': "model['head']['loss'] = dict(type='LogitAdjustedLoss', class_counts=[12, 6, 2])\n",
    'head': "model['head'] = dict(type='CosineClsHead', num_classes=3, in_channels=8)\n",
    'backbone': "model['backbone'] = dict(type='CIFARResNet', depth=8)\n"
    "model['head']['in_channels'] = 64\n",
    'data set': "train_dataloader['dataset'] = dict(type='LongTailDataset', imbalance_ratio=6,"
    " dataset=train_dataloader['dataset'])\n",
    'sampler': "train_dataloader['sampler'] = dict(type='ClassBalancedSampler')\n",
    'metric': "val_evaluator = dict(type='LongTailMetric')\n",
}
# A data set that counts, a hook that hands the counts out, and parts that nobody tells numbers.
TOGETHER = """
custom_hooks = [dict(type='LongTailHook')]
train_dataloader['dataset'] = dict(type='LongTailDataset', dataset=train_dataloader['dataset'])
model['head']['loss'] = dict(type='LogitAdjustedLoss')
model['train_cfg'] = dict(augments=dict(type='RemixBatchAugment'))
val_evaluator = dict(type='LongTailMetric', many_threshold=10, few_threshold=5)
"""


class KeepLosses(Hook):
    """Losses and figures of a run."""

    def __init__(self):
        self.losses, self.figures = [], {}

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.losses.append(outputs['loss'])

    def after_val_epoch(self, runner, metrics=None):
        self.figures = metrics


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    return make_image_folder(tmp_path_factory.mktemp('images'), COUNTS)


def train(tmp_path, images, text):
    """Write the config, train by MMEngine's runner; runner and hook."""
    path = tmp_path / 'config.py'
    path.write_text(text.replace('{root}', Path(images).as_posix()))
    cfg = Config.fromfile(path)
    cfg.work_dir = str(tmp_path / 'run')
    cfg.experiment_name = f'plugin_{tmp_path.name}'
    runner = Runner.from_cfg(cfg)
    kept = KeepLosses()
    runner.register_hook(kept)
    runner.train()
    assert torch.tensor(kept.losses).isfinite().all()
    return runner, kept


@pytest.mark.parametrize('part', CHANGES)
def test_one_part_plugs_into_a_stock_config(tmp_path, images, part):
    _, kept = train(tmp_path, images, STOCK + PLUG + CHANGES[part])
    prefix = 'long_tail/top1' if part == 'metric' else 'accuracy/top1'
    assert 0 <= kept.figures[prefix] <= 100


def test_the_class_counts_reach_everyone_by_themselves(tmp_path, images):
    runner, kept = train(tmp_path, images, STOCK + PLUG + TOGETHER)
    assert runner.train_dataloader.dataset.class_counts == list(COUNTS)
    assert runner.model.head.loss_module.class_counts.tolist() == list(COUNTS)
    assert {'long_tail/many_shot', 'long_tail/medium_shot', 'long_tail/few_shot'} <= set(
        kept.figures
    )


def test_a_stock_config_with_a_loss_that_has_no_counts_says_what_to_do(tmp_path, images):
    change = "model['head']['loss'] = dict(type='LogitAdjustedLoss')\n"
    with pytest.raises((RuntimeError, ValueError), match='LongTailHook'):
        train(tmp_path, images, STOCK + PLUG + change)
