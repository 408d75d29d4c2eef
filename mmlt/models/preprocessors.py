"""Normalises views and partners on the device, and lets a batch augment mix them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmpretrain.models.utils import ClsDataPreprocessor
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor

from mmlt.functional.checks import check_flag, check_integer, check_number, check_numbers, refuse

from .batch_augments.choice import BatchAugmentChoice
from .batch_augments.randomness import SeededDraws, missing

__all__ = ['PairedDataPreprocessor', 'SeededDataPreprocessor', 'is_multi_view']

RawView = Tensor | Sequence[Tensor]


@MODELS.register_module()
class PairedDataPreprocessor(ClsDataPreprocessor):
    """MMPretrain's preprocessor, for images with partners and with several views.

    - ``inputs`` may be a tensor ``(N, C, H, W)`` or, from a multi-view pipeline, a list of such.
      They leave in the same form, normalised.
    - A training batch with partners is mixed: ``augment.mix(images, partner_images, scores,
      partner_scores)`` on view 0. The mixed scores ``(K,)`` become each sample's ``gt_score``,
      and its metainfo gets ``mixed=True``; ``gt_label`` stays the anchor's.
    - A training batch without partners is not mixed and gets no ``gt_score``, except by ordinary
      batch augments (MMPretrain's ``Mixup``, say), which mix view 0 within the batch.
    - At test it is ``ClsDataPreprocessor``.

    One-hot scores are made on the device, and only where they are mixed.

    Args:
        batch_augments: ``dict(augments=..., probs=...)``, as MMPretrain's ``train_cfg``, which
            ``ImageClassifier`` passes on. Left as it is. The attribute may be replaced while
            training (``SwitchRecipeHook``), by ``None`` to stop mixing; partners that still come
            are passed over then.
        **kwargs: ``mean``, ``std``, ``to_rgb``, ``num_classes`` (needed where scores are made) and
            others of MMPretrain's ``ClsDataPreprocessor``; ``to_onehot=True`` not with an augment
            that mixes partners, since scores then say that a batch was mixed.

    Raises:
        OptionError: if an option is of another form.

    Example:
        >>> data_preprocessor = dict(type='PairedDataPreprocessor', num_classes=10)
        >>> train_cfg = dict(augments=[dict(type='ConCutMixAugment')])
    """

    def __init__(self, batch_augments: dict[str, Any] | None = None, **kwargs: Any) -> None:
        mean, std = kwargs.get('mean'), kwargs.get('std')
        if (mean is None) != (std is None):
            raise refuse('mean, std', 'both or neither', (mean, std))
        if mean is not None:
            means = check_numbers('mean', mean)
            if len(check_numbers('std', std, '(0, inf)')) != len(means):
                raise refuse('mean, std', 'one number for each channel', (mean, std))
        check_integer('pad_size_divisor', kwargs.get('pad_size_divisor', 1), '[1, inf)')
        check_number('pad_value', kwargs.get('pad_value', 0))
        for name in ('to_rgb', 'to_onehot'):
            check_flag(name, kwargs.get(name, False))
        if kwargs.get('num_classes') is not None:
            check_integer('num_classes', kwargs['num_classes'], '[1, inf)')
        super().__init__(**kwargs)
        if batch_augments is not None and batch_augments != {}:
            self.batch_augments = batch_augments
        self._replaced = False

    @property
    def batch_augments(self) -> BatchAugmentChoice | None:
        """What mixes the training batches, or None."""
        return self._choice

    @batch_augments.setter
    def batch_augments(self, augments: Any) -> None:
        choice = None if augments is None else BatchAugmentChoice.adopt(augments)
        if self.to_onehot and choice is not None and choice.paired:
            raise refuse('to_onehot', 'False with an augment that mixes partners', True)
        self._choice = choice
        self._replaced = True

    def set_progress(self, epoch: int, max_epochs: int, iteration: int, seed: int) -> None:
        """Where the run is; see :class:`mmlt.hooks.LongTailHook`."""
        if self.batch_augments is not None:
            self.batch_augments.set_progress(epoch, max_epochs, iteration, seed)

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Prepare a batch.

        Args:
            data: ``inputs``, ``data_samples`` and perhaps ``partner`` with the same two.
            training: whether batches are mixed.

        Returns:
            ``inputs`` (a tensor or a list of V tensors) and ``data_samples``.

        Raises:
            ValueError: if partners are incomplete, have other shapes than the anchors, or come
                without an augment that mixes them; if labels do not fit ``num_classes``.
        """
        raw_views, samples = _views(data['inputs']), data.get('data_samples')
        partner = data.get('partner') if training and self._wants_partners() else None
        augment = self._draw_augment(partner) if training and samples else None
        # Read before MMPretrain's part moves the labels to the device.
        scores = self._scores(samples) if augment is not None and samples else None

        first = super().forward({'inputs': raw_views[0], 'data_samples': samples})
        images, samples = first['inputs'], first['data_samples']
        if augment is not None:
            if partner is None:
                images, scores = augment(images, scores)
            else:
                images, scores = augment.mix(
                    images,
                    self._partner_images(partner, raw_views[0]),
                    scores,
                    self._scores(partner['data_samples']),
                )
            for sample, score in zip(samples, scores, strict=True):
                sample.set_gt_score(score)
                sample.set_field(True, 'mixed', field_type='metainfo')
        views = [images, *map(self._normalise, raw_views[1:])]
        return {
            'inputs': views if is_multi_view(data['inputs']) else images,
            'data_samples': samples,
        }

    def _normalise(self, images: RawView) -> Tensor:
        normalised: Tensor = super().forward({'inputs': images})['inputs']
        return normalised

    def _wants_partners(self) -> bool:
        """Whether to look for partners: always, until an augment without took their place."""
        choice = self.batch_augments
        return not self._replaced or (choice is not None and choice.paired)

    def _draw_augment(self, partner: dict[str, Any] | None) -> Any:
        """The augment for this batch, or None if it stays as it is."""
        choice = self.batch_augments
        if partner is None:
            if choice is not None and choice.paired:
                if not choice.knows_progress:
                    # The hook that says where the run is also checks that partners can come.
                    raise missing(choice.augments[0], 'seed and iteration of the run')
                return None
            return choice and choice.draw()
        if choice is None or not choice.paired:
            have = choice and [type(augment).__name__ for augment in choice.augments]
            expected = "an augment that mixes the partners, such as dict(type='ConCutMixAugment')"
            raise refuse('batch_augments', expected, have)
        if not {'inputs', 'data_samples'} <= set(partner):
            raise refuse('partner', "'inputs' and 'data_samples'", sorted(partner))
        return choice.draw()

    def _partner_images(self, partner: dict[str, Any], raw_anchors: RawView) -> Tensor:
        raw = _views(partner['inputs'])[0]
        sizes = {tuple(image.shape) for batch in (raw_anchors, raw) for image in batch}
        if len(sizes) > 1 or len(raw) != len(raw_anchors):
            expected = f'{len(raw_anchors)} images, all of one size with the anchors'
            raise refuse('partner', expected, f'{len(raw)} of sizes {sorted(sizes)}')
        return self._normalise(raw)

    def _scores(self, samples: Sequence[DataSample]) -> Tensor:
        """Scores ``(N, K)`` float32 on the device: those given, else one-hot labels."""
        num_classes = self.num_classes or samples[0].get('num_classes')
        if num_classes is None:
            raise refuse('num_classes', 'data_preprocessor=dict(num_classes=...)', None)
        if 'gt_score' in samples[0]:
            scores = torch.stack([sample.gt_score for sample in samples])
            if scores.shape[1] != num_classes:
                raise refuse('gt_score', f'{num_classes} classes', scores.shape[1])
            return scores.to(self.device).float()
        labels = [sample.get('gt_label') for sample in samples]
        if any(label is None or label.numel() != 1 for label in labels):
            expected = 'one integer class per image (soft or multi-hot labels: gt_score)'
            raise refuse('gt_label', expected, labels)
        targets = torch.cat(labels)
        # The loader leaves labels on the CPU, where looking at them costs no wait.
        if targets.device.type == 'cpu' and not 0 <= targets.min() <= targets.max() < num_classes:
            got = f'{targets.min()} .. {targets.max()}'
            raise refuse('gt_label', f'classes in [0, {num_classes})', got)
        targets = targets.to(self.device, non_blocking=True)
        scores = torch.zeros(len(samples), num_classes, device=self.device)
        return scores.scatter_(1, targets[:, None], 1.0)


class SeededDataPreprocessor(PairedDataPreprocessor):
    """Base of those that draw themselves, apart from their batch augments.

    ``SAMHook`` rewinds what has ``rewind``, for its second pass.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._seeded = SeededDraws()

    def set_progress(self, epoch: int, max_epochs: int, iteration: int, seed: int) -> None:
        """Where the run is, from ``TrainingProgressHook``."""
        super().set_progress(epoch, max_epochs, iteration, seed)
        self._seeded.set_progress(epoch, max_epochs, iteration, seed)

    def rewind(self) -> None:
        """Draw the views of this iteration once more."""
        self._seeded.rewind()


def is_multi_view(inputs: Any) -> bool:
    """Whether the inputs of a batch are several views: batches, or lists of images, in a list."""
    if isinstance(inputs, Tensor):
        return False
    return isinstance(inputs[0], (list, tuple)) or inputs[0].ndim == 4


def _views(inputs: Any) -> list[RawView]:
    return list(inputs) if is_multi_view(inputs) else [inputs]
