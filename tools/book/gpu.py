"""The tables of docs/results/gpu.md, from what benchmarks/gpu.py wrote."""

from __future__ import annotations

import json
from typing import Any

from .logs import LOGS
from .tables import markdown

__all__ = ['gpu_tables']

FILE = LOGS / 'gpu.json'


def gpu_tables() -> str:
    """A table for each network and size; a sentence while there are no figures."""
    if not FILE.is_file():
        return 'Nothing was run on a GPU yet.'
    known = json.loads(FILE.read_text(encoding='utf-8'))
    dates = ', '.join(sorted({row['date'] for row in [*known['rows'], *known['passes']]}))
    parts = [
        f'{known["device"]}, PyTorch {known["torch"]}, {dates}; median of {known["repeats"]} steps.'
    ]
    for net in dict.fromkeys(row['net'] for row in known['rows']):
        rows = [row for row in known['rows'] if row['net'] == net]
        header = ['method', 'views', 'arithmetic', 'backbone compiled', 'images']
        header += ['ms', 'of plain ms', 'MB', 'of plain MB', 'commit']
        cells = [_row(row, rows) for row in rows]
        parts.append(f'## {net}\n\n{markdown(header, cells, header[4:-1])}')
    if known.get('passes'):
        header = ['net', 'method', 'images are augmented by', 'workers', 'loader, images/s']
        header += ['step, images/s', 'both, images/s', 'seconds per epoch', 'commit']
        table = markdown(header, map(_pass, known['passes']), header[3:-1])
        parts.append(f'## Loader and step\n\n{table}')
    if known['left_out']:
        # Names of steps say their arithmetic where it is not float32.
        steps = [
            name if 'mixed precision' in name else f'{name}, float32' if 'views: ' in name else name
            for name in known['left_out']
        ]
        parts.append(f'Not measured within the time: {"; ".join(steps)}.')
    if known.get('failed'):
        what = '; '.join(f'{name} ({error})' for name, error in known['failed'].items())
        parts.append(f'Failed: {what}.')
    return '\n\n'.join(parts)


def _pass(row: dict[str, Any]) -> list[str]:
    rates = [f'{row[key]:,.0f}' for key in ('loader', 'step', 'both')]
    seconds = '' if row['seconds'] is None else f'{row["seconds"]:.1f}'
    about = [row['net'], row['method'], row['where'], str(row['workers'])]
    return [*about, *rates, seconds, f'`{row["commit"]}`']


def _row(row: dict[str, Any], rows: list[dict[str, Any]]) -> list[str]:
    same = ('views', 'arithmetic', 'compiled', 'commit')
    plain = [x for x in rows if x['plain'] and all(x[key] == row[key] for key in same)]
    cells = [
        row['method'],
        str(row['views']),
        row['arithmetic'],
        'yes' if row['compiled'] else 'no',
    ]
    cells.append(str(row['images']))
    for key in ('ms', 'mb'):
        value = row[key]
        cells.append('' if value is None else f'{value:.1f}')
        # Of plain cross-entropy of the same number of views.
        base = plain[0][key] if plain else None
        cells.append('' if value is None or base is None else f'{value / base:.2f}')
    return [*cells, f'`{row["commit"]}`']
