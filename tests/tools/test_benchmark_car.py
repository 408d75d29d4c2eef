"""The CAR benchmark at toy size: both formulations run and agree, the table is complete."""

import torch

from mmlt.functional.confusion.soft import ConfusionOptions
from tests.tools.load_tool import BENCHMARKS, load_tool


def test_table(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    tool = load_tool('benchmarks/car.py')
    threads = torch.get_num_threads()
    tool.main(['--classes', '12', '20', '--released-at', '12', '--images', '8', '--repeats', '1'])
    torch.set_num_threads(threads)
    rows = capsys.readouterr().out.splitlines()
    assert len(rows) == 4
    assert all(row.count('|') == len(tool.COLUMNS) + 1 for row in rows)
    assert rows[2].split('|')[4].strip()
    assert not rows[3].split('|')[4].strip()


def test_both_formulations_have_the_same_gradient(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    tool = load_tool('benchmarks/car.py')
    weights = torch.linspace(1, 2, 12)
    gradients = []
    for make in (
        lambda stream: tool.mmlt_step(stream, weights, ConfusionOptions(tolerance=0.0)),
        lambda stream: tool.released_step(stream, weights),
    ):
        leaves = []
        batch = next(tool.batches(12, 8, torch.device('cpu')))
        original = torch.Tensor.requires_grad_

        def remember(tensor, *args, leaves=leaves, original=original):
            leaves.append(original(tensor, *args))
            return leaves[-1]

        with monkeypatch.context() as patch:
            patch.setattr(torch.Tensor, 'requires_grad_', remember)
            make(iter([batch]))()
        gradients.append(leaves[0].grad)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-6)
