"""The code of docs/extend.md does what the page says."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmpretrain.registry import DATA_SAMPLERS, MODELS

from mmlt.datasets.samplers.epoch import EpochSampler
from tests.datasets.toy import COUNTS, ToyDataset
from tests.digits_runner import digits_runner
from tests.docs.blocks import python_blocks

BLOCKS = python_blocks('docs/extend.md')
WEIGHTS = [1, 1, 1, 5, 1]


@pytest.fixture(scope='module', autouse=True)
def my_project(tmp_path_factory):
    """The two blocks of ``my_project.py``, imported as the page says."""
    folder = tmp_path_factory.mktemp('project')
    source = ''.join(block for block in BLOCKS if block.startswith('# my_project.py'))
    (folder / 'my_project.py').write_text(source)
    sys.path.insert(0, str(folder))
    yield __import__('my_project')
    sys.path.remove(str(folder))
    del sys.modules['my_project']
    DATA_SAMPLERS.module_dict.pop('WeightedClassSampler')
    MODELS.module_dict.pop('VectorScalingLoss')


def sampler(**options):
    config = dict(type='WeightedClassSampler', class_weights=WEIGHTS, seed=0, **options)
    return DATA_SAMPLERS.build(config, default_args=dict(dataset=ToyDataset()))


def test_the_sampler_draws_classes_by_their_weights():
    mine = sampler()
    drawn = np.zeros(len(COUNTS))
    for epoch in range(40):
        mine.set_epoch(epoch)
        drawn += np.bincount(mine.labels[list(mine)], minlength=len(COUNTS))
    wanted = np.array([1, 1, 0, 5, 1]) / 8  # nobody has images of class 2
    assert np.abs(drawn / drawn.sum() - wanted).max() < 0.03


def test_ranks_share_the_list_of_one_process(monkeypatch):
    whole = list(sampler())
    shares = []
    for rank in range(2):
        monkeypatch.setattr(
            sys.modules[EpochSampler.__module__], 'get_dist_info', lambda rank=rank: (rank, 2)
        )
        shares.append(list(sampler()))
    together = [index for pair in zip(*shares, strict=True) for index in pair]
    assert together[: len(whole)] == whole


def test_weights_of_another_number_of_classes_are_an_error():
    with pytest.raises(ValueError, match='class_weights: expected 5 numbers, got 2'):
        DATA_SAMPLERS.build(
            dict(type='WeightedClassSampler', class_weights=[1, 2], dataset=ToyDataset())
        )


def test_the_loss_equals_its_formula():
    loss = MODELS.build(dict(type='VectorScalingLoss', gamma=0.5, tau=2.0))
    loss.set_class_counts([9, 1])
    logits, targets = torch.tensor([[1.0, 3.0], [0.0, 2.0]]), torch.tensor([1, 0])
    by_hand = torch.stack(
        [logits[:, 0] + 2 * np.log(0.9), logits[:, 1] * (1 / 9) ** 0.5 + 2 * np.log(0.1)], dim=1
    )
    assert torch.allclose(loss(logits, targets), F.cross_entropy(by_hand, targets))


def test_both_train_with_the_hook(tmp_path):
    (config,) = (block for block in BLOCKS if 'my_project' in block and '_base_' in block)
    lines: dict = {}
    exec(config, lines)
    runner = digits_runner(
        tmp_path,
        **{
            'default_hooks': lines['default_hooks'],
            'train_dataloader': lines['train_dataloader'],
            'model': lines['model'],
        },
    )
    runner.train()
    assert type(runner.train_dataloader.sampler).__name__ == 'WeightedClassSampler'
    assert runner.model.head.loss_module.class_counts.tolist()[:2] == [110, 71]


def test_the_maths_runs_alone():
    (block,) = (block for block in BLOCKS if 'mmlt.functional import exp' in block)
    names: dict = {}
    exec(block, names)
    assert names['counts'][0] == 5000 and names['loss'].isfinite()
