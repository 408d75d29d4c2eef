"""What a run left behind, and where it differs from the run that nobody interrupted."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging.history_buffer import HistoryBuffer

# Of the clock and the machine, not of the training.
CLOCKS = ('time', 'data_time', 'memory', 'eta', 'iter_time')


def differences(found: Path, whole: Path, epochs: int) -> list[str]:
    """Names of what differs between two work directories, none if nothing does."""
    parts = {}
    for key, folder in (('found', found), ('whole', whole)):
        path = folder / f'epoch_{epochs}.pth'
        if not path.is_file():
            return [f'no epoch_{epochs}.pth']
        try:
            parts[key] = dict(_flat(_without_clocks(torch.load(path, weights_only=True))))
            for path in sorted(folder.glob('best_*.pth')):
                weights = torch.load(path, weights_only=True)['state_dict']
                parts[key].update(_flat(weights, path.name))
        except (RuntimeError, EOFError, pickle.UnpicklingError):
            return [f'broken {path.name}']
        parts[key].update(_log(folder))
    ours, theirs = parts['found'], parts['whole']
    names = sorted(ours.keys() ^ theirs.keys())
    names += [name for name in ours.keys() & theirs.keys() if not _same(ours[name], theirs[name])]
    return sorted(names)


def _without_clocks(checkpoint: dict[str, Any]) -> dict[str, Any]:
    hub = checkpoint['message_hub']
    meta = checkpoint['meta']
    info = hub['runtime_info']
    return {
        **{key: checkpoint[key] for key in checkpoint if key not in ('meta', 'message_hub')},
        'meta': {key: meta[key] for key in ('epoch', 'iter', 'seed', 'dataset_meta')},
        'best': Path(str(info.get('best_ckpt'))).name,
        'best_score': info.get('best_score'),
        'scalars': {
            name: buffer.data if isinstance(buffer, HistoryBuffer) else buffer
            for name, buffer in hub['log_scalars'].items()
            if name.split('/')[-1] not in CLOCKS
        },
    }


def _flat(value: Any, name: str = '') -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flat(item, f'{name}.{key}' if name else str(key))
    elif isinstance(value, list | tuple):
        for place, item in enumerate(value):
            yield from _flat(item, f'{name}.{place}')
    else:
        yield name, value


def _log(folder: Path) -> dict[str, Any]:
    """Line of the log -> figures; an epoch that was trained again overwrites its lines."""
    lines = {}
    for file in sorted(folder.glob('*/vis_data/scalars.json')):
        for line in file.read_text(encoding='utf-8').splitlines():
            try:
                figures = json.loads(line)
            except ValueError:
                continue  # the line that was being written
            kind = 'train' if 'loss' in figures else 'val'
            kept = {k: v for k, v in figures.items() if k.split('/')[-1] not in CLOCKS}
            lines[f'log.{kind}.{figures.get("step")}'] = json.dumps(kept, sort_keys=True)
    return lines


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.shape == b.shape and _bits(a) == _bits(b)
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and np.array_equal(a, b, equal_nan=a.dtype.kind == 'f')
    return type(a) is type(b) and (a == b or (a != a and b != b))


def _bits(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().numpy().tobytes()
