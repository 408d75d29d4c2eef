"""Half precision: 1e-12 is 0 in float16, 65,504 its largest number."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from mmpretrain.structures import DataSample

from mmlt.functional.confusion.soft import soft_confusion
from mmlt.functional.contrastive import balanced_contrastive_loss, unit_vectors
from mmlt.functional.ldam import ldam_cross_entropy
from mmlt.functional.logit_adjustment import (
    adjust_logits,
    logit_adjusted_cross_entropy,
    tau_normalize,
)
from mmlt.functional.semantic_labels import label_confidence, semantic_scores, semantic_similarity
from mmlt.models import ContrastiveClsHead, CosineClsHead, MultiExpertClsHead
from mmlt.models.losses import BalancedContrastiveLoss

HALVES = pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float32])
COUNTS = [115846, 70000, 1280, 5]


def test_unit_vectors_are_those_of_torch():
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(50, 7, generator=generator)
    assert torch.equal(unit_vectors(vectors), F.normalize(vectors, dim=-1))
    double = vectors[:3].double().requires_grad_()
    assert torch.autograd.gradcheck(unit_vectors, double)


@HALVES
@pytest.mark.parametrize(
    'build',
    [
        lambda: CosineClsHead(num_classes=4, in_channels=8, loss=dict(type='CrossEntropyLoss')),
        lambda: CosineClsHead(num_classes=4, in_channels=8, loss=dict(type='LDAMLoss')),
        lambda: MultiExpertClsHead(num_classes=4, in_channels=8, cosine=True),
    ],
)
def test_a_zero_feature_and_a_zero_class_vector(build, dtype):
    head = build().to(dtype)
    for part in head.modules():
        if hasattr(part, 'set_class_counts'):
            part.set_class_counts(COUNTS)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter[1].zero_()
    features = torch.randn(3, 8, generator=torch.Generator().manual_seed(0)).to(dtype)
    features[0] = 0
    features[1] *= 1e-7 if dtype == torch.float16 else 1e-30
    features.requires_grad_()
    logits = head((features,))
    assert logits.dtype == dtype
    assert logits.isfinite().all()
    assert not logits[0].any()
    samples = [DataSample().set_gt_label(k) for k in range(3)]
    losses = head.loss((features,), samples)
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    assert features.grad[0].isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in head.parameters())


@HALVES
def test_the_contrastive_head_on_zero_features(dtype):
    head = ContrastiveClsHead(4, 8, embedding_channels=4, cosine=True, confidence=0.5).to(dtype)
    assert head.eval()((torch.zeros(2, 8, dtype=dtype),)).isfinite().all()
    loss = BalancedContrastiveLoss()
    views = torch.zeros(2, 2, 4, dtype=dtype, requires_grad=True)
    prototypes = torch.zeros(4, 4, dtype=dtype, requires_grad=True)
    value = loss(views, torch.tensor([0, 3]), prototypes)
    value.backward()
    assert all(part.isfinite().all() for part in (value, views.grad, prototypes.grad))


@HALVES
def test_functions_of_features_logits_and_scores(dtype):
    features = torch.zeros(4, 3, dtype=dtype)
    prototypes = torch.eye(4, 3, dtype=dtype)
    prototypes[3] = 0  # where the features are
    scores = torch.eye(4, dtype=dtype)
    logits = (20 * scores - 10).requires_grad_()
    labels = torch.arange(4)
    values = [
        semantic_similarity(features, prototypes, 2),
        *semantic_scores(features, prototypes, scores, COUNTS, top_k=2, omega=1.0),
        label_confidence(scores, COUNTS, omega=1.0),
        balanced_contrastive_loss(features[:, None].repeat(1, 2, 1), labels, prototypes),
        soft_confusion(logits, labels),
        soft_confusion(logits, scores),
        logit_adjusted_cross_entropy(logits, labels, COUNTS),
        logit_adjusted_cross_entropy(logits, scores, COUNTS),
        ldam_cross_entropy(logits / 10, labels, torch.full((4,), 0.5)),
        ldam_cross_entropy(logits / 10, scores, torch.full((4,), 0.5)),
        adjust_logits(logits, COUNTS),
        tau_normalize(logits.detach()),
    ]
    assert all(value.isfinite().all() for value in values)
    sum(value.sum() for value in values).backward()
    assert logits.grad.isfinite().all()
    # More of a label, more confidence: the counts are not lost.
    assert label_confidence(scores, COUNTS, omega=1.0).argsort().tolist() == [3, 2, 1, 0]
