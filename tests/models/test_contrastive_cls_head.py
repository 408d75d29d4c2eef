from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import nn

from mmlt.functional.contrastive import balanced_contrastive_loss
from mmlt.functional.semantic_labels import semantic_scores
from mmlt.models.classifiers.multi_view_classifier import MultiViewClassifier
from mmlt.models.heads.contrastive_cls_head import ContrastiveClsHead
from mmlt.models.heads.label_rectifier import LabelRectifier
from mmlt.models.losses.balanced_contrastive_loss import BalancedContrastiveLoss
from mmlt.models.losses.car_loss import CARLoss
from mmlt.models.losses.logit_adjusted_loss import LogitAdjustedLoss
from mmlt.models.necks.bcl_neck import BCLNeck

COUNTS = [50, 20, 5, 1]


class RecordingLoss(nn.Module):
    """Stands for a regulariser: keeps what it was given."""

    def forward(self, logits, targets, **kwargs):
        self.given = logits, targets
        return logits.mean()


def build_head(**options):
    torch.manual_seed(0)
    options = (
        dict(
            type='ContrastiveClsHead',
            num_classes=4,
            in_channels=6,
            embedding_channels=3,
            hidden_channels=5,
            loss=dict(type='LogitAdjustedLoss', class_counts=COUNTS, loss_weight=2.0),
            loss_bcl=dict(type='BalancedContrastiveLoss', temperature=0.5, loss_weight=0.6),
        )
        | options
    )
    return MODELS.build(options)


def build_step(num_images=5, num_views=3, mixed=False):
    generator = torch.Generator().manual_seed(1)
    projections = torch.randn(num_views * num_images, 3, generator=generator, requires_grad=True)
    features = torch.randn(num_views * num_images, 6, generator=generator, requires_grad=True)
    samples = [DataSample().set_gt_label(n % 4) for n in range(num_images)]
    if mixed:
        for n, sample in enumerate(samples):
            sample.set_gt_score(
                0.7 * F.one_hot(torch.tensor(n % 4), 4)
                + 0.3 * F.one_hot(torch.tensor((n + 1) % 4), 4)
            )
            sample.set_field(True, 'mixed', field_type='metainfo')
    return (projections, features), samples


def test_losses_are_the_formulas():
    head = build_head(cosine=False, loss_car=RecordingLoss())
    feats, samples = build_step()
    labels = torch.tensor([0, 1, 2, 3, 0])
    losses = head.loss(feats, samples)
    assert set(losses) == {'loss_cls', 'loss_bcl', 'loss_car'}
    prior = (torch.tensor(COUNTS) / sum(COUNTS)).log()
    torch.testing.assert_close(
        losses['loss_cls'], 2 * F.cross_entropy(head.fc(feats[1][:5]) + prior, labels)
    )
    views = F.normalize(torch.stack([feats[0][5:10], feats[0][10:]], dim=1), dim=-1)
    prototypes = F.normalize(head.prototypes(), dim=-1)
    torch.testing.assert_close(
        losses['loss_bcl'], 0.6 * balanced_contrastive_loss(views, labels, prototypes, 0.5)
    )
    logits, targets = head.loss_car.given
    torch.testing.assert_close(logits, head.fc(feats[1][5:]))
    assert torch.equal(targets, labels.repeat(2))


def test_gradient_reaches_classifier_prototypes_and_both_inputs():
    head = build_head()
    feats, samples = build_step()
    head.loss(feats, samples)['loss_bcl'].backward()
    assert head.fc.weight.grad.abs().sum() > 0
    assert head.prototype_mlp[0].weight.grad.abs().sum() > 0
    assert feats[0].grad[:5].abs().sum() == 0  # the classified view is no anchor
    assert (feats[0].grad[5:].abs().sum(1) > 0).all()


