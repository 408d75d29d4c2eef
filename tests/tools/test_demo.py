"""The demo: it trains every method, prints the table and writes the report."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.tools.load_tool import TOOLS, load_tool

demo = load_tool('demo.py')


@pytest.mark.slow
def test_quick_demo_trains_every_method_and_ends_in_the_report(tmp_path):
    command = [sys.executable, str(TOOLS / 'demo.py'), '--quick', '--seeds', '1']
    done = subprocess.run(
        [*command, '--work-dir', str(tmp_path)], capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr
    runs = json.loads((tmp_path / 'table.json').read_text())['runs']
    assert len(runs) == 6 and {run['epochs'] for run in runs} == {demo.QUICK_EPOCHS}
    table = done.stdout[done.stdout.index('Last epoch') :]
    for run in runs:
        assert f'\n{run["method"]} ' in table
    assert table.count('One seed has no interval') == 1
    page = (tmp_path / 'report.html').read_text(encoding='utf-8')
    assert 'ConCutMix + CAR' in page and f'{tmp_path}/report.html: 6 entries' in done.stdout
    assert 'Epoch(' not in done.stdout  # what the runs print is in their logs
    assert '\r' not in done.stdout and '\x1b' not in done.stdout + done.stderr  # no terminal
    # A second time it starts anew, and without plotly it still ends well.
    blocked = (
        'import importlib.util as u, runpy, sys; find = u.find_spec; '
        'u.find_spec = lambda name, *more: None if name == "plotly" else find(name, *more); '
        f'sys.path.insert(0, {str(TOOLS)!r}); sys.argv[0] = "demo.py"; '
        f'runpy.run_path({str(TOOLS / "demo.py")!r}, run_name="__main__")'
    )
    again = [sys.executable, '-c', blocked, *command[2:], '--work-dir', str(tmp_path)]
    done = subprocess.run(again, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    assert 'finished before' not in done.stdout and 'The table stands' in done.stdout
    assert (
        "plotly: expected it to be installed, got none; pip install 'mmlt[report]'" in done.stderr
    )


@pytest.mark.parametrize('option', ['--seeds', '--jobs'])
def test_numbers_below_one_are_refused(option, capsys):
    with pytest.raises(SystemExit):
        demo.parse_args([option, '0'])
    assert f"{option}: expected an integer of at least 1, got '0'" in capsys.readouterr().err
