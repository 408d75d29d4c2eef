"""Loss and averaged gradients on W ranks are those of one process with the whole batch."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from mmpretrain.structures import DataSample
from torch.nn.parallel import DistributedDataParallel

from mmlt.models.classifiers.multi_view_classifier import MultiViewClassifier
from mmlt.models.heads.contrastive_cls_head import ContrastiveClsHead
from mmlt.models.losses.balanced_contrastive_loss import BalancedContrastiveLoss
from mmlt.models.losses.logit_adjusted_loss import LogitAdjustedLoss
from mmlt.models.necks.bcl_neck import BCLNeck
from tests.distributed.launch import run_ranks

NUM_CLASSES, NUM_IMAGES = 5, 6


def build_model(cosine=False):
    torch.manual_seed(0)
    backbone = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU())
    model = MultiViewClassifier(
        backbone=backbone,
        neck=BCLNeck(8, 4),
        head=ContrastiveClsHead(
            NUM_CLASSES,
            8,
            4,
            cosine=cosine,
            label_start_epoch=0,
            top_k=2,
            confidence=0.3,
            loss=LogitAdjustedLoss(class_counts=[9, 7, 5, 3, 1], loss_weight=2.0),
            loss_bcl=BalancedContrastiveLoss(temperature=0.2, loss_weight=0.6),
        ),
    )
    model.double()
    # Batch statistics are the one thing that ranks do not share.
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.eval()
    return model


def build_batch():
    generator = torch.Generator().manual_seed(1)
    views = torch.randn(3, NUM_IMAGES, 3, 6, 6, generator=generator, dtype=torch.float64)
    labels = torch.tensor([0, 0, 1, 4, 1, 0])
    partners = torch.tensor([2, 1, 3, 4, 0, 0])
    scores = 0.6 * F.one_hot(labels, NUM_CLASSES) + 0.4 * F.one_hot(partners, NUM_CLASSES)
    samples = [
        DataSample().set_gt_label(label).set_gt_score(score.double())
        for label, score in zip(labels, scores, strict=True)
    ]
    for sample in samples:
        sample.set_field(True, 'mixed', field_type='metainfo')
    return views, samples


def steps(rank, world_size):
    """One step with a linear classifier and one with a cosine classifier, in one launch."""
    return [step(rank, world_size, cosine) for cosine in (False, True)]


def step(rank, world_size, cosine):
    model = build_model(cosine)
    views, samples = build_batch()
    wrapped = DistributedDataParallel(model) if world_size > 1 else model
    losses = wrapped(list(views[:, rank::world_size]), samples[rank::world_size], mode='loss')
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    return (
        {name: value.detach() for name, value in losses.items()},
        {name: p.grad for name, p in model.named_parameters()},
    )


@pytest.mark.parametrize('world_size', [2, pytest.param(3, marks=pytest.mark.slow)])
def test_ranks_equal_one_process(world_size):
    results = run_ranks(steps, world_size)
    for case, (expected_losses, expected_gradients) in enumerate(steps(0, 1)):
        ranks = [result[case] for result in results]
        for name, expected in expected_losses.items():
            mean = torch.stack([losses[name] for losses, _ in ranks]).mean()
            torch.testing.assert_close(mean, expected, rtol=1e-6, atol=1e-9)
        for losses, gradients in ranks:
            torch.testing.assert_close(
                losses['loss_bcl'], expected_losses['loss_bcl'], rtol=1e-6, atol=1e-9
            )
            for name, expected in expected_gradients.items():
                torch.testing.assert_close(
                    gradients[name],
                    expected,
                    rtol=1e-6,
                    atol=1e-9,
                    msg=lambda text, name=name: f'{name}: {text}',
                )
