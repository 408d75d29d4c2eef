"""Normalises views and partners on the device, and lets a batch augment mix them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_dist_info
from mmpretrain.models.utils import ClsDataPreprocessor
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor

from mmlt.functional.checks import check_flag, check_integer, refuse
from mmlt.functional.device_views import render_views
from mmlt.functional.view_parameters import ViewLaw, draw_view_parameters

from .batch_augments.choice import BatchAugmentChoice
from .batch_augments.randomness import SeededBatchAugment, missing

__all__ = ['DeviceViewsDataPreprocessor', 'PairedDataPreprocessor', 'is_multi_view']

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
        mean: of the pixels by channel; ``None``: no normalisation.
        std: likewise.
        pad_size_divisor: as in MMPretrain.
        pad_value: as in MMPretrain.
        to_rgb: turn BGR into RGB.
        to_onehot: write one-hot scores into every batch's samples; not with an augment that mixes
            partners, since scores then say that a batch was mixed.
        num_classes: ``K``; needed where scores are made.
        batch_augments: ``dict(augments=..., probs=...)``, as MMPretrain's ``train_cfg``, which
            ``ImageClassifier`` passes on. Left as it is. The attribute may be replaced while
            training (``SwitchRecipeHook``), by ``None`` to stop mixing; partners that still come
            are passed over then.

    Raises:
        OptionError: if an option is of another form.

    Example:
        >>> data_preprocessor = dict(type='PairedDataPreprocessor', num_classes=10)
        >>> train_cfg = dict(augments=dict(type='ConCutMixAugment'))
    """

    def __init__(
        self,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        pad_size_divisor: int = 1,
        pad_value: float = 0,
        to_rgb: bool = False,
        to_onehot: bool = False,
        num_classes: int | None = None,
        batch_augments: dict[str, Any] | None = None,
    ) -> None:
        if (mean is None) != (std is None):
            raise refuse('mean, std', 'both or neither', (mean, std))
        check_flag('to_rgb', to_rgb)
        check_flag('to_onehot', to_onehot)
        if num_classes is not None:
            check_integer('num_classes', num_classes, '[1, inf)')
        super().__init__(mean, std, pad_size_divisor, pad_value, to_rgb, to_onehot, num_classes)
        if batch_augments:
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


def is_multi_view(inputs: Any) -> bool:
    """Whether there are several views: batches, or lists of images, in a list.

    Args:
        inputs: of a batch, as the loader gives them.

    Returns:
        Whether its items are views, not images.

    Example:
        >>> is_multi_view(torch.zeros(2, 3, 8, 8)), is_multi_view([torch.zeros(2, 3, 8, 8)] * 3)
        (False, True)
    """
    if isinstance(inputs, Tensor):
        return False
    return isinstance(inputs[0], (list, tuple)) or inputs[0].ndim == 4


def _views(inputs: Any) -> list[RawView]:
    return list(inputs) if is_multi_view(inputs) else [inputs]


CROPS_IN = ('original', 'source')


