"""State that a checkpoint of other classes brings, and that does not fit."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.logging import print_log
from torch import nn

__all__ = ['fitting_state']


def fitting_state(
    module: nn.Module, state_dict: Mapping[str, Any], prefix: str, names: Sequence[str]
) -> dict[str, Any]:
    """What a checkpoint has for a module, or the module's own state where that does not fit.

    A classifier of another number of classes is left out by MMEngine; what was estimated for its
    classes has to be left out as a whole, counters included, and is so wherever a state dict comes
    from: ``load_from``, ``init_cfg=dict(type='Pretrained')``, testing, the copy of ``EMAHook``.

    Args:
        module: whose buffers ``names`` belong together.
        state_dict: left as it is.
        prefix: of the module in it.
        names: of the buffers.

    Returns:
        ``state_dict``, copied; one warning says what was left out.
    """
    given = {name: state_dict.get(prefix + name) for name in names}
    own = {name: getattr(module, name) for name in names}
    for name, saved in given.items():
        if saved is not None and own[name] is not None and saved.shape != own[name].shape:
            print_log(
                f'{type(module).__name__}: the checkpoint has its state for {len(saved)} classes, '
                f'the model has {len(own[name])}; that state is left out',
                logger='current',
                level=logging.WARNING,
            )
            return {**state_dict, **{prefix + name: own[name] for name in names}}
    return dict(state_dict)
