"""Loops over images and classes."""

import math


def logit_adjusted_cross_entropy(logits, scores, class_counts, tau):
    total = sum(class_counts)
    losses = []
    for row, target in zip(logits.tolist(), scores.tolist(), strict=True):
        adjusted = [f + tau * math.log(n / total) for f, n in zip(row, class_counts, strict=True)]
        top = max(adjusted)
        normalizer = top + math.log(sum(math.exp(a - top) for a in adjusted))
        losses.append(sum(t * (normalizer - a) for t, a in zip(target, adjusted, strict=True)))
    return sum(losses) / len(losses)


def ldam(cosines, targets, class_counts, max_margin, scale):
    margins = [n**-0.25 for n in class_counts]
    factor = max_margin / max(margins)
    losses = []
    for row, target in zip(cosines.tolist(), targets.tolist(), strict=True):
        shifted = [
            scale * (c - (margins[k] * factor if k == target else 0)) for k, c in enumerate(row)
        ]
        top = max(shifted)
        normalizer = top + math.log(sum(math.exp(s - top) for s in shifted))
        losses.append(normalizer - shifted[target])
    return sum(losses) / len(losses)
