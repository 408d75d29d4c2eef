"""Every loss of the package in small cases, for the contract that all of them keep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from mmlt.functional.counts import effective_number_weights, frequency_weights
from mmlt.models.losses import (
    BalancedContrastiveLoss,
    CARLoss,
    LDAMLoss,
    LogitAdjustedLoss,
    ProCoLoss,
    VSLoss,
)
from tests.references import confusion, contrastive, proco
from tests.references import logit_adjustment as adjusted

COUNTS = [60, 30, 9, 2]
WEIGHTS = effective_number_weights(COUNTS)
# The halves have other classes. Every second image has the same: the weighted means of two ranks,
# each divided by the weights of its own images, are then that of one process.
TARGETS = torch.tensor([0, 0, 1, 1, 3, 3, 0, 0])
CE, LA = dict(type='CrossEntropyLoss'), dict(type='LogitAdjustedLoss', tau=0.8)


@dataclass
class Case:
    """A loss, what it is called with, and the value that it shall have."""

    build: Callable[[], torch.nn.Module]
    reference: Callable[..., object]  # of (*inputs, scores)
    # Of the inputs, those after the first are not images, and are the same on every rank.
    inputs: Callable[[torch.dtype], list[torch.Tensor]]
    saturated: Callable[[torch.dtype], list[torch.Tensor]]
    soft: bool = True

    def make(self, dtype: torch.dtype = torch.float32) -> torch.nn.Module:
        loss = self.build()
        if dtype == torch.float64:
            loss = loss.double()
            if hasattr(loss, 'estimate'):
                loss.set_class_counts(COUNTS)  # row weights in float64
        return loss


def call(loss, inputs, targets):
    first, *rest = inputs
    return loss(first, targets, *rest)


def scores_of(targets):
    return targets.double() if targets.ndim == 2 else F.one_hot(targets, len(COUNTS)).double()


def targets_of(soft):
    """Hard labels, or a mixture with the next class."""
    if not soft:
        return TARGETS
    scores = F.one_hot(TARGETS, len(COUNTS)).double()
    return 0.7 * scores + 0.3 * scores.roll(1, dims=1)


def _logits(dtype):
    generator = torch.Generator().manual_seed(0)
    return [2 * torch.randn(8, len(COUNTS), generator=generator, dtype=torch.float64).to(dtype)]


def _cosines(dtype):
    return [_logits(torch.float64)[0].tanh().to(dtype)]


def _saturated(gap):
    """Images that are classified right, and wrong, beyond all doubt."""

    def make(dtype):
        top = torch.tensor([0, 1, 1, 3, 3, 2, 2, 0])
        return [(gap * (F.one_hot(top, len(COUNTS)).double() - 0.5)).to(dtype)]

    return make


def _vectors(dtype):
    generator = torch.Generator().manual_seed(0)
    shapes = (8, 2, 5), (len(COUNTS), 5)
    return [
        torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for shape in shapes
    ]


def _opposite_vectors(dtype):
    embeddings, prototypes = (1 + 0.1 * part for part in _vectors(torch.float64))
    embeddings[::2] *= -1
    return [embeddings.to(dtype), prototypes.to(dtype)]


def _adjusted(tau, counts=COUNTS, weights=None, smoothing=0.0):
    return lambda logits, scores: adjusted.logit_adjusted_cross_entropy(
        logits, scores, counts, tau, weights, smoothing
    )


def _vector_scaling(tau, gamma, weights=None):
    def value(logits, scores):
        factors = torch.tensor([(n / max(COUNTS)) ** gamma for n in COUNTS], dtype=torch.float64)
        return _adjusted(tau, weights=weights)(logits * factors, scores)

    return value


def _effective(logits, scores):
    """The first batch and the training prior count as one step each."""
    prior = torch.tensor(COUNTS) / sum(COUNTS) + scores.mean(dim=0)
    return adjusted.logit_adjusted_cross_entropy(logits, scores, prior.tolist(), 1.0)


def _ldam(weights=None):
    return lambda cosines, scores: adjusted.ldam(cosines, scores, COUNTS, 0.5, 30.0, weights)


def _car(criterion=None):
    def value(logits, scores):
        norms, _, _ = confusion.car_trajectory([(logits, scores)], frequency_weights(COUNTS))
        return 0.5 * float(norms[0]) + (criterion(logits, scores) if criterion else 0)

    return value


def _contrastive(embeddings, prototypes, scores):
    embeddings, prototypes = F.normalize(embeddings, dim=-1), F.normalize(prototypes, dim=-1)
    labels = scores.argmax(dim=1)
    return 0.6 * float(contrastive.balanced_contrastive_loss(embeddings, labels, prototypes, 0.05))


def _wide_vectors(dtype):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(8, 2, 64, generator=generator, dtype=torch.float64).to(dtype)]


def _two_directions(dtype):
    """Classes of one direction each; two of them share theirs, so that their images are wrong."""
    signs = torch.tensor([1.0, -1.0, 1.0, 1.0])[TARGETS, None, None]
    return [(signs + 0.01 * _wide_vectors(torch.float64)[0]).to(dtype)]


def _proco(embeddings, scores):
    """The estimate is that of the batch; a class without images there is uniform."""
    vectors = F.normalize(embeddings, dim=-1).flatten(0, 1)
    labels = scores.argmax(dim=1).repeat_interleave(2)
    means, kappas = [], []
    for k in range(len(COUNTS)):
        mean = vectors[labels == k].sum(dim=0) / max(1, int((labels == k).sum()))
        length = float(mean.norm())
        means.append(F.normalize(mean, dim=0).tolist())
        kappas.append(length * (64 - length**2) / (1 - length**2))
    prior = [n / sum(COUNTS) for n in COUNTS]
    return 0.6 * proco.proco_loss(vectors.tolist(), labels.tolist(), means, kappas, prior, 0.2)


def _label_by_label(reference):
    """With class weights: the mean of all first labels, and that of all second ones."""

    def value(inputs, scores):
        shares, labels = scores.sort(dim=1, descending=True)
        return sum(
            float(shares[0, place]) * reference(inputs, scores_of(labels[:, place]))
            for place in (0, 1)
        )

    return value


def _on_logits(build, reference):
    return Case(build, reference, _logits, _saturated(200))


def _on_cosines(build, reference):
    return Case(build, reference, _cosines, _saturated(2))


def _car_loss(criterion):
    return lambda: CARLoss(criterion, class_counts=COUNTS, tolerance=0.0)


CASES = {
    'logit adjustment': _on_logits(
        lambda: LogitAdjustedLoss(tau=0.8, class_counts=COUNTS), _adjusted(0.8)
    ),
    'logit adjustment, effective prior': _on_logits(
        lambda: LogitAdjustedLoss(prior='effective', class_counts=COUNTS), _effective
    ),
    'logit adjustment, class weights': _on_logits(
        lambda: LogitAdjustedLoss(tau=0.8, class_counts=COUNTS, class_weight='effective_number'),
        _label_by_label(_adjusted(0.8, weights=WEIGHTS)),
    ),
    'logit adjustment, label smoothing': _on_logits(
        lambda: LogitAdjustedLoss(tau=0.8, class_counts=COUNTS, label_smooth_val=0.1),
        _adjusted(0.8, smoothing=0.1),
    ),
    'vector scaling': _on_logits(
        lambda: VSLoss(tau=1.25, gamma=0.15, class_counts=COUNTS), _vector_scaling(1.25, 0.15)
    ),
    'vector scaling, class weights': _on_logits(
        lambda: VSLoss(0.75, 0.05, class_counts=COUNTS, class_weight='effective_number'),
        _label_by_label(_vector_scaling(0.75, 0.05, WEIGHTS)),
    ),
    'LDAM': _on_cosines(lambda: LDAMLoss(class_counts=COUNTS), _ldam()),
    'LDAM, class weights': _on_cosines(
        lambda: LDAMLoss(class_counts=COUNTS, class_weight='effective_number'),
        _label_by_label(_ldam(WEIGHTS)),
    ),
    'CAR alone': _on_logits(_car_loss(None), _car()),
    'CAR, cross-entropy': _on_logits(_car_loss(CE), _car(_adjusted(0.0))),
    'CAR, logit adjustment': _on_logits(_car_loss(LA), _car(_adjusted(0.8))),
    'balanced contrastive': Case(
        lambda: BalancedContrastiveLoss(temperature=0.05, loss_weight=0.6),
        _contrastive,
        _vectors,
        _opposite_vectors,
        soft=False,
    ),
    'ProCo': Case(
        lambda: ProCoLoss(4, 64, temperature=0.2, loss_weight=0.6, class_counts=COUNTS),
        _proco,
        _wide_vectors,
        _two_directions,
        soft=False,
    ),
}
