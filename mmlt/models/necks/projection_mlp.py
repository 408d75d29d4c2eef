"""The small MLP that leads into the contrastive space."""

from __future__ import annotations

from torch import nn

__all__ = ['projection_mlp']


def projection_mlp(
    in_channels: int, hidden_channels: int | None, out_channels: int
) -> nn.Sequential:
    """Linear, BatchNorm, ReLU, Linear.

    Args:
        in_channels: width of the input.
        hidden_channels: width between the layers; None for that of the input.
        out_channels: width of the output, which is not normalised.

    Returns:
        The module, ``(N, in_channels) -> (N, out_channels)``.

    Raises:
        ValueError: if a width is not positive.

    Example:
        >>> [type(layer).__name__ for layer in projection_mlp(4, None, 2)]
        ['Linear', 'BatchNorm1d', 'ReLU', 'Linear']
    """
    hidden_channels = in_channels if hidden_channels is None else hidden_channels
    for name, width in (
        ('in_channels', in_channels),
        ('hidden_channels', hidden_channels),
        ('out_channels', out_channels),
    ):
        if width < 1:
            raise ValueError(f'{name}: expected at least 1, got {width}')
    return nn.Sequential(
        nn.Linear(in_channels, hidden_channels),
        nn.BatchNorm1d(hidden_channels),
        nn.ReLU(inplace=True),
        nn.Linear(hidden_channels, out_channels),
    )
