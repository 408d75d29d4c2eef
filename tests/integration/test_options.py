"""Bad values of every option, of registered components and of public functions: refused by name."""

from __future__ import annotations

import inspect
import re
from collections import Counter

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from mmlt import functional
from tests.integration.option_grammar import COMPONENTS, parameters, registered

EVERY = [(name, option) for name, part in COMPONENTS.items() for option in part.options]
# Annotations of options; tensors and lists are data.
PLAIN = {'int', 'float', 'bool', 'str'}
# What a class sets for itself, and no config can.
_OWN = {'ann_file': {'CIFAR10LT', 'CIFAR100LT', 'DigitsLT', 'FeaturesLT'}, 'split': {'CIFAR10LT'}}


def build(name, **options):
    case = COMPONENTS[name]
    part = case.of or registered()[name]
    return part(**{**case.base(), **options})


def outcome(name, option, value):
    """``'silent'``, ``'unnamed'`` or ``'named'``, and what was said."""
    try:
        build(name, **{option: value})
    except Exception as error:
        inside = list(value) if isinstance(value, dict) else []  # options of options
        named = re.search(rf'\b{option}\b', str(error)) or str(error).startswith(
            tuple(f'{key}:' for key in inside)
        )
        return ('named' if named else 'unnamed'), f'{type(error).__name__}: {error}'
    return 'silent', 'nothing'


def fuzz(examples):
    """Outcomes of that many bad values for each option, and a row for each that is not named."""
    totals, rows = Counter(), {}

    def one(name, option):
        @settings(
            max_examples=examples,
            database=None,
            derandomize=True,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(COMPONENTS[name].options[option].bad)
        def run(value):
            result, said = outcome(name, option, value)
            totals[result] += 1
            if result != 'named':
                rows.setdefault((result, name, option), f'{value!r}: {said[:90]}')

        run()

    for name, option in EVERY:
        one(name, option)
    return totals, rows


def check(examples):
    totals, rows = fuzz(examples)
    table = '\n'.join(f'{" ".join(key):60} {row}' for key, row in sorted(rows.items()))
    found = f'{totals.total()} bad values, {dict(totals)}\n{table}'
    print(found)
    assert totals['silent'] <= 0.01 * totals.total(), found
    assert not totals['unnamed'], found


def test_every_option_has_a_grammar():
    parts = registered()
    assert set(parts) == {name for name, case in COMPONENTS.items() if case.of is None}
    for name, part in parts.items():
        missing = parameters(part) - set(COMPONENTS[name].options)
        assert {option for option in missing if name not in _OWN.get(option, ())} == set(), name
    for name in functional.__all__:
        given = inspect.signature(getattr(functional, name)).parameters.values()
        plain = {p.name for p in given if set(p.annotation.split(' | ')) & PLAIN}
        known = COMPONENTS[name].options if name in COMPONENTS else {}
        assert plain <= set(known), name


@pytest.mark.parametrize('name', COMPONENTS)
def test_what_a_component_needs_is_enough_and_misspelt_options_are_refused(name):
    build(name)
    with pytest.raises((TypeError, ValueError), match=r'no_such_option|takes no arguments'):
        build(name, no_such_option=1)


def test_bad_options_are_refused_by_name():
    check(examples=3)


@pytest.mark.slow
def test_many_bad_options_are_refused_by_name():
    check(examples=100)
