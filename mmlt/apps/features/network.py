"""The network of a config with its weights, and how to tell it from another."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpretrain.models import ImageClassifier
from mmpretrain.registry import MODELS
from torch import Tensor

from mmlt.apps.quiet import quiet_logs
from mmlt.datasets.reading import ANY_ERROR
from mmlt.weight_files import SUFFIX, read_safetensors

__all__ = ['build_network', 'describe_network', 'hash_of_weights', 'name_of_backbone']

# What tells one network of a backbone class from another.
_SIZES = ('model_name', 'arch', 'depth', 'version')
_WITHOUT = ('init_cfg', 'pretrained', 'checkpoint_path')


def build_network(cfg: Config, checkpoint: Path | None, device: str) -> ImageClassifier:
    """The classifier of a config, with the weights of a checkpoint or of the config itself.

    Args:
        cfg: its ``load_from`` stands for the checkpoint where none is given, and
            ``init_cfg=dict(type='Pretrained')`` of the backbone where there is no such.
        checkpoint: weights of a run or of a published model, ``.pth`` or ``.safetensors``.
        device: where it goes.

    Raises:
        ValueError: one line, if there are no weights, or they do not fit backbone and neck.
    """
    model_cfg = _model_of(cfg)
    given = checkpoint or cfg.get('load_from')
    pretrained = _pretrained(model_cfg.get('backbone') or {}) or _pretrained(model_cfg)
    if given is None and pretrained is None:
        raise ValueError(
            'checkpoint: expected weights of the network, as CHECKPOINT or in the config as '
            "load_from or init_cfg=dict(type='Pretrained', checkpoint=...), got none"
        )
    with DefaultScope.overwrite_default_scope('mmpretrain'), quiet_logs():
        try:
            model = MODELS.build(model_cfg)
        except ANY_ERROR as error:  # whatever constructors say to wrong options
            raise ValueError(
                f'model: expected one that can be built, got {_line(error)}'
            ) from error
        if not isinstance(model, ImageClassifier):
            raise ValueError(f'model: expected an ImageClassifier, got {type(model).__name__}')
        if given is not None:
            _load(model, _weights(str(given)), str(given))
        elif pretrained is not None:
            source, prefix = str(pretrained['checkpoint']), pretrained.get('prefix') or ''
            if '://' in source:
                model.init_weights()
            else:
                part = model if prefix == '' and _pretrained(model_cfg) else model.backbone
                _load(part, _cut(_weights(source), prefix), source)
    return model.to(device).eval()


def _load(part: Any, weights: dict[str, Tensor], source: str) -> None:
    """Into a classifier or its backbone; all that makes the features has to be there."""
    wanted = {
        name: value.shape
        for name, value in part.state_dict().items()
        if name.split('.')[0] != 'head' and not name.endswith('num_batches_tracked')
    }
    lost = [name for name, shape in wanted.items() if _shape(weights.get(name)) != shape]
    if lost:
        got = _shape(weights.get(lost[0]))
        raise ValueError(
            f'{source}: expected the weights of the network of the config, got '
            f'{"none" if got is None else f"{tuple(got)} in place of {tuple(wanted[lost[0]])}"} '
            f'for {lost[0]} ({len(lost)} of {len(wanted)} do not fit)'
        )
    own = part.state_dict()
    part.load_state_dict(
        {k: v for k, v in weights.items() if k in own and v.shape == own[k].shape}, strict=False
    )


def _weights(source: str) -> dict[str, Tensor]:
    path = Path(source)
    if not path.is_file():
        raise ValueError(f'checkpoint: expected a file of weights, got no file {source}')
    try:
        if path.suffix == SUFFIX:
            content = read_safetensors(path)
        else:
            content = torch.load(path, map_location='cpu', weights_only=True)
        weights = content.get('state_dict', content)
        return {str(name).removeprefix('module.'): value for name, value in weights.items()}
    except ANY_ERROR as error:  # the unpickler raises errors of every kind
        raise ValueError(
            f'{source}: expected a checkpoint that can be loaded safely, got another file: '
            f'{_line(error)}'
        ) from error


def describe_network(
    cfg: Config, model: ImageClassifier, checkpoint: Path | None
) -> dict[str, str]:
    """Name and config of the backbone, and a hash of all weights that make the features.

    Where these are the weights that the config names, ``config_weights`` is a hash of their file.
    """
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        if name.split('.')[0] in ('backbone', 'neck'):
            digest.update(f'{name}{tuple(value.shape)}'.encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    backbone = _model_of(cfg)['backbone']
    return dict(
        name=name_of_backbone(backbone),
        backbone=json.dumps(_plain(backbone), sort_keys=True, default=str),
        sha256=digest.hexdigest(),
        config_weights='' if checkpoint else hash_of_weights(cfg) or '',
    )


def hash_of_weights(cfg: Config) -> str | None:
    """SHA-256 of the file that a config starts its network from; None where there is none here."""
    model = cfg.model
    pretrained = _pretrained(model.backbone) or _pretrained(model) or {}
    path = Path(str(cfg.get('load_from') or pretrained.get('checkpoint') or ''))
    return _hash(path, path.stat().st_mtime_ns) if path.is_file() else None


@lru_cache
def _hash(path: Path, time: int) -> str:
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def name_of_backbone(backbone: Any) -> str:
    """For example ``tf_efficientnet_lite0`` or ``ResNet-50``."""
    kind = str(backbone.get('type')).rpartition('.')[2]
    if 'model_name' in backbone:
        return str(backbone['model_name'])
    sizes = [str(backbone[name]) for name in _SIZES if isinstance(backbone.get(name), (str, int))]
    return '-'.join([kind, *sizes])


def _model_of(cfg: Config) -> dict[str, Any]:
    model = cfg.get('model')
    if not isinstance(model, dict) or 'backbone' not in model:
        raise ValueError('config: expected model=dict(backbone=...), got none')
    model = model.to_dict() if hasattr(model, 'to_dict') else dict(model)
    if cfg.get('data_preprocessor') is not None:
        model.setdefault('data_preprocessor', cfg['data_preprocessor'].to_dict())
    preprocessor = model.get('data_preprocessor')
    if isinstance(preprocessor, dict):
        preprocessor.setdefault('type', 'ClsDataPreprocessor')
    return model


def _pretrained(part: Any) -> dict[str, Any] | None:
    found = part.get('init_cfg') if isinstance(part, dict) else None
    for one in found if isinstance(found, (list, tuple)) else [found]:
        if isinstance(one, dict) and one.get('type') == 'Pretrained':
            return one
    return None


def _cut(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    prefix = f'{prefix.rstrip(".")}.' if prefix else ''
    return {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}


def _shape(value: Any) -> Any:
    return getattr(value, 'shape', None)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items() if k not in _WITHOUT}
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value


def _line(error: BaseException) -> str:
    return ' '.join(str(error).split())[:300] or type(error).__name__
