"""Markdown tables of a confusion matrix: by groups of classes, and by confused pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmlt.functional.confusion_groups import GroupConfusion, error_rates, top_error_pairs

__all__ = ['PairRates', 'compare_pairs', 'group_table', 'pair_table']


@dataclass(frozen=True)
class PairRates:
    """Error rates of several models on the same ordered pairs of classes.

    Args:
        true: ``(P,)`` int64 true classes.
        predicted: ``(P,)`` int64 predicted classes.
        rates: model -> ``(P,)`` per cent of the true class's images.

    Example:
        >>> pair = np.array([0]), np.array([1])
        >>> PairRates(*pair, {'before': np.array([30.0])}).means
        {'before': 30.0}
    """

    true: NDArray[np.int64]
    predicted: NDArray[np.int64]
    rates: dict[str, NDArray[np.float64]]

    @property
    def means(self) -> dict[str, float]:
        """Mean over the pairs.

        Args:
            None.

        Returns:
            Model -> per cent; 0 where there is no pair.
        """
        return {
            title: float(rates.sum()) / max(len(rates), 1) for title, rates in self.rates.items()
        }


def compare_pairs(confusions: Mapping[str, NDArray[np.int64]], count: int) -> PairRates:
    """Error rates on the pairs that the first model confuses most.

    Pairs that are chosen on the same images as they are measured on are partly chosen by chance:
    any other model, another seed too, is expected to lower them a little.

    Args:
        confusions: model -> ``(K, K)`` counts, ``confusion[true, predicted]``; the first chooses.
        count: how many pairs, at least 1; fewer where the first confuses fewer.

    Returns:
        The pairs, largest rate of the first model first, and the rates of all models.

    Raises:
        ValueError: if there is no model or the matrices do not have one shape.

    Example:
        >>> before, after = np.array([[6, 4], [1, 9]]), np.array([[9, 1], [3, 7]])
        >>> compare_pairs({'before': before, 'after': after}, 1).means
        {'before': 40.0, 'after': 10.0}
    """
    shapes = {confusion.shape for confusion in confusions.values()}
    if len(shapes) != 1:
        raise ValueError(f'confusions: expected matrices of one shape, got {sorted(shapes)}')
    true, predicted, _ = top_error_pairs(next(iter(confusions.values())), count)
    return PairRates(
        true,
        predicted,
        {
            title: 100 * error_rates(confusion)[true, predicted]
            for title, confusion in confusions.items()
        },
    )


def group_table(grouped: GroupConfusion) -> str:
    """A row for each group of true classes, in per cent of its images.

    Args:
        grouped: from :func:`~mmlt.functional.confusion_groups.group_confusion`.

    Returns:
        A Markdown table; the cells of a group without images are empty.

    Example:
        >>> from mmlt.functional.confusion_groups import group_confusion
        >>> print(group_table(group_confusion(np.array([[3, 1], [2, 2]]), {'all': [1, 1]})))
        | true class | images | right | wrong: all |
        |---|---|---|---|
        | all | 8 | 62.5 | 37.5 |
    """
    rows = [
        [
            name,
            str(images),
            *('' if np.isnan(share) else f'{100 * share:.1f}' for share in (right, *wrong)),
        ]
        for name, images, right, wrong in zip(
            grouped.names, grouped.images, grouped.right, grouped.wrong, strict=True
        )
    ]
    return _markdown(
        ['true class', 'images', 'right', *(f'wrong: {name}' for name in grouped.names)], rows
    )


def pair_table(pairs: PairRates, names: Sequence[str]) -> str:
    """A row for each pair, and the means.

    Args:
        pairs: from :func:`compare_pairs`.
        names: ``K`` names of the classes.

    Returns:
        A Markdown table.

    Example:
        >>> pairs = PairRates(np.array([0]), np.array([1]), {'before': np.array([30.0])})
        >>> print(pair_table(pairs, ['cat', 'dog']))
        | true | predicted | before |
        |---|---|---|
        | cat | dog | 30.0 |
        | mean of 1 |  | 30.00 |
    """
    rows = [
        [names[j], names[i], *(f'{rate:.1f}' for rate in rates)]
        for j, i, *rates in zip(pairs.true, pairs.predicted, *pairs.rates.values(), strict=True)
    ]
    means = [f'mean of {len(rows)}', '', *(f'{mean:.2f}' for mean in pairs.means.values())]
    return _markdown(['true', 'predicted', *pairs.rates], [*rows, means])


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ['| ' + ' | '.join(cells) + ' |' for cells in (header, *rows)]
    lines.insert(1, '|---' * len(header) + '|')
    return '\n'.join(lines)
