"""Places-LT."""

from __future__ import annotations

from mmpretrain.registry import DATASETS

from .list_dataset import BenchmarkList

__all__ = ['PlacesLT']


@DATASETS.register_module()
class PlacesLT(BenchmarkList):
    """Places-LT: 62,500 training images of 365 classes, 4,980 to 5 a class.

    The lists are those that classifier-balancing distributes: ``Places_LT_train.txt``,
    ``Places_LT_val.txt`` (20 images a class) and ``Places_LT_test.txt`` (100 a class). Their
    paths start with ``train/`` and ``val/``; the folder of an image is the name of its class.

    Args:
        data_root: folder with ``train`` and ``val``; the lists are looked for here.
        split: ``'train'``, ``'val'`` or ``'test'``.
        ann_file: another place of the list, relative to ``data_root`` or absolute.
        data_prefix: folder of ``train`` and ``val``, relative to ``data_root`` or absolute.
        **kwargs: other options of :class:`LongTailListDataset`.

    Raises:
        FileNotFoundError: if the list, the image root, or one of a few images does not exist.
        ValueError: if an option or a line of the list is wrong; names the file and the line.

    Reference: Liu et al., "Large-Scale Long-Tailed Recognition in an Open World", CVPR 2019.

    Example:
        >>> train = dict(type='PlacesLT', data_root='data/places')
    """

    NUM_CLASSES = 365
    LISTS = {split: f'Places_LT_{split}.txt' for split in ('train', 'val', 'test')}