def test_labels_are_rectified_from_the_epoch_on():
    head = build_head(label_start_epoch=3, top_k=2, omega=2.0)
    head.rectifier.set_class_counts(COUNTS)
    feats, samples = build_step(mixed=True)
    area = torch.stack([sample.gt_score for sample in samples])
    head.loss_module = RecordingLoss()
    head.rectifier.set_progress(2, 9, 0, 0)
    assert 'gamma' not in head.loss(feats, samples)
    torch.testing.assert_close(head.loss_module.given[1], area)
    head.rectifier.set_progress(3, 9, 0, 0)
    losses = head.loss(feats, samples)
    expected, gamma = semantic_scores(feats[0][:5], head.prototypes(), area, COUNTS, 2, 2.0)
    torch.testing.assert_close(head.loss_module.given[1], expected)
    torch.testing.assert_close(losses['gamma'], gamma.mean())
    assert 0 < losses['gamma'] < 1 and not losses['gamma'].requires_grad
    assert all('loss' not in name for name in losses if name == 'gamma')
    torch.testing.assert_close(torch.stack([s.gt_score for s in samples]), area)


def test_car_takes_the_clean_views_alone():
    head = build_head(
        loss_car=dict(type='CARLoss', criterion=None, num_classes=4, class_counts=COUNTS)
    )
    feats, samples = build_step()
    losses = head.loss(feats, samples)
    car = CARLoss(None, num_classes=4, class_counts=COUNTS)
    torch.testing.assert_close(
        losses['loss_car'], car(head.fc(feats[1][5:]), torch.tensor([0, 1, 2, 3, 0]).repeat(2))
    )
    assert losses['loss_car'].requires_grad
    assert head.loss_car.loss_parts == {}, 'the log would get it twice'


def test_a_batch_without_partners_trains_on_hard_labels():
    head = build_head(label_start_epoch=0, confidence=0.5)
    feats, samples = build_step(mixed=False)
    losses = head.loss(feats, samples)
    assert 'gamma' not in losses and losses['loss_cls'].isfinite()


def test_constant_confidence_needs_no_counts_and_log_count_does():
    feats, samples = build_step(mixed=True)
    assert math.isclose(
        float(build_head(label_start_epoch=0, confidence=0.25).loss(feats, samples)['gamma']), 0.25
    )
    with pytest.raises(ValueError, match=r'confidence: .*LongTailHook'):
        build_head(label_start_epoch=0).loss(feats, samples)
    with pytest.raises(ValueError, match=r'label_start_epoch: .*LongTailHook'):
        build_head(label_start_epoch=1).loss(feats, samples)


def test_cosine_classifier():
    head = build_head(cosine=True, scale=30.0)
    features = torch.randn(3, 6)
    expected = 30 * F.normalize(features, dim=1) @ F.normalize(head.fc.weight, dim=1).T
    torch.testing.assert_close(head((features,)), expected)
    feats, samples = build_step()
    assert all(value.isfinite() for value in head.loss(feats, samples).values())


@pytest.mark.parametrize('num_images, num_views', [(1, 3), (4, 5)])
def test_one_image_and_many_views(num_images, num_views):
    losses = build_head().loss(*build_step(num_images, num_views))
    assert all(value.isfinite() for value in losses.values())


def test_bad_input():
    head = build_head()
    feats, samples = build_step(num_views=2)
    with pytest.raises(ValueError, match='at least 3 views'):
        head.loss(feats, samples)
    with pytest.raises(ValueError, match='at least 3 views'):
        head.loss(build_step()[0], samples[:4])
    with pytest.raises(ValueError, match=r'feats: expected .*BCLNeck.*, got 1 output'):
        head.loss(feats[1:], samples)
    feats, samples = build_step()
    one_hot = [DataSample().set_gt_label([0, 0, 1, 0]) for _ in samples]
    with pytest.raises(ValueError, match='one-hot'):
        head.loss(feats, one_hot)
    for options in (
        dict(top_k=0),
        dict(omega=-1),
        dict(confidence=2.0),
        dict(confidence='x'),
        dict(label_start_epoch=-1),
        dict(num_classes=1),
        dict(omega=float('nan')),
        dict(confidence=True),
        dict(label_start_epoch=1.5),
        dict(cosine=1),
        dict(scale=0.0),
        dict(embedding_channels=0),
        dict(hidden_channels=-1),
        dict(loss='LogitAdjustedLoss'),
        dict(loss_bcl=None),
        dict(loss_car=[]),
        dict(cal_acc=True),
    ):
        with pytest.raises(ValueError, match=f'{next(iter(options))}: expected'):
            build_head(**options)
    with pytest.raises(ValueError, match='temperature'):
        BalancedContrastiveLoss(temperature=0)
    with pytest.raises(ValueError, match='class_counts'):
        LabelRectifier(3).set_class_counts([1, 2])


