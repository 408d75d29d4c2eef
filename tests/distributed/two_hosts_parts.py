"""What the runs of ``test_two_hosts`` import by their config."""

from __future__ import annotations

import os
import time
from pathlib import Path

from mmengine.hooks import Hook
from mmengine.registry import RUNNERS
from mmpretrain.registry import HOOKS

from tests.distributed.exact_runs import Float64Runner, FreezeBatchNorm

RUNNERS.register_module(module=Float64Runner)
HOOKS.register_module(module=FreezeBatchNorm)


@HOOKS.register_module()
class WaitInSecondEpoch(Hook):
    """Holds every rank at the start of the second epoch until the file ``WAIT_FOR`` is there."""

    def before_train_epoch(self, runner):
        awaited = os.environ.get('WAIT_FOR')
        if awaited and runner.epoch == 1:
            while not Path(awaited).exists():
                time.sleep(0.1)
