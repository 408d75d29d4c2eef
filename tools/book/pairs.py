"""What CP-Mix does to single pairs on the digits, from what confusion_by_shot.py wrote."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from typing import Any

from .logs import LOGS
from .tables import markdown

__all__ = ['pair_tables']

FOLDER = LOGS / 'digits_lt' / 'confusion_of_pairs'
SEEDS = range(4)
# File name -> its second model; the first is cross-entropy of the seed.
OTHERS = {'cpmix': 'CP-Mix', 'ce': 'CE with the next seed, as a control'}


def pair_tables() -> dict[str, Callable[[], str]]:
    """Name of a table to what makes it."""
    return {'confused pairs': _pairs, 'confusion by shot, seed 0': _shots}


def _read(seed: int, other: str) -> dict[str, Any]:
    known: dict[str, Any] = json.loads(
        (FOLDER / f'seed{seed}_{other}.json').read_text(encoding='utf-8')
    )
    return known


def _pairs() -> str:
    """Means over the pairs that cross-entropy confuses most, and over each model's own."""
    known = {other: [_read(seed, other) for seed in SEEDS] for other in OTHERS}
    columns = [[one['means']['before'] for one in known['cpmix']]]
    columns += [[one['means']['after'] for one in known[other]] for other in OTHERS]
    own = [[one['models']['before']['own_top_mean'] for one in known['cpmix']]]
    own += [[one['models']['after']['own_top_mean'] for one in known[other]] for other in OTHERS]
    rows = [
        [f'seed {seed}', *map(_percent, values)]
        for seed, values in zip(SEEDS, zip(*columns, strict=True), strict=True)
    ]
    rows.append(['mean', *(_percent(statistics.mean(values)) for values in columns)])
    rows.append(
        ["each model's own ten, mean", *(_percent(statistics.mean(values)) for values in own)]
    )
    return markdown(['', 'CE', *OTHERS.values()], rows)


def _shots() -> str:
    """Where the images of each group go, with cross-entropy and with CP-Mix."""
    models = _read(0, 'cpmix')['models']
    groups = list(models['before']['right'])
    rows = []
    for group in groups:
        shares = [[model['right'][group] for model in models.values()]]
        shares += [[model['wrong'][group][other] for model in models.values()] for other in groups]
        rows.append([group, *(', '.join(map(_percent, pair)) for pair in shares)])
    header = ['true class is', 'right: CE, CP-Mix', *(f'wrong: {group}' for group in groups)]
    return markdown(header, rows)


def _percent(value: float) -> str:
    return f'{value:.1f}'
