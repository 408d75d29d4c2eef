"""Several processes on a CPU: tools/dist_train.sh and tools/dist_test.sh with gloo, and --amp."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from mmlt.autocast import CPUAutocastOptimWrapper
from mmlt.functional.checks import OptionError
from tests.digits_runner import CONFIGS
from tests.tools.load_tool import TOOLS, load_tool

run_train = load_tool('train.py').main
run_test = load_tool('test.py').main

CONFIG = str(CONFIGS / 'digits_lt' / 'resnet8_logit_adjustment.py')
needs_cpu = pytest.mark.skipif(torch.cuda.is_available(), reason='what happens without a GPU')


def free_port():
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        return listener.getsockname()[1]


def run_script(script, *arguments, **environment):
    """Run a script of tools/ on CPUs; the completed process."""
    return subprocess.run(
        ['bash', str(TOOLS / script), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=150,
        env={
            **os.environ,
            'PYTHON': sys.executable,
            'PORT': str(free_port()),
            'OMP_NUM_THREADS': '1',
            'CUDA_VISIBLE_DEVICES': '',
            **environment,
        },
    )


def options(epochs, *more):
    return [
        '--cfg-options',
        f'train_cfg.max_epochs={epochs}',
        f'train_cfg.val_interval={epochs}',
        f'default_hooks.checkpoint.interval={epochs}',
        *more,
    ]


def figures_of(log):
    """Last validation or test in a log of scalars."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    last = [line for line in lines if 'long_tail/top1' in line][-1]
    return {name: value for name, value in last.items() if name.startswith('long_tail/')}


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """Work directory of two epochs in two processes."""
    work_dir = tmp_path_factory.mktemp('two') / 'run'
    done = run_script('dist_train.sh', CONFIG, 2, '--work-dir', work_dir, *options(2))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert 'Distributed training: True' in done.stdout
    return work_dir


@pytest.mark.slow
def test_two_processes_share_the_data(trained):
    """153 images each, in batches of 64: three steps an epoch instead of five."""
    state = torch.load(trained / 'epoch_2.pth', weights_only=True)
    assert state['meta']['iter'] == 2 * 3
    assert sum(state['meta']['dataset_meta']['class_counts']) == 305


@pytest.mark.slow
def test_test_in_two_processes_gives_the_figures_of_one(trained, tmp_path):
    checkpoint = trained / 'epoch_2.pth'
    alone = run_test(
        [
            CONFIG,
            str(checkpoint),
            '--work-dir',
            str(tmp_path / 'one'),
            '--cfg-options',
            'experiment_name=dist_test_alone',
        ]
    )
    out = tmp_path / 'two.json'
    done = run_script(
        'dist_test.sh',
        CONFIG,
        checkpoint,
        2,
        '--work-dir',
        tmp_path / 'two',
        '--out',
        out,
        '--out-item',
        'metrics',
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    together = {
        name: value
        for name, value in json.loads(out.read_text()).items()
        if name.startswith('long_tail/')
    }
    assert together == pytest.approx({name: alone[name] for name in together}, abs=1e-6)
    (log,) = trained.glob('*/vis_data/scalars.json')
    assert together == pytest.approx(figures_of(log), abs=1e-3)


@pytest.mark.slow
def test_two_processes_resume(trained):
    done = run_script('dist_train.sh', CONFIG, 2, '--work-dir', trained, '--resume', *options(4))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    state = torch.load(trained / 'epoch_4.pth', weights_only=True)
    assert (state['meta']['epoch'], state['meta']['iter']) == (4, 4 * 3)


@pytest.mark.slow
@needs_cpu
def test_amp_is_bfloat16_autocast_without_a_gpu(tmp_path):
    common = ['--work-dir', str(tmp_path), '--amp']
    runner = run_train([CONFIG, *common, *options(4, 'experiment_name=amp_train')])
    assert isinstance(runner.optim_wrapper, CPUAutocastOptimWrapper)
    state = torch.load(tmp_path / 'epoch_4.pth', weights_only=True)['state_dict']
    assert all(value.isfinite().all() for value in state.values())
    assert {value.dtype for value in state.values()} == {torch.float32, torch.int64}
    figures = run_test(
        [
            CONFIG,
            str(tmp_path / 'epoch_4.pth'),
            *common,
            '--cfg-options',
            'experiment_name=amp_test',
        ]
    )
    assert figures['long_tail/top1'] > 10


@pytest.mark.parametrize(
    'script', ['dist_train.sh', 'dist_test.sh', 'slurm_train.sh', 'slurm_test.sh']
)
def test_a_script_without_arguments_says_how_it_is_used(script):
    done = run_script(script)
    assert done.returncode == 2
    assert f'Usage: tools/{script}' in done.stdout + done.stderr


@pytest.mark.parametrize(
    'arguments',
    [
        ['dist_train.sh', 'nowhere.py', 2],
        ['dist_test.sh', 'nowhere.py', 'epoch_1.pth', 2],
        ['dist_test.sh', CONFIG, 'nowhere.pth', 2],
        ['slurm_train.sh', 'part', 'job', 'nowhere.py', 'work_dirs/x'],
        ['slurm_test.sh', 'part', 'job', 'nowhere.py', 'epoch_1.pth'],
        ['slurm_test.sh', 'part', 'job', CONFIG, 'nowhere.pth'],
    ],
)
def test_a_script_names_the_file_that_is_missing(arguments):
    done = run_script(*arguments)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert 'no such file: nowhere.p' in done.stderr


@pytest.mark.parametrize('threads', [None, '4'])
@pytest.mark.parametrize('script', ['slurm_train.sh', 'slurm_test.sh'])
def test_a_slurm_script_starts_the_given_python(script, threads, tmp_path):
    srun, seen, last = tmp_path / 'srun', tmp_path / 'seen', tmp_path / 'last.pth'
    srun.write_text('#!/bin/sh\nprintf "%s\\n" "$OMP_NUM_THREADS" "$PYTHONPATH" "$@" > "$SEEN"\n')
    srun.chmod(0o755)
    last.touch()
    environment = dict(
        os.environ,
        PATH=f'{tmp_path}:{os.environ["PATH"]}',
        SEEN=str(seen),
        PYTHON='/opt/my python',
        GPUS='16',
        GPUS_PER_NODE='4',
        SRUN_ARGS='--quiet --time=1',
    )
    environment.pop('OMP_NUM_THREADS', None)
    if threads:
        environment['OMP_NUM_THREADS'] = threads
    command = ['bash', str(TOOLS / script), 'part', 'job', CONFIG, str(last), '--amp']
    subprocess.run(command, env=environment, check=True, timeout=20)
    said, path, *arguments = seen.read_text().splitlines()
    assert said == (threads or '1')
    assert path.startswith(f'{TOOLS}/..:')
    tool = ['train.py', CONFIG, f'--work-dir={last}'] if 'train' in script else ['test.py', CONFIG]
    tool[0] = f'{TOOLS}/{tool[0]}'
    tool += (
        ['--launcher=slurm', '--amp']
        if 'train' in script
        else [str(last), '--launcher=slurm', '--amp']
    )
    assert arguments[arguments.index('--kill-on-bad-exit=1') + 1 :] == [
        '--quiet',
        '--time=1',
        '/opt/my python',
        '-u',
        *tool,
    ]
    assert {'--ntasks=16', '--ntasks-per-node=4', '--gres=gpu:4'} < set(arguments)


@pytest.mark.slow
def test_a_run_without_its_data_is_one_line(tmp_path):
    """Not a traceback per rank, and not one of the launcher."""
    config = CONFIGS / 'imagenet_lt' / 'resnext50_concutmix_car.py'
    options = ['--cfg-options', f'train_dataloader.dataset.dataset.data_root={tmp_path}/none']
    options += [f'val_dataloader.dataset.data_root={tmp_path}/none']
    done = run_script('dist_train.sh', config, 2, '--work-dir', tmp_path / 'run', *options)
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if not line.startswith('warning: ')]
    assert len(lines) == 1 and done.stdout == '', done.stdout + done.stderr
    assert lines[0].startswith('error: train_dataloader, val_dataloader: data_root: expected')
    assert not (tmp_path / 'run').exists()


