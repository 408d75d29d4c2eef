"""Every tool explains itself, and can be run as a script."""

from __future__ import annotations

import argparse
import ast
import sys

import pytest

from tests.tools.load_tool import TOOLS, load_tool

SCRIPTS = sorted(
    str(path.relative_to(TOOLS))
    for path in TOOLS.rglob('*.py')
    if 'ArgumentParser' in path.read_text(encoding='utf-8')
    and '__main__' in path.read_text(encoding='utf-8')
)


@pytest.mark.parametrize('script', SCRIPTS)
def test_help(script, capsys, monkeypatch):
    monkeypatch.setattr(sys, 'path', [str((TOOLS / script).parent), *sys.path])
    monkeypatch.setattr(sys, 'argv', [script, '-h'])
    with pytest.raises(SystemExit) as end:
        load_tool(script).main()
    assert end.value.code == 0
    assert 'usage' in capsys.readouterr().out


@pytest.mark.parametrize('script', SCRIPTS)
def test_nothing_is_defined_after_the_call_of_main(script):
    """``main`` of a script runs before what follows it is defined; an import would not show it."""
    last = ast.parse((TOOLS / script).read_text(encoding='utf-8')).body[-1]
    assert isinstance(last, ast.If) and '__main__' in ast.unparse(last.test)


@pytest.mark.parametrize('script', SCRIPTS)
def test_flags_refuse_what_is_no_number_in_their_range(script, monkeypatch):
    """``--tau nan`` is a float for argparse, and so is ``--top -5`` an integer."""
    monkeypatch.setattr(sys, 'path', [str((TOOLS / script).parent), *sys.path])
    parsers = []

    def remember(parser, *args, **kwargs):
        parsers.append(parser)
        raise KeyboardInterrupt

    monkeypatch.setattr(argparse.ArgumentParser, 'parse_args', remember)
    with pytest.raises(KeyboardInterrupt):
        load_tool(script).main([])
    for action in parsers[0]._actions:
        assert action.type not in (int, float), action.option_strings
        if getattr(action.type, '__module__', '') == 'flags':
            for text in ('nan', 'inf', '-inf', '-1e9', '-1', 'abc', '', '1e999'):
                with pytest.raises(argparse.ArgumentTypeError, match='expected a'):
                    action.type(text)
            assert action.default is None or action.type(str(action.default)) == action.default
