"""The rehearsal of ImageNet-LT: its tree, and how it watches a run from outside."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from mmlt.datasets import ImageNetLT
from tests.tools.load_tool import load_tool

LAUNCHER = """
import subprocess, sys
sys.exit(subprocess.Popen([sys.executable, '-c', sys.argv[1], sys.argv[2]]).wait())
"""
RANK = """
import json, os, pathlib, signal, sys, time
signal.signal(signal.SIGUSR1, lambda *_: os._exit(7))
folder = pathlib.Path(sys.argv[1], 'now', 'vis_data')
folder.mkdir(parents=True)
held = bytearray(50_000_000)
for step in range(60):
    with open(folder / 'scalars.json', 'a') as log:
        print(json.dumps(dict(loss=1.0, step=step)), file=log)
    time.sleep(0.05)
"""


def test_the_counts_are_those_of_imagenet_lt():
    counts = load_tool('benchmarks/imagenet_lt_tree.py').class_counts()
    assert (len(counts), sum(counts), max(counts), min(counts)) == (1000, 115_846, 1280, 5)
    many, few = sum(n > 100 for n in counts), sum(n < 20 for n in counts)
    assert (many, 1000 - many - few, few) == (385, 479, 136)


def test_the_tree_is_what_the_data_set_reads(tmp_path):
    tool = load_tool('benchmarks/imagenet_lt_tree.py')
    made = tool.write_tree(tmp_path / 'data', [3, 1], files=2)
    assert (made['rows'], made['files']) == (4 + 40 + 100, 2)
    for split, counts in (('train', [3, 1]), ('val', [20, 20]), ('test', [50, 50])):
        data = ImageNetLT(data_root=str(tmp_path / 'data'), split=split, check_images=200)
        assert data.class_counts[:3] == [*counts, 0]
        inodes = {os.stat(data.get_data_info(i)['img_path']).st_ino for i in range(len(data))}
        assert len(inodes) == 2


@pytest.mark.parametrize('number', [signal.SIGUSR1, signal.SIGKILL])
def test_a_run_is_watched_and_ended(tmp_path, number):
    tool = load_tool('benchmarks/watched_run.py')
    work_dir = tmp_path / 'run'
    samples, status, ending = tool.watch(
        [sys.executable, '-c', LAUNCHER, RANK, str(work_dir)],
        work_dir,
        lambda steps, seconds: number if steps >= 3 else None,
        tmp_path,
        interval=0.1,
    )
    found = [p for sample in samples for p in sample.processes.values()]
    assert {p.role for p in found} == {'rank'}
    assert 50 < max(p.own_mb for p in found) <= max(p.peak_mb for p in found) < 200
    steps = tool.logged_steps(work_dir)
    assert [step['step'] for step in steps] == list(range(len(steps)))
    if number == signal.SIGUSR1:  # to the rank, whose status the launcher passes on
        assert status == 7
        assert len(steps) < 50
    else:  # to the launcher; the watch waits for the rank, which nobody has told
        assert status == -signal.SIGKILL
        assert len(steps) == 60
        assert ending > 1


def test_memory_and_processor_time_are_those_of_the_steps_that_count():
    watched = load_tool('benchmarks/watched_run.py')
    tool = load_tool('benchmarks/imagenet_lt_rehearsal.py')

    def sample(steps, rank, worker=None):
        """Processor seconds; MB rise with them."""
        seen = {1: watched.Process('rank', 10 * rank, 20 * rank, 5 * rank, rank)}
        if worker is not None:
            seen[2] = watched.Process('worker', worker, worker, worker, worker)
        return watched.Sample(1.0, steps, seen)

    samples = [sample(0, 1.0), sample(10, 5.0, 1.0), sample(20, 25.0, 3.0), sample(21, 40.0)]
    told = tool.usage(samples, first=10)
    assert told['cpu_seconds_per_step'] == {'rank': 2.0, 'worker': 0.2}
    assert told['memory']['rank'] == {'peak_mb': 800.0, 'own_mb': 200.0}
    assert told['memory']['worker'] == {'peak_mb': 3.0, 'own_mb': 3.0}
    assert told['rank_mb_at_step'] == {10: 50.0, 20: 250.0, 21: 400.0}
