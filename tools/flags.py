"""Types of command-line flags that hold a number: argparse names the flag, these the range.

Not from ``mmlt.functional.checks``, since ``-h`` need not wait for the import of MMPretrain.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

__all__ = ['integer', 'number']


def number(least: float, most: float = math.inf) -> Callable[[str], float]:
    """A finite number from ``least`` to ``most``."""
    return _checked('a number', float, least, most)


def integer(least: int, most: float = math.inf) -> Callable[[str], int]:
    """An integer from ``least`` to ``most``."""
    return _checked('an integer', int, least, most)


def _checked(kind: str, convert: Callable[[str], float], least: float, most: float) -> Callable:
    def check(text: str) -> float:
        try:
            value = convert(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and least <= value <= most):
            upper = f' and at most {most:g}' if math.isfinite(most) else ''
            raise argparse.ArgumentTypeError(
                f'expected {kind} of at least {least:g}{upper}, got {text!r}'
            )
        return value

    return check
