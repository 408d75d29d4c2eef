"""A checkpoint is whole or not there: the writer, the checksums, the choice on resume."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mmlt.checkpoints import (
    fault_of,
    newest_whole,
    progress_of,
    remove_partial,
    save_whole,
    write_text_whole,
    written_whole,
)
from tests.conftest import REPOSITORY


def checkpoint(epoch, iteration=None):
    return dict(
        meta=dict(epoch=epoch, iter=10 * epoch if iteration is None else iteration),
        state_dict=dict(weight=torch.full((64, 64), float(epoch))),
    )


def saved(folder: Path, epoch: int) -> Path:
    path = folder / f'epoch_{epoch}.pth'
    save_whole(checkpoint(epoch), path)
    os.utime(path, (epoch, epoch))  # written in this order
    return path


def overwrite(path: Path, size: int = 4096) -> None:
    with path.open('r+b') as file:
        file.seek(path.stat().st_size // 2 - size // 2)
        file.write(b'\xff' * size)


def test_saved_as_torch_saves(tmp_path):
    path = saved(tmp_path, 3)
    assert torch.equal(
        torch.load(path, weights_only=True)['state_dict']['weight'][0, 0], torch.tensor(3.0)
    )
    assert os.listdir(tmp_path) == ['epoch_3.pth']
    assert fault_of(path) is None
    assert progress_of(path) == (30, 3)


@pytest.mark.parametrize('where', ['write', 'replace', 'flush'])
def test_an_error_leaves_the_old_file_alone(tmp_path, monkeypatch, where):
    path = saved(tmp_path, 1)
    before = path.read_bytes()

    def fail(*args):
        raise OSError('disk full')

    if where != 'write':
        monkeypatch.setattr(os, {'replace': 'replace', 'flush': 'fsync'}[where], fail)
    with pytest.raises(OSError, match='disk full'), written_whole(path) as aside:
        aside.write_bytes(b'half of it')
        if where == 'write':
            fail()
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ['epoch_1.pth']


def test_flushed_before_it_takes_the_name(tmp_path, monkeypatch):
    """Otherwise a machine that goes down leaves a name without content."""
    deeds = []
    flush, replace = os.fsync, os.replace
    monkeypatch.setattr(os, 'fsync', lambda fd: (deeds.append('flush'), flush(fd)))
    monkeypatch.setattr(os, 'replace', lambda a, b: (deeds.append('rename'), replace(a, b)))
    write_text_whole('here', tmp_path / 'last_checkpoint')
    assert deeds == ['flush', 'rename', 'flush']
    assert (tmp_path / 'last_checkpoint').read_text() == 'here'


@pytest.mark.slow
def test_killed_between_bytes(tmp_path):
    """A real SIGKILL, after half of the file."""
    path = saved(tmp_path, 1)
    before = path.read_bytes()
    code = (
        'import os, signal\n'
        'from pathlib import Path\n'
        'from mmlt.checkpoints import written_whole\n'
        f'with written_whole(Path({str(path)!r})) as aside:\n'
        '    file = aside.open("wb"); file.write(b"x" * 100); file.flush()\n'
        '    os.kill(os.getpid(), signal.SIGKILL)\n'
    )
    environment = {**os.environ, 'PYTHONPATH': str(REPOSITORY)}
    done = subprocess.run([sys.executable, '-c', code], check=False, env=environment)
    assert done.returncode == -9
    assert path.read_bytes() == before
    assert [left.name for left in remove_partial(tmp_path)] == ['.epoch_1.pth.partial']
    assert os.listdir(tmp_path) == ['epoch_1.pth']


@pytest.mark.parametrize(
    ('damage', 'fault'),
    [
        (overwrite, 'is damaged: '),
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), 'is cut off'),
        (lambda path: path.write_bytes(path.read_bytes()[:100]), 'is cut off'),
        (lambda path: path.write_bytes(b''), 'is empty'),
        (lambda path: path.write_bytes(bytes(5000)), 'is cut off or overwritten'),
        (lambda path: path.unlink(), 'is no file'),
    ],
)
def test_faults_are_found(tmp_path, damage, fault):
    path = saved(tmp_path, 1)
    damage(path)
    assert fault in fault_of(path)


def test_every_overwritten_block_is_found_or_harmless(tmp_path):
    """Anywhere in the file: what passes has the same content."""
    path = saved(tmp_path, 1)
    whole = path.read_bytes()
    expected = torch.load(path, weights_only=True)['state_dict']['weight']
    found = 0
    for start in range(0, len(whole), 256):
        path.write_bytes(whole[:start] + b'\xff' * 64 + whole[start + 64 :])
        if fault_of(path) is None:
            assert torch.equal(
                torch.load(path, weights_only=True)['state_dict']['weight'], expected
            )
        else:
            found += 1
    assert found > 60


def test_the_old_format_has_no_checksums_but_must_load(tmp_path):
    path = tmp_path / 'epoch_1.pth'
    torch.save(checkpoint(1), path, _use_new_zipfile_serialization=False)
    assert fault_of(path) is None
    assert progress_of(path) == (10, 1)
    path.write_bytes(path.read_bytes()[:200])
    warnings = []
    assert newest_whole([path], None, warnings.append) is None
    assert str(path) in warnings[0]


@pytest.mark.parametrize('content', [{}, {'meta': {}}, {'meta': {'epoch': 1}}, [1], 3])
def test_no_checkpoint_to_resume_from(tmp_path, content):
    save_whole(content, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=r"a\.pth: expected a checkpoint with meta\['iter'\]"):
        progress_of(tmp_path / 'a.pth')


class TestNewestWhole:
    def choose(self, paths, named=None):
        self.warnings = []
        return newest_whole(paths, named, self.warnings.append)

    @pytest.fixture
    def paths(self, tmp_path):
        return [saved(tmp_path, epoch) for epoch in (1, 2, 3)]

    def test_the_one_that_is_named(self, paths):
        assert self.choose(paths, paths[2]) == paths[2]
        assert not self.warnings

    def test_without_a_name_the_last_that_was_written(self, paths):
        assert self.choose(paths) == paths[2]

    def test_damaged_ones_are_passed_over_and_named(self, paths):
        overwrite(paths[2])
        paths[1].write_bytes(b'')
        assert self.choose(paths, paths[2]) == paths[0]
        passed_over, last = self.warnings
        assert str(paths[2]) in passed_over
        assert str(paths[1]) in last

    def test_killed_between_checkpoint_and_name(self, paths):
        assert self.choose(paths, paths[1]) == paths[2]

    def test_further_epochs_of_an_earlier_run_are_not_taken(self, paths):
        os.utime(paths[2], (0.5, 0.5))
        assert self.choose(paths, paths[1]) == paths[1]
        overwrite(paths[1])
        os.utime(paths[1], (2, 2))
        assert self.choose(paths, paths[1]) == paths[0]

    def test_none_is_whole(self, paths):
        for path in paths:
            overwrite(path)
        assert self.choose(paths, paths[2]) is None
        assert len(self.warnings) == 3
