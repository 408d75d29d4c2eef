"""Per-class figures by loops over images and classes, as slow and obvious as possible."""

from __future__ import annotations


def per_class(predictions, targets, num_classes):
    accuracies = []
    for k in range(num_classes):
        mine = [p == k for p, t in zip(predictions, targets, strict=True) if t == k]
        accuracies.append(sum(mine) / len(mine) if mine else None)
    return accuracies


def group_mean(accuracies, members):
    values = [a for a, member in zip(accuracies, members, strict=True) if member and a is not None]
    return sum(values) / len(values) if values else None


def macro_f1(predictions, targets, num_classes):
    scores = []
    for k in range(num_classes):
        if k not in list(targets):
            continue
        hits = sum(p == k and t == k for p, t in zip(predictions, targets, strict=True))
        false_alarms = sum(p == k and t != k for p, t in zip(predictions, targets, strict=True))
        missed = sum(p != k and t == k for p, t in zip(predictions, targets, strict=True))
        scores.append(2 * hits / (2 * hits + false_alarms + missed))
    return sum(scores) / len(scores)


def most_confused(predictions, targets, num_classes):
    confused = []
    for k in range(num_classes):
        counts = [0] * num_classes
        for p, t in zip(predictions, targets, strict=True):
            if t == k and p != k and p >= 0:
                counts[p] += 1
        confused.append(counts.index(max(counts)) if max(counts) else -1)
    return confused


def topk(scores, targets, k):
    hits = 0
    for row, target in zip(scores, targets, strict=True):
        ranked = sorted(range(len(row)), key=lambda i: -row[i])
        hits += target in ranked[:k]
    return hits / len(targets)


def harmonic(accuracies):
    values = [a for a in accuracies if a is not None]
    return 0.0 if 0 in values else len(values) / sum(1 / a for a in values)


def geometric(accuracies):
    values = [a for a in accuracies if a is not None]
    product = 1.0
    for a in values:
        product *= a
    return product ** (1 / len(values))