class TinyBackbone(BaseModule):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)

    def forward(self, images):
        return (self.conv(images).relu(),)


def build_classifier():
    torch.manual_seed(0)
    return MultiViewClassifier(
        backbone=TinyBackbone(),
        neck=BCLNeck(6, 3),
        head=ContrastiveClsHead(4, 6, 3, loss=LogitAdjustedLoss(class_counts=COUNTS)),
    )


def test_classifier_trains_on_views_and_predicts_like_a_plain_one():
    model = build_classifier()
    views = [torch.randn(4, 3, 8, 8) for _ in range(3)]
    samples = build_step(4)[1]
    losses = model(views, samples, mode='loss')
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in model.parameters())
    model.eval()
    for part in (model.neck.projection, model.head.prototype_mlp):
        part.register_forward_hook(lambda *_: pytest.fail('run at test'))
    images = torch.randn(2, 3, 8, 8)
    scores = torch.stack([s.pred_score for s in model(images, mode='predict')])
    pooled = model.backbone(images)[0].mean((2, 3))
    torch.testing.assert_close(scores, model.head.fc(pooled).softmax(1))
    assert len(model.extract_feat(images)) == 1
    with pytest.raises(ValueError, match='one view'):
        model(views, mode='predict')


def test_views_of_different_sizes_are_an_error():
    model = build_classifier()
    with pytest.raises(ValueError, match='one shape'):
        model(
            [torch.zeros(2, 3, 8, 8), torch.zeros(2, 3, 6, 6), torch.zeros(2, 3, 8, 8)],
            build_step(2)[1],
            mode='loss',
        )
    with pytest.raises(ValueError, match='no view'):
        model([], [], mode='loss')


def test_state_dict_round_trip():
    head, other = build_head(label_start_epoch=1), build_head(label_start_epoch=1)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1)
    assert {name.split('.')[0] for name in head.state_dict()} <= {
        'fc',
        'prototype_mlp',
        'loss_module',
    }
    other.load_state_dict(head.state_dict())
    feats, samples = build_step()
    assert head.loss(feats, samples) == other.loss(feats, samples)


def test_scores_of_the_data_set_are_no_mixture():
    """Soft labels of a batch that nobody mixed stay as they are."""
    head = build_head(label_start_epoch=0, confidence=0.5)
    head.loss_module = RecordingLoss()
    feats, samples = build_step(mixed=True)
    for sample in samples:
        sample.set_field(False, 'mixed', field_type='metainfo')
    assert 'gamma' not in head.loss(feats, samples)
    assert torch.equal(head.loss_module.given[1], torch.stack([s.gt_score for s in samples]))


def test_scores_alone_are_too_little():
    feats, samples = build_step(mixed=True)
    for sample in samples:
        del sample.gt_label
    with pytest.raises(ValueError, match=r'gt_label.*gt_score'):
        build_head().loss(feats, samples)


@pytest.mark.parametrize('start, warned', [(4, True), (3, False), (None, False)])
def test_an_epoch_of_labels_that_never_comes_is_said_once(monkeypatch, start, warned):
    messages = []
    monkeypatch.setattr(
        'mmlt.models.heads.label_rectifier.print_log',
        lambda message, **kwargs: messages.append(message),
    )
    rectifier = LabelRectifier(3, label_start_epoch=start)
    for iteration in range(3):
        rectifier.set_progress(0, 4, iteration, 0)
    assert len(messages) == warned
