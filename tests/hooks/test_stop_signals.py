"""A run that is asked to end: it saves, all processes stop together, and a resume goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper, OptimWrapperDict

from mmlt.checkpoints import fault_of
from mmlt.hooks.stop_signal_hook import StopSignalHook, _gradient_is_partial, _Undisturbed
from tests.digits_runner import digits_runner
from tests.distributed.launch import run_ranks
from tests.integration.test_dist_train import free_port

ROOT = Path(__file__).parents[2]
NUMBERS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
OPTIONS = {
    'train_cfg.val_interval': 1,
    'train_dataloader.batch_size': 64,
    'val_dataloader.batch_size': 200,
}


@pytest.fixture(autouse=True)
def usual_handlers():
    """Those of a process that nobody has changed; the same after each test."""
    before = {number: signal.getsignal(number) for number in NUMBERS}
    for number in NUMBERS:
        usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, usual)
    usual = [signal.getsignal(number) for number in NUMBERS]
    yield
    after = [signal.getsignal(number) for number in NUMBERS]
    for number, handler in before.items():
        signal.signal(number, handler)
    assert after == usual, 'a stopped run gives the signals back'


class Send(Hook):
    """Sends signals to this process at one moment of a run."""

    def __init__(self, event, iteration, *numbers):
        self.iteration, self.numbers, self.seen = iteration, numbers, []
        setattr(self, event, self.send)

    def send(self, runner, *args, **kwargs):
        self.seen.append(runner.iter)
        if runner.iter == self.iteration and self.numbers:
            for number in self.numbers:
                os.kill(os.getpid(), number)
            self.numbers = ()


def train(folder, event=None, iteration=None, *numbers, resume=False, **options):
    """A run of two epochs of five iterations; its exit code, or None if it was not stopped."""
    runner = digits_runner(folder, max_epochs=2, resume=resume, **{**OPTIONS, **options})
    if event:
        runner.register_hook(Send(event, iteration, *numbers))
    try:
        runner.train()
    except SystemExit as stopped:
        return stopped.code
    return None


def files(folder):
    return sorted(path.name for path in folder.glob('*.pth'))


def test_within_an_epoch(tmp_path):
    """The step is finished and saved, with the place that MMEngine gives to such a checkpoint."""
    folder = tmp_path / 'a'
    assert train(folder, 'before_train_iter', 6, signal.SIGTERM) == 0
    assert files(folder) == ['best_long_tail_top1_epoch_1.pth', 'epoch_1.pth', 'iter_7.pth']
    assert (folder / 'last_checkpoint').read_text() == str(folder / 'iter_7.pth')
    assert fault_of(folder / 'iter_7.pth') is None
    saved = torch.load(folder / 'iter_7.pth', weights_only=True)
    assert (saved['meta']['epoch'], saved['meta']['iter']) == (1, 7)
    assert saved['optimizer']['state']
    assert train(folder, resume=True) is None
    assert files(folder) == ['best_long_tail_top1_epoch_2.pth', 'epoch_1.pth', 'epoch_2.pth']


def same(whole, parts):
    assert files(whole) == files(parts)
    for name in files(whole):
        expected, found = (torch.load(path / name, weights_only=True) for path in (whole, parts))
        for key, value in expected['state_dict'].items():
            assert torch.equal(value, found['state_dict'][key]), (name, key)
        scores = [
            state['message_hub']['runtime_info'].get('best_score') for state in (expected, found)
        ]
        assert scores[0] == scores[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ('event', 'iteration', 'expected'),
    [
        ('after_train_iter', 4, ['epoch_1.pth']),
        ('after_train_epoch', 5, ['epoch_1.pth']),
        ('before_val', 5, ['epoch_1.pth']),
        ('after_val_iter', 5, ['epoch_1.pth']),
        ('after_val', 5, ['best_long_tail_top1_epoch_1.pth', 'epoch_1.pth']),
        ('after_val_iter', 10, None),
        ('before_train_iter', 6, ['best_long_tail_top1_epoch_1.pth', 'epoch_1.pth', 'iter_7.pth']),
    ],
)
def test_wherever_it_is_stopped_the_run_is_the_same(tmp_path, event, iteration, expected):
    """A validation is not waited for, since its epoch is saved, and is made up on resume."""
    assert train(tmp_path / 'whole') is None
    assert train(tmp_path / 'parts', event, iteration, signal.SIGUSR1) == 0
    assert expected in (None, files(tmp_path / 'parts'))
    assert train(tmp_path / 'parts', resume=True) is None
    same(tmp_path / 'whole', tmp_path / 'parts')


@pytest.mark.slow
@pytest.mark.parametrize('event', ['before_val', 'after_val_iter'])
def test_a_validation_whose_epoch_is_not_saved(tmp_path, event):
    """``CheckpointHook(interval=2)``, and an average of the weights that is in their place."""
    options = {
        'default_hooks.checkpoint.interval': 2,
        'default_hooks.ema': dict(type='EMAHook', momentum=0.1),
    }
    assert train(tmp_path / 'whole', **options) is None
    assert train(tmp_path / 'parts', event, 5, signal.SIGTERM, **options) == 0
    assert 'epoch_1.pth' in files(tmp_path / 'parts')
    assert train(tmp_path / 'parts', resume=True, **options) is None
    same(tmp_path / 'whole', tmp_path / 'parts')


def test_a_second_sigint_ends_at_once(tmp_path):
    folder = tmp_path / 'a'
    with pytest.raises(KeyboardInterrupt):
        train(folder, 'before_train_iter', 2, signal.SIGINT, signal.SIGINT)
    assert files(folder) == []


def hook_that_listens(loop, numbers=NUMBERS):
    hook = StopSignalHook()
    loader = SimpleNamespace(worker_init_fn=None)
    loop.dataloader = loader
    hook.before_train(SimpleNamespace(train_loop=loop, val_loop=None))
    return hook


class Loop:
    """As far as the handler looks at it."""

    def run(self, act):
        return act()


def test_a_run_that_an_error_has_ended_leaves_ctrl_c_alone():
    """In a notebook, for example."""
    hook = hook_that_listens(Loop())
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)
    assert hook._asked is None


def test_handlers_of_others_are_theirs():
    got = []
    signal.signal(signal.SIGTERM, lambda *args: got.append('theirs'))
    loop = Loop()
    hook = hook_that_listens(loop)
    loop.run(lambda: os.kill(os.getpid(), signal.SIGTERM))
    loop.run(lambda: os.kill(os.getpid(), signal.SIGUSR1))
    assert got == ['theirs']
    assert hook._asked == 'SIGUSR1'
    hook._restore()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def test_training_in_a_thread_does_not_listen():
    hook = StopSignalHook()
    runner = SimpleNamespace(train_loop=Loop(), val_loop=None)
    thread = threading.Thread(target=hook.before_train, args=(runner,))
    thread.start()
    thread.join()
    assert not hook._before


@pytest.mark.parametrize(
    ('step', 'partial'), [(3, True), (4, False), (5, True), (9, True), (10, False)]
)
def test_between_the_steps_of_one_update_it_waits(step, partial):
    """Of ten steps, two at a time four; the last update, of two steps, is one all the same."""
    weight = torch.nn.Parameter(torch.zeros(1))
    wrapper = OptimWrapper(torch.optim.SGD([weight], lr=1.0), accumulative_counts=4)
    wrapper.initialize_count_status(torch.nn.Identity(), 0, 10)
    for _ in range(step):
        wrapper.update_params(weight.sum())
    assert _gradient_is_partial(SimpleNamespace(optim_wrapper=wrapper)) == partial
    assert bool(weight.grad) == partial


def test_several_optimisers_are_not_waited_for():
    weight = torch.nn.Parameter(torch.zeros(1))
    wrapper = OptimWrapper(torch.optim.SGD([weight], lr=1.0), accumulative_counts=4)
    wrapper.update_params(weight.sum())
    several = OptimWrapperDict(one=wrapper)
    assert not _gradient_is_partial(SimpleNamespace(optim_wrapper=several))


def stops_at(rank, world_size):
    """Step at which a rank learns that the run stops; only the last one got a signal, at step 3."""
    hook = StopSignalHook()
    loop = Loop()
    loop.dataloader = SimpleNamespace(worker_init_fn=None)
    hook.before_train(SimpleNamespace(train_loop=loop, val_loop=None))
    for step in range(20):
        if step == 3 and rank == world_size - 1:
            loop.run(lambda: os.kill(os.getpid(), signal.SIGTERM))
        time.sleep(0.01 * rank)
        hook._poll()
        if hook._stops:
            hook._settle()
            hook._restore()
            return step
    return None


@pytest.mark.parametrize('ranks', [2, pytest.param(3, marks=pytest.mark.slow)])
def test_all_processes_stop_at_the_same_step(ranks):
    assert run_ranks(stops_at, ranks) == [4] * ranks


def worker(ready, done):
    _Undisturbed(lambda worker_id: None)(0)
    ready.set()
    done.wait(20)


def test_workers_outlive_signals_but_not_their_process():
    from torch import multiprocessing

    context = multiprocessing.get_context('fork')
    ready, done = context.Event(), context.Event()
    process = context.Process(target=worker, args=(ready, done))
    process.start()
    assert ready.wait(20)
    other = 'import os, sys; [os.kill(int(sys.argv[1]), int(n)) for n in sys.argv[2:]]'
    numbers = [str(int(number)) for number in NUMBERS]
    subprocess.run([sys.executable, '-c', other, str(process.pid), *numbers], check=True)
    process.join(0.5)
    assert process.is_alive()
    process.terminate()
    process.join(10)
    assert process.exitcode == 0


# Real runs, with a signal from outside to the whole group, workers included


def start(folder, *more, ranks=1, resume=False):
    config = str(ROOT / 'configs' / 'digits_lt' / 'resnet8_ce.py')
    options = [
        *(['--resume'] if resume else []),
        f'--work-dir={folder}',
        '--cfg-options',
        'train_cfg.max_epochs=200',
        'train_cfg.val_interval=50',
        'default_hooks.checkpoint.interval=50',
        'train_dataloader.batch_size=32',
        'train_dataloader.num_workers=2',
        *more,
    ]
    command = [sys.executable, str(ROOT / 'tools' / 'train.py'), config, *options]
    if ranks > 1:
        command = ['bash', str(ROOT / 'tools' / 'dist_train.sh'), config, str(ranks), *options]
    return subprocess.Popen(
        command,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={
            **os.environ,
            'PYTHONPATH': str(ROOT),
            'PYTHON': sys.executable,
            'PORT': str(free_port()),
            'OMP_NUM_THREADS': '1',
            'CUDA_VISIBLE_DEVICES': '',
        },
    )


def said_until_epoch(process, count):
    """What a run says up to the end of its ``count``-th epoch."""
    said = ''
    for line in process.stdout:
        said += line
        if said.count('Epoch(train)') == count:
            return said
    raise AssertionError(said)


@pytest.mark.slow
@pytest.mark.parametrize('ranks', [1, 2])
@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGUSR1])
def test_the_whole_group_gets_the_signal(tmp_path, number, ranks):
    """As a scheduler sends it; torchrun, if there is one, passes it on to groups of its own."""
    process = start(tmp_path, ranks=ranks)
    try:
        said_until_epoch(process, 2)
        os.killpg(process.pid, number) if ranks == 1 else os.kill(process.pid, number)
        said = process.communicate(timeout=120)[0]
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert 'Stopped by ' in said, said
    assert 'DataLoader worker' not in said
    if ranks == 1:
        assert process.returncode == 0  # torchrun has its own idea of a code
    (saved,) = tmp_path.glob('*.pth')
    assert fault_of(saved) is None
    assert (tmp_path / 'last_checkpoint').read_text() == str(saved)
    again = start(tmp_path, ranks=ranks, resume=True)
    try:
        assert f'Resumes from {saved}' in said_until_epoch(again, 1)
    finally:
        os.killpg(again.pid, signal.SIGTERM)
        again.communicate(timeout=120)
