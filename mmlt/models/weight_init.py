"""How layers of the models start, where MMEngine has no such initialisation."""

from __future__ import annotations

from mmengine.model import update_init_info
from mmengine.registry import WEIGHT_INITIALIZERS
from torch import nn

from mmlt.functional.checks import check_text

__all__ = ['KaimingWeight']


# MMEngine looks initialisations up in its own registry, also where no scope is set.
@WEIGHT_INITIALIZERS.register_module()
class KaimingWeight:
    """Kaiming's normal distribution, by inputs, for the weights of a kind of layer alone.

    MMEngine's ``Kaiming`` sets the biases as well. Here they keep the uniform distribution on
    ``+-1 / sqrt(inputs)`` with which PyTorch made them, as in the code of LDAM-DRW and of what
    derives from it.

    Args:
        layer: name of the class of the layers, or of one that it derives from.

    Raises:
        ValueError: if ``layer`` is no text.

    Example:
        >>> import torch
        >>> layer = nn.Linear(64, 100)
        >>> KaimingWeight()(layer)
        >>> bool(layer.bias.any()), bool(layer.bias.abs().max() <= 1 / 8)
        (True, True)
    """

    def __init__(self, layer: str = 'Linear') -> None:
        self.layer = check_text('layer', layer)

    def __call__(self, module: nn.Module) -> None:
        """Set the weights of the layers in ``module``."""
        for part in module.modules():
            if any(kind.__name__ == self.layer for kind in type(part).__mro__):
                nn.init.kaiming_normal_(part.get_parameter('weight'))
        if hasattr(module, '_params_init_info'):  # what MMEngine logs
            update_init_info(module, init_info=f'{type(self).__name__}: layer={self.layer}')
