"""The description of its model that a checkpoint holds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mmengine.runner import Runner

from mmlt.datasets.reading import unwrapped
from mmlt.recipe import KEY, Recipe

from .runner_parts import loader_of

__all__ = ['store_recipe']


def store_recipe(runner: Runner, checkpoint: dict[str, Any]) -> None:
    """Put into a checkpoint what predicting with it needs, if the config tells it in plain values.

    Args:
        runner: of the run.
        checkpoint: about to be saved; changed in place.
    """
    try:
        recipe = Recipe.of_config(runner.cfg)
        if not recipe.reads_files:
            recipe = replace(recipe, image_size=_size_in_memory(runner))
        checkpoint['meta'][KEY] = recipe.to_text()
    except (TypeError, ValueError, AttributeError) as error:
        # Of a model or a pipeline that is no config.
        runner.logger.debug(f'LongTailHook: the checkpoint does not describe its model: {error}')


def _size_in_memory(runner: Runner) -> tuple[int, int] | None:
    for name in ('val', 'train'):
        loader = loader_of(runner, name)
        if loader is None:
            continue
        dataset, index = unwrapped(loader.dataset, 0)
        # Not through the pipeline, whose draws would be missing in the run.
        try:
            image = dataset.get_data_info(index).get('img')
        except AttributeError:  # a data set of the user's own
            continue
        if image is not None:
            height, width = image.shape[:2]
            return int(height), int(width)
    return None
