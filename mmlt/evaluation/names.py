r"""Names as plain text, wherever they are shown.

Names of classes and files come from folders and lists that other people have made. A spreadsheet
runs a cell that begins like a formula.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

from mmlt.checkpoints import written_whole

__all__ = ['from_cell', 'to_cell', 'write_csv']

# Where a cell may begin: at the start, and after what other settings of a spreadsheet take for the
# end of a cell. The wide signs are what East Asian keyboards type.
_START = r'(^|[;\t\r\n])(\s*)'
_SIGNS = r'[=+\-@＝＋－＠]'
_FORMULA = re.compile(rf"{_START}(?='*{_SIGNS})")
_NEUTRAL = re.compile(rf"{_START}'(?='*{_SIGNS})")


def to_cell(text: str) -> str:
    r"""A text that a spreadsheet shows as it is: an apostrophe before what begins a formula.

    Args:
        text: any.

    Returns:
        The text, changed only where it could begin a formula; :func:`from_cell` undoes it.

    Example:
        >>> to_cell('=HYPERLINK("http://a.b")'), to_cell('-1; @x'), to_cell('sea = lion')
        ('\'=HYPERLINK("http://a.b")', "'-1; '@x", 'sea = lion')
    """
    return _FORMULA.sub(r"\1\2'", text)


def from_cell(text: str) -> str:
    """The text that :func:`to_cell` was given.

    Args:
        text: a cell.

    Returns:
        What it was before.

    Example:
        >>> from_cell(to_cell('@jay')), from_cell("'s-Hertogenbosch")
        ('@jay', "'s-Hertogenbosch")
    """
    return _NEUTRAL.sub(r'\1\2', text)


def write_csv(path: str | Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table, with its folder; an older file is replaced in one step.

    The one writer of CSV files here, so that no cell with a name can be a formula.

    Args:
        path: of the file.
        header: names of the columns.
        rows: cells, as text. What is a number stays one.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        written_whole(path) as aside,
        aside.open('w', newline='', encoding='utf-8', errors='surrogateescape') as file,
    ):
        writer = csv.writer(file)
        writer.writerows([_cell(text) for text in row] for row in chain([header], rows))


def _cell(text: str) -> str:
    try:
        return text if math.isfinite(float(text)) else to_cell(text)
    except ValueError:
        return to_cell(text)
