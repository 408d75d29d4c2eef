"""Confusion by groups and pairs with loops over images, as slow and obvious as possible."""

from __future__ import annotations


def shares(predictions, targets, group_of):
    """{true group: (images, right share, {predicted group: wrong share})}."""
    result = {}
    for group in set(group_of):
        mine = [
            (p, t)
            for p, t in zip(predictions, targets, strict=True)
            if group_of[t] == group and p >= 0
        ]
        right = sum(p == t for p, t in mine)
        wrong = {
            other: sum(p != t and group_of[p] == other for p, t in mine) for other in set(group_of)
        }
        result[group] = (
            len(mine),
            right / len(mine) if mine else None,
            {other: n / len(mine) if mine else None for other, n in wrong.items()},
        )
    return result


def pair_rates(predictions, targets, num_classes):
    """{(true, predicted): rate}, of wrong pairs that occur."""
    rates = {}
    for j in range(num_classes):
        mine = [p for p, t in zip(predictions, targets, strict=True) if t == j and p >= 0]
        for i in range(num_classes):
            if i != j and i in mine:
                rates[j, i] = mine.count(i) / len(mine)
    return rates
