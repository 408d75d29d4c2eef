"""A recipe's model and batches for it, as a training step meets them; of gpu.py and tests/gpu."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import nn

import mmlt  # noqa: F401  registers everything
from mmlt.functional.imbalance import exponential_class_counts
from mmlt.models import DeviceImagesDataPreprocessor

__all__ = ['build', 'fresh']

EPOCHS = 200
Batch = dict[str, Any]


def build(
    cfg: Mapping[str, Any], images: int, device: str, pixels: int = 32
) -> tuple[nn.Module, Batch]:
    """A recipe's model in its last epoch, and a batch of random pixels, both on the device.

    Args:
        cfg: the recipe, resolved; it is not changed.
        images: in the batch; with several views, images of each view.
        device: ``'cuda'`` or ``'cpu'``.
        pixels: height and width of an image.
    """
    torch.manual_seed(0)
    model_cfg, preprocessor = copy.deepcopy([cfg['model'], cfg['data_preprocessor']])
    classes = preprocessor['num_classes']
    model = MODELS.build(dict(model_cfg, data_preprocessor=preprocessor)).to(device).train()
    choice = getattr(model.data_preprocessor, 'batch_augments', None)
    for part in (*model.modules(), *getattr(choice, 'augments', ())):
        if hasattr(part, 'set_class_counts'):
            part.set_class_counts(exponential_class_counts(500, classes, 100))
        if hasattr(part, 'set_progress'):
            part.set_progress(epoch=EPOCHS - 1, max_epochs=EPOCHS, iteration=0, seed=0)
    generator = torch.Generator().manual_seed(0)

    by_index = isinstance(model.data_preprocessor, DeviceImagesDataPreprocessor)
    if by_index:
        table = torch.randint(256, (1000, 3, pixels, pixels), generator=generator).byte()
        model.data_preprocessor.hold(table, torch.arange(1000) % classes)

    def half() -> Batch:
        if by_index:  # on the CPU, as from the loader
            return dict(inputs=torch.randint(1000, (images,), generator=generator))
        shape = (images, 3, pixels, pixels)
        inputs = torch.randint(256, shape, generator=generator, dtype=torch.uint8)
        labels = torch.randint(classes, (images,), generator=generator)
        samples = [DataSample().set_gt_label(label) for label in labels.tolist()]
        return dict(
            inputs=inputs.to(device), data_samples=[sample.to(device) for sample in samples]
        )

    batch = half()
    if 'MultiView' in cfg['model']['type'] and not by_index:
        batch['inputs'] = [batch['inputs'], half()['inputs'], half()['inputs']]
    if cfg['train_dataloader']['sampler']['type'] == 'PairSampler':
        batch['partner'] = half()
    return model, batch


def fresh(batch: Batch) -> Batch:
    """The batch with data samples that no step has written into."""
    made = dict(batch)
    if 'data_samples' in batch:
        made['data_samples'] = [sample.clone() for sample in batch['data_samples']]
    if 'partner' in batch:
        made['partner'] = fresh(batch['partner'])
    return made
