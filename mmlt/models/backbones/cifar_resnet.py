"""The ResNets of the CIFAR experiments: three stages of 16, 32 and 64 channels."""

from __future__ import annotations

import torch.nn.functional as F
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmlt.functional.checks import check_choice, check_integer, refuse
from mmlt.registry import check_init_cfg

__all__ = ['CIFARResNet', 'CIFARResNetStage']

# By the number of inputs, as LDAM-DRW's code and all that followed it. MMEngine's own default
# counts outputs, which makes the first convolution half as large.
INIT = dict(type='Kaiming', layer='Conv2d', mode='fan_in', nonlinearity='relu')


class _BasicBlock(nn.Module):
    """Two 3x3 convolutions; where the shape changes, the shortcut subsamples and pads zeros."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.stride = stride
        self.padding = channels - in_channels

    def _shortcut(self, x: Tensor) -> Tensor:
        if self.stride == 1 and self.padding == 0:
            return x
        before = self.padding // 2
        return F.pad(
            x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, before, self.padding - before)
        )

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return F.relu(self.bn2(self.conv2(out)) + self._shortcut(x), inplace=True)


def _check_shape(depth: int, base_channels: int) -> None:
    if check_integer('depth', depth) < 8 or (depth - 2) % 6:
        raise refuse('depth', '6n + 2 (20, 32, 44, 56, ...)', depth)
    check_integer('base_channels', base_channels, '[1, inf)')


def _stage(depth: int, stage: int, base_channels: int) -> nn.Sequential:
    """Blocks of one stage; from the second on it halves the sides and doubles the channels."""
    width = base_channels * 2**stage
    before, stride = (width // 2, 2) if stage else (width, 1)
    rest = [_BasicBlock(width, width, 1) for _ in range((depth - 2) // 6 - 1)]
    return nn.Sequential(_BasicBlock(before, width, stride), *rest)


@MODELS.register_module()
class CIFARResNet(BaseModule):
    r"""ResNet for 32 x 32 images, :math:`6n + 2` layers, parameter-free shortcuts (option A).

    Args:
        depth: 20, 32, 44 or 56 in the papers; any :math:`6n + 2`. 32 has 0.46 M parameters.
        in_channels: channels of the image.
        base_channels: channels of the first stage; the others have twice and four times as many.
        num_stages: 1, 2 or 3; 2 for experts that have a last stage each.
        frozen_stages: as in MMPretrain's ResNet: so many stages and the stem do not learn, their
            BatchNorm neither; 0 is the stem alone, -1 nothing. For a second stage of training.
        init_cfg: as in MMEngine; None is Kaiming's normal initialisation of the convolutions by
            their inputs (fan-in), as in LDAM-DRW's code.

    Raises:
        ValueError: if ``depth`` is not :math:`6n + 2`, or another option is out of range.

    Reference:
        He et al., Deep Residual Learning for Image Recognition, CVPR 2016, section 4.2; the
        backbone of LDAM-DRW, BCL and ConCutMix on CIFAR.

    Example:
        >>> import torch
        >>> CIFARResNet(depth=20)(torch.zeros(1, 3, 32, 32))[-1].shape
        torch.Size([1, 64, 8, 8])
    """

    def __init__(
        self,
        depth: int = 32,
        in_channels: int = 3,
        base_channels: int = 16,
        num_stages: int = 3,
        frozen_stages: int = -1,
        init_cfg: dict | list | None = None,
    ) -> None:
        check_init_cfg(init_cfg)
        super().__init__(dict(INIT) if init_cfg is None else init_cfg)
        _check_shape(depth, base_channels)
        check_integer('in_channels', in_channels, '[1, inf)')
        check_choice('num_stages', num_stages, (1, 2, 3))
        check_integer('frozen_stages', frozen_stages, f'[-1, {num_stages}]')
        self.conv1 = nn.Conv2d(in_channels, base_channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(base_channels)
        self.stages = nn.Sequential(
            *(_stage(depth, stage, base_channels) for stage in range(num_stages))
        )
        self.frozen_stages = frozen_stages
        for part in self._frozen():
            part.requires_grad_(False)

    def _frozen(self) -> list[nn.Module]:
        parts = [self.conv1, self.bn1, *self.stages]
        return parts[: self.frozen_stages + 2] if self.frozen_stages >= 0 else []

    def train(self, mode: bool = True) -> CIFARResNet:
        """As PyTorch's; frozen stages stay in evaluation."""
        super().train(mode)
        for part in self._frozen():
            part.eval()
        return self

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """From ``(N, in_channels, H, W)`` to the last stage's feature map ``(N, C, H', W')``."""
        return (self.stages(F.relu(self.bn1(self.conv1(x)), inplace=True)),)


@MODELS.register_module()
class CIFARResNetStage(BaseModule):
    """One stage of a :class:`CIFARResNet`, for the experts of ``MultiExpertClsHead``.

    Args:
        depth: of the whole network.
        stage: 0, 1 or 2.
        base_channels: of the whole network.
        init_cfg: as :class:`CIFARResNet`.

    Raises:
        ValueError: if ``depth`` or ``stage`` does not exist.

    Example:
        >>> import torch
        >>> stem = CIFARResNet(depth=20, num_stages=2)
        >>> CIFARResNetStage(depth=20, stage=2)(stem(torch.zeros(1, 3, 32, 32))[-1]).shape
        torch.Size([1, 64, 8, 8])
    """

    def __init__(
        self,
        depth: int = 32,
        stage: int = 2,
        base_channels: int = 16,
        init_cfg: dict | list | None = None,
    ) -> None:
        check_init_cfg(init_cfg)
        super().__init__(dict(INIT) if init_cfg is None else init_cfg)
        _check_shape(depth, base_channels)
        self.blocks = _stage(depth, check_choice('stage', stage, (0, 1, 2)), base_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Feature map ``(N, C', H', W')`` of the stage before to ``(N, C, H, W)``."""
        return self.blocks(x)
