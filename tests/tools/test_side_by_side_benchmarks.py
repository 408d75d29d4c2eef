"""The benchmarks compute the same by all ways, measure memory exactly and make the page."""

from __future__ import annotations

import types

import pytest
import torch
from book import speed

from tests.tools.load_tool import load_tool


def test_peak_memory_is_that_of_the_tensors_held():
    tool = load_tool('benchmarks/side_by_side.py')

    def call():
        first = torch.empty(1000, dtype=torch.float64)
        del first
        return torch.empty(3000), torch.empty(500)

    assert tool.cost(call, 1, torch.device('cpu')).peak_bytes == pytest.approx(14_000, rel=0.05)


SMALL = {
    'semantic_labels': '--images 8 --classes 40 --channels 16 --repeats 1',
    'contrastive': '--images 8 --classes 40 --channels 16 --repeats 1',
    'device_views': '--images 2 --repeats 1',
    'data_path': '--images 4 --batch-size 2 --repeats 1',
    'metric': '--classes 40 --images 512 --repeats 1',
}


@pytest.mark.parametrize('name', SMALL)
def test_small_run(name, capsys):
    rows = load_tool(f'benchmarks/{name}.py').main(SMALL[name].split())
    assert len(capsys.readouterr().out.splitlines()) == len(rows)
    assert all(row.mmlt > 0 for row in rows)
    assert any(row.ratio is not None for row in rows)


def test_ratio_says_how_many_times_better():
    row = load_tool('benchmarks/side_by_side.py').Row
    assert row('a step', '', 6.0, 2.0, 'ms').ratio == 3
    assert row('a loader', '', 2.0, 6.0, 'images/s').ratio == 3
    assert row('a step', '', None, 6.0, 'ms').ratio is None


def test_the_page_has_medians_of_runs(tmp_path, monkeypatch):
    tool = load_tool('benchmarks/speed.py')
    row = load_tool('benchmarks/side_by_side.py').Row
    found = iter(
        [
            [row('step', 'N=2', plain, 2.0, 'ms'), row('loader', 'N=2', None, plain, 'images/s')]
            for plain in (4.0, 1200.0, 6.0)
        ]
    )
    options = []
    script = types.SimpleNamespace(
        __file__='/a/car.py', main=lambda argv: options.append(argv) or next(found)
    )
    monkeypatch.setattr(tool, 'PARTS', ((script, '--classes 3'),))
    out = tmp_path / 'speed.json'
    assert tool.main(['--runs', '3', '--out', str(out)]) == 0
    assert options == 3 * [['--classes', '3']]

    monkeypatch.setattr(speed, 'FILE', out)
    about, _, header, _, *lines = speed.speed_table().splitlines()
    assert 'medians of 3 runs' in about
    assert header == '| what | size | plain | mmlt | ratio | script |'
    assert lines == [
        '| step | N=2 | 6.00 ms | 2.00 ms | 3.00 (2.00 to 600) | `car.py --classes 3` |',
        '| loader | N=2 |  | 6.00 images/s |  | `car.py --classes 3` |',
    ]
