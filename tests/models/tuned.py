"""A tiny vision transformer with pre-trained weights in a file, on the digits."""

from __future__ import annotations

from copy import deepcopy

import torch
from mmengine.config import ConfigDict
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS

from tests.digits_runner import digits_config

ARCH = dict(embed_dims=32, num_layers=2, num_heads=2, feedforward_channels=64)
VIT = dict(type='VisionTransformer', arch=ARCH, img_size=8, patch_size=2)


def write_base(path, seed=0, prefix='backbone.', **options):
    """Random weights in a file, as another training would leave them; returns its ``init_cfg``."""
    with torch.random.fork_rng(), DefaultScope.overwrite_default_scope('mmpretrain'):
        torch.manual_seed(seed)
        vit = MODELS.build(dict(deepcopy(VIT), **options))
        for parameter in vit.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
        with torch.no_grad():
            for name, parameter in vit.named_parameters():
                if 'ln' in name and name.endswith('weight'):
                    parameter += 1
    state = {f'{prefix}{name}': value for name, value in vit.state_dict().items()}
    state['head.fc.weight'] = torch.zeros(7, 32)
    torch.save(dict(state_dict=state), path)
    return dict(type='Pretrained', checkpoint=str(path), prefix=prefix or None)


def tuned(init_cfg=None, tune='adapter', vit=VIT, **options):
    """Config of a tuned backbone."""
    inside = deepcopy(vit)
    if init_cfg is not None:
        inside['init_cfg'] = init_cfg
    return dict(type='TunedBackbone', tune=tune, width=4, backbone=inside, **options)


def tuned_config(work_dir, leaf, init_cfg, tune='adapter', max_epochs=1, **options):
    """A digits recipe with its network replaced."""
    cfg = digits_config(work_dir, leaf, max_epochs, **options)
    cfg.model.backbone = ConfigDict(tuned(init_cfg, tune))
    cfg.model.head.in_channels = 32
    if cfg.model.neck.type == 'BCLNeck':
        cfg.model.neck.in_channels = 32
    else:
        cfg.model.neck = None
    return cfg
