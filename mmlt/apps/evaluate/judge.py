"""What is said about predictions: figures, intervals, calibration, post-hoc correction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mmlt.evaluation.collect import rank_classes
from mmlt.functional.counts import shot_groups
from mmlt.functional.logit_adjustment import adjust_logits
from mmlt.functional.metrics.calibration import Reliability, reliability
from mmlt.functional.metrics.figures import long_tail_figures
from mmlt.functional.metrics.tallies import ClassTallies, count_predictions
from mmlt.functional.metrics.uncertainty import class_mean_interval, wilson_interval

from ..predictions import Predictions

__all__ = [
    'SWEEP',
    'Judged',
    'can_correct',
    'judge',
    'mean_of_seeds',
    'reliability_of',
    'sweep_tau',
]

# Strengths of the post-hoc correction that a sweep tries.
SWEEP = tuple(round(0.25 * step, 2) for step in range(9))
_ROWS = 2048  # of (N, K) at a time


@dataclass(frozen=True)
class Judged:
    """What predictions are worth.

    Args:
        predicted: ``(N,)`` int64, -1 where the probabilities are not numbers.
        confidence: ``(N,)`` probability of the predicted class.
        tallies: counts of each class.
        groups: shot -> ``(K,)`` bool; empty without class counts.
        figures: name -> per cent: those of ``LongTailMetric``, ``class_mean`` and ``ece``.
        intervals: name -> lower and upper end in per cent, at 95 per cent.
    """

    predicted: NDArray[np.int64]
    confidence: NDArray[np.float64]
    tallies: ClassTallies
    groups: dict[str, NDArray[np.bool_]]
    figures: dict[str, float]
    intervals: dict[str, tuple[float, float]]


def can_correct(predictions: Predictions) -> bool:
    """Whether post-hoc correction is defined: every class has training images."""
    counts = predictions.class_counts
    return counts is not None and bool((counts > 0).all())


def judge(
    predictions: Predictions, thresholds: tuple[int, int] = (100, 20), tau: float = 0.0
) -> Judged:
    """Figures of predictions, as they are or with post-hoc logit adjustment.

    Args:
        predictions: of a split.
        thresholds: training images above which a class is many-shot, below which few-shot.
        tau: strength of the correction; other than 0 only where :func:`can_correct`.
    """
    classes = len(predictions.classes)
    ranked, confidence = _rank(predictions, tau)
    labels, counts = predictions.labels, predictions.class_counts
    groups = {} if counts is None else shot_groups(torch.from_numpy(counts), *thresholds)
    shares = long_tail_figures(ranked, labels, classes, groups, (1, 5))
    tallies = count_predictions(ranked[:, 0], labels, classes)
    shares['class_mean'] = float(np.nanmean(tallies.accuracy))
    known = ranked[:, 0] >= 0
    right = ranked[known, 0] == labels[known]
    shares['ece'] = reliability(confidence[known], right).error
    return Judged(
        predicted=ranked[:, 0],
        confidence=confidence,
        tallies=tallies,
        groups=groups,
        figures={name: 100 * share for name, share in shares.items()},
        intervals=_intervals(tallies, groups, len(labels)),
    )


def _intervals(
    tallies: ClassTallies, groups: dict[str, NDArray[np.bool_]], images: int
) -> dict[str, tuple[float, float]]:
    low, high = wilson_interval([tallies.correct.sum()], [images])
    found = {'top1': (float(low[0]), float(high[0]))}
    everything = np.ones(len(tallies.targets), dtype=bool)
    for name, mask in {
        'class_mean': everything,
        **{f'{shot}_shot': mask for shot, mask in groups.items()},
    }.items():
        found[name] = class_mean_interval(tallies.correct[mask], tallies.targets[mask])
    worst = int(np.nanargmin(tallies.accuracy))
    ends = wilson_interval(tallies.correct[worst : worst + 1], tallies.targets[worst : worst + 1])
    found['worst_class'] = (float(ends[0][0]), float(ends[1][0]))
    return {
        name: (100 * ends[0], 100 * ends[1])
        for name, ends in found.items()
        if not np.isnan(ends[0])
    }


def mean_of_seeds(seeds: Sequence[Judged]) -> Judged:
    """Several runs on the same ``N`` test images as one.

    Args:
        seeds: of runs that differ in their seeds.

    Returns:
        Means of figures and tallies; predictions and confidences one after another, ``S * N``. The
        intervals are those of ``N`` images, not of ``S * N``, around the means; the worst class has
        none, as it is another one in each run.
    """
    first = seeds[0]
    parts = [one.tallies for one in seeds]
    tallies = ClassTallies(
        targets=first.tallies.targets,
        # Means, which need not be whole.
        predicted=np.mean([part.predicted for part in parts], axis=0),
        correct=np.mean([part.correct for part in parts], axis=0),
    )
    intervals = _intervals(tallies, first.groups, int(first.tallies.targets.sum()))
    del intervals['worst_class']
    return Judged(
        predicted=np.concatenate([one.predicted for one in seeds]),
        confidence=np.concatenate([one.confidence for one in seeds]),
        tallies=tallies,
        groups=first.groups,
        figures={
            name: float(np.mean([one.figures[name] for one in seeds])) for name in first.figures
        },
        intervals=intervals,
    )


def reliability_of(
    judged: Judged, labels: NDArray[np.int64], mask: NDArray[np.bool_] | None = None
) -> Reliability:
    """Reliability diagram of all images, or of those whose true class is in a mask ``(K,)``."""
    kept = judged.predicted >= 0
    if mask is not None:
        kept = kept & mask[labels]
    return reliability(judged.confidence[kept], judged.predicted[kept] == labels[kept], bins=10)


def _rank(predictions: Predictions, tau: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The best five classes ``(N, 5)``, and the probability of the best, a block at a time."""
    ranked, confidence = [], []
    counts = None if predictions.class_counts is None else predictions.class_counts.tolist()
    for start in range(0, len(predictions.labels), _ROWS):
        block = torch.from_numpy(predictions.probabilities[start : start + _ROWS])
        if tau:
            block = adjust_logits(block.log(), counts or [], tau).softmax(dim=1)
        best = rank_classes(block, 5)
        ranked.append(best)
        confidence.append(block.gather(1, best[:, :1].clamp(min=0))[:, 0])
    return (
        torch.cat(ranked).numpy().astype(np.int64),
        torch.cat(confidence).clamp(max=1).double().numpy(),
    )


def sweep_tau(predictions: Predictions, taus: Sequence[float] = SWEEP) -> dict[float, float]:
    """Mean class accuracy in per cent of validation images for each strength of the correction."""
    results = {}
    for tau in taus:
        predicted = _rank(predictions, tau)[0][:, 0]
        tallies = count_predictions(predicted, predictions.labels, len(predictions.classes))
        results[tau] = 100 * float(np.nanmean(tallies.accuracy))
    return results
