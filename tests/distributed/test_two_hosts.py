"""Two machines train as one process does; one that vanishes ends the other, and one goes on."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
import torch

from tests.digits_runner import CONFIGS
from tests.distributed.exact_runs import INDICES, assert_close
from tests.distributed.two_hosts import ADDRESSES, INTERFACE, TwoHosts
from tests.tools.load_tool import TOOLS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(torch.cuda.is_available(), reason='what happens without a GPU'),
]

TIMEOUT = 20  # seconds a rank waits for the other; 30 minutes by default
CONFIG = f"""
_base_ = [{str(CONFIGS / 'digits_lt' / 'resnet8_cpmix_car.py')!r}]
custom_imports = dict(imports=['mmlt', 'tests.distributed.two_hosts_parts'])
runner_type = 'Float64Runner'
custom_hooks = [dict(type='FreezeBatchNorm'), dict(type='WaitInSecondEpoch')]
env_cfg = dict(dist_cfg=dict(timeout={TIMEOUT}))
train_dataloader = dict(
    dataset=dict(dataset=dict(indices={INDICES}, pipeline=[dict(type='PackInputs')]))
)
model = dict(head=dict(loss=dict(num_classes=10)))  # its estimate is float64 as well
train_cfg = dict(max_epochs=2)
val_cfg = val_dataloader = val_evaluator = None
default_hooks = dict(checkpoint=dict(save_best=None, rule=None))
"""


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp('two_hosts') / 'config.py'
    path.write_text(CONFIG)
    return path


@pytest.fixture
def hosts():
    try:
        with TwoHosts() as hosts:
            yield hosts
    except OSError as error:
        pytest.skip(str(error))


def environment(**more):
    return {
        **os.environ,
        'PYTHON': sys.executable,
        'PYTHONPATH': str(TOOLS.parent),
        'OMP_NUM_THREADS': '1',
        'CUDA_VISIBLE_DEVICES': '',
        **more,
    }


def start(hosts, rank, config, work_dir, **more):
    """``tools/dist_train.sh`` on a host, one process, half of the batch."""
    env = environment(
        NNODES='2',
        NODE_RANK=str(rank),
        MASTER_ADDR=ADDRESSES[0],
        PORT='29500',
        GLOO_SOCKET_IFNAME=INTERFACE,
        **more,
    )
    command = ['bash', str(TOOLS / 'dist_train.sh'), str(config), '1', '--work-dir', str(work_dir)]
    batch = ['--cfg-options', 'train_dataloader.batch_size=32']
    with open(work_dir.parent / f'{work_dir.name}_{rank}.log', 'w') as log:
        return hosts.start(rank, [*command, *batch], env=env, stdout=log, stderr=log)


def alone(config, work_dir, *more):
    """One process with the whole batch; the state at its end."""
    done = subprocess.run(
        [sys.executable, str(TOOLS / 'train.py'), str(config), '--work-dir', str(work_dir), *more],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return state_of(work_dir)


def state_of(work_dir, epoch=2):
    checkpoint = torch.load(work_dir / f'epoch_{epoch}.pth', weights_only=True)
    return checkpoint['state_dict']


@pytest.fixture(scope='module')
def whole(config):
    return alone(config, config.parent / 'whole')


def assert_same(state, whole):
    assert state.keys() == whole.keys()
    for name, value in whole.items():
        assert_close(state[name].double(), value.double(), 1e-9, name)


def logs(work_dir):
    return ''.join(
        (work_dir.parent / f'{work_dir.name}_{rank}.log').read_text()[-3000:] for rank in (0, 1)
    )


def test_two_hosts_train_as_one_process(hosts, config, whole):
    work_dir = config.parent / 'two'
    processes = [start(hosts, rank, config, work_dir) for rank in (0, 1)]
    try:
        codes = [process.wait(timeout=300) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert codes == [0, 0], logs(work_dir)
    assert_same(state_of(work_dir), whole)


def test_a_host_that_vanishes_ends_the_other_and_one_goes_on(hosts, config, whole, tmp_path):
    work_dir, gone = config.parent / 'vanished', tmp_path / 'gone'
    processes = [start(hosts, rank, config, work_dir, WAIT_FOR=str(gone)) for rank in (0, 1)]
    try:
        until(lambda: (work_dir / 'last_checkpoint').exists(), 300)
        hosts.unplug()
        gone.touch()
        began = time.monotonic()
        codes = [process.wait(timeout=TIMEOUT + 110) for process in processes]
        print(f'ended {time.monotonic() - began:.0f} s after the cable was pulled')
    finally:
        for process in processes:
            process.kill()
    assert 0 not in codes, logs(work_dir)
    assert not (work_dir / 'epoch_2.pth').exists()
    assert_same(alone(config, work_dir, '--resume'), whole)


def until(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.2)