def children_of(pid):
    path = Path(f'/proc/{pid}/task/{pid}/children')
    return [int(child) for child in path.read_text().split()] if path.exists() else []


def is_running(pid):
    """Not gone, and not a zombie that nobody waits for."""
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except OSError:
        return False


@needs_cpu
@pytest.mark.slow
@pytest.mark.skipif(not Path('/proc/self/task').exists(), reason='looks for processes in /proc')
def test_ranks_end_when_their_launcher_is_killed(tmp_path):
    work_dir, options = tmp_path / 'run', ['--cfg-options', 'train_cfg.max_epochs=100000']
    command = ['bash', str(TOOLS / 'dist_train.sh'), CONFIG, '2', '--work-dir', str(work_dir)]
    launcher = subprocess.Popen(
        [*command, *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, 'PYTHON': sys.executable, 'PORT': str(free_port())},
    )
    ranks = []
    try:
        until(lambda: (work_dir / 'last_checkpoint').exists(), 150)
        ranks = children_of(launcher.pid)
        assert len(ranks) == 2 and all(map(is_running, ranks))
        launcher.kill()
        launcher.wait()
        until(lambda: not any(map(is_running, ranks)), 60)
    finally:
        launcher.kill()
        for rank in filter(is_running, ranks):
            os.kill(rank, signal.SIGKILL)


def until(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f'not within {seconds} s'
        time.sleep(0.2)


def test_an_unknown_config_is_named():
    for tool in (run_train, lambda arguments: run_test([*arguments, 'epoch_1.pth'])):
        with pytest.raises(ValueError, match=r'config: expected the path of .* got no nowhere\.py'):
            tool(['nowhere.py'])


@needs_cpu
@pytest.mark.parametrize(
    ('launcher', 'message'), [('slurm', 'needs GPUs'), ('pytorch', 'outside torchrun')]
)
def test_a_launcher_that_cannot_work_says_so(launcher, message, monkeypatch, tmp_path):
    for name in ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT'):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(OptionError, match=message):
        run_train([CONFIG, '--launcher', launcher, '--work-dir', str(tmp_path)])


def test_auto_scale_lr_needs_a_base_batch_size(tmp_path):
    config = tmp_path / 'config.py'
    config.write_text(f'_base_ = [{CONFIG!r}]\nauto_scale_lr = None\n')
    with pytest.raises(OptionError, match='auto_scale_lr'):
        run_train([str(config), '--auto-scale-lr', '--work-dir', str(tmp_path)])
