"""A data set that returns an image together with its partner."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mmengine.dataset import BaseDataset, Compose
from mmpretrain.datasets.transforms import MultiView
from mmpretrain.registry import DATASETS

from mmlt.registry import build_part, build_transforms

from .labels import Labels, dataset_labels, is_dataset
from .long_tail import read_sample

__all__ = ['PairedDataset', 'pipelines_of']

Index = int | tuple[int, int | None]


@DATASETS.register_module()
class PairedDataset:
    """Wraps any MMPretrain data set for the pairs of :class:`mmlt.datasets.PairBatchSampler`.

    ``dataset[anchor, partner]`` is what ``dataset[anchor]`` is, with the partner under the key
    ``partner``: ``dict(inputs=..., data_samples=..., partner=dict(inputs=..., data_samples=...))``.
    The key is absent for ``dataset[anchor, None]`` and ``dataset[anchor]``. A partner is decoded
    once and has one view, however many the anchor has.

    Of an image that cannot be read, anchor or partner, ``on_error`` of the wrapped data set
    decides; one that is not of mmlt has no such option, and raises an error.

    Args:
        dataset: a data set or its config; MMEngine's wrappers are welcome.
        partner_pipeline: transforms of the partner, from loading to packing, ending in images of
            the size of the anchor's first view. ``None``: the data set's own pipeline, of a
            ``MultiView`` in it only the first view.

    Raises:
        TypeError: if a pipeline is needed that the data set does not show.
        ValueError: if ``dataset`` is none, or wrapped data sets differ in their multi-view
            pipelines and none is given for partners.

    Example:
        >>> dataset = dict(type='PairedDataset', dataset=dict(type='CIFAR10LT', pipeline=[...]))
    """

    def __init__(self, dataset: Any, partner_pipeline: Sequence[Any] | None = None) -> None:
        self.dataset = dataset = build_part(DATASETS, 'dataset', dataset, is_dataset)
        self._given: Compose | None = None
        if partner_pipeline is not None:
            self._given = Compose(build_transforms('partner_pipeline', partner_pipeline))
        self._derived: tuple[list[Any], Compose | None] = ([], None)
        if self.partner_pipeline is not None and not hasattr(dataset, 'get_data_info'):
            raise TypeError(
                'dataset: expected get_data_info(index) for the pipeline of partners, got '
                f'{type(dataset).__name__} without it'
            )

    @property
    def partner_pipeline(self) -> Compose | None:
        """Transforms of partners; None where that is the data set's own pipeline.

        One that was not given follows the data set's pipeline, should it be exchanged while
        training (``SwitchRecipeHook``).
        """
        if self._given is not None:
            return self._given
        pipelines = list(pipelines_of(self.dataset))
        if pipelines != self._derived[0]:
            self._derived = (pipelines, _first_view_pipeline(pipelines))
        return self._derived[1]

    @property
    def metainfo(self) -> dict[str, Any]:
        """Meta information of the wrapped data set, if it has any."""
        return getattr(self.dataset, 'metainfo', None) or {}

    def full_init(self) -> None:
        """Load the annotations."""
        if hasattr(self.dataset, 'full_init'):
            self.dataset.full_init()

    def __len__(self) -> int:
        """Images of the wrapped data set."""
        return len(self.dataset)

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """Annotation of one image."""
        return self.dataset.get_data_info(idx)

    def get_cat_ids(self, idx: int) -> list[int]:
        """Class of one image, in a list."""
        return self.dataset.get_cat_ids(idx)

    def get_gt_labels(self) -> Labels:
        """Labels of all images, ``(M,)`` int64."""
        return dataset_labels(self.dataset)

    def __getitem__(self, index: Index) -> dict[str, Any]:
        """One image, or an anchor with its partner.

        Args:
            index: ``anchor`` or ``(anchor, partner)``; the partner may be ``None``.

        Raises:
            ValueError: if the partner's image has another shape than the anchor's first view.
            UnreadableImageError: if an image cannot be read.
        """
        anchor, partner = index if isinstance(index, (tuple, list)) else (index, None)
        sample: dict[str, Any] = read_sample(self.dataset, anchor)
        if partner is None:
            return sample
        paired = self._partner(partner)
        expected, got = _first_view(sample['inputs']).shape, paired['inputs'].shape
        if got != expected:
            raise ValueError(
                f'partner_pipeline: the image of partner {partner} has shape {tuple(got)}, the '
                f'first view of anchor {anchor} has {tuple(expected)}; end both pipelines in the '
                'same size'
            )
        return {**sample, 'partner': paired}

    def _partner(self, index: int) -> dict[str, Any]:
        sample: dict[str, Any] = read_sample(self.dataset, index, self.partner_pipeline)
        return {**sample, 'inputs': _first_view(sample['inputs'])}


def _first_view(inputs: Any) -> Any:
    return inputs[0] if isinstance(inputs, (list, tuple)) else inputs


def _first_view_pipeline(pipelines: list[list[Callable[..., Any]]]) -> Compose | None:
    """The pipeline without all views but the first; None where it has one view anyway."""
    if not any(isinstance(t, MultiView) for transforms in pipelines for t in transforms):
        return None
    if len({repr(transforms) for transforms in pipelines}) > 1:
        raise ValueError(
            'partner_pipeline: the wrapped data sets have different multi-view pipelines; say '
            'which one partners take'
        )
    return Compose([t.transforms[0] if isinstance(t, MultiView) else t for t in pipelines[0]])


def pipelines_of(dataset: Any) -> Iterator[list[Callable[..., Any]]]:
    """Transforms of the data sets inside MMEngine's wrappers."""
    if isinstance(dataset, BaseDataset) and hasattr(dataset, 'pipeline'):
        yield list(dataset.pipeline.transforms)
        return
    for inner in getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]:
        if inner is not None:
            yield from pipelines_of(inner)
