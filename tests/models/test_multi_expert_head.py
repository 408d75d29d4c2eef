"""Experts: losses one by one, mean logits at test, and all kinds of targets and losses."""

import math

import pytest
import torch
import torch.nn.functional as F
from mmpretrain.models import ImageClassifier
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from mmlt.models.heads.multi_expert_cls_head import MultiExpertClsHead
from mmlt.models.losses import CARLoss, LogitAdjustedLoss
from mmlt.models.losses.ldam_loss import LDAMLoss

K, C, N = 5, 8, 6
COUNTS = [50, 20, 9, 4, 1]
STAGE = dict(type='mmlt_test_Stage', channels=C)


@MODELS.register_module(name='mmlt_test_Stage')
class Stage(torch.nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, channels, 3)

    def forward(self, features):
        return (self.conv(features),)


def build(**options):
    torch.manual_seed(0)
    head = MultiExpertClsHead(num_classes=K, in_channels=C, **options)
    for module in head.modules():
        if hasattr(module, 'set_class_counts'):
            module.set_class_counts(COUNTS)
    return head


def samples(soft=False):
    labels = torch.tensor([0, 1, 1, 2, 4, 0])
    made = [DataSample().set_gt_label(label) for label in labels]
    if soft:
        scores = 0.7 * F.one_hot(labels, K) + 0.3 * F.one_hot(labels.flip(0), K)
        for sample, score in zip(made, scores, strict=True):
            sample.set_gt_score(score)
    return made


def features(channels=C):
    return (torch.randn(N, channels, generator=torch.Generator().manual_seed(1)),)


@pytest.mark.parametrize('soft', [False, True])
@pytest.mark.parametrize('reduction', ['mean', 'sum'])
@pytest.mark.parametrize('cosine', [False, True])
def test_losses_against_loop(soft, reduction, cosine):
    head = build(num_experts=3, reduction=reduction, cosine=cosine)
    feats = features()
    losses = head.loss(feats, samples(soft))
    assert list(losses) == ['loss_expert0', 'loss_expert1', 'loss_expert2']
    made = samples(soft)
    target = torch.stack([s.gt_score if soft else F.one_hot(s.gt_label[0], K) for s in made])
    for e, classifier in enumerate(head.classifiers):
        log_p = torch.log_softmax(classifier(feats[0]), dim=1)
        expected = -(target * log_p).sum(1).mean() / (3 if reduction == 'mean' else 1)
        torch.testing.assert_close(losses[f'loss_expert{e}'], expected)


@pytest.mark.parametrize('soft', [False, True])
def test_each_expert_is_calibrated_by_its_own_prior(soft):
    """BalPoE: expert e is adjusted by tau_e, and their mean is that of a balanced classifier."""
    taus = (0.0, 1.0, 2.0)
    head = build(num_experts=3, loss=[dict(type='LogitAdjustedLoss', tau=tau) for tau in taus])
    feats, made = features(), samples(soft)
    losses = head.loss(feats, made)
    prior = [count / sum(COUNTS) for count in COUNTS]
    for e, (tau, classifier) in enumerate(zip(taus, head.classifiers, strict=True)):
        logits = classifier(feats[0]).tolist()
        total = 0.0
        for row, sample in zip(logits, made, strict=True):
            adjusted = [
                value + tau * math.log(share) for value, share in zip(row, prior, strict=True)
            ]
            norm = math.log(sum(map(math.exp, adjusted)))
            label = int(sample.gt_label)
            scores = sample.gt_score.tolist() if soft else [float(k == label) for k in range(K)]
            total += sum(
                share * (norm - value) for share, value in zip(scores, adjusted, strict=True)
            )
        assert float(losses[f'loss_expert{e}']) == pytest.approx(total / N / 3, rel=1e-5)


def test_a_loss_that_is_exchanged_is_that_of_each_expert():
    """As ``SwitchRecipeHook`` exchanges it."""
    head = build(num_experts=3)
    head.loss_module = LogitAdjustedLoss(tau=0.0, class_counts=COUNTS)
    expected = build(num_experts=3).loss(features(), samples())
    torch.testing.assert_close(head.loss(features(), samples()), expected)
    assert len({id(loss) for loss in head.loss_module}) == 3


