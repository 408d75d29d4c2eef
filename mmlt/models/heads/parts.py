"""What the heads build alike: their classifiers and their losses, from checked options."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from mmpretrain.models.heads import ClsHead
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from mmlt.functional.checks import check_flag, check_integer, check_number, refuse
from mmlt.functional.contrastive import unit_vectors
from mmlt.functional.targets import check_classes
from mmlt.registry import build_module, check_init_cfg

__all__ = ['CosineLinear', 'build_classifier', 'check_head_options', 'hard_labels']


def hard_labels(head: ClsHead, data_samples: list[DataSample]) -> Tensor:
    """``gt_label`` of a batch, ``(N,)`` int64; an ``OptionError`` names the head otherwise."""
    name = f'{type(head).__name__}.gt_label'
    if 'gt_label' not in data_samples[0]:
        expected = 'one integer class per image, beside a gt_score where images are mixed'
        raise refuse(name, expected, f'data samples with {sorted(data_samples[0].keys())}')
    labels = torch.cat([sample.gt_label for sample in data_samples])
    if labels.shape != (len(data_samples),):
        expected = 'one integer class per image (soft or one-hot labels belong in gt_score)'
        raise refuse(name, expected, tuple(data_samples[0].gt_label.shape))
    return check_classes(name, labels, head.num_classes)


class CosineLinear(nn.Module):
    """``scale`` times the cosine between features and class vectors, ``(N, D) -> (N, K)``."""

    def __init__(self, in_channels: int, num_classes: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.weight = nn.Parameter(torch.empty(num_classes, in_channels))
        # Only the direction counts, and an isotropic start has no preferred one. The norm is that
        # of the released code: how far a step of the optimiser turns a row depends on it.
        nn.init.normal_(self.weight)
        with torch.no_grad():
            self.weight.copy_(unit_vectors(self.weight))

    def forward(self, features: Tensor) -> Tensor:
        parts = (unit_vectors(part).to(features.dtype) for part in (features, self.weight))
        return self.scale * F.linear(*parts)

    def extra_repr(self) -> str:
        return f'{self.weight.shape[1]}, {self.weight.shape[0]}, scale={self.scale}'


def build_classifier(in_channels: int, num_classes: int, cosine: bool, scale: float) -> nn.Module:
    """A linear or a cosine classifier ``(N, D) -> (N, K)``, from options that it checks."""
    check_integer('in_channels', in_channels, '[1, inf)')
    check_number('scale', scale, '(0, inf)')
    if check_flag('cosine', cosine):
        return CosineLinear(in_channels, num_classes, scale)
    return nn.Linear(in_channels, num_classes)


def check_head_options(num_classes: int, options: dict[str, Any]) -> dict[str, Any]:
    """Options of MMPretrain's ``ClsHead``, checked, with the loss built and ``topk`` as a tuple.

    ``OptionError`` also if the accuracy, which is computed with ``cal_acc``, needs more classes.
    """
    check_integer('num_classes', num_classes, '[2, inf)')
    check_init_cfg(options.get('init_cfg'))
    topk = options.get('topk', (1,))
    ks = topk if isinstance(topk, (list, tuple)) else (topk,)
    if not ks:
        raise refuse('topk', 'at least one integer', topk)
    most = num_classes if check_flag('cal_acc', options.get('cal_acc', False)) else 'inf'
    ks = tuple(check_integer('topk', k, f'[1, {most}]') for k in ks)
    loss = {'loss': build_module('loss', options['loss'])} if 'loss' in options else {}
    return {**options, **loss, 'topk': ks}
