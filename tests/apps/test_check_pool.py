"""Files in several processes: all results come, whatever becomes of a process."""

from __future__ import annotations

import os
import time

import pytest

from mmlt.apps.check.pool import Lost, map_files


def act(file: str) -> str:
    if file.startswith('die'):
        os._exit(3)
    if file.startswith('raise'):
        raise RuntimeError(file)
    if file.startswith('hang'):
        time.sleep(60)
    return file.upper()


@pytest.mark.parametrize('workers', [1, 3])
def test_every_file_has_one_result(workers: int) -> None:
    files = [f'file {number}' for number in range(100)]
    assert sorted(map_files(act, files, workers, 30)) == [
        (number, file.upper()) for number, file in enumerate(files)
    ]


@pytest.mark.parametrize(('bad', 'kind'), [('die', 'crashes'), ('raise', 'crashes')])
def test_a_file_that_ends_its_process_does_not_lose_the_others(bad: str, kind: str) -> None:
    files = [bad if number in (0, 7, 39) else str(number) for number in range(40)]
    results = dict(map_files(act, files, 2, 30))
    assert sorted(results) == list(range(40))
    lost = {number: one.kind for number, one in results.items() if isinstance(one, Lost)}
    assert lost == {0: kind, 7: kind, 39: kind}


def test_a_file_that_hangs_does_not_hang_the_scan() -> None:
    files = ['hang' if number in (3, 4) else str(number) for number in range(30)]
    start = time.monotonic()
    results = dict(map_files(act, files, 2, 1.5))
    assert time.monotonic() - start < 20
    assert [n for n, one in results.items() if isinstance(one, Lost)] == [3, 4]
    assert {one.kind for one in results.values() if isinstance(one, Lost)} == {'hangs'}
    assert len(results) == 30


def test_no_files() -> None:
    assert list(map_files(act, [], 2, 1)) == []


def test_processes_end_with_the_loop() -> None:
    import multiprocessing

    results = map_files(act, ['hang'] * 3 + ['a'] * 40, 2, 30)
    next(results)
    results.close()
    assert not multiprocessing.active_children()
