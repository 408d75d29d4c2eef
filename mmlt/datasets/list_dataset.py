"""Data sets given by a list file of ``path label`` lines and a folder of images."""

from __future__ import annotations

from typing import Any

from mmengine.fileio import LocalBackend, get_file_backend
from mmpretrain.registry import DATASETS

from .image_list import check_images_exist, folder_names, read_image_list
from .long_tail import LongTailMixin

__all__ = ['LongTailListDataset']


@DATASETS.register_module()
class LongTailListDataset(LongTailMixin):
    """Any list of images with one integer label each.

    Args:
        data_root: folder that ``ann_file`` and ``data_prefix`` are relative to.
        ann_file: the list, one ``path label`` line an image, labels from 0.
        data_prefix: folder that the paths of the list are relative to.
        num_classes: ``K``; ``None``: as many as ``classes``, or largest label of the list + 1.
            Give it where some list lacks the last classes.
        check_images: how many images to look for when the list is read; 0: none.
        imbalance_ratio: imposes an imbalance on the list; ``None``: takes it as it is.
        **kwargs: other options of :class:`LongTailMixin` and ``mmpretrain.datasets.BaseDataset``:
            ``classes``, ``pipeline``, ``indices``, ``test_mode``, ``lazy_init``, ``metainfo``, ...
            Without ``classes`` the class names are those of the images' folders, where each class
            has one of its own, or else the numbers.

    Raises:
        FileNotFoundError: if the list, the image root, or one of a few images does not exist.
        ValueError: if an option or a line of the list is wrong; names the file and the line.

    Example:
        >>> train = dict(
        ...     type='LongTailListDataset', data_root='data/birds', ann_file='train.txt',
        ...     data_prefix='images', num_classes=200)
    """

    def __init__(
        self,
        data_root: str = '',
        ann_file: str = '',
        data_prefix: str | dict = '',
        num_classes: int | None = None,
        check_images: int = 8,
        **kwargs: Any,
    ) -> None:
        if not ann_file:
            raise ValueError(f'ann_file must name a list file, got {ann_file!r}')
        if num_classes is not None and num_classes < 1:
            raise ValueError(f'num_classes must be at least 1, got {num_classes}')
        self.num_classes = num_classes
        self.check_images = check_images
        lazy_init = kwargs.pop('lazy_init', False)
        super().__init__(
            data_root=data_root,
            ann_file=ann_file,
            data_prefix=data_prefix,
            lazy_init=True,
            **kwargs,
        )
        if self.CLASSES is not None:
            if num_classes is not None and num_classes != len(self.CLASSES):
                raise ValueError(
                    f'num_classes is {num_classes}, but there are {len(self.CLASSES)} class names'
                )
            self.num_classes = len(self.CLASSES)
        if not lazy_init:
            self.full_init()

    def load_data_list(self) -> list[dict]:
        """Read the list, look for a few of its images, and name the classes."""
        root = self.img_prefix
        paths, labels = read_image_list(self.ann_file, self.num_classes)
        if self.num_classes is None:
            self.num_classes = int(labels.max()) + 1
        if self.CLASSES is None:
            names = folder_names(paths, labels, self.num_classes)
            self._metainfo = {**self._metainfo, 'classes': names}
        # One concatenation a line: the backend's join_path costs more than all the rest.
        folder = root if not root or root.endswith('/') else f'{root}/'
        full = [path if path.startswith('/') else folder + path for path in paths]
        if isinstance(get_file_backend(root or '.', enable_singleton=True), LocalBackend):
            check_images_exist(self.ann_file, full, root, self.check_images)
        return [
            {'img_path': path, 'gt_label': label}
            for path, label in zip(full, labels.tolist(), strict=True)
        ]


class BenchmarkList(LongTailListDataset):
    """A published list: knows its file names and the number of its classes.

    ``LISTS`` maps a split to the name of its list, which is looked for in ``data_root`` unless
    ``ann_file`` names another.
    """

    LISTS: dict[str, str] = {}
    NUM_CLASSES: int | None = None

    def __init__(
        self,
        data_root: str = '',
        split: str = 'train',
        ann_file: str = '',
        data_prefix: str | dict = '',
        **kwargs: Any,
    ) -> None:
        if split not in self.LISTS:
            raise ValueError(f'split must be one of {sorted(self.LISTS)}, got {split!r}')
        kwargs.setdefault('num_classes', self.NUM_CLASSES)
        self.split = split
        super().__init__(
            data_root=data_root,
            ann_file=ann_file or self.LISTS[split],
            data_prefix=data_prefix,
            **kwargs,
        )
