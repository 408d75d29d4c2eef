"""The config of a method in its frozen form: its head on features, in place of the network."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config

from mmlt.datasets.feature_files import FeatureFile, read_features
from mmlt.hooks.settings import changes
from mmlt.registry import type_name

from ..config import without_layout
from ..schedule import scale_epochs
from .network import hash_of_weights, name_of_backbone
from .settings import SPLITS, WRAPPERS, settings_of_features

__all__ = ['check_frozen', 'frozen_config']

EPOCHS = 40
# Largest batch; smaller ones where an epoch would have few, of which CP-Mix needs unmixed ones.
BATCH_SIZE = 256
LEAST_BATCHES = 6
# Step size of a feature vector of length 1 at the largest batch, see _learning_rate.
STEP = 16.0
# Heads that make one vector of several outputs of their backbone, which is done.
_OF_SEVERAL = (
    'ConformerHead',
    'DeiTClsHead',
    'EfficientFormerClsHead',
    'LeViTClsHead',
    'VigClsHead',
)
# What they cut out of another picture has no place in a feature vector.
_CUTTING = ('CutMix', 'ResizeMix', 'ConCutMixAugment', 'CMOBatchAugment', 'PuzzleMix')
# Of how a large network is trained, which a head is not.
_LEFT_OUT = (
    'auto_scale_lr',
    'runner_type',
    'strategy',
    'model_wrapper_cfg',
    'compile',
    'tta_model',
)


def frozen_config(cfg: Config, features_file: str | Path) -> Config:
    """The config of a method, turned into one that trains its head on features.

    Loss, sampler, mixing, metric and hooks stay. Backbone and neck give way to
    :class:`mmlt.models.IdentityBackbone`, the data sets to :class:`mmlt.datasets.FeaturesLT`, the
    schedule to one for heads: SGD, 40 epochs, cosine. Epochs at which parts of the method begin
    are moved in proportion.

    Args:
        cfg: of a run; not changed.
        features_file: what ``mmlt features`` wrote with the network of ``cfg``.

    Raises:
        ValueError: one line, if the method needs views or pixels of an image, or the features are
            of another network, other images, another preparation or other classes.
    """
    check_frozen(cfg)
    content = read_features(features_file)
    _check_settings(cfg, content, features_file)
    by_epoch = (cfg.get('train_cfg') or {}).get('max_epochs') is not None
    cfg = scale_epochs(cfg, EPOCHS) if by_epoch else deepcopy(cfg)
    _freeze_model(cfg, content)
    for split in SPLITS:
        if cfg.get(f'{split}_dataloader') is not None:
            _freeze_loader(cfg[f'{split}_dataloader'], split, content, str(features_file))
    _schedule(cfg, content)
    return without_layout(cfg)


def check_frozen(cfg: Config) -> None:
    """Raise ``ValueError`` with one line if a method needs more than one vector of each image."""
    kind = type_name(cfg.model)
    if kind != 'ImageClassifier':
        raise ValueError(
            f'model.type: expected ImageClassifier, got {kind}: features are of one view of each '
            'image'
        )
    mixing = {'model.train_cfg': cfg.model.get('train_cfg')}
    for name, home in (('data_preprocessor', cfg), ('model.data_preprocessor', cfg.model)):
        preprocessor = home.get('data_preprocessor') or {}
        mixing[f'{name}.batch_augments'] = preprocessor.get('batch_augments')
    for name, part in mixing.items():
        augments = (part or {}).get('augments') or ()
        for augment in [augments] if isinstance(augments, dict) else augments:
            if type_name(augment) in _CUTTING:
                raise ValueError(
                    f'{name}.augments: expected mixing of whole images, which features have too, '
                    f'got {type_name(augment)}, which cuts boxes out of images'
                )
    if type_name(cfg.model.head) == 'ContrastiveClsHead':
        raise ValueError(
            'model.head.type: expected a head for one view of each image, got ContrastiveClsHead'
        )
    if cfg.model.head.get('expert') is not None:
        raise ValueError(
            'model.head.expert: expected None, got a stage of the backbone, which needs its '
            'feature maps'
        )


def _check_settings(cfg: Config, content: FeatureFile, path: str | Path) -> None:
    name = name_of_backbone(cfg)
    if name != content.network['name']:
        raise ValueError(
            f'features: expected those of {name}, the network of the config, got those of '
            f'{content.identity} in {path}'
        )
    made_by, own = content.network.get('config_weights'), hash_of_weights(cfg)
    if made_by and own and made_by != own:
        raise ValueError(
            f'features: expected those of the weights that the config names ({own[:8]}), got those '
            f'of others ({made_by[:8]}) in {path}: run mmlt features again'
        )
    made_of = json.loads(content.network.get('settings') or '{}')
    # Of a network as it is in its file, or of one that a run has tuned.
    differs = [
        changes(made_of, settings_of_features(cfg, given), 0, False) for given in (False, True)
    ]
    if made_of and all(differs):
        change = differs[0][0].text.replace('trained with', 'made with')
        raise ValueError(
            'features: expected those of network, images and preparation of the config, got '
            f'others in {path}: {change}'
        )
    num_classes = cfg.model.head.get('num_classes')
    if num_classes not in (None, len(content.classes)):
        raise ValueError(
            f'features: expected {num_classes} classes, as in the head of the config, got '
            f'{len(content.classes)} in {path}'
        )


def _freeze_model(cfg: Config, content: FeatureFile) -> None:
    model, head = cfg.model, cfg.model.head
    if type_name(head) in _OF_SEVERAL:
        kept = {k: head[k] for k in ('num_classes', 'loss', 'topk', 'cal_acc') if k in head}
        model.head = dict(type='LinearClsHead', **kept)
        head = model.head  # the copy that the config has made
    head['in_channels'] = content.channels
    model.backbone = dict(type='IdentityBackbone', channels=content.channels)
    model.neck = None
    for part in (model, head):
        for name in ('init_cfg', 'pretrained'):
            part.pop(name, None)
    for home in (cfg, model):
        old = home.get('data_preprocessor')
        if old is not None:
            left = ('type', 'num_classes', 'to_onehot', 'batch_augments')
            home.data_preprocessor = {k: old[k] for k in left if k in old}
            if type_name(old).startswith('Device'):  # which crop and recolour images
                home.data_preprocessor.type = 'PairedDataPreprocessor'


def _freeze_loader(loader: Any, split: str, content: FeatureFile, path: str) -> None:
    home = loader
    while type_name(home.dataset) in WRAPPERS:
        home = home.dataset
        home.pop('partner_pipeline', None)
    home.dataset = dict(
        type='FeaturesLT',
        file=path,
        split=split,
        network=content.identity,
        test_mode=split != 'train',
    )
    if type_name(loader.get('sampler') or {}) == 'RepeatAugSampler':
        loader.sampler = dict(type='DefaultSampler', shuffle=True)
    for key in ('prefetch_factor', 'worker_init_fn', 'drop_last'):
        loader.pop(key, None)
    loader.num_workers, loader.persistent_workers, loader.pin_memory = 0, False, False
    loader.collate_fn = dict(type='default_collate')
    loader.batch_size = _batch_size(content) if split == 'train' else 1024


def _schedule(cfg: Config, content: FeatureFile) -> None:
    cfg.optim_wrapper = dict(
        type='OptimWrapper',
        optimizer=dict(
            type='SGD', lr=_learning_rate(content), momentum=0.9, weight_decay=1e-4, nesterov=True
        ),
    )
    cfg.param_scheduler = [dict(type='CosineAnnealingLR', T_max=EPOCHS, by_epoch=True)]
    cfg.train_cfg = dict(by_epoch=True, max_epochs=EPOCHS, val_interval=EPOCHS)
    hooks = cfg.get('default_hooks') or {}
    hooks['checkpoint'] = dict(type='CheckpointHook', interval=EPOCHS, max_keep_ckpts=1)
    cfg.default_hooks = hooks
    cfg.custom_hooks = [
        hook for hook in cfg.get('custom_hooks') or () if type_name(hook) != 'SwitchRecipeHook'
    ]
    cfg.load_from, cfg.resume = None, False
    for name in _LEFT_OUT:
        cfg.pop(name, None)


def _learning_rate(content: FeatureFile) -> float:
    """How far a step moves the logits grows with the squared length of the features.

    Networks differ in it by orders of magnitude; divided by it, one step size fits all.
    """
    split = content.split('train') or next(iter(content.splits.values()))
    sample = split.features[:: max(1, len(split.features) // 2000)].astype(np.float64)
    length = float((sample**2).sum(axis=1).mean())
    step = STEP * _batch_size(content) / BATCH_SIZE
    return float(f'{step / (1 + length):.3g}')


def _batch_size(content: FeatureFile) -> int:
    size, images = BATCH_SIZE, sum(content.class_counts())
    while size > 32 and size * LEAST_BATCHES > images:
        size //= 2
    return size
