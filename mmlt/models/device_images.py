"""Training images that lie where the model is, and are augmented there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_dist_info
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor

from mmlt.functional.checks import check_integer, check_number, refuse

from .batch_augments.randomness import missing
from .device_augments import auto_augment, crop_and_flip, cut_out, draw_auto_augment
from .device_views import BLUR_KERNEL, drawn_views, import_kornia, stacked, view_options
from .preprocessors import SeededDataPreprocessor

__all__ = ['DeviceImagesDataPreprocessor']


@MODELS.register_module()
class DeviceImagesDataPreprocessor(SeededDataPreprocessor):
    """:class:`PairedDataPreprocessor` that looks images up, and augments them, where the model is.

    A loader spends more time on small images than a GPU needs for a training step of them. Here
    it delivers their indices only, by ``pipeline=[dict(type='PackIndex')]``. The training images
    lie on the device as uint8 (all of CIFAR-10: 154 MB), put there by
    :class:`mmlt.hooks.LongTailHook` before training, and are in no checkpoint. Each batch is
    cropped, mirrored and, if wanted, goes through AutoAugment and Cutout, as by the transforms
    ``RandomCrop``, ``RandomFlip``, ``CIFARAutoAugment`` and ``ClippedCutout``, each image by its
    own draw from the same distributions. Draws follow from seed and iteration, for the batch of
    all ranks, so that they do not depend on ranks or on a resume. The data set has to keep its
    images in memory, all of one size, as CIFAR-10-LT, CIFAR-100-LT and ``DigitsLT`` do. It works
    on a CPU too.

    Validation and test are those of :class:`PairedDataPreprocessor`, with the ordinary pipeline.

    Args:
        padding: width of the black border before the crop, in pixels.
        flip_prob: probability of a horizontal mirror image.
        auto_augment_fill: grey value, 0 to 255, that AutoAugment (policy of CIFAR-10) fills with;
            ``None``: no AutoAugment.
        cutout: side of the black square, in pixels; ``None``: no Cutout.
        num_views: contrastive views beside the one to classify, as those of
            :class:`DeviceViewsDataPreprocessor`; above 0 they need the extra ``mmlt[kornia]``.
        view: fields of :class:`mmlt.functional.view_parameters.ViewOptions`.
        **kwargs: those of :class:`PairedDataPreprocessor`; ``to_rgb`` must be False, since images
            in memory are RGB.

    Raises:
        ImportError: with ``num_views`` above 0 and without kornia.
        ValueError: for an option that is impossible; in ``forward``, without held images.

    Example:
        >>> preprocessor = DeviceImagesDataPreprocessor(padding=0, flip_prob=0.0)
        >>> images = torch.arange(3).view(3, 1, 1, 1).expand(3, 3, 8, 8).to(torch.uint8)
        >>> preprocessor.hold(images, labels=torch.tensor([0, 1, 1]))
        >>> preprocessor.set_progress(epoch=0, max_epochs=1, iteration=0, seed=0)
        >>> batch = preprocessor(dict(inputs=torch.tensor([2, 0])), training=True)
        >>> batch['inputs'][:, 0, 0, 0].tolist()
        [2.0, 0.0]
        >>> [int(sample.gt_label) for sample in batch['data_samples']]
        [1, 0]
    """

    def __init__(
        self,
        padding: int = 4,
        flip_prob: float = 0.5,
        auto_augment_fill: int | None = None,
        cutout: int | None = None,
        num_views: int = 0,
        view: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if self.to_rgb:
            raise refuse('to_rgb', 'False, since images in memory are RGB', True)
        self.padding = check_integer('padding', padding, '[0, inf)')
        self.flip_prob = check_number('flip_prob', flip_prob, '[0, 1]')
        self.fill, self.cutout = auto_augment_fill, cutout
        if auto_augment_fill is not None:
            check_integer('auto_augment_fill', auto_augment_fill, '[0, 255]')
        if cutout is not None:
            check_integer('cutout', cutout, '[1, inf)')
        self.num_views = check_integer('num_views', num_views, '[0, inf)')
        self.view = view_options(view)
        if num_views:
            import_kornia()
        # No buffers: SAM, averages of weights and DDP would copy them, and checkpoints hold them.
        self._images: Tensor | None = None
        self._labels: Tensor | None = None

    def hold(self, images: Tensor, labels: Tensor) -> None:
        """Take the training images.

        Args:
            images: ``(M, 3, H, W)`` uint8, RGB.
            labels: ``(M,)`` int64.

        Raises:
            OptionError: if they have another form.
        """
        smallest = BLUR_KERNEL // 2 + 1 if self.num_views else 1
        if images.ndim != 4 or images.shape[1] != 3 or min(images.shape[2:]) < smallest:
            expected = f'shape (M, 3, H, W), H and W at least {smallest}'
            raise refuse('images', expected, tuple(images.shape))
        if images.dtype != torch.uint8:
            raise refuse('images', 'uint8', images.dtype)
        if labels.shape != images.shape[:1]:
            raise refuse('labels', f'shape ({len(images)},)', tuple(labels.shape))
        self._images, self._labels = images.to(self.device), labels.to(self.device)

    def looked_up(self, data: dict[str, Any]) -> dict[str, Any]:
        """A batch of indices as a batch of images with labels; one of images as it is.

        Args:
            data: ``inputs``, ``(N,)`` or a list of indices, and perhaps ``partner`` with such.

        Returns:
            ``inputs`` ``(N, 3, H, W)`` uint8 and ``data_samples``, not augmented.
        """
        if not _are_indices(data['inputs']):
            return data
        if self._images is None or self._labels is None:
            raise missing(self, 'the training images')
        if self._images.device != self.device:
            self.hold(self._images, self._labels)
        indices = torch.as_tensor(data['inputs']).to(self.device, non_blocking=True)
        labels = self._labels[indices].split(1)
        found = {
            **data,
            'inputs': self._images[indices],
            'data_samples': [DataSample().set_gt_label(label) for label in labels],
        }
        if 'partner' in data:
            found['partner'] = self.looked_up(data['partner'])
        return found

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Look images up, augment those of a training batch, then go on as
        :class:`PairedDataPreprocessor`.

        Args:
            data: ``inputs``, indices of images, and perhaps ``partner`` with such. Images of one
                size with their ``data_samples`` are taken as well.
            training: whether images are augmented and batches mixed.

        Returns:
            ``inputs``, in training with ``num_views`` a list of ``1 + num_views`` tensors, and
            ``data_samples``.
        """
        data = self.looked_up(data)
        return super().forward(self._augmented(data) if training else data, training)

    @torch.no_grad()
    def _augmented(self, data: dict[str, Any]) -> dict[str, Any]:
        # A stream of its own: batch augments draw from the same seed and iteration.
        root = int(self._seeded.rng().integers(2**63))
        images = stacked(data['inputs']).to(self.device, non_blocking=True)
        # Contrastive views draw by [root, 0], [root, 1] and so on.
        classified = self._classified(images, np.random.default_rng([root, self.num_views]))
        size = (images.shape[2], images.shape[3])
        views = drawn_views(images, root, self.num_views, self.view, size, np.array(size))
        augmented = {**data, 'inputs': [classified, *views] if views else classified}
        if data.get('partner') is not None and self._wants_partners():
            partner = stacked(data['partner']['inputs']).to(self.device, non_blocking=True)
            rng = np.random.default_rng([root, self.num_views + 1])
            augmented['partner'] = {**data['partner'], 'inputs': self._classified(partner, rng)}
        return augmented

    def _classified(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """The view to classify, ``(N, 3, H, W)`` uint8, drawn for the batch of all ranks."""
        rank, world_size = get_dist_info()
        number, mine = len(images) * world_size, slice(rank, None, world_size)
        size = (images.shape[2], images.shape[3])
        corners = rng.integers(2 * self.padding + 1, size=(number, 2))[mine]
        flipped = (rng.random(number) < self.flip_prob)[mine]
        images = crop_and_flip(images, corners, flipped, self.padding)
        if self.fill is not None:
            names, magnitudes = draw_auto_augment(rng, number, size)
            images = auto_augment(images, names[mine], magnitudes[mine], self.fill)
        if self.cutout is not None:
            images = cut_out(images, rng.integers(size, size=(number, 2))[mine], self.cutout)
        return images


def _are_indices(inputs: Tensor | Sequence[Any]) -> bool:
    if isinstance(inputs, Tensor):
        return inputs.ndim == 1
    return isinstance(inputs[0], (int, np.integer))
