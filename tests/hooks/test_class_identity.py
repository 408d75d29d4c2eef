"""A class has one index in all data of a run and in its checkpoints."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mmlt.datasets import LongTailDataset
from mmlt.hooks import ClassCountsHook
from tests.datasets.toy import ToyDataset


class Log:
    def __init__(self):
        self.lines = []
        self.warning = self.lines.append

    def info(self, line):
        pass


def loop_of(names, counts=(2, 1, 1)):
    data = ToyDataset(
        labels=[k for k, n in enumerate(counts) for _ in range(n)], num_classes=len(counts)
    )
    data._metainfo['classes'] = tuple(names.split())
    loader = SimpleNamespace(dataset=LongTailDataset(data), batch_sampler=None, sampler=None)
    return SimpleNamespace(dataloader=loader)


class Run(SimpleNamespace):
    """As much of a runner as the hook looks at."""

    def __init__(self, train='', val='', test='', resume=False):
        loops = dict(_train_loop=train, _val_loop=val, _test_loop=test)
        super().__init__(
            **{name: loop_of(names) if names else None for name, names in loops.items()},
            model=torch.nn.Linear(1, 1),
            hooks=[],
            logger=Log(),
            _resume=resume,
        )
        if train:
            self.train_dataloader = self._train_loop.dataloader


def saved(names, **more):
    return dict(meta=dict(dataset_meta=dict(classes=tuple(names.split()), **more)))


def test_validation_data_with_a_shifted_class_is_an_error():
    message = r"val_dataloader\.dataset: expected class 'b' at index 1, as in the training data"
    with pytest.raises(ValueError, match=message):
        ClassCountsHook().before_run(Run(train='a b c', val='b c a'))
    run = Run(train='a b c', val='a b d')
    ClassCountsHook().before_run(run)
    assert len(run.logger.lines) == 1 and "2 is 'd', and 'c' there" in run.logger.lines[0]


@pytest.mark.parametrize('first', ['load', 'run'])
def test_test_data_is_compared_with_the_checkpoint(first):
    run, hook = Run(test='a c b'), ClassCountsHook()
    message = r"test_dataloader\.dataset: expected class 'c' at index 2, as in the checkpoint"
    if first == 'load':  # as tools do that load a model before they test it
        run._test_loop, loop = None, run._test_loop
        hook.after_load_checkpoint(run, saved('a b c', class_counts=[2, 1, 1]))
        run._test_loop = loop
        with pytest.raises(ValueError, match=message):
            hook.before_run(run)
    else:
        hook.before_run(run)
        with pytest.raises(ValueError, match=message):
            hook.after_load_checkpoint(run, saved('a b c'))


def test_training_data_is_compared_with_what_is_resumed_or_loaded():
    message = r"train_dataloader\.dataset: expected class 'a' at index 1, as in the checkpoint"
    for resume, names in ((True, 'b a c'), (False, 'b a c'), (True, 'b a')):
        run, hook = Run(train='a b c', resume=resume), ClassCountsHook()
        hook.before_run(run)
        with pytest.raises(ValueError, match=message):
            hook.after_load_checkpoint(run, saved(names))
    run, hook = Run(train='a b c'), ClassCountsHook()
    hook.before_run(run)
    hook.after_load_checkpoint(run, saved('c b a x'))  # its classifier does not fit anyway
    hook.after_load_checkpoint(run, dict(meta=dict()))
    assert not run.logger.lines


def test_names_are_saved_as_plain_text():
    run, hook = Run(train='a b c'), ClassCountsHook()
    run._train_loop.dataloader.dataset._metainfo['classes'] = np.array(['a', 'b', 'c'])
    hook.before_run(run)
    checkpoint = dict(meta=dict(dataset_meta=run._train_loop.dataloader.dataset.metainfo))
    hook.before_save_checkpoint(run, checkpoint)
    names = checkpoint['meta']['dataset_meta']['classes']
    assert names == ('a', 'b', 'c') and {type(name) for name in names} == {str}
