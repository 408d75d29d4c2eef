"""The tables of the reliability page are those of the figures, and the harness finds faults."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.faults import tables


def test_the_page_shows_the_figures(tmp_path):
    page = shutil.copy(tables.PAGE, tmp_path / 'page.md')
    tables.write(page=page)
    assert page.read_text() == tables.PAGE.read_text(), 'run python -m tests.faults tables'


def test_a_table_counts_what_went_wrong(tmp_path):
    chains = [
        dict(recipe='CE', ranks=1, kills=4, end='done', differences=[], line=''),
        dict(recipe='CE', ranks=1, kills=3, end='done', differences=['best'], line=''),
        dict(recipe='CE', ranks=1, kills=2, end='failed', differences=['no epoch_3.pth'], line='x'),
    ]
    found = dict(chains=chains, kills=9, date='2026-01-01', commit='abc', changed_files=True)
    (tmp_path / 'kills.json').write_text(json.dumps(found))
    page = shutil.copy(tables.PAGE, tmp_path / 'page.md')
    tables.write(tmp_path, page)
    text = page.read_text()
    assert '| CE | 1 | 9 | 2 of 3 | 1 of 3 |' in text
    assert 'at commit `abc` with uncommitted changes.' in text
    assert text.count('Not measured yet.') == len(tables.TABLES) - 1


@pytest.mark.slow
def test_killed_runs_end_as_if_nobody_had_killed_them(tmp_path):
    """Forked from a process of its own: this one has threads of its own already."""
    import os
    import subprocess
    import sys

    paths = f'{tables.ROOT}:{tables.ROOT / "tools"}'
    done = subprocess.run(
        [sys.executable, '-m', 'tests.faults', 'kills', '--count', '4', '--out', str(tmp_path)],
        cwd=tables.ROOT,
        env={**os.environ, 'PYTHONPATH': paths, 'OMP_NUM_THREADS': '1'},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads((tmp_path / 'kills.json').read_text())
    assert found['kills'] == 4
    assert [chain['end'] for chain in found['chains']] == ['done'] * len(found['chains'])
    assert [chain['differences'] for chain in found['chains']] == [[]] * len(found['chains'])
