"""The benchmark's split step is a training step, and no row is missing."""

import pytest
import torch
from mmengine.optim import OptimWrapper

from tests.tools.load_tool import load_tool

tool = load_tool('benchmarks/training_step.py')


def after_one_step(step):
    """Weights and confusion estimate after one step of a new model on the same batch."""
    model = tool.build_model(classes=10)
    step(model, OptimWrapper(tool.sgd(model)), tool.build_batch(3, classes=10))
    return model.state_dict()


def test_the_parts_make_the_step_of_the_host():
    expected = after_one_step(lambda model, optimizer, batch: model.train_step(batch, optimizer))
    found = after_one_step(tool.split_step)
    assert expected['head.loss_car.estimate.confusion'].any()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.slow
def test_small_run(capsys):
    rows = tool.main(['--batch-size', '2', '--classes', '10', '--repeats', '1'])
    shares = {row.what.split(', share')[0]: row.mmlt for row in rows if row.unit == '%'}
    both = shares.pop('all of the method')
    assert sum(shares.values()) == pytest.approx(100)
    assert both == pytest.approx(sum(shares[name] for name in tool.METHOD))
    assert len([row for row in rows if row.unit == 'ms']) == 3
    assert len(capsys.readouterr().out.splitlines()) == len(rows)