def test_logits_are_the_mean_and_experts_differ():
    head = build(num_experts=4)
    logits = head.expert_logits(features())
    assert logits.shape == (4, N, K)
    torch.testing.assert_close(head(features()), sum(logits) / 4)
    assert not torch.equal(logits[0], logits[1])
    predicted = head.predict(features(), [DataSample() for _ in range(N)])
    torch.testing.assert_close(
        torch.stack([p.pred_score for p in predicted]), head(features()).softmax(1)
    )


def test_one_expert_is_a_linear_head():
    head = build(num_experts=1)
    plain = MODELS.build(dict(type='LinearClsHead', num_classes=K, in_channels=C))
    plain.fc.load_state_dict(head.classifiers[0].state_dict())
    ours, theirs = (h.loss(features(), samples()) for h in (head, plain))
    torch.testing.assert_close(ours['loss_expert0'], theirs['loss'])


def test_experts_with_stages_of_their_own():
    head = build(expert=STAGE)
    images = torch.randn(N, 3, 6, 6)
    assert len({id(expert.conv) for expert in head.experts}) == 3
    assert head((images,)).shape == (N, K)
    sum(head.loss((images,), samples()).values()).backward()
    assert all(p.grad is not None for p in head.parameters())
    pooled = head.pre_logits((images,))[:, 1]
    torch.testing.assert_close(pooled, head.experts[1](images)[0].mean((2, 3)))


@pytest.mark.parametrize('soft', [False, True])
@pytest.mark.parametrize(
    'loss',
    [
        dict(type='LogitAdjustedLoss'),
        dict(type='CARLoss', criterion=dict(type='CrossEntropyLoss')),
        dict(type='CARLoss', criterion=dict(type='LogitAdjustedLoss')),
        [dict(type='LogitAdjustedLoss', tau=tau) for tau in (0.0, 1.0, 2.0)],
    ],
)
def test_losses_of_the_package(loss, soft):
    head = build(loss=loss)
    total = sum(head.loss(features(), samples(soft)).values())
    total.backward()
    assert torch.isfinite(total)
    assert all(torch.isfinite(p.grad).all() and p.grad.any() for p in head.parameters())


def test_each_expert_has_a_loss_of_its_own():
    car = CARLoss(dict(type='CrossEntropyLoss'), class_counts=COUNTS)
    head = build(loss=car)
    head.loss(features(), samples())
    first, second = (loss.estimate.confusion for loss in head.loss_module[:2])
    assert not torch.equal(first, second) and not car.estimate.confusion.any()
    mixed = build(loss=[LogitAdjustedLoss(), LDAMLoss(), dict(type='CrossEntropyLoss')])
    assert [type(loss).__name__ for loss in mixed.loss_module] == [
        'LogitAdjustedLoss',
        'LDAMLoss',
        'CrossEntropyLoss',
    ]


def test_accuracy_of_the_mean():
    losses = build(cal_acc=True).loss(features(), samples())
    assert 0 <= float(losses['accuracy_top-1']) <= 100
    with pytest.raises(ValueError, match='cal_acc'):
        build(cal_acc=True).loss(features(), samples(soft=True))


def test_in_a_classifier_of_the_host():
    model = ImageClassifier(
        backbone=dict(type='CIFARResNet', depth=8),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='MultiExpertClsHead', num_classes=K, in_channels=64, num_experts=2),
    )
    losses = model(torch.zeros(N, 3, 8, 8), samples(), mode='loss')
    assert model.parse_losses(losses)[0].requires_grad
    assert {'head.classifiers.1.weight', 'head.classifiers.0.bias'} <= set(model.state_dict())


@pytest.mark.parametrize(
    'options, name',
    [
        (dict(num_experts=0), 'num_experts'),
        (dict(reduction='max'), 'reduction'),
        (dict(loss=[dict(type='CrossEntropyLoss')]), 'loss'),
        (dict(loss='CrossEntropyLoss'), 'loss'),
        (dict(num_experts=2.0), 'num_experts'),
        (dict(cosine='yes'), 'cosine'),
        (dict(scale=float('inf')), 'scale'),
        (dict(expert='CIFARResNetStage'), 'expert'),
    ],
)
def test_bad_options(options, name):
    with pytest.raises(ValueError, match=f'{name}: expected'):
        build(**options)


def test_a_loss_of_the_wrong_type():
    with pytest.raises(ValueError, match='loss'):
        build(loss=[3, 3, 3])
