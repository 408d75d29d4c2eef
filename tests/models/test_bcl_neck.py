from __future__ import annotations

import pytest
import torch
from mmpretrain.models import GlobalAveragePooling
from mmpretrain.registry import MODELS

from mmlt.models.necks.bcl_neck import BCLNeck


def test_features_are_those_of_global_average_pooling():
    maps = torch.randn(4, 6, 3, 5)
    plain = GlobalAveragePooling()((maps,))[-1]
    neck = MODELS.build(dict(type='BCLNeck', in_channels=6, out_channels=3))
    projections, features = neck((torch.zeros(1), maps))
    assert torch.equal(features, plain)
    assert projections.shape == (4, 3)
    assert torch.equal(neck.eval()((maps,))[-1], plain)
    assert torch.equal(neck(maps)[-1], plain)


def test_projection_is_not_run_at_test():
    neck = BCLNeck(6, 3).eval()
    calls = []
    neck.projection.register_forward_hook(lambda *_: calls.append(1))
    assert len(neck((torch.randn(2, 6, 2, 2),))) == 1
    assert not calls
    neck.train()((torch.randn(2, 6, 2, 2),))
    assert calls


def test_batch_norm_sees_every_row():
    neck = BCLNeck(2, 2)
    with torch.no_grad():
        neck.projection[0].weight.copy_(torch.eye(2))
        neck.projection[0].bias.zero_()
    features = torch.arange(12.0).view(6, 2)
    neck(features)
    norm = neck.projection[1]
    torch.testing.assert_close(norm.running_mean, 0.1 * features.mean(0))


def test_tokens_of_a_transformer_pass():
    token = torch.randn(4, 6)
    assert torch.equal(BCLNeck(6, 3)((token,))[-1], token)


def test_bad_input():
    with pytest.raises(
        ValueError, match='in_channels: expected 5, the channels of the backbone, got 6'
    ):
        BCLNeck(6, 3)((torch.zeros(2, 5, 1, 1),))
    with pytest.raises(ValueError, match='expected'):
        BCLNeck(6, 3)((torch.zeros(2, 5, 6),))
    with pytest.raises(ValueError, match='expected'):
        BCLNeck(6, 3)(([torch.zeros(2, 6), torch.zeros(2, 6)],))
    with pytest.raises(ValueError, match='out_channels'):
        BCLNeck(4, 0)
