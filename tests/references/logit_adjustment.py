"""Loops over images and classes; ``scores`` are one-hot rows for hard targets."""

import math


def logit_adjusted_cross_entropy(
    logits, scores, class_counts, tau, weights=None, label_smooth_val=0.0
):
    total = sum(class_counts)
    rows = []
    for row in logits.tolist():
        adjusted = [f + tau * math.log(n / total) for f, n in zip(row, class_counts, strict=True)]
        rows.append([_log_sum_exp(adjusted) - a for a in adjusted])
    smoothed = [
        [(1 - label_smooth_val) * score + label_smooth_val / len(row) for score in row]
        for row in scores.tolist()
    ]
    return _weighted_mean(rows, smoothed, weights)


def ldam(cosines, scores, class_counts, max_margin, scale, weights=None):
    """Of several labels, each has its own margin taken off in its own cross-entropy."""
    margins = [n**-0.25 for n in class_counts]
    factor = max_margin / max(margins)
    rows = []
    for row in cosines.tolist():
        losses = []
        for label in range(len(row)):
            shifted = [
                scale * (c - (margins[k] * factor if k == label else 0)) for k, c in enumerate(row)
            ]
            losses.append(_log_sum_exp(shifted) - shifted[label])
        rows.append(losses)
    return _weighted_mean(rows, scores.tolist(), weights)


def _log_sum_exp(values):
    top = max(values)
    return top + math.log(sum(math.exp(value - top) for value in values))


def _weighted_mean(rows, scores, weights):
    total = norm = 0
    for losses, score in zip(rows, scores, strict=True):
        for k, loss in enumerate(losses):
            part = score[k] * (1 if weights is None else float(weights[k]))
            total += part * loss
            norm += part
    return total / norm
