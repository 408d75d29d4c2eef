"""The benchmarks compute the same by all ways, and measure memory exactly."""

from __future__ import annotations

import pytest
import torch

from tests.tools.load_tool import BENCHMARKS, load_tool


@pytest.fixture(autouse=True)
def benchmarks_on_the_path(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def test_peak_memory_is_that_of_the_tensors_held():
    tool = load_tool('benchmarks/side_by_side.py')

    def call():
        first = torch.empty(1000, dtype=torch.float64)
        del first
        return torch.empty(3000), torch.empty(500)

    assert tool.cost(call, 1, torch.device('cpu')).peak_bytes == pytest.approx(14_000, rel=0.05)


@pytest.mark.parametrize('name', ['semantic_labels', 'contrastive'])
def test_small_run(name, capsys):
    costs = load_tool(f'benchmarks/{name}.py').main(
        ['--images', '8', '--classes', '40', '--channels', '16', '--repeats', '1']
    )
    table = capsys.readouterr().out.splitlines()
    assert len(table) == 2 + len(costs)
    assert all(cost.seconds >= 0 and cost.peak_bytes > 0 for cost in costs.values())


def test_views_on_the_device(capsys):
    rates = load_tool('benchmarks/device_views.py').main(['--images', '2', '--repeats', '1'])
    assert len(rates) == 3 and all(rate > 0 for rate in rates.values())
    assert 'loader: one view and the source / three views: ' in capsys.readouterr().out
