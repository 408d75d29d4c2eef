"""Options: what is taken, what is refused, and in which words."""

from __future__ import annotations

import numpy as np
import pytest

from mmlt.functional.checks import (
    OptionError,
    check_choice,
    check_flag,
    check_integer,
    check_number,
)

NO_NUMBERS = (True, None, 'abc', '1', [1.0], float('nan'), float('inf'), -float('inf'), 1j)


@pytest.mark.parametrize('value', NO_NUMBERS, ids=repr)
def test_what_is_no_number(value):
    with pytest.raises(OptionError, match=r'^tau: expected a number in \[0, inf\), got '):
        check_number('tau', value, '[0, inf)')
    with pytest.raises(OptionError, match=r'^epochs: expected an integer, got '):
        check_integer('epochs', value)


@pytest.mark.parametrize(
    ('interval', 'inside', 'outside'),
    [
        ('[0, 1)', (0, 0.0, 0.5, np.float32(0.25)), (-1e-9, 1, 1.5)),
        ('(0, 1]', (1e-9, 1), (0, 1.0001)),
        ('(0, inf)', (1e-9, 1e300), (0, -1)),
        ('(-inf, inf)', (-1e300, 0, 1e300), ()),
    ],
)
def test_ends_of_an_interval(interval, inside, outside):
    for value in inside:
        assert check_number('x', value, interval) == value
        assert type(check_number('x', value, interval)) is float
    for value in outside:
        with pytest.raises(OptionError, match='x: expected a number in'):
            check_number('x', value, interval)


def test_integers():
    assert type(check_integer('k', np.int64(3), '[1, 3]')) is int
    for value in (0, 4, 1.0, np.float64(2), True):
        with pytest.raises(OptionError, match=r'k: expected an integer in \[1, 3\], got '):
            check_integer('k', value, '[1, 3]')


def test_choices_and_flags():
    assert check_choice('mode', 'a', ('a', 'b')) == 'a'
    for value in ('c', None, 0, ['a']):
        with pytest.raises(OptionError, match="mode: expected 'a' or 'b', got "):
            check_choice('mode', value, ('a', 'b'))
    with pytest.raises(OptionError, match='n: expected 1 or 2, got True'):
        check_choice('n', True, (1, 2))
    assert check_flag('on', False) is False
    for value in (0, 1, 'True', None, np.bool_(True)):
        with pytest.raises(OptionError, match='on: expected True or False, got '):
            check_flag('on', value)


def test_the_error_is_of_both_kinds():
    with pytest.raises(ValueError):
        check_flag('on', 1)
    with pytest.raises(TypeError):
        check_flag('on', 1)
