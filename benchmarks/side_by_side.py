"""Time and peak memory of two ways to compute the same, for the benchmarks in this folder."""

from __future__ import annotations

import json
import statistics
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


def compare(
    calls: Mapping[str, Callable[[], Any]], repeats: int, device: torch.device
) -> dict[str, Cost]:
    """Print a table of the costs, each with its ratio to the first.

    Args:
        calls: name to what is measured; the first is what the others are compared with.
        repeats: timed calls of each.
        device: where they compute.

    Returns:
        Name to cost.
    """
    costs = {name: cost(call, repeats, device) for name, call in calls.items()}
    first = next(iter(costs.values()))
    print('| | ms | times faster | extra MB | of the memory |')
    print('| --- | ---: | ---: | ---: | ---: |')
    for name, (seconds, peak) in costs.items():
        print(
            f'| {name} | {1e3 * seconds:.1f} | {first.seconds / seconds:.1f} | '
            f'{peak / 1e6:.1f} | {peak / max(1, first.peak_bytes):.2f} |'
        )
    return costs


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
