"""Contrastive views, rendered by kornia where the model is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from types import ModuleType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.dist import get_dist_info
from mmpretrain.registry import MODELS
from torch import Tensor

from mmlt.functional.checks import check_choice, check_integer, refuse
from mmlt.functional.view_parameters import ViewOptions, ViewParameters, draw_view_parameters

from .batch_augments.randomness import to_device
from .preprocessors import SeededDataPreprocessor, is_multi_view

__all__ = ['DeviceViewsDataPreprocessor', 'render_views']

#: Width in pixels of the Gaussian kernel, which holds three standard deviations of 2 pixels.
BLUR_KERNEL = 13


@MODELS.register_module()
class DeviceViewsDataPreprocessor(SeededDataPreprocessor):
    """:class:`PairedDataPreprocessor` that renders the contrastive views where the model is.

    Three views of each image are much work for a loader with few CPU cores. Here it delivers two:
    the one to classify, ready, and a *source*, the whole image resized to one size for all. From
    the source kornia's operations make ``num_views`` SimCLR-style views on the model's device
    (crop, mirror, colour jitter, grayscale, blur). Each image has its own draw, with the
    distributions of torchvision's transforms; what differs from the CPU pipeline is the
    interpolation, since crops are taken from the resized source. Parameters are drawn for the batch
    of all ranks from seed and iteration, so they do not depend on ranks, workers or a resume.

    Needs the extra ``mmlt[kornia]``. Before kornia 0.9, which needs Python 3.11, its contrast,
    saturation, grayscale and blur make the CPU wait for a GPU.

    Args:
        view_size: side or ``(height, width)`` of the rendered views.
        num_views: how many are rendered; at least 2 for the contrastive loss.
        view: fields of :class:`mmlt.functional.view_parameters.ViewOptions`.
        crops_in: ``'original'``: the crop's area and ratio refer to the image as it was before
            it was resized, known from ``ori_shape`` of its data sample; right for a source made by
            ``Resize(keep_ratio=False)``. ``'source'``: they refer to the source, as after a
            crop.
        **kwargs: those of :class:`PairedDataPreprocessor`.

    Raises:
        ImportError: without kornia.
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
        >>> preprocessor.set_progress(epoch=0, max_epochs=1, iteration=0, seed=0)
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
        crops_in: str = 'original',
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        import_kornia()
        pair = isinstance(view_size, (list, tuple))
        sides: Any = view_size if pair else (view_size, view_size)
        if len(sides) != 2:
            raise refuse('view_size', 'a side or (height, width)', view_size)
        # The blur reflects the borders, which needs more pixels than half a kernel.
        smallest = f'[{BLUR_KERNEL // 2 + 1}, inf)'
        height, width = (check_integer('view_size', side, smallest) for side in sides)
        self.view_size = (height, width)
        self.num_views = check_integer('num_views', num_views, '[1, inf)')
        self.crops_in = check_choice('crops_in', crops_in, ('original', 'source'))
        self.view = view_options(view)

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
                    'inputs: expected the view to classify and the source, from dict(type='
                    f"'MultiView', num_views=[1, 1], transforms=[...]), got {found}"
                )
            classified, source = inputs
            rendered = self.render(stacked(source), data.get('data_samples'))
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
        images = source.to(self.device, non_blocking=True)
        images = images.flip(1) if self.to_rgb else images
        sizes = self._crop_sizes(source, data_samples)
        # A stream of its own: batch augments draw from the same seed and iteration.
        root = int(self._seeded.rng().integers(2**63))
        views = drawn_views(images, root, self.num_views, self.view, self.view_size, sizes)
        return [view.flip(1) if self.to_rgb else view for view in views]

    def _crop_sizes(self, source: Tensor, data_samples: Sequence[Any] | None) -> Any:
        if self.crops_in == 'source':
            return np.array(source.shape[2:])
        shapes = [sample.get('ori_shape') for sample in data_samples or ()]
        if len(shapes) != len(source) or None in shapes:
            raise ValueError(
                'ori_shape: expected it in every data sample, where PackInputs puts it, or '
                f"crops_in='source', got {shapes}"
            )
        return np.array(shapes)[:, :2]


def view_options(view: Any) -> ViewOptions:
    """The options of a config, checked."""
    names = {field.name for field in fields(ViewOptions)}
    view = {} if view is None else view
    if not isinstance(view, dict) or not set(view) <= names:
        raise refuse('view', f'a dict of some of {sorted(names)}', view)
    return ViewOptions(**view)


