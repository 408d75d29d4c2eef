"""The CAR benchmark at toy size: both formulations run and agree, no row is missing."""

import torch

from mmlt.functional.confusion.soft import ConfusionOptions
from tests.tools.load_tool import load_tool


def test_rows(capsys):
    tool = load_tool('benchmarks/car.py')
    threads = torch.get_num_threads()
    rows = tool.main(
        ['--classes', '12', '20', '--released-at', '12', '--images', '8', '--repeats', '1']
    )
    torch.set_num_threads(threads)
    assert [(row.size, row.unit, 'SVD' in row.what) for row in rows] == [
        ('N=8, K=12', 'ms', False),
        ('N=8, K=12', 'MB', False),
        ('N=8, K=12', 'MB', True),
        ('N=8, K=12', 'ms', True),
        ('N=8, K=20', 'ms', False),
        ('N=8, K=20', 'MB', False),
    ]
    assert all(row.plain > 0 and row.mmlt > 0 for row in rows)
    assert len(capsys.readouterr().out.splitlines()) == len(rows)


def test_both_formulations_have_the_same_gradient(monkeypatch):
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
