"""The file of pre-trained weights that a tuned backbone stands on: read, verified, found again."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import Any

import torch
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn

from mmlt.functional.checks import OptionError

__all__ = ['find_base', 'load_base', 'local_file', 'sha256_of']

_NORMS = (nn.LayerNorm, nn.GroupNorm, nn.modules.batchnorm._BatchNorm)


def local_file(checkpoint: str) -> Path:
    """Where the weights of ``init_cfg`` lie on this machine; of a URL, where PyTorch caches it."""
    if checkpoint.startswith(('http://', 'https://')):
        return Path(torch.hub.get_dir(), 'checkpoints', checkpoint.rpartition('/')[2])
    return Path(checkpoint).expanduser()


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, read once for each state of it."""
    status = path.stat()
    return _sha256(path.resolve(), status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _sha256(path: Path, size: int, written: int) -> str:
    del size, written
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def load_base(module: nn.Module, checkpoint: Any, prefix: str | None) -> tuple[str, set[str]]:
    """Load pre-trained weights, all of them or none.

    MMEngine leaves out what is missing or has another shape, with a warning; frozen, such a part
    would stay random.

    Args:
        module: the backbone.
        checkpoint: file or URL.
        prefix: of the backbone in the file, such as ``'backbone.'``.

    Returns:
        Hash of the file, and the parameters that it lacks: at most those of norms outside of the
        blocks, which some pre-training does without.

    Raises:
        OptionError: if there is no such file, or it is for another architecture.
    """
    where = 'init_cfg.checkpoint'
    if not isinstance(checkpoint, str) or not checkpoint:
        raise OptionError(f'{where}: expected a file of weights, got {checkpoint!r}')
    if '://' not in checkpoint and not local_file(checkpoint).is_file():
        raise OptionError(f'{where}: expected a file of weights, got no file {checkpoint}')
    read = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')
    path = local_file(checkpoint)
    if not path.is_file():
        raise OptionError(f'{where}: expected a file or an http address, got {checkpoint}')
    weights = read.get('state_dict', read) if isinstance(read, dict) else None
    if not isinstance(weights, dict):
        raise OptionError(f'{where}: expected a file of weights, got {checkpoint} without any')
    weights = {name.removeprefix('module.'): value for name, value in weights.items()}
    start = f'{prefix.rstrip(".")}.' if prefix else ''
    chosen = {n[len(start) :]: value for n, value in weights.items() if n.startswith(start)}
    kind = type(module).__name__
    expected = f'{where}: expected weights of this {kind}, got {checkpoint}'
    if not chosen:
        raise OptionError(f'{expected}, where no name begins with prefix={prefix!r}')
    try:
        missing, unexpected = module.load_state_dict(chosen, strict=False)
    except (RuntimeError, AssertionError, ValueError, IndexError) as error:
        lines = [line.strip() for line in str(error).splitlines() if 'mismatch' in line]
        raise OptionError(f'{expected}: {(lines or [repr(error)])[0][:200]}') from error
    lacking = set(missing) & {name for name, _ in module.named_parameters()}
    norms = {
        f'{name}.{key}'
        for name, part in module.named_modules()
        if isinstance(part, _NORMS) and '.' not in name
        for key, _ in part.named_parameters()
    }
    if lacking - norms:
        hint = ''
        if any(name.startswith('backbone.') for name in chosen):
            hint = " (prefix='backbone.' may be missing)"
        raise OptionError(
            f'{expected} without {len(lacking)} of its parameters, such as '
            f'{min(lacking - norms)}{hint}'
        )
    parts = {name for name, _ in module.named_children()} - {'head'}
    foreign = [name for name in unexpected if name.partition('.')[0] in parts]
    if foreign:
        raise OptionError(
            f'{expected} with {len(foreign)} parameters that it lacks, such as {min(foreign)}'
        )
    return sha256_of(path), lacking


def find_base(named: str | None, digest: str, beside: Path, given: Path | None = None) -> Path:
    """The file of weights that a small checkpoint was trained on.

    Args:
        named: file or URL that the checkpoint names, as the run had it.
        digest: SHA-256 that the file must have.
        beside: the checkpoint; the file may lie in its folder.
        given: where the user says that it is, which then has to be right.

    Raises:
        OptionError: if there is none, or only others.
    """
    places = [given]
    if given is None and named is not None:
        places = [local_file(named), beside.with_name(Path(local_file(named)).name)]
    found = [place for place in places if place is not None and place.is_file()]
    for place in found:
        if sha256_of(place) == digest:
            return place
    name = 'pre-trained weights' if named is None else Path(local_file(named)).name
    wanted = f'{name} with SHA-256 {digest[:16]}..., on which {beside.name} was trained'
    if found:
        got = ', '.join(f'{place} with {sha256_of(place)[:16]}...' for place in found)
    else:
        looked = ' and '.join(str(place) for place in places if place is not None)
        got = f'no file at {looked or "all"}'
    hint = '' if given is not None else '; --base FILE says where it is'
    raise OptionError(f'base: expected {wanted}, got {got}{hint}')
