"""The network of a config with its weights, and how to tell it from another."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner.checkpoint import CheckpointLoader
from mmpretrain.models import ImageClassifier
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmlt.apps.quiet import quiet_logs
from mmlt.functional.checks import one_line
from mmlt.models import BCLNeck
from mmlt.models.backbones.base_weights import local_file, sha256_of
from mmlt.registry import pretrained_in, type_name
from mmlt.weight_files import read_checkpoint

__all__ = ['build_network', 'describe_network', 'hash_of_weights', 'name_of_backbone', 'network_of']

# What tells one network of a backbone class from another.
_SIZES = ('model_name', 'arch', 'depth', 'version')
_TUNED = 'TunedBackbone'


def build_network(cfg: Config, checkpoint: Path | None, device: str) -> ImageClassifier:
    """Backbone and neck of a config, with the weights of a checkpoint or of the config itself.

    Without a checkpoint the backbone is that inside of a ``TunedBackbone``: nothing is tuned yet.

    Args:
        cfg: its ``load_from`` stands for the checkpoint where none is given, and
            ``init_cfg=dict(type='Pretrained')`` of the backbone where there is no such.
        checkpoint: weights of a run or of a published model, ``.pth`` or ``.safetensors``.
        device: where it goes.

    Returns:
        The classifier without its head.

    Raises:
        ValueError: one line, if there are no weights, or they do not fit backbone and neck.
    """
    model_cfg = network_of(cfg, checkpoint is not None)
    given = checkpoint or cfg.get('load_from')
    of_backbone, of_model = _pretrained(model_cfg['backbone']), _pretrained(model_cfg)
    pretrained = of_backbone or of_model
    if given is None and pretrained is None:
        raise ValueError(
            'checkpoint: expected weights of the network, as CHECKPOINT or in the config as '
            "load_from or init_cfg=dict(type='Pretrained', checkpoint=...), got none"
        )
    with DefaultScope.overwrite_default_scope('mmpretrain'), quiet_logs():
        try:
            model = MODELS.build(model_cfg)
        except Exception as error:  # whatever constructors say to wrong options
            raise ValueError(
                f'model: expected one that can be built, got {one_line(error)}'
            ) from error
        if not isinstance(model, ImageClassifier):
            raise ValueError(f'model: expected an ImageClassifier, got {type(model).__name__}')
        model.head = None
        if given is not None:
            _load(model, _weights(str(given)), str(given))
        elif pretrained is not None:
            source, prefix = str(pretrained['checkpoint']), pretrained.get('prefix') or ''
            learns = model.with_neck and not isinstance(model.neck, BCLNeck)
            if of_backbone and learns and any(True for _ in model.neck.parameters()):
                raise ValueError(
                    'checkpoint: expected weights of backbone and neck, got those of the backbone '
                    f'alone: {source}'
                )
            _load(model.backbone if of_backbone else model, _cut(_weights(source), prefix), source)
    if isinstance(model.neck, BCLNeck):
        model.neck.projection = nn.Sequential()  # of training alone
    return model.to(device).eval()


def _load(part: Any, weights: dict[str, Tensor], source: str) -> None:
    """All of a network or of its backbone, or ``ValueError``; positions may be of another grid."""
    expected = f'{source}: expected the weights of the network of the config, got'
    try:
        missing, unexpected = part.load_state_dict(weights, strict=False)
    except Exception as error:  # shapes, or what backbones say when they adapt what is loaded
        lines = [line.strip() for line in str(error).splitlines() if 'mismatch' in line]
        raise ValueError(f'{expected} {(lines or [one_line(error)])[0]}') from error
    lost = [name for name in missing if not name.endswith('num_batches_tracked')]
    own = {name for name, _ in part.named_children()}
    foreign = [name for name in unexpected if name.partition('.')[0] in own]
    if lost or foreign:
        number, what = (len(lost), 'none') if lost else (len(foreign), 'also some')
        raise ValueError(
            f'{expected} {what} for {(lost or foreign)[0]} ({number} parts do not fit)'
        )


def _weights(source: str) -> dict[str, Tensor]:
    if '://' not in source:
        return dict(read_checkpoint(source)['state_dict'])
    try:
        content = CheckpointLoader.load_checkpoint(source, map_location='cpu')
    except Exception as error:  # of the network, or of the unpickler
        raise ValueError(
            f'checkpoint: expected one that can be loaded, got {source}: {one_line(error)}'
        ) from error
    return dict(content.get('state_dict', content))


def describe_network(
    cfg: Config, model: ImageClassifier, checkpoint: Path | None
) -> dict[str, str]:
    """Name of the backbone, and a hash of all weights that make the features.

    Where these are the weights that the config names, ``config_weights`` is a hash of their file.
    """
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        if name.split('.')[0] in ('backbone', 'neck'):
            digest.update(f'{name}{tuple(value.shape)}'.encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return dict(
        name=name_of_backbone(cfg),
        sha256=digest.hexdigest(),
        config_weights='' if checkpoint else hash_of_weights(cfg) or '',
    )


def hash_of_weights(cfg: Config) -> str | None:
    """SHA-256 of the file that a config starts its network from; None where there is none here."""
    model = network_of(cfg)
    pretrained = _pretrained(model['backbone']) or _pretrained(model) or {}
    path = local_file(str(cfg.get('load_from') or pretrained.get('checkpoint') or ''))
    return sha256_of(path) if path.is_file() else None


def name_of_backbone(cfg: Config) -> str:
    """For example ``tf_efficientnet_lite0`` or ``ResNet-50``."""
    backbone = network_of(cfg)['backbone']
    if type_name(backbone) == _TUNED:
        backbone = backbone['backbone']
    if 'model_name' in backbone:
        return str(backbone['model_name'])
    sizes = [str(backbone[name]) for name in _SIZES if isinstance(backbone.get(name), (str, int))]
    return '-'.join([type_name(backbone), *sizes])


def network_of(cfg: Config, given: bool = False) -> dict[str, Any]:
    """The model of a config, a copy; without weights of a run it has the backbone before tuning.

    Args:
        cfg: of a run.
        given: a checkpoint is given beside it.

    Raises:
        ValueError: if there is none.
    """
    model = cfg.get('model')
    if not isinstance(model, dict) or not isinstance(model.get('backbone'), dict):
        raise ValueError('config: expected model=dict(backbone=...), got none')
    model = model.to_dict() if hasattr(model, 'to_dict') else dict(model)
    if cfg.get('data_preprocessor') is not None:
        model.setdefault('data_preprocessor', cfg['data_preprocessor'].to_dict())
    preprocessor = model.get('data_preprocessor')
    if isinstance(preprocessor, dict):
        preprocessor.setdefault('type', 'ClsDataPreprocessor')
    if type_name(model['backbone']) == _TUNED and not (given or cfg.get('load_from')):
        model['backbone'] = model['backbone']['backbone']
    return model


def _pretrained(part: dict[str, Any]) -> dict[str, Any] | None:
    return next(iter(pretrained_in(part.get('init_cfg'))), None)


def _cut(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    prefix = f'{prefix.rstrip(".")}.' if prefix else ''
    return {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