@MODELS.register_module()
class DeviceViewsDataPreprocessor(PairedDataPreprocessor):
    """:class:`PairedDataPreprocessor` that renders the contrastive views where the model is.

    The loader delivers two views: the one to classify, ready, and a *source*, the whole image
    resized to one size for all. From the source this makes ``num_views`` SimCLR-style views
    (crop, mirror, colour jitter, grayscale, blur), each image by its own draw, with the laws of
    torchvision's transforms. What differs from the CPU pipeline is the interpolation: crops are
    taken from the resized source. Parameters are drawn for the batch of all ranks from seed and
    iteration, so that they do not depend on ranks, workers or a resume.

    Args:
        view_size: side or ``(height, width)`` of the rendered views.
        num_views: how many are rendered; at least 2 for the contrastive loss.
        view: fields of :class:`mmlt.functional.view_parameters.ViewLaw`.
        blur_kernel: odd width of the Gaussian kernel; 13 holds three deviations of 2 pixels.
        crops_in: ``'original'``: the crop's area and ratio refer to the image as it was before
            it was resized, known from ``ori_shape`` of its data sample; right for a source made by
            ``Resize(keep_ratio=False)``. ``'source'``: they refer to the source, as after a
            crop.
        **kwargs: those of :class:`PairedDataPreprocessor`.

    Raises:
        ValueError: for an unknown or impossible option; in ``forward``, for a wrong number of
            views, sources of several sizes, or a missing ``ori_shape``.

    Example:
        >>> pipeline = [
        ...     dict(type='LoadImageFromFile'),
        ...     dict(type='MultiView', num_views=[1, 1], transforms=[
        ...         [dict(type='RandomResizedCrop', scale=224)],
        ...         [dict(type='Resize', scale=(320, 320))]]),
        ...     dict(type='PackInputs')]
        >>> preprocessor = DeviceViewsDataPreprocessor(
        ...     view_size=8, view=dict(blur_prob=0.5), crops_in='source')
        >>> inputs = [torch.zeros(4, 3, 8, 8), torch.zeros(4, 3, 12, 12, dtype=torch.uint8)]
        >>> batch = preprocessor(dict(inputs=inputs), training=True)
        >>> [tuple(view.shape) for view in batch['inputs']]
        [(4, 3, 8, 8), (4, 3, 8, 8), (4, 3, 8, 8)]
    """

    def __init__(
        self,
        view_size: int | Sequence[int] = 224,
        num_views: int = 2,
        view: dict[str, Any] | None = None,
        blur_kernel: int = 13,
        crops_in: str = 'original',
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if crops_in not in CROPS_IN:
            raise ValueError(f'crops_in: expected one of {CROPS_IN}, got {crops_in!r}')
        if num_views < 1:
            raise ValueError(f'num_views: expected at least 1, got {num_views}')
        if blur_kernel < 1 or blur_kernel % 2 == 0:
            raise ValueError(f'blur_kernel: expected an odd number, got {blur_kernel}')
        sides = (view_size, view_size) if isinstance(view_size, int) else tuple(view_size)
        if len(sides) != 2 or min(sides) < 1:
            raise ValueError(f'view_size: expected a side or (height, width), got {view_size}')
        if blur_kernel // 2 >= min(sides):
            raise ValueError(
                f'blur_kernel: expected less than twice the sides of the views, '
                f'{sides}, got {blur_kernel}'
            )
        unknown = set(view or {}) - {field.name for field in fields(ViewLaw)}
        if unknown:
            raise ValueError(
                f'view: unknown {sorted(unknown)}; expected some of '
                f'{[field.name for field in fields(ViewLaw)]}'
            )
        self.view_size: tuple[int, int] = (int(sides[0]), int(sides[1]))
        self.num_views, self.blur_kernel, self.crops_in = num_views, blur_kernel, crops_in
        self.law = ViewLaw(**(view or {}))
        self._seeded = SeededBatchAugment()

    def set_progress(self, epoch: int, max_epochs: int, iteration: int, seed: int) -> None:
        """Where the run is, from ``TrainingProgressHook``."""
        super().set_progress(epoch, max_epochs, iteration, seed)
        self._seeded.set_progress(epoch, max_epochs, iteration, seed)

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Render the views of a training batch, then go on as :class:`PairedDataPreprocessor`.

        Args:
            data: in training, ``inputs`` is a list of the classification views and the sources.
            training: whether views are rendered and batches mixed.

        Returns:
            ``inputs``, a list of ``1 + num_views`` tensors in training, and ``data_samples``.
        """
        if training:
            inputs = data['inputs']
            if not is_multi_view(inputs) or len(inputs) != 2:
                found = f'{len(inputs)} views' if is_multi_view(inputs) else '1 view'
                raise ValueError(
                    f'inputs: expected the view to classify and the source, got {found}; the '
                    "pipeline needs dict(type='MultiView', num_views=[1, 1], transforms=[...])"
                )
            classified, source = inputs
            rendered = self.render(_stacked(source), data.get('data_samples'))
            data = {**data, 'inputs': [classified, *rendered]}
        return super().forward(data, training)

    @torch.no_grad()
    def render(self, source: Tensor, data_samples: Sequence[Any] | None = None) -> list[Tensor]:
        """The contrastive views of a batch.

        Args:
            source: ``(N, 3, H, W)`` in ``[0, 255]``; BGR if ``to_rgb`` is set.
            data_samples: ``N`` samples with ``ori_shape``, for crops in the original image.

        Returns:
            ``num_views`` tensors ``(N, 3, *view_size)``, not normalised, channels as they came.
        """
        rank, world_size = get_dist_info()
        sizes = np.ones((len(source) * world_size, 2), dtype=np.int64)
        sizes[rank::world_size] = self._crop_sizes(source, data_samples)
        # A stream of its own: batch augments draw from the same seed and iteration.
        root = int(self._seeded.rng().integers(2**63))
        source = source.to(self.device, non_blocking=True)
        images = source.flip(1) if self.to_rgb else source
        views = []
        for number in range(self.num_views):
            drawn = draw_view_parameters(np.random.default_rng([root, number]), sizes, self.law)
            view = render_views(images, drawn[rank::world_size], self.view_size, self.blur_kernel)
            views.append(view.flip(1) if self.to_rgb else view)
        return views

    def _crop_sizes(self, source: Tensor, data_samples: Sequence[Any] | None) -> Any:
        if self.crops_in == 'source':
            return np.array(source.shape[2:])
        shapes = [sample.get('ori_shape') for sample in data_samples or ()]
        if len(shapes) != len(source) or None in shapes:
            raise ValueError(
                "crops_in='original': every data sample needs its ori_shape, which "
                "PackInputs packs; or set crops_in='source'"
            )
        return np.array(shapes)[:, :2]


def _stacked(source: Tensor | Sequence[Tensor]) -> Tensor:
    if isinstance(source, Tensor):
        return source
    sizes = {tuple(image.shape) for image in source}
    if len(sizes) != 1:
        raise ValueError(
            f'inputs: expected sources of one size, got {sorted(sizes)}; end their '
            "pipeline in dict(type='Resize', scale=(W, H))"
        )
    return torch.stack(list(source))
