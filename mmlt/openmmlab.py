"""The OpenMMLab stack that mmlt plugs into: is it there, is it new enough, what does it lack."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import pickle
import re
import warnings
from typing import Any

__all__ = ['allow_safe_checkpoints', 'check_openmmlab', 'format_configs_once']

INSTALL_HINT = (
    'mmlt plugs into MMPretrain and does not choose its stack for you. Install one of\n'
    "    pip install 'mmlt[openmmlab]'    upstream: mmengine, mmcv-lite, mmpretrain\n"
    "    pip install 'mmlt[onedl]'        the maintained OneDL forks, same import names\n"
    'but never both: they own the same directories.'
)

MINIMUM = {
    'torch': '2.1',
    'torchvision': '0.16',
    'mmengine': '0.10',
    'mmcv': '2.1',
    'mmpretrain': '1.2',
}


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r'\d+', version.split('+')[0])[:3])


def check_openmmlab() -> None:
    """Import MMPretrain and what it stands on.

    Raises:
        ImportError: naming every package that is missing or too old, and how to install it.
    """
    # mmcv-lite recommends mmcv for an operator that no classifier uses.
    warnings.filterwarnings('ignore', message='Fail to import ``MultiScaleDeformableAttention``')
    problems = []
    for name, minimum in MINIMUM.items():
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            missing = error.name or name
            reason = 'is not installed'
            if missing.split('.')[0] != name:
                reason = f'cannot be imported: it needs {missing!r}'
            if missing == 'pkg_resources':
                reason += ' (install setuptools<81)'
            problems.append(f'{name} {reason}')
            continue
        if _numbers(module.__version__) < _numbers(minimum):
            problems.append(f'{name} {module.__version__} is too old, {minimum} is needed')
    if problems:
        raise ImportError('mmlt cannot run here: ' + '; '.join(problems) + '.\n' + INSTALL_HINT)
    names = (dist.metadata['Name'] or '' for dist in importlib.metadata.distributions())
    installed = {name.lower().replace('_', '-') for name in names}
    if {'mmengine', 'onedl-mmengine'} <= installed:
        raise ImportError(
            'mmengine and onedl-mmengine are both installed and overwrite each '
            'other; uninstall both, then install one.\n' + INSTALL_HINT
        )


def allow_safe_checkpoints() -> None:
    """Let ``torch.load(weights_only=True)`` read what MMEngine writes into a checkpoint, no more.

    Since torch 2.6 safe loading is the default, and a runner could not resume from its own
    checkpoint: its message hub holds ``HistoryBuffer`` objects with numpy arrays. Safe loading
    stays on; only these classes are added to what it accepts. Such a buffer refers to its
    statistics by ``getattr``; in its place stands a function that finds these four and nothing
    else, since with the real one a checkpoint could run any code.

    The OneDL fork adds the real ``getattr`` for each load, and loads without safety where safe
    loading fails: both are switched off. Of a URL both stacks load without safety, as PyTorch's
    own function for URLs does: what was downloaded is treated as any other file.
    """
    import numpy as np
    import torch
    from mmengine.logging.history_buffer import HistoryBuffer
    from mmengine.runner import checkpoint as loading

    if not hasattr(torch.serialization, 'add_safe_globals'):
        return
    core = getattr(np, '_core', None) or np.core
    scalars = (np.float32, np.float64, np.int32, np.int64, np.bool_, np.uint8)
    allowed = [
        HistoryBuffer,
        np.ndarray,
        np.dtype,
        core.multiarray._reconstruct,
        core.multiarray.scalar,
        *{type(np.dtype(scalar)) for scalar in scalars},
    ]
    if _numbers(torch.__version__) >= (2, 7):
        # Pairs of object and name, since numpy 1 and 2 write two functions under different names.
        allowed = [(item, name) for item in allowed for name in _pickled_names(item)]
    torch.serialization.add_safe_globals([_statistic_of_history, *allowed])
    if hasattr(loading, '_safe_torch_load'):
        loading._safe_torch_load = _load_as_torch_does
    if _numbers(torch.__version__) >= (2, 6):
        loading.load_url = functools.partial(loading.load_url, weights_only=None)


def format_configs_once() -> None:
    """Let MMEngine lay the text of a config out once, not again for each use of the same text.

    It uses yapf, which takes seconds for a recipe with several views of RandAugment, and does so
    four times while a run starts and once more for every checkpoint, while all ranks wait.
    """
    from mmengine.config import config as configs

    stock = getattr(configs, 'FormatCode', None)
    if stock is None or hasattr(stock, 'known'):
        return

    @functools.wraps(stock)
    def format_code(text: str, **options: Any) -> Any:
        key = text, repr(options)
        if key not in known:
            while len(known) >= _TEXTS:
                del known[next(iter(known))]
            known[key] = stock(text, **options)
        return known[key]

    known: dict[tuple[str, str], Any] = {}
    format_code.known = known  # type: ignore[attr-defined]
    configs.FormatCode = format_code


_TEXTS = 4  # a run's own, and what it was before the last change


def _statistic_of_history(owner: Any, name: str) -> Any:
    """What a checkpoint gets that asks for ``getattr``."""
    from mmengine.logging.history_buffer import HistoryBuffer

    if owner is HistoryBuffer and name in ('mean', 'max', 'min', 'current'):
        return getattr(HistoryBuffer, name)
    raise pickle.UnpicklingError(
        f'refused: the checkpoint asks for attribute {name!r} of {owner!r}, which no checkpoint of '
        'MMEngine needs and which could run any code'
    )


# The name under which torch looks it up, in every version.
_statistic_of_history.__module__ = 'builtins'
_statistic_of_history.__name__ = _statistic_of_history.__qualname__ = 'getattr'


def _load_as_torch_does(file: Any, map_location: Any = None, weights_only: Any = None) -> Any:
    """Stands for OneDL's loader: no list of its own, no second attempt without safety."""
    import torch

    given = {} if weights_only is None else {'weights_only': weights_only}
    return torch.load(file, map_location=map_location, **given)


def _pickled_names(item: Any) -> list[str]:
    """Names under which a checkpoint may refer to a class or function."""
    name = f'{item.__module__}.{item.__qualname__}'
    if '.multiarray.' not in name:
        return [name]
    return [
        f'{package}.multiarray.{item.__qualname__}' for package in ('numpy.core', 'numpy._core')
    ]
