"""The benchmark's split step is a training step, and its tables are complete."""

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
    measured = tool.main(['--batch-size', '2', '--classes', '10', '--repeats', '1'])
    assert set(tool.METHOD) < set(measured['parts'])
    assert len(measured['steps']) == 4
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith('| ')]
    assert len(rows) == len(measured['parts']) + len(measured['steps']) + 5
