"""ImageNet-LT."""

from __future__ import annotations

from mmpretrain.datasets.categories import IMAGENET_CATEGORIES
from mmpretrain.registry import DATASETS

from .lists import BenchmarkList

__all__ = ['INaturalist2018', 'ImageNetLT', 'PlacesLT']


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


@DATASETS.register_module()
class INaturalist2018(BenchmarkList):
    """iNaturalist 2018: 437,513 training images of 8,142 species, 1,000 to 2 a species.

    The lists are those that classifier-balancing distributes: ``iNaturalist18_train.txt`` and
    ``iNaturalist18_val.txt`` (3 images a species, on which results are reported). Their paths
    start with ``train_val2018/``; the folder of an image is the number of its class.

    Args:
        data_root: folder with ``train_val2018``; the lists are looked for here.
        split: ``'train'`` or ``'val'``.
        ann_file: another place of the list, relative to ``data_root`` or absolute.
        data_prefix: folder of ``train_val2018``, relative to ``data_root`` or absolute.
        **kwargs: other options of :class:`LongTailListDataset`.

    Raises:
        FileNotFoundError: if the list, the image root, or one of a few images does not exist.
        ValueError: if an option or a line of the list is wrong; names the file and the line.

    Reference: Van Horn et al., "The iNaturalist Species Classification and Detection Dataset",
    CVPR 2018.

    Example:
        >>> val = dict(type='INaturalist2018', data_root='data/inat2018', split='val')
    """

    NUM_CLASSES = 8142
    METAINFO = {'classes': tuple(str(species) for species in range(8142))}
    LISTS = {split: f'iNaturalist18_{split}.txt' for split in ('train', 'val')}