def drawn_views(
    images: Tensor,
    root: int,
    num_views: int,
    options: ViewOptions,
    view_size: tuple[int, int],
    crop_sizes: Any,
) -> list[Tensor]:
    """Views of the images of this rank, drawn for the batch of all ranks.

    Args:
        images: ``(N, 3, H, W)``, RGB in ``[0, 255]``.
        root: number from which view ``v`` draws, by ``[root, v]``; the same on all ranks.
        num_views: how many.
        options: what is drawn.
        view_size: ``(height, width)`` of the views.
        crop_sizes: ``(2,)`` or ``(N, 2)`` height and width in which crops are drawn.

    Returns:
        ``num_views`` tensors ``(N, 3, *view_size)`` float32 in ``[0, 255]``.
    """
    rank, world_size = get_dist_info()
    sizes = np.ones((len(images) * world_size, 2), dtype=np.int64)
    sizes[rank::world_size] = crop_sizes
    views = []
    for number in range(num_views):
        drawn = draw_view_parameters(np.random.default_rng([root, number]), sizes, options)
        views.append(render_views(images, drawn[rank::world_size], view_size))
    return views


def stacked(source: Tensor | Sequence[Tensor]) -> Tensor:
    if isinstance(source, Tensor):
        return source
    sizes = {tuple(image.shape) for image in source}
    if len(sizes) != 1:
        raise ValueError(
            "inputs: expected sources of one size, from dict(type='Resize', scale=(W, H)), got "
            f'{sorted(sizes)}'
        )
    return torch.stack(list(source))


def import_kornia() -> ModuleType:
    try:
        import kornia
    except ImportError as error:
        raise ImportError("views on the device need kornia: pip install 'mmlt[kornia]'") from error
    return kornia


def render_views(images: Tensor, parameters: ViewParameters, size: tuple[int, int]) -> Tensor:
    """Crop, mirror, colour jitter, grayscale, blur: each image by its own parameters.

    Which images an operation meets is known on the CPU, so it is run on those only, and the CPU
    never waits for the device.

    Args:
        images: ``(N, 3, H, W)``, RGB in ``[0, 255]``, integer or floating.
        parameters: of ``N`` images.
        size: ``(height, width)`` of the views.

    Returns:
        ``(N, 3, *size)`` float32 in ``[0, 255]``.
    """
    if images.ndim != 4 or images.shape[1] != 3 or len(images) != len(parameters.boxes):
        raise refuse('images', f'shape ({len(parameters.boxes)}, 3, H, W)', tuple(images.shape))
    kornia = import_kornia()
    jitters = (
        kornia.enhance.adjust_brightness_accumulative,
        kornia.enhance.adjust_contrast_with_mean_subtraction,
        kornia.enhance.adjust_saturation_with_gray_subtraction,
        kornia.enhance.adjust_hue,
    )
    factors = to_device(parameters.factors.astype(np.float32), images)
    with torch.autocast(images.device.type, enabled=False):
        views = _resized_crop(images.float(), parameters, size) / 255
        for turn in range(4):
            for kind, jitter in enumerate(jitters):
                rows = _rows(parameters.jittered & (parameters.order[:, turn] == kind), images)
                if len(rows):
                    views[rows] = jitter(views[rows], factors[rows, kind])
        rows = _rows(parameters.grayed, images)
        if len(rows):
            views[rows] = kornia.color.rgb_to_grayscale(views[rows])
        rows = _rows(parameters.blurred, images)
        if len(rows):
            # Left on the CPU, where kornia checks that it is positive.
            sigma = torch.from_numpy(parameters.sigma[parameters.blurred].astype(np.float32))
            views[rows] = kornia.filters.gaussian_blur2d(
                views[rows], BLUR_KERNEL, sigma[:, None].expand(-1, 2)
            )
    return 255 * views


def _resized_crop(images: Tensor, parameters: ViewParameters, size: tuple[int, int]) -> Tensor:
    """Boxes, resized bilinearly and mirrored; ``crop_and_resize`` of kornia makes the CPU wait."""
    boxes = to_device(parameters.boxes.astype(np.float32), images)
    top, left, height, width = boxes.unbind(dim=1)
    across = to_device(np.where(parameters.flipped, -1, 1).astype(np.float32), images) * width
    zero = torch.zeros_like(top)
    theta = torch.stack(
        [across, zero, 2 * left + width - 1, zero, height, 2 * top + height - 1], dim=1
    ).view(-1, 2, 3)
    grid = F.affine_grid(theta, [*images.shape[:2], *size], align_corners=False)
    return F.grid_sample(images, grid, padding_mode='border', align_corners=False)


def _rows(chosen: np.ndarray[Any, Any], images: Tensor) -> Tensor:
    return to_device(np.flatnonzero(chosen), images)
