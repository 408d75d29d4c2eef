"""The network of a project: from given or packaged weights, or from scratch."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS
from torch import Tensor

from mmlt.functional.checks import one_line
from mmlt.weight_files import checkpoint_bytes, read_checkpoint

__all__ = ['SMALL', 'Network', 'choose_network']

SMALL = 48  # pixels: up to here, a network for images of 32 pixels
_RESNETS = (18, 34, 50, 101, 152)
_SMALL_RESNETS = (20, 32, 44, 56, 110)
_IMAGENET = ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375])  # RGB
_PREFIX = 'backbone.'


@dataclass(frozen=True)
class Network:
    """A network without its classifier.

    Args:
        name: as the user gives it.
        backbone: its entry in a config.
        channels: of its last output.
        mean, std: of the images, RGB, as the weights expect them.
        weights: name of the weights, as a file in the project; None: from scratch.
        source: where they come from, for people.
    """

    name: str
    backbone: dict[str, Any]
    channels: int
    mean: list[float]
    std: list[float]
    weights: str | None = None
    source: str = ''
    _state: dict[str, Tensor] | None = None

    def content(self) -> bytes:
        """Content of the file ``weights``, named as MMPretrain's classifiers name them."""
        if self._state is None:
            from ..pretrained import efficientnet_lite0_content

            return efficientnet_lite0_content()
        state = {f'{_PREFIX}{name}': value for name, value in self._state.items()}
        checkpoint = dict(meta=dict(architecture=self.name), state_dict=state)
        return checkpoint_bytes(checkpoint, str(self.weights))


def choose_network(
    name: str | None = None, weights: Path | None = None, side: int = SMALL + 1
) -> Network:
    """What to train.

    Args:
        name: of the network (``--net``), or None.
        weights: file with weights for it, or None.
        side: median of the shorter sides of the images, in pixels; it decides where no name is.

    Returns:
        With weights: that network. Without a name: EfficientNet-Lite0 where its packaged weights
        are installed, else a ResNet from scratch.

    Raises:
        ValueError: one line, if the name or the weights do not fit.
    """
    if weights is not None and name is None:
        raise ValueError('--weights: expected --net NAME beside it, the network they are for')
    if name is None:
        from ..pretrained import NORM, has_efficientnet_lite0

        if has_efficientnet_lite0():
            backbone = dict(type='TIMMBackbone', model_name='tf_efficientnet_lite0')
            norm: Any = NORM
            return Network(
                'efficientnet_lite0', backbone, 1280, list(norm['mean']), list(norm['std']),
                'efficientnet_lite0.safetensors', 'ImageNet, packaged (mmlt[pretrained])',
            )  # fmt: skip
        name = 'resnet32' if side <= SMALL else 'resnet18'
    network, module = _named(name)
    if weights is None:
        return network
    state = _fitting(weights, network, module)
    file = f'{"".join(c if c.isalnum() or c in "._-" else "_" for c in name)}.safetensors'
    return Network(
        name, network.backbone, network.channels, network.mean, network.std, file, weights.name,
        state,
    )  # fmt: skip


def _named(name: str) -> tuple[Network, Any]:
    """A network by its name, and itself, built."""
    depth = name.removeprefix('resnet')
    mean, std = _IMAGENET
    if name.startswith('resnet') and depth.isdecimal() and int(depth) in _RESNETS:
        backbone: dict[str, Any] = dict(type='ResNet', depth=int(depth))
    elif name.startswith('resnet') and depth.isdecimal() and int(depth) in _SMALL_RESNETS:
        backbone = dict(type='CIFARResNet', depth=int(depth))
    elif importlib.util.find_spec('timm') is None:
        raise ValueError(f'--net: {_expected()}, got {name!r} without timm: pip install timm')
    else:
        import timm

        if not timm.is_model(name):
            raise ValueError(f'--net: {_expected()}, got {name!r}')
        cfg = timm.get_pretrained_cfg(name)
        if cfg is not None:
            mean, std = ([255 * value for value in part] for part in (cfg.mean, cfg.std))
        backbone = dict(type='TIMMBackbone', model_name=name)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        module = MODELS.build(backbone)
    module.eval()  # of MMPretrain's networks some return None
    with torch.no_grad():
        try:
            output = module(torch.zeros(1, 3, 64, 64))[-1]
        except Exception as error:  # whatever networks of timm say to maps that are too small
            raise ValueError(f'--net: {_expected()}, got {name!r}: {one_line(error)}') from error
    told = getattr(getattr(module, 'timm_model', None), 'num_features', output.shape[1])
    if output.ndim != 4 or output.shape[1] != told:
        raise ValueError(f'--net: {_expected()} with maps (N, C, H, W), got {name!r}')
    return Network(name, backbone, int(output.shape[1]), list(mean), list(std)), module


def _expected() -> str:
    depths = '/'.join(map(str, (*_RESNETS, *_SMALL_RESNETS)))
    return f'expected resnet{depths}, or the name of a convolutional network of timm'


def _fitting(path: Path, network: Network, module: Any) -> dict[str, Tensor]:
    """The weights of a file under the names of the network; ``ValueError`` if some lack."""
    state = read_checkpoint(path, '--weights')['state_dict']
    if any(name.startswith(_PREFIX) for name in state):
        state = {
            name.removeprefix(_PREFIX): value
            for name, value in state.items()
            if name.startswith(_PREFIX)
        }
    needed = module.state_dict()
    found = {}
    for name in needed:
        value = state.get(name, state.get(name.removeprefix('timm_model.')))
        if getattr(value, 'shape', None) == needed[name].shape:
            found[name] = value
    # Which torchvision's older files do not have.
    lacking = [n for n in needed if n not in found and not n.endswith('num_batches_tracked')]
    if lacking:
        raise ValueError(
            f'--weights: expected weights of {network.name}, got {path} with '
            f'{len(needed) - len(lacking)} of its {len(needed)} arrays; {lacking[0]} is missing or '
            'has another shape'
        )
    return found
