"""ImageNet-LT."""

from __future__ import annotations

from mmpretrain.datasets.categories import IMAGENET_CATEGORIES
from mmpretrain.registry import DATASETS

from .list_dataset import BenchmarkList

__all__ = ['ImageNetLT']


@DATASETS.register_module()
class ImageNetLT(BenchmarkList):
    """ImageNet-LT: 115,846 training images of 1,000 classes, 1,280 to 5 a class.

    The lists are those that classifier-balancing distributes: ``ImageNet_LT_train.txt``,
    ``ImageNet_LT_val.txt`` (20 images a class) and ``ImageNet_LT_test.txt`` (50 a class, the
    validation images of ImageNet). Their paths start with ``train/`` and ``val/``; those folders
    hold one folder a class. Classes stand in the order of their WordNet ids, as in ImageNet.

    Args:
        data_root: folder of ImageNet, with ``train`` and ``val``; the lists are looked for here.
        split: ``'train'``, ``'val'`` or ``'test'``.
        ann_file: another place of the list, relative to ``data_root`` or absolute.
        data_prefix: folder of ``train`` and ``val``, relative to ``data_root`` or absolute.
        **kwargs: other options of :class:`LongTailListDataset`.

    Raises:
        FileNotFoundError: if the list, the image root, or one of a few images does not exist.
        ValueError: if an option or a line of the list is wrong; names the file and the line.

    Reference: Liu et al., "Large-Scale Long-Tailed Recognition in an Open World", CVPR 2019.

    Example:
        >>> test = dict(type='ImageNetLT', data_root='data/imagenet', split='test')
    """

    NUM_CLASSES = 1000
    METAINFO = {'classes': IMAGENET_CATEGORIES}
    LISTS = {split: f'ImageNet_LT_{split}.txt' for split in ('train', 'val', 'test')}
