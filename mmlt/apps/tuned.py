"""A checkpoint that lacks pre-trained weights, put together with the file that has them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from mmlt.functional.checks import OptionError
from mmlt.models.backbones.base_weights import find_base
from mmlt.models.backbones.tuned_backbone import TunedBackbone
from mmlt.recipe import Recipe

__all__ = ['merge', 'on_base']


def on_base(path: Path, recipe: Recipe, weights: dict[str, Any], given: str | Path | None) -> Any:
    """Config of a model, which names the file of weights that its checkpoint lacks.

    Args:
        path: of the checkpoint.
        recipe: from it, checked.
        weights: name -> tensor.
        given: where the user says that the file is.

    Raises:
        OptionError: if the file is missing, or is another.
    """
    digest = weights.get('backbone.base_sha256')
    if digest is None:
        if given is not None:
            raise OptionError(f'base: expected none, since {path} has all weights, got {given}')
        return recipe.model
    try:
        named = recipe.base or {}
        found = find_base(
            named.get('checkpoint'),
            bytes(digest.tolist()).hex(),
            path,
            None if given is None else Path(given),
        )
        init = dict(type='Pretrained', checkpoint=str(found), prefix=named.get('prefix'))
        model: Any = recipe.model
        part = model['backbone']
        return {**model, 'backbone': {**part, 'backbone': {**part['backbone'], 'init_cfg': init}}}
    except (TypeError, AttributeError, KeyError) as error:
        raise ValueError(
            f'{path}: expected a TunedBackbone in its model, got another: {error}'
        ) from error


def merge(network: Any, recipe: Recipe) -> Recipe:
    """Give a network of a small checkpoint all of its weights; returns its new recipe."""
    tuned = network.backbone
    if not isinstance(tuned, TunedBackbone):
        return recipe
    network.backbone = tuned.merged()
    model: Any = recipe.model
    if network.backbone is not tuned:
        model = {**model, 'backbone': model['backbone']['backbone']}
    return replace(recipe, model=model, base=None)
