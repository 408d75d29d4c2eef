"""A data set of features that a network has made of images."""

from __future__ import annotations

from typing import Any

import torch
from mmpretrain.registry import DATASETS
from mmpretrain.structures import DataSample

from mmlt.functional.checks import check_choice, check_text, refuse

from .feature_files import read_features
from .long_tail import LongTailMixin

__all__ = ['FeaturesLT']


@DATASETS.register_module()
class FeaturesLT(LongTailMixin):
    """Features from ``mmlt features``, in place of images: a head trains on them in seconds.

    A sample is a "picture" ``(D, 1, 1)`` in float16, so that samplers, partners and what mixes
    whole pictures (CP-Mix, Remix, UniMix, mixup) work in feature space. The backbone is
    :class:`mmlt.models.IdentityBackbone`. There is no pipeline: what augments pixels comes too
    late.

    Args:
        file: what ``mmlt features`` wrote.
        split: ``'train'``, ``'val'`` or ``'test'``.
        network: the network that the features must come from, as ``mmlt features`` prints it;
            ``None``: any.
        **kwargs: ``imbalance_ratio`` and the others of :class:`LongTailMixin`, which are imposed
            on the images that the file has; ``indices``, ``test_mode``.

    Raises:
        ValueError: if the file is none, lacks the split, or has features of another network.

    Example:
        >>> train = dict(type='FeaturesLT', file='features.npz', split='train', imbalance_ratio=50)
    """

    #: No generators need to be seeded for an image.
    draws_nothing = True

    def __init__(
        self, file: str, split: str = 'train', network: str | None = None, **kwargs: Any
    ) -> None:
        self.file = check_text('file', file)
        self.split = check_choice('split', split, ('train', 'val', 'test'))
        if kwargs.get('pipeline'):
            raise refuse('pipeline', 'none, since features are no images', kwargs['pipeline'])
        content = read_features(file)
        if network is not None and content.identity != check_text('network', network):
            raise ValueError(
                f'network: expected features of {network}, got those of {content.identity} in '
                f'{file}'
            )
        found = content.split(split)
        if found is None:
            raise refuse('split', f'one of {sorted({*content.splits, *content.same})}', split)
        self.network = content.identity
        self._split = found
        self._features = torch.from_numpy(found.features)[:, :, None, None]
        self._targets = torch.from_numpy(found.labels)
        kwargs.setdefault('metainfo', dict(classes=content.classes))
        super().__init__(ann_file='', serialize_data=False, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Label, path and row of each image."""
        labels, paths = self._split.labels.tolist(), self._split.paths
        return [
            dict(img_path=path, gt_label=label, row=row)
            for row, (label, path) in enumerate(zip(labels, paths, strict=True))
        ]

    def read(self, index: int, pipeline: Any = None) -> dict[str, Any]:
        """Features ``(D, 1, 1)`` and label of one image, by the shortest way: this is most of the
        time of a training on features."""
        if not self._fully_initialized:
            self.full_init()
        if pipeline is not None:
            raise refuse('pipeline', 'none, since features are no images', pipeline)
        info = self.data_list[index]
        row = info['row']
        sample = DataSample()
        sample.set_field(self._targets[row : row + 1], 'gt_label', dtype=torch.Tensor)
        if self.test_mode:
            sample.set_field(info['img_path'], 'img_path', field_type='metainfo')
        return dict(inputs=self._features[row], data_samples=sample)

    def prepare_data(self, idx: int) -> dict[str, Any]:
        """As :meth:`read`."""
        return self.read(idx)

    def _copy_without_annotation(self, memo: dict[int, Any] | None = None) -> LongTailMixin:
        """A subset shares the features."""
        shared = (self._features, self._targets, self._split)
        memo = {} if memo is None else memo
        return super()._copy_without_annotation(memo | {id(part): part for part in shared})
