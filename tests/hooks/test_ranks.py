"""Ranks that would wait for each other are refused, and end when their launcher has died."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
from torch.utils.data import BatchSampler, DataLoader, IterableDataset

from mmlt.hooks import ranks
from tests.distributed.launch import run_ranks


def runner(images=10, batch_size=4, drop_last=False, val=None):
    """What is looked at: a training loader, and a validation loader of ``val`` images."""
    batches = BatchSampler(range(images), batch_size, drop_last)
    loader = DataLoader(list(range(images)), batch_sampler=batches)
    parts = dict(_train_loop=SimpleNamespace(dataloader=loader))
    if val is not None:
        parts['_val_loop'] = SimpleNamespace(dataloader=DataLoader(list(range(val))))
    return SimpleNamespace(**parts)


def check(monkeypatch, *of_ranks):
    """Checks rank 0 as if the runners were those of several ranks."""
    told = [ranks._sizes(one) for one in of_ranks]
    monkeypatch.setattr(ranks, 'all_gather_object', lambda sizes: told)
    ranks.check_same_on_ranks(of_ranks[0])


def test_equal_ranks_pass(monkeypatch):
    check(monkeypatch, runner(val=5), runner(val=5))
    check(monkeypatch, runner())
    check(monkeypatch, runner(10, drop_last=True), runner(11, drop_last=True))


@pytest.mark.parametrize(
    ('one', 'other', 'message'),
    [
        (runner(8), runner(9), 'train_dataloader, batches per epoch: expected .* got 2, 3 on'),
        (runner(7), runner(8), 'train_dataloader, images per epoch: .* got 7, 8 .*round_up=False'),
        (runner(val=5), runner(val=6), 'val_dataloader, images: .* got 5, 6 on ranks 0 to 1'),
        (runner(val=5), runner(), 'val_dataloader, images: .* got 5, None'),
    ],
)
def test_unequal_ranks_are_refused(monkeypatch, one, other, message):
    with pytest.raises(ValueError, match=message):
        check(monkeypatch, one, other)


def test_an_epoch_without_a_batch_is_refused(monkeypatch):
    with pytest.raises(ValueError, match='at least one batch per epoch, got 0'):
        check(monkeypatch, runner(3, 4, drop_last=True))


def test_a_stream_has_no_length(monkeypatch):
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(range(3))

    stream = SimpleNamespace(_train_loop=SimpleNamespace(dataloader=DataLoader(Stream())))
    check(monkeypatch, stream, stream)


def test_a_rank_whose_parent_is_another_ends(monkeypatch, capsys):
    """SIGTERM first, for what saves on it; then the end, whatever the rank waits for."""
    parents, done = [7, 7, 1], []
    monkeypatch.setattr(os, 'getppid', lambda: parents.pop(0))
    monkeypatch.setattr(os, 'kill', lambda pid, number: done.append((pid, number)))
    monkeypatch.setattr(os, '_exit', done.append)
    monkeypatch.setattr(ranks.time, 'sleep', done.append)
    ranks._watch(7)
    poll, grace = ranks.POLL_SECONDS, ranks.GRACE_SECONDS
    assert done == [poll, poll, (os.getpid(), signal.SIGTERM), grace, 1]
    assert poll + grace < 60
    assert 'the launcher is gone' in capsys.readouterr().err


def test_only_ranks_of_torchrun_are_watched(monkeypatch):
    monkeypatch.delenv('TORCHELASTIC_RUN_ID', raising=False)
    assert not ranks.end_with_launcher()


ORPHAN = """
import os, signal, subprocess, sys, time
if sys.argv[1:] == ['launcher']:
    os.environ['TORCHELASTIC_RUN_ID'] = 'x'
    rank = subprocess.Popen([sys.executable, __file__])
    time.sleep(600)
from mmlt.hooks import ranks
ranks.POLL_SECONDS = ranks.GRACE_SECONDS = 0.1
signal.signal(signal.SIGTERM, lambda *_: print('saving', flush=True))
assert ranks.end_with_launcher() and not ranks.end_with_launcher()
print('watched', flush=True)
while True:
    time.sleep(0.1)
"""


@pytest.mark.slow
def test_a_rank_that_ignores_sigterm_ends_after_its_launcher(tmp_path):
    script = tmp_path / 'orphan.py'
    script.write_text(ORPHAN)
    launcher = subprocess.Popen(
        [sys.executable, str(script), 'launcher'], stdout=subprocess.PIPE, text=True
    )
    try:
        assert launcher.stdout.readline() == 'watched\n'
    finally:
        launcher.kill()
    # The pipe closes when the last process that holds it has ended.
    assert launcher.stdout.read() == 'saving\n'
    launcher.wait()


def unequal(rank, world_size):
    """Runs on a rank; the error that it sees."""
    with pytest.raises(ValueError) as error:
        ranks.check_same_on_ranks(runner(8 + rank))
    return str(error.value)


@pytest.mark.slow
def test_every_rank_sees_the_numbers_of_all():
    one, other = run_ranks(unequal, 2)
    assert one == other
    assert 'batches per epoch' in one and 'got 2, 3 on ranks 0 to 1' in one
