r"""Options, checked once where they come in: ``name: expected WHAT, got VALUE``."""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Collection
from typing import Any, TypeVar

__all__ = [
    'OptionError',
    'check_choice',
    'check_flag',
    'check_integer',
    'check_number',
    'check_numbers',
    'check_text',
    'one_line',
    'refuse',
]

T = TypeVar('T')


class OptionError(ValueError):
    """An option of the wrong type or out of its range.

    No ``TypeError``: where a hook raises one, MMEngine puts the address of the hook behind the
    message. It takes a message and nothing else, for code that raises it again with a longer one.
    """


def refuse(name: str, expected: str, value: object) -> OptionError:
    """The error for an option, to be raised.

    Args:
        name: of the option, as the user writes it.
        expected: what it may be.
        value: what came.

    Returns:
        ``name: expected WHAT, got VALUE``.

    Example:
        >>> str(refuse('rows', 'a list', 3))
        'rows: expected a list, got 3'
    """
    return OptionError(f'{name}: expected {expected}, got {value!r}')


def one_line(error: BaseException, most: int = 300) -> str:
    """What an error says, for a line of ours.

    Args:
        error: of any kind.
        most: characters.

    Returns:
        Its text without line breaks, cut off; of a ``KeyError`` without the quotes that Python
        puts around its key; the name of its type if it says nothing.

    Example:
        >>> one_line(ValueError('no such\\n  file'))
        'no such file'
        >>> one_line(EOFError())
        'EOFError'
    """
    said = error.args[0] if isinstance(error, KeyError) and error.args else error
    return ' '.join(str(said).split())[:most] or type(error).__name__


def check_number(name: str, value: Any, interval: str = '(-inf, inf)') -> float:
    """A finite number in an interval.

    Args:
        name: of the option.
        value: what came; numbers of numpy are taken, ``bool`` and strings are not.
        interval: in the notation of mathematics, for example ``'[0, 1)'`` or ``'(0, inf)'``.

    Returns:
        The value as a ``float``; all else, NaN and infinities included, is an ``OptionError``.

    Example:
        >>> check_number('beta', float('nan'), '[0, 1)')
        Traceback (most recent call last):
        mmlt.functional.checks.OptionError: beta: expected a number in [0, 1), got nan
    """
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not (number and math.isfinite(value) and _inside(float(value), interval)):
        raise refuse(name, _describe('a number', interval), value)
    return float(value)


def check_numbers(
    name: str, value: Any, interval: str = '(-inf, inf)', length: int | None = None
) -> tuple[float, ...]:
    """A list of finite numbers in an interval.

    Args:
        name: of the option.
        value: what came; a list, a tuple, or a one-dimensional array or tensor.
        interval: of each number, see :func:`check_number`.
        length: how many; ``None``: at least one.

    Returns:
        The numbers; all else is an ``OptionError``.

    Example:
        >>> check_numbers('crop_scale', [0.5, 1], '(0, 1]', length=2)
        (0.5, 1.0)
    """
    kind = _describe(f'{length or "some"} numbers', interval)
    if hasattr(value, 'tolist'):  # of numpy and torch
        value = value.tolist()
    if not isinstance(value, (list, tuple)) or len(value) != (length or max(1, len(value))):
        raise refuse(name, kind, value)
    try:
        return tuple(check_number(name, one, interval) for one in value)
    except OptionError:
        raise refuse(name, kind, value) from None


def check_integer(name: str, value: Any, interval: str = '(-inf, inf)') -> int:
    """An integer in an interval.

    Args:
        name: of the option.
        value: what came; integers of numpy are taken, ``bool`` and ``1.0`` are not.
        interval: for example ``'[1, inf)'``.

    Returns:
        The value as an ``int``; all else is an ``OptionError``.
    """
    integer = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not (integer and _inside(operator.index(value), interval)):
        raise refuse(name, _describe('an integer', interval), value)
    return operator.index(value)


def check_choice(name: str, value: T, choices: Collection[T]) -> T:
    """One of a few values.

    Args:
        name: of the option.
        value: what came.
        choices: what it may be.

    Returns:
        The value; any other, ``1`` for ``True`` among them, is an ``OptionError``.
    """
    if not any(type(value) is type(choice) and value == choice for choice in choices):
        raise refuse(name, ' or '.join(map(repr, choices)), value)
    return value


def check_flag(name: str, value: Any) -> bool:
    """True or False.

    Args:
        name: of the option.
        value: what came.

    Returns:
        The value; all else is an ``OptionError``.
    """
    if not isinstance(value, bool):
        raise refuse(name, 'True or False', value)
    return value


def check_text(name: str, value: Any) -> str:
    """A text that is not empty.

    Args:
        name: of the option.
        value: what came.

    Returns:
        The value; all else is an ``OptionError``.
    """
    if not isinstance(value, str) or not value.strip():
        raise refuse(name, 'a text', value)
    return value


def _describe(kind: str, interval: str) -> str:
    return kind if interval == '(-inf, inf)' else f'{kind} in {interval}'


def _inside(value: float, interval: str) -> bool:
    low, high = (float(end) for end in interval[1:-1].split(','))
    above = value >= low if interval[0] == '[' else value > low
    return above and (value <= high if interval[-1] == ']' else value < high)
