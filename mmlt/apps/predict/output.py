"""Predictions as a table for people, and as CSV or JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmlt.evaluation.names import write_csv
from mmlt.weight_files import write_whole

from ..text import aligned, printable

__all__ = ['FORMATS', 'Row', 'as_table', 'save']

FORMATS = ('.csv', '.json')


class Row(NamedTuple):
    """One image, and name and probability of its best classes, best first."""

    path: str
    best: list[tuple[str, float]]


def as_table(rows: Sequence[Row]) -> str:
    """One line per image, columns aligned."""
    cells = [
        [printable(row.path), *(f'{printable(name)} {share:.3f}' for name, share in row.best)]
        for row in rows
    ]
    return aligned(cells, right=False)


def save(
    path: Path, rows: Sequence[Row], skipped: Sequence[tuple[str, str]], about: dict[str, Any]
) -> None:
    """Write ``.csv`` (what could be read) or ``.json`` (all, and how it was predicted)."""
    if path.suffix == '.csv':
        best = range(1, 1 + max((len(row.best) for row in rows), default=0))
        header = ['path', *(name for k in best for name in (f'class_{k}', f'probability_{k}'))]
        cells = (
            [row.path, *(text for name, share in row.best for text in (name, f'{share:.6f}'))]
            for row in rows
        )
        write_csv(path, header, cells)
        return
    images = [
        dict(path=row.path, best=[dict(name=name, probability=share) for name, share in row.best])
        for row in rows
    ]
    left_out = [dict(path=name, reason=reason) for name, reason in skipped]
    text = json.dumps(dict(**about, images=images, skipped=left_out), indent=1)
    write_whole(path, f'{text}\n'.encode())
