"""Which parts a description from somebody else's file may be built of: those that only compute.

MMEngine imports whatever module stands before a dot in a ``type``, and some registered parts
download weights when they are built.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from mmpretrain import registry

from .registry import dicts_in

__all__ = ['LEFT_OUT', 'check_model_parts', 'check_transforms']

#: Prediction begins from the weights of the checkpoint, and mixes no batches.
LEFT_OUT = ('init_cfg', 'pretrained', 'train_cfg', 'backend_args', 'file_client_args')
# Where parts are defined that only compute. Others of the same registries download weights when
# they are built.
_MODEL_PARTS = (
    'mmlt.models.',
    'mmpretrain.models.backbones.',
    'mmpretrain.models.classifiers.image',
    'mmpretrain.models.heads.',
    'mmpretrain.models.losses.',
    'mmpretrain.models.necks.',
    'mmpretrain.models.utils.',
    'mmcv.cnn.',
    'torch.nn.',
)
_DOWNLOADING = (
    'mmpretrain.models.backbones.timm_backbone',
    'mmpretrain.models.utils.clip_generator_helper',
    'mmpretrain.models.utils.huggingface',
)
# Of those modules, what CLIP's networks compute with.
_HARMLESS = ('QuickGELU',)
_TRANSFORMS = (
    'mmlt.datasets.transforms.',
    'mmpretrain.datasets.transforms.',
    'mmcv.transforms.',
    'torchvision.',
    'functools',  # how MMPretrain registers those of torchvision
)


def check_model_parts(model: Any) -> None:
    """``ValueError`` if a part of a model is unknown, or could do anything else than compute."""
    _check_parts(model, registry.MODELS, _MODEL_PARTS)


def check_transforms(pipeline: Any) -> None:
    """The same of the transforms of a pipeline."""
    _check_parts(pipeline, registry.TRANSFORMS, _TRANSFORMS)


def _check_parts(value: Any, parts: Any, homes: Sequence[str]) -> None:
    parts.import_from_location()
    for part in dicts_in(value):
        if homes is _MODEL_PARTS and _is_plain_timm(part):
            continue
        for name in (*LEFT_OUT, '_scope_', 'custom_imports', 'model_name'):
            if name in part:
                raise ValueError(f'{name}: expected none in the description of a model, got one')
        if 'type' not in part:
            continue
        found, kind = None, part['type']
        level = parts
        while isinstance(kind, str) and found is None and level is not None:
            found = level.module_dict.get(kind)
            level = level.parent
        home = str(getattr(found, '__module__', type(found).__module__)) + '.'
        downloads = home.startswith(_DOWNLOADING) and kind not in _HARMLESS
        if found is None or not home.startswith(tuple(homes)) or downloads:
            raise ValueError(
                f'type: expected the name of a part of MMPretrain or mmlt that only computes, got '
                f'{kind!r}'
            )


def _is_plain_timm(part: dict[str, Any]) -> bool:
    """Whether a part is a network of timm by its name alone.

    timm builds such a one without weights, so that nothing is asked of a server: names of those
    that it would look up elsewhere have a colon or a slash.
    """
    name = part.get('model_name')
    named = isinstance(name, str) and re.fullmatch(r'[a-z0-9_]+', name) is not None
    return named and set(part) == {'type', 'model_name'} and part['type'] == 'TIMMBackbone'
