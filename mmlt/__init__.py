"""mmlt: long-tailed recognition for MMPretrain.

Importing it registers every loss, head, data set, sampler, batch augment, hook and metric into
MMPretrain's own registries, so that ``custom_imports=dict(imports=['mmlt'])`` is all that a
config needs. After it, a config may also inherit from a recipe: ``_base_ = 'mmlt::...'``.
"""

from .openmmlab import allow_safe_checkpoints, check_openmmlab, format_configs_once
from .version import __version__

check_openmmlab()
allow_safe_checkpoints()
format_configs_once()

from . import autocast, datasets, evaluation, hooks, models, registry, weight_files  # noqa: E402
from .apps.predict import predict  # noqa: E402

__all__ = [
    '__version__',
    'autocast',
    'datasets',
    'evaluation',
    'hooks',
    'models',
    'predict',
    'registry',
    'weight_files',
]
