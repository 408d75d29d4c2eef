"""Any data set as one that imposes an imbalance on itself and counts its classes."""

from __future__ import annotations

from typing import Any

from mmpretrain.registry import DATASETS

from mmlt.functional.checks import check_flag
from mmlt.functional.counts import count_labels
from mmlt.registry import build_part, dicts_in

from .labels import dataset_labels, dataset_num_classes, is_dataset, leaves
from .long_tail import LongTailMixin, policy_of, refuse_pickled
from .reading import prepare

__all__ = ['LongTailDataset']


@DATASETS.register_module()
class LongTailDataset(LongTailMixin):
    """Imposes an imbalance on any data set, or takes it as it is, and counts its classes.

    It is a data set of MMPretrain itself, with the pipeline, the ``test_mode`` and the
    ``metainfo`` of the wrapped one, which is left unchanged. With an imbalance, images are
    ordered class by class. ``sample_idx`` of an annotation is the index in the wrapped data set.

    Args:
        dataset: a data set with one integer label per image, or the config of one.
        imbalance_ratio, imbalance_type, max_count, seed: of :class:`LongTailMixin`.
        lazy_init: read the annotations only when they are needed.
        max_refetch: how many other images to try in place of one, at most.
        on_error: of :class:`LongTailMixin`; ``None``: that of the wrapped data set, or
            ``'raise'``.
        trust: build a data set whose annotation file is pickled.

    Raises:
        ValueError: if an option is of another form or out of range, a label is not one integer, or
            an annotation file is pickled and not trusted.

    Reference: Cao et al., NeurIPS 2019.

    Example:
        >>> from mmlt.datasets.digits_lt import DigitsLT
        >>> balanced = dict(type='DigitsLT', imbalance_ratio=None)
        >>> train = LongTailDataset(balanced, imbalance_ratio=10, imbalance_type='step')
        >>> train.class_counts
        [110, 110, 110, 110, 110, 11, 11, 11, 11, 11]
        >>> len(train)
        605
    """

    def __init__(
        self,
        dataset: Any,
        imbalance_ratio: float | None = None,
        imbalance_type: str = 'exp',
        max_count: int | None = None,
        seed: int = 0,
        lazy_init: bool = False,
        max_refetch: int = 1000,
        on_error: str | None = None,
        trust: bool = False,
    ) -> None:
        check_flag('lazy_init', lazy_init)
        if isinstance(dataset, dict):
            for part in dicts_in(dataset):
                refuse_pickled(part.get('ann_file'), trust)
        dataset = build_part(DATASETS, 'dataset', dataset, is_dataset)
        super().__init__(
            ann_file='',
            imbalance_ratio=imbalance_ratio,
            imbalance_type=imbalance_type,
            max_count=max_count,
            seed=seed,
            test_mode=getattr(dataset, 'test_mode', False),
            lazy_init=True,
            max_refetch=max_refetch,
            on_error=policy_of(next(leaves(dataset))) if on_error is None else on_error,
            trust=trust,
        )
        self.dataset = dataset
        self._metainfo = dict(getattr(dataset, 'metainfo', {}))
        if not lazy_init:
            self.full_init()

    def load_data_list(self) -> list[dict]:
        """Class and position of every image of the wrapped data set."""
        if hasattr(self.dataset, 'full_init'):
            self.dataset.full_init()
        labels = dataset_labels(self.dataset)
        self._metainfo = dict(getattr(self.dataset, 'metainfo', {}))
        # Counts of all images, so that a class without a name is not lost with its last image.
        self._class_counts = count_labels(labels, dataset_num_classes(self.dataset, labels))
        return [dict(gt_label=label, position=i) for i, label in enumerate(labels.tolist())]

    @property
    def pipeline(self) -> Any:
        """Transforms of the wrapped data set; may be replaced while training."""
        return self.dataset.pipeline

    @pipeline.setter
    def pipeline(self, pipeline: Any) -> None:
        if hasattr(self, 'dataset'):  # the constructor of MMEngine sets an empty one before
            self.dataset.pipeline = pipeline

    def get_data_info(self, idx: int) -> dict:
        """Annotation of one image, from the wrapped data set."""
        dataset, position = self.wrapped_image(idx)
        return dataset.get_data_info(position)

    def prepare_data(self, idx: int) -> Any:
        """One image through the pipeline, or the error that it raises."""
        return prepare(*self.wrapped_image(idx))

    def wrapped_image(self, idx: int) -> tuple[Any, int]:
        """The wrapped data set, and the index of an image there."""
        return self.dataset, super().get_data_info(idx)['position']

    def __repr__(self) -> str:
        state = f'{len(self)} images' if self._fully_initialized else 'not initialised'
        return (
            f'{type(self).__name__}({state}, imbalance_ratio={self.imbalance_ratio}, '
            f'{self.dataset!r})'
        )
