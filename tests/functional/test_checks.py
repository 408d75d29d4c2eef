"""Options: what is taken, what is refused, and in which words."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from mmengine.runner import Runner

from mmlt.functional.checks import (
    OptionError,
    check_choice,
    check_flag,
    check_integer,
    check_number,
    check_numbers,
    check_text,
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


def test_the_error_reaches_the_user_of_a_hook_as_it_is():
    """MMEngine raises a ``TypeError`` of a hook again, with the address of the hook."""

    class Hook:
        def before_run(self, runner):
            check_flag('on', 1)

    runner = SimpleNamespace(_hooks=[Hook()])
    with pytest.raises(OptionError, match=r'^on: expected True or False, got 1$') as caught:
        Runner.call_hook(runner, 'before_run')
    # Other code raises `type(error)(longer message)`.
    assert str(type(caught.value)('longer')) == 'longer'


def test_lists_of_numbers_and_texts():
    assert check_numbers('mean', np.array([1, 2]), length=2) == (1.0, 2.0)
    for value in ([], [1], [1, 2, 3], [1, 'a'], [1, True], '12', 1.0, None, [1, float('nan')]):
        with pytest.raises(OptionError, match='mean: expected 2 numbers, got '):
            check_numbers('mean', value, length=2)
    assert check_text('prefix', 'a') == 'a'
    for value in ('', ' ', None, 1, ['a']):
        with pytest.raises(OptionError, match='prefix: expected a text, got '):
            check_text('prefix', value)
