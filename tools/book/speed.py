"""The table of docs/results/speed.md, from what benchmarks/speed.py wrote."""

from __future__ import annotations

import json
from typing import Any

from .logs import LOGS
from .tables import markdown

__all__ = ['speed_table']

FILE = LOGS / 'speed.json'


def speed_table() -> str:
    """A line for each figure; a sentence while there are none."""
    if not FILE.is_file():
        return 'Nothing was measured yet.'
    known = json.loads(FILE.read_text(encoding='utf-8'))
    about = (
        f'{known["processor"]}, {known["cores"]} cores, at a load of {known["load"]:g}; PyTorch '
        f'{known["torch"]}; {known["date"]}; commit `{known["commit"]}`; medians of '
        f'{known["runs"]} runs of each script, in brackets the least and the largest ratio.'
    )
    header = ['what', 'size', 'plain', 'mmlt', 'ratio', 'script']
    return f'{about}\n\n{markdown(header, map(_row, known["rows"]), header[2:5])}'


def _row(row: dict[str, Any]) -> list[str]:
    plain, mmlt = (_amount(row[key], row['unit']) for key in ('plain', 'mmlt'))
    ratio = ''
    if row['ratio'] is not None:
        low, high = row['spread']
        ratio = f'{_short(row["ratio"])} ({_short(low)} to {_short(high)})'
    return [row['what'], row['size'], plain, mmlt, ratio, f'`{row["command"]}`']


def _amount(value: float | None, unit: str) -> str:
    return '' if value is None else f'{_short(value)} {unit}'


def _short(value: float) -> str:
    """Three digits, or all that stand before the point."""
    return f'{value:,.0f}' if value >= 100 else f'{value:#.3g}'.rstrip('.')
