"""The settings of a config on which features depend: network, images and their preparation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmlt.hooks.settings import settings_of
from mmlt.registry import dicts_in, type_name

from ..places import without_places
from .network import network_of

__all__ = ['SPLITS', 'WRAPPERS', 'inside_wrappers', 'settings_of_features']

SPLITS = ('train', 'val', 'test')
#: Data sets that draw from another one, which has each image once.
WRAPPERS = ('PairedDataset', 'ClassBalancedDataset', 'RepeatDataset')
_PREPARATION = ('mean', 'std', 'to_rgb', 'pad_size_divisor', 'pad_value')
_WITHOUT = ('pretrained', 'checkpoint_path')


def settings_of_features(cfg: Config, given: bool = False) -> dict[str, Any]:
    """What features are made of, in plain types, so that two configs can be compared.

    Weights are left out, and of the training images how they are augmented: they are prepared as
    those of the validation or test.

    Args:
        cfg: not changed.
        given: a checkpoint is given beside it.
    """
    model = network_of(cfg, given)
    known: dict[str, Any] = {
        'backbone': {k: v for k, v in model['backbone'].items() if k not in _WITHOUT},
        'neck': model.get('neck'),
    }
    preprocessor = model.get('data_preprocessor') or {}
    known['data_preprocessor'] = {k: preprocessor[k] for k in _PREPARATION if k in preprocessor}
    for split in SPLITS:
        loader = cfg.get(f'{split}_dataloader')
        if loader is not None:
            dataset = inside_wrappers(loader.dataset).to_dict()
            for part in dicts_in(dataset) if split == 'train' else ():
                part.pop('pipeline', None)
            known[f'{split}_dataloader'] = dict(dataset=dataset)
    plain = settings_of(dict(model=known), None)['model']
    filename = getattr(cfg, 'filename', None)
    return without_places(plain, Path(filename) if filename else None)


def inside_wrappers(dataset: Any) -> Any:
    """Config of the data set that has each image once."""
    while type_name(dataset) in WRAPPERS:
        dataset = dataset.dataset
    return dataset
