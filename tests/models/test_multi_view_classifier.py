"""Views in one batch or apart: which images share BatchNorm's statistics."""

from __future__ import annotations

import copy

import pytest
import torch
from mmpretrain.models import ImageClassifier

from mmlt.models import MultiViewClassifier

PARTS = dict(
    backbone=dict(type='CIFARResNet', depth=8, base_channels=4),
    neck=dict(type='BCLNeck', in_channels=16, out_channels=6),
    head=dict(type='LinearClsHead', in_channels=16, num_classes=3),
)


@pytest.fixture
def views() -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(4, 3, 8, 8) * (1 + view) + view for view in range(3)]


def _models(**options: object) -> tuple[MultiViewClassifier, ImageClassifier]:
    torch.manual_seed(1)
    model, plain = MultiViewClassifier(**PARTS, **options), ImageClassifier(**PARTS)
    plain.load_state_dict(model.state_dict())
    return model.train(), plain.train()


@pytest.mark.parametrize('stage', ['backbone', 'neck'])
def test_views_apart_are_passes_of_their_own(views: list[torch.Tensor], stage: str) -> None:
    model, plain = _models(batch_norm='apart')
    copies = [copy.deepcopy(plain) for _ in views]
    expected = [one.extract_feat(view, stage) for one, view in zip(copies, views, strict=True)]
    found = model.extract_feat(views, stage)
    for part, parts in zip(found, zip(*expected, strict=True), strict=True):
        torch.testing.assert_close(part, torch.cat(parts))
    of_view_0 = copies[0].state_dict()
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, of_view_0[name], msg=name)
    assert all(norm.track_running_stats for norm in model.modules() if hasattr(norm, 'running_var'))


def test_views_together_are_one_batch(views: list[torch.Tensor]) -> None:
    model, plain = _models()
    expected, found = plain.extract_feat(torch.cat(views)), model.extract_feat(views)
    assert all(map(torch.equal, found, expected))
    assert all(map(torch.equal, model.state_dict().values(), plain.state_dict().values()))


def test_gradients_of_views_apart_reach_every_view(views: list[torch.Tensor]) -> None:
    model, _ = _models(batch_norm='apart')
    views = [view.requires_grad_() for view in views]
    model.extract_feat(views)[0].square().sum().backward()
    assert all(view.grad is not None and view.grad.abs().max() > 0 for view in views)


def test_evaluation_is_the_same(views: list[torch.Tensor]) -> None:
    model, plain = _models(batch_norm='apart')
    found = model.eval().extract_feat(views)[0]
    torch.testing.assert_close(found, plain.eval().extract_feat(torch.cat(views))[0])


def test_the_option_is_checked() -> None:
    with pytest.raises(ValueError, match=r"batch_norm: expected .*'together'.*got 'grouped'"):
        MultiViewClassifier(**PARTS, batch_norm='grouped')
