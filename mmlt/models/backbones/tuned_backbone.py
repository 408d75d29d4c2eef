"""Parameter-efficient training: a small part of a pre-trained vision transformer learns."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from mmengine.model import BaseModule
from mmpretrain.models.peft.lora import LoRALinear
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmlt.functional.checks import OptionError, check_choice, check_integer, check_number, refuse
from mmlt.registry import check_config, check_init_cfg, pretrained_in

from .base_weights import load_base

__all__ = ['TunedBackbone']

TUNES = ('lora', 'adapter', 'bias', 'last_blocks', 'frozen', 'full')
_HASH = 'base_sha256'  # name of the buffer


@MODELS.register_module()
class TunedBackbone(BaseModule):
    r"""A pre-trained vision transformer of which a part is trained; the head always is.

    Frozen weights stay out of checkpoints, which are a few MB: the file that they come from is
    named there, with its hash, and a checkpoint is loaded only on top of the same file. Without
    pre-trained weights, and with ``tune='full'``, checkpoints hold everything.

    Args:
        backbone: config of any backbone of MMPretrain with transformer blocks in ``layers``. Its
            ``init_cfg=dict(type='Pretrained', checkpoint=..., prefix=...)`` names the weights,
            which are loaded when the backbone is built: all of them, or it is an error.
        tune: what learns

            - ``'lora'``: a product of two thin matrices, added to each query, key and value
              projection, by MMPretrain's ``LoRALinear``;
            - ``'adapter'``: a bottleneck beside each MLP,
              :math:`s\,\mathrm{ReLU}(x W_\mathrm{down}) W_\mathrm{up}`, where :math:`x` is what
              the block has before its second norm;
            - ``'bias'``: all biases;
            - ``'last_blocks'``: the last blocks, and what comes after them;
            - ``'frozen'``: nothing; ``'full'``: everything.

            A norm after the blocks that the file lacks, as some pre-training does without it,
            learns in each of these ways.
        width: rank of LoRA, or units of an adapter's bottleneck.
        scale: :math:`s` of an adapter. None: learned from 1 on, with a norm of its own before the
            bottleneck, as in LIFT.
        num_blocks: blocks of ``'last_blocks'``.
        init_cfg: none; weights are named by that of ``backbone``.

    Raises:
        ValueError: if an option is out of range, the backbone has no such blocks, or the weights
            are those of another architecture.

    References:
        Hu et al., LoRA, ICLR 2022. Chen et al., AdaptFormer, NeurIPS 2022, with its scale of 0.1,
        and an up-projection that starts at zero. Ben Zaken et al., BitFit, ACL 2022. Shi et al.,
        Long-Tail Learning with Foundation Model: Heavy Fine-Tuning Hurts (LIFT), ICML 2024.

    Example:
        >>> arch = dict(embed_dims=32, num_layers=2, num_heads=2, feedforward_channels=64)
        >>> vit = dict(type='VisionTransformer', arch=arch, img_size=16, patch_size=4)
        >>> backbone = TunedBackbone(vit, tune='adapter', width=4)
        >>> backbone(torch.zeros(1, 3, 16, 16))[-1].shape
        torch.Size([1, 32])
        >>> sum(p.numel() for p in backbone.parameters() if p.requires_grad)
        584
    """

    def __init__(
        self,
        backbone: dict,
        tune: str = 'adapter',
        width: int = 8,
        scale: float | None = 0.1,
        num_blocks: int = 2,
        init_cfg: None = None,
    ) -> None:
        super().__init__()
        if init_cfg is not None:
            raise refuse('TunedBackbone.init_cfg', 'none (that of its backbone)', init_cfg)
        self.tune = check_choice('tune', tune, TUNES)
        check_integer('width', width, '[1, inf)')
        check_integer('num_blocks', num_blocks, '[1, inf)')
        if scale is not None:
            check_number('scale', scale, '(0, inf)')
        check_config(MODELS, 'backbone', backbone)
        module, digest, lacking = _build(backbone)
        _check_patches(module)
        for name, parameter in module.named_parameters():
            if tune != 'full':
                parameter.requires_grad_(
                    name in lacking or (tune == 'bias' and name.rpartition('.')[2].endswith('bias'))
                )
        if tune == 'lora':
            _add_lora(module, width)
        elif tune == 'adapter':
            _add_adapters(module, width, scale)
        elif tune == 'last_blocks':
            _thaw(module, num_blocks)
        self.module = module
        # Names in the state dict that are left out, since the file has them.
        self._in_file: frozenset[str] = frozenset()
        if digest is not None and tune != 'full':
            self._in_file = frozenset(n for n, p in self.named_parameters() if not p.requires_grad)
            self.register_buffer(
                _HASH, torch.tensor(list(bytes.fromhex(digest)), dtype=torch.uint8)
            )
        self._register_state_dict_hook(_leave_out_base)

    @property
    def leaves_out_weights(self) -> bool:
        """Whether a state dict lacks the weights that a file has."""
        return bool(self._in_file)

    def init_weights(self) -> None:
        """Nothing but a warning: the weights are there since the backbone was built."""
        if self.tune != 'full' and not hasattr(self, _HASH):
            print_log(
                f'TunedBackbone: tune={self.tune!r} trains a part of a network with random '
                'weights, since init_cfg of the backbone names no pre-trained ones',
                logger='current',
                level=logging.WARNING,
            )

    def train(self, mode: bool = True) -> TunedBackbone:
        """Of BatchNorm without trained parameters the statistics stay those of the file."""
        super().train(mode)
        if self.tune != 'full':
            for part in self.modules():
                if isinstance(part, nn.modules.batchnorm._BatchNorm) and not any(
                    parameter.requires_grad for parameter in part.parameters()
                ):
                    part.eval()
        return self

    def forward(self, images: Tensor) -> Any:
        """What the backbone gives for images ``(N, C, H, W)``."""
        kernel = _patch(self.module)
        if any(side < of_patch for side, of_patch in zip(images.shape[-2:], kernel, strict=False)):
            got = ' x '.join(map(str, images.shape[-2:]))
            wanted = ' x '.join(map(str, kernel))
            raise OptionError(
                f'images: expected at least one patch of {wanted} pixels, got images of {got}'
            )
        return self.module(images)

    def merged(self) -> nn.Module:
        """The backbone with all of its weights, for prediction and export; changes this one.

        Returns:
            The backbone inside, with LoRA's products added to its weights. Adapters, which no
            weight can stand for, stay: then it is this one, whose state dict becomes complete.
        """
        if self.tune == 'adapter':
            self._in_file = frozenset()
            if hasattr(self, _HASH):
                delattr(self, _HASH)
            return self
        for parent in list(self.module.modules()):
            for name, layer in list(parent.named_children()):
                if isinstance(layer, LoRALinear):
                    inner = layer.original_layer
                    with torch.no_grad():
                        product = layer.lora_up.weight @ layer.lora_down.weight
                        inner.weight += layer.scaling * product
                    setattr(parent, name, inner)
        return self.module

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        """Check that a small checkpoint is for these weights, and let it lack them."""
        own = getattr(self, _HASH, None)
        given = state_dict.get(prefix + _HASH)
        names = [name[len(prefix) :] for name in state_dict if name.startswith(prefix)]
        if names and given is None and not any(n.startswith('module.') for n in names):
            raise OptionError(
                'checkpoint: expected one of a TunedBackbone, got weights of a backbone alone; '
                'they are named by its config: backbone=dict(backbone=dict(init_cfg=dict('
                "type='Pretrained', checkpoint=...)))"
            )
        if given is not None and (own is None or not torch.equal(given.cpu(), own.cpu())):
            has = 'none' if own is None else f'a file with SHA-256 {_hexadecimal(own)}...'
            raise OptionError(
                f'checkpoint: expected the pre-trained weights that it was trained on, with '
                f'SHA-256 {_hexadecimal(given)}..., got {has} in init_cfg of the backbone'
            )
        if own is not None and names:
            if given is None:
                raise OptionError(
                    'checkpoint: expected a small one, on top of the weights in init_cfg of the '
                    'backbone, got one with all weights of another run'
                )
            self._check_trained({name: state_dict[prefix + name] for name in names})
            state = dict(self.named_parameters())
            for name in self._in_file:
                state_dict.setdefault(prefix + name, state[name].detach())
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def _check_trained(self, given: Mapping[str, Tensor]) -> None:
        """One of ``tune='frozen'`` has nothing to be left out, and goes before the other ways."""
        own = {n: p.shape for n, p in self.named_parameters() if n not in self._in_file}
        buffers = dict(self.named_buffers())
        got = {name: value.shape for name, value in given.items() if name not in buffers}
        odd = sorted(name for name in {*own, *got} if own.get(name) != got.get(name))
        if got and odd:
            shapes = [tuple(of[odd[0]]) if odd[0] in of else 'none' for of in (own, got)]
            raise OptionError(
                f'checkpoint: expected one of the same tune and width, with {odd[0]} of shape '
                f'{shapes[0]}, got {shapes[1]}'
            )


def _leave_out_base(
    module: TunedBackbone, state_dict: dict[str, Any], prefix: str, metadata: Any
) -> None:
    for name in module._in_file:
        state_dict.pop(prefix + name, None)


def _hexadecimal(digest: Tensor) -> str:
    return bytes(digest.tolist()).hex()[:16]


def _build(config: Mapping[str, Any]) -> tuple[nn.Module, str | None, set[str]]:
    """A backbone with its weights, the hash of their file, and the names that the file lacks."""
    config = dict(config)
    init = config.get('init_cfg')
    check_init_cfg(init)
    files = pretrained_in(init)
    if files:
        # Other initialisation would be overwritten: the file has everything.
        config.pop('init_cfg')
    module: nn.Module = MODELS.build(config)
    if not files:
        if isinstance(module, BaseModule):
            module._dump_init_info = lambda: None  # every parameter would be a line on the screen
            module.init_weights()
            del module._dump_init_info
        return module, None, set()
    return (module, *load_base(module, files[-1].get('checkpoint'), files[-1].get('prefix')))


def _patch(module: nn.Module) -> tuple[int, ...]:
    projection = getattr(getattr(module, 'patch_embed', None), 'projection', None)
    kernel = getattr(projection, 'kernel_size', (1, 1))
    return kernel if isinstance(kernel, tuple) else (kernel, kernel)


def _check_patches(module: nn.Module) -> None:
    size = getattr(module, 'img_size', None)
    if isinstance(size, tuple) and min(size) < max(_patch(module)):
        raise refuse('img_size', f'at least one patch of {max(_patch(module))} pixels', size)


def _blocks(module: nn.Module, tune: str) -> nn.ModuleList:
    blocks = getattr(module, 'layers', None)
    if not isinstance(blocks, (nn.ModuleList, nn.Sequential)) or not len(blocks):
        raise OptionError(
            f'backbone: expected a vision transformer with its blocks in layers for tune={tune!r}, '
            f'got {type(module).__name__}'
        )
    return blocks  # type: ignore[return-value]


def _add_lora(module: nn.Module, rank: int) -> None:
    """Query, key and value projections with LoRA, by MMPretrain's own layer."""
    blocks = _blocks(module, 'lora')
    called = [
        part
        for part in blocks.modules()
        # BEiT's attention takes the weight of its projection and does not call it.
        if isinstance(getattr(part, 'qkv', None), nn.Linear) and not hasattr(part, 'q_bias')
    ]
    if not called:
        raise OptionError(
            "backbone: expected attention that calls a layer named qkv for tune='lora', got that "
            f'of {type(module).__name__}'
        )
    for part in called:
        part.qkv = LoRALinear(part.qkv, alpha=rank, rank=rank)


