"""Text for terminals, and what stands in JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ['aligned', 'noted', 'plain', 'printable']


def aligned(rows: Sequence[Sequence[str]], right: bool = True) -> str:
    """Cells in columns as wide as their widest cell.

    Args:
        rows: of equal length.
        right: whether all columns but the first end below each other.

    Example:
        >>> print(aligned([('method', 'all'), ('CE', '80.1'), ('LA', '9.0')]))
        method   all
        CE      80.1
        LA       9.0
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    turned = str.rjust if right else str.ljust
    return '\n'.join(
        '  '.join([row[0].ljust(widths[0]), *map(turned, row[1:], widths[1:])]).rstrip()
        for row in rows
    )


def noted(path: Path) -> dict[str, Any]:
    """The object in a JSON file that a command has left; empty if it cannot be read.

    Args:
        path: such as ``run.json`` of a run, which may be anything else, or missing.
    """
    try:
        known = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def plain(value: Any) -> Any:
    """Figures for JSON: four decimals, and None for what is no number, which JSON lacks.

    Args:
        value: a number, or a dict or a sequence of them.
    """
    if isinstance(value, Mapping):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(part) for part in value]
    return None if math.isnan(value) else round(float(value), 4)


def printable(text: str) -> str:
    """Names may hold anything, such as what moves the cursor of a terminal."""
    return ''.join(c if c.isprintable() else c.encode('unicode_escape').decode() for c in text)
