"""Everything that was found, grouped by kind: text for people, CSV or JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from mmlt.checkpoints import write_text_whole
from mmlt.evaluation.names import write_csv

from ..text import printable
from .kinds import KINDS, Finding
from .sources import Listed, Split

__all__ = ['Row', 'describe', 'has_faults', 'row_of', 'save']


@dataclass(frozen=True)
class Row:
    """One finding. ``list_file`` and ``line`` are None where no list names the file."""

    kind: str
    fault: bool
    split: str
    file: str
    list_file: str | None
    line: int | None
    label: str
    detail: str
    advice: str


COLUMNS = tuple(field.name for field in fields(Row))


def row_of(finding: Finding, split: Split, image: Listed | None = None) -> Row:
    """A finding about an image, or about a data set as a whole."""
    kind = KINDS[finding.kind]
    return Row(
        kind=finding.kind,
        fault=kind.fault,
        split=split.name,
        file='' if image is None else image.path,
        list_file=None if image is None else image.list_file,
        line=None if image is None else image.line,
        label='' if image is None or image.label is None else str(image.label),
        detail=finding.detail,
        advice=kind.advice,
    )


def has_faults(rows: Iterable[Row]) -> bool:
    """Whether something would stop a training, or let it learn from damaged images."""
    return any(row.fault for row in rows)


def describe(rows: Sequence[Row], show: int) -> str:
    """The report: faults, then warnings, a paragraph for each kind.

    Args:
        rows: what was found.
        show: rows of each kind at most.
    """
    faults = sum(row.fault for row in rows)
    lines = [f'Faults: {faults}']
    lines += _paragraphs([row for row in rows if row.fault], show)
    lines += ['', f'Warnings: {len(rows) - faults}']
    lines += _paragraphs([row for row in rows if not row.fault], show)
    return '\n'.join(lines)


def _paragraphs(rows: Sequence[Row], show: int) -> Iterator[str]:
    for name, kind in KINDS.items():
        mine = [row for row in rows if row.kind == name]
        if not mine:
            continue
        yield f'\n{kind.title}: {len(mine)} [{name}]'
        yield f'  To do: {kind.advice}'
        yield from (f'  {_line(row)}' for row in mine[:show])
        if len(mine) > show:
            yield f'  and {len(mine) - show} more; --show {len(mine)} or --out FILE names them all'


def _line(row: Row) -> str:
    place = row.split if row.line is None else f'{row.split}, {row.list_file}, line {row.line}'
    text = f'{row.file} ({place})' if row.file else place
    text = f'{text}: {row.detail}' if row.detail else text
    return printable(text)


def save(rows: Sequence[Row], path: Path) -> None:
    """All rows as ``.csv`` or ``.json``, with the folder of the file."""
    if path.suffix == '.csv':
        cells = (['' if v is None else str(v) for v in asdict(row).values()] for row in rows)
        write_csv(path, COLUMNS, cells)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text_whole(json.dumps([asdict(row) for row in rows], indent=1) + '\n', path)