class _Adapter(nn.Module):
    """A bottleneck ``(..., D) -> (..., D)`` that starts as zero."""

    def __init__(self, channels: int, width: int, scale: float | None) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels) if scale is None else nn.Identity()
        self.down, self.up = nn.Linear(channels, width), nn.Linear(width, channels)
        self.scale = nn.Parameter(torch.ones(1)) if scale is None else scale
        nn.init.kaiming_uniform_(self.down.weight, a=math.sqrt(5))
        for zero in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(zero)

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.up(F.relu(self.down(self.norm(x))))


class _AdaptedMLP(nn.Module):
    """The MLP of a block, with an adapter in parallel."""

    def __init__(self, mlp: nn.Module, adapter: _Adapter) -> None:
        super().__init__()
        self.mlp, self.adapter = mlp, adapter

    def forward(self, x: Tensor, identity: Tensor | None = None) -> Tensor:
        if identity is None:
            return self.mlp(x) + self.adapter(x)
        return self.mlp(x, identity=identity) + self.adapter(identity)


def _add_adapters(module: nn.Module, width: int, scale: float | None) -> None:
    for block in _blocks(module, 'adapter'):
        mlp: Any = getattr(block, 'ffn', None)
        channels = getattr(mlp, 'embed_dims', None)
        if not isinstance(channels, int):
            raise OptionError(
                "backbone: expected blocks with an MLP named ffn for tune='adapter', got those of "
                f'{type(module).__name__}'
            )
        block.ffn = _AdaptedMLP(mlp, _Adapter(channels, width, scale))


def _thaw(module: nn.Module, count: int) -> None:
    """Let the last blocks learn, and the norms and projections after them."""
    blocks = _blocks(module, 'last_blocks')
    if count > len(blocks):
        raise refuse('num_blocks', f'at most the {len(blocks)} blocks of the backbone', count)
    names = [name for name, _ in module.named_children()]
    after = names[names.index('layers') + 1 :]
    learning = [*list(blocks)[-count:], *(getattr(module, n) for n in after if n != 'pre_norm')]
    for part in learning:
        part.requires_grad_(True)
