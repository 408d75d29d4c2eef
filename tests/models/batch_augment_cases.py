"""Every batch augment of the package, and a batch of its form, for the tests of them all."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from mmlt.models.batch_augments import (
    CMOBatchAugment,
    ConCutMixAugment,
    CPMixBatchAugment,
    RemixBatchAugment,
    UniMixBatchAugment,
)

CLASSES = 6
CLASS_COUNTS = [100, 40, 15, 6, 2, 1]
CONFUSION = torch.tensor(
    [
        [80.0, 9, 0, 3, 0, 0],
        [12, 30, 4, 0, 0, 0],
        [0, 5, 9, 1, 0, 0],
        [2, 0, 1, 4, 0, 0],
        [0, 0, 0, 0, 2, 0],
        [1, 0, 0, 0, 0, 0],
    ]
)

PAIRED = {
    'concutmix': ConCutMixAugment,
    'cmo': lambda: CMOBatchAugment(alpha=0.8),
    'unimix': UniMixBatchAugment,
    'cpmix': CPMixBatchAugment,
    'cpmix_mixup': lambda: CPMixBatchAugment(tau=0),
    'cpmix_remix': lambda: CPMixBatchAugment(alpha=0.4, label_rule='remix'),
}
IN_BATCH = {
    'remix': lambda **options: RemixBatchAugment(alpha=1.0, **options),
    'cpmix_in_batch': lambda prob=1.0, **options: CPMixBatchAugment(tau=0.5, prob=prob, **options),
    'cpmix_in_batch_raw': lambda prob=1.0, **options: CPMixBatchAugment(
        normalize_confusion=False, prob=prob, **options
    ),
    'cpmix_in_batch_linear': lambda prob=1.0, **options: CPMixBatchAugment(
        label_rule='linear', prob=prob, **options
    ),
}
ALL = {**PAIRED, **IN_BATCH}


def build(name, iteration=3, seed=7, **options):
    augment = ALL[name](**options)
    augment.set_class_counts(CLASS_COUNTS)
    if name in IN_BATCH and hasattr(augment, 'set_confusion_counts'):
        augment.set_confusion_counts(CONFUSION)
    augment.set_progress(epoch=1, max_epochs=2, iteration=iteration, seed=seed)
    return augment


def batch(size=8, soft=False, seed=0, dtype=torch.float32):
    """Images and scores: anchors, then for paired augments their partners."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(size, 3, 6, 5, generator=generator, dtype=dtype)
    scores = F.one_hot(torch.randint(CLASSES, (size,), generator=generator), CLASSES).to(dtype)
    if soft:
        scores = 0.9 * scores + 0.1 / CLASSES
    return images, scores


def apply(name, augment, images, scores):
    """As the preprocessors call it: paired augments by ``mix`` on the two halves."""
    if name in IN_BATCH:
        return augment(images, scores)
    half = len(images) // 2
    return augment.mix(images[:half], images[half:], scores[:half], scores[half:])
