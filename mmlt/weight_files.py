"""Weights without pickle: safetensors files, which the tools write and MMEngine reads.

A ``.pth`` file is a pickle, and safe only as far as PyTorch's list of allowed parts is; a
``.safetensors`` file holds numbers and text and cannot run anything. After ``import mmlt`` MMEngine
reads both kinds: for ``load_from``, for
``init_cfg=dict(type='Pretrained', checkpoint='x.safetensors')``, and in the tools.
"""

from __future__ import annotations

import json
import os
import pickle
import warnings
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from mmengine.runner import checkpoint as loading_of_mmengine
from mmengine.runner.checkpoint import CheckpointLoader

from .checkpoints import fault_of, written_whole
from .functional.checks import OptionError, one_line

__all__ = ['checkpoint_bytes', 'read_checkpoint', 'read_safetensors', 'write_whole']

SUFFIX = '.safetensors'
# What other readers of the format look for, beside the entries of `meta`.
FORMAT = {'format': 'pt'}


def read_safetensors(path: str | os.PathLike[str], device: str = 'cpu') -> dict[str, Any]:
    """Weights and meta data of a safetensors file, laid out as a checkpoint of MMEngine.

    Args:
        path: the file, of this package or of any other.
        device: where the weights go.

    Returns:
        ``meta``: the file's texts, decoded where they are JSON; ``state_dict``: name -> tensor.

    Raises:
        ValueError: if it is not such a file, or not a whole one.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> checkpoint = dict(meta=dict(epoch=3), state_dict={'head.fc.bias': torch.zeros(2)})
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder, 'model.safetensors')
        ...     write_whole(path, checkpoint_bytes(checkpoint, path))
        ...     read_safetensors(path)
        {'meta': {'epoch': 3}, 'state_dict': {'head.fc.bias': tensor([0., 0.])}}
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework='pt', device=device) as file:
            texts = dict(file.metadata() or {})
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f'{path}: expected a safetensors file, got another: {error}') from error
    meta = {name: _decoded(text) for name, text in texts.items() if name not in FORMAT}
    return dict(meta=meta, state_dict=weights)


def read_checkpoint(
    path: str | os.PathLike[str],
    name: str = 'checkpoint',
    trust: bool = False,
    switch: str | None = None,
) -> dict[str, Any]:
    """A checkpoint of MMEngine, a file of bare weights or a safetensors file, on the CPU.

    Args:
        path: the file.
        name: what the error calls it, such as the option of a command.
        trust: load more than tensors and plain types, which can run any code.
        switch: the option that does so, for the error.

    Returns:
        The content. ``state_dict`` is always in it: bare weights are put there, and the
        ``module.`` that a wrapped model has before each name is cut off.

    Raises:
        ValueError: in one line, if there is no file, it is damaged, does not load safely, or holds
            no weights.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        got = 'a folder' if path.is_dir() else 'no file'
        raise ValueError(f'{name}: expected a checkpoint, got {got} {path}')
    fault = None if path.suffix == SUFFIX else fault_of(path)
    if fault is not None:
        raise ValueError(f'{name}: expected a whole checkpoint, got {path}, which {fault}')
    try:
        if path.suffix == SUFFIX:
            content = read_safetensors(path)
        else:
            content = torch.load(path, map_location='cpu', weights_only=not trust)
    except Exception as error:  # the unpickler raises errors of every kind
        reason = one_line(error)
        if isinstance(error, pickle.UnpicklingError):  # whose text advises to load without safety
            reason = (
                'it is broken, or holds more than tensors and plain types, which could run code'
            )
        hint = f' ({switch} switches that off)' if switch else ''
        raise ValueError(
            f'{name}: expected a checkpoint that loads safely{hint}, got {path}: {reason}'
        ) from error
    content = content if isinstance(content, dict) else {}
    bare = any(isinstance(value, torch.Tensor) for value in content.values())
    weights = content if bare else content.get('state_dict')
    if not isinstance(weights, dict):
        raise ValueError(f'{name}: expected a checkpoint, got {path} without state_dict')
    if weights and all(str(key).startswith('module.') for key in weights):
        weights = {str(key).removeprefix('module.'): value for key, value in weights.items()}
    return dict({} if bare else content, state_dict=weights)


def checkpoint_bytes(checkpoint: Mapping[str, Any], path: str | os.PathLike[str]) -> bytes:
    """Content of a file with weights and meta data, in the format of the name's suffix.

    Args:
        checkpoint: with ``state_dict`` and, if there is any, ``meta``. A safetensors file keeps of
            ``meta`` what JSON can express.
        path: name of the file; ``.safetensors`` or, for all other suffixes, PyTorch's format.

    Returns:
        The same bytes for the same content.
    """
    meta, weights = checkpoint.get('meta') or {}, checkpoint['state_dict']
    if not os.fspath(path).endswith(SUFFIX):
        buffer = BytesIO()
        torch.save(dict(meta=dict(meta), state_dict=dict(weights)), buffer)
        return buffer.getvalue()
    from safetensors.torch import save

    # A copy of each: the format holds no views, and no memory that two names share.
    tensors = {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in weights.items()
        if isinstance(value, torch.Tensor)
    }
    left_out = sorted(weights.keys() - tensors.keys())
    if left_out:
        warnings.warn(f'{path}: no tensors, left out: {", ".join(left_out)}', stacklevel=2)
    texts = {str(name): json.dumps(value, default=_plain) for name, value in meta.items()}
    return _sorted_header(save(tensors, {**texts, **FORMAT}))


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file by way of :func:`~mmlt.checkpoints.written_whole`; its folder is made."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as aside:
        aside.write_bytes(content)


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _plain(value: Any) -> Any:
    """For arrays and tensors their lists, for anything else its text."""
    return value.tolist() if hasattr(value, 'tolist') else str(value)


def _sorted_header(content: bytes) -> bytes:
    """The library writes its texts in another order each time, which would change the hash."""
    size = int.from_bytes(content[:8], 'little')
    header = json.loads(content[8 : 8 + size])
    header['__metadata__'] = dict(sorted(header['__metadata__'].items()))
    text = json.dumps(header, separators=(',', ':'), ensure_ascii=False).encode()
    text += b' ' * (-len(text) % 8)
    return len(text).to_bytes(8, 'little') + text + content[8 + size :]


@CheckpointLoader.register_scheme('', force=True)  # type: ignore[untyped-decorator]
def load_from_local(filename: str, map_location: Any = None) -> Any:
    """MMEngine's loader of local files, which reads safetensors too.

    What cannot be read is an ``OptionError`` in one line.
    """
    if not filename.endswith(SUFFIX):
        try:
            content = loading_of_mmengine.load_from_local(filename, map_location)
        except FileNotFoundError:
            raise
        except Exception as error:  # the unpickler raises errors of every kind
            reason = one_line(error)
            if isinstance(error, pickle.UnpicklingError):  # its text advises to load without safety
                reason = (
                    'broken, or it holds more than tensors and plain types, which could run any '
                    'code. If you trust whoever made it, the tools load it with --trust-checkpoint'
                )
            raise OptionError(
                f'checkpoint: expected a checkpoint that loads safely, got {filename}: {reason}'
            ) from error
        if not isinstance(content, dict):
            raise OptionError(
                f'checkpoint: expected names and weights, got {filename} with a '
                f'{type(content).__name__}'
            )
        return content
    path = Path(filename).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f'{filename} can not be found.')
    named = isinstance(map_location, str | torch.device)
    return read_safetensors(path, str(map_location) if named else 'cpu')
