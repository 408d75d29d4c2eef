"""Time and peak memory of two ways to compute the same, and the commit, for the benchmarks here."""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.profiler import ProfilerActivity, profile


class Cost(NamedTuple):
    """Median seconds of a call, and the most bytes it held beyond its arguments."""

    seconds: float
    peak_bytes: int


def cost(call: Callable[[], Any], repeats: int, device: torch.device) -> Cost:
    """Measure a call.

    Args:
        call: what is measured; its result is dropped.
        repeats: timed calls, after one that is not counted.
        device: where it computes.
    """
    on_cuda = device.type == 'cuda'
    peak = _peak_on_cuda(call, device) if on_cuda else _peak_on_cpu(call)
    # With one thread, processor time is what a call takes on a machine that it has to itself.
    clock = time.perf_counter if on_cuda else time.process_time
    seconds = []
    for _ in range(repeats):
        _wait(device)
        begun = clock()
        call()
        _wait(device)
        seconds.append(clock() - begun)
    return Cost(statistics.median(seconds), peak)


class Row(NamedTuple):
    """A figure of mmlt beside the same of a plain formulation, where there is one."""

    what: str
    size: str
    plain: float | None
    mmlt: float
    unit: str  # ms, s, MB or %, of which less is better, or images/s

    @property
    def ratio(self) -> float | None:
        """How many times less time or memory mmlt takes, or how many times more images it gives."""
        if self.plain is None:
            return None
        return self.mmlt / self.plain if self.unit == 'images/s' else self.plain / self.mmlt


def compare(
    what: str,
    size: str,
    plain: Mapping[str, Callable[[], Any]],
    ours: Callable[[], Any],
    repeats: int,
    device: torch.device,
) -> list[Row]:
    """Time and memory of a call beside those of others that compute the same.

    Args:
        what: what is computed.
        size: of its arguments.
        plain: name to another way.
        ours: the way of mmlt.
        repeats: timed calls of each.
        device: where they compute.

    Returns:
        Two rows for each other way.
    """
    costs = {name: cost(call, repeats, device) for name, call in plain.items()}
    own = cost(ours, repeats, device)
    rows = []
    for name, other in costs.items():
        label = f'{what}, against {name}'
        rows.append(Row(label, size, 1e3 * other.seconds, 1e3 * own.seconds, 'ms'))
        rows.append(Row(label, size, other.peak_bytes / 1e6, own.peak_bytes / 1e6, 'MB'))
    return rows


def shown(rows: list[Row]) -> list[Row]:
    """The rows, which are printed."""
    for row in rows:
        plain = '' if row.plain is None else f'plain {row.plain:.4g} {row.unit}, '
        ratio = '' if row.ratio is None else f', ratio {row.ratio:.3g}'
        print(f'{row.what} ({row.size}): {plain}mmlt {row.mmlt:.4g} {row.unit}{ratio}', flush=True)
    return rows


def commit(root: Path) -> str:
    """Of the checkout, with a mark where files differ from it."""

    def git(*arguments: str) -> str:
        done = subprocess.run(['git', *arguments], cwd=root, capture_output=True, text=True)
        return done.stdout.strip()

    # What a benchmark writes is no change of what is measured.
    others = ('--', '.', ':(exclude)docs/results')
    changed = git('status', '--porcelain', '--untracked-files=no', *others)
    return git('rev-parse', '--short', 'HEAD') + (' and changes' if changed else '')


def _wait(device: torch.device) -> None:
    if device.type == 'cuda':
        torch.cuda.synchronize(device)


def _peak_on_cuda(call: Callable[[], Any], device: torch.device) -> int:
    call()
    torch.cuda.synchronize(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    call()
    return torch.cuda.max_memory_allocated(device) - before


def _peak_on_cpu(call: Callable[[], Any]) -> int:
    """From torch's record of allocations: exact, unlike the size of the process."""
    call()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as record:
        call()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'trace.json'
        record.export_chrome_trace(str(path))
        events = json.loads(path.read_text(encoding='utf-8'))['traceEvents']
    allocations = sorted(
        (float(event['ts']), int(event['args']['Bytes']))
        for event in events
        if event.get('name') == '[memory]'
    )
    held = peak = 0
    for _, size in allocations:
        held += size
        peak = max(peak, held)
    return peak
