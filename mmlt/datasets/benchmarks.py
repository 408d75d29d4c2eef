"""The published long-tailed benchmarks that are distributed as lists of images."""

from __future__ import annotations

from mmpretrain.datasets.categories import IMAGENET_CATEGORIES
from mmpretrain.registry import DATASETS

from .lists import BenchmarkList

__all__ = ['INaturalist2018', 'ImageNetLT', 'PlacesLT']


@DATASETS.register_module()
class ImageNetLT(BenchmarkList):
    """ImageNet-LT: 115,846 training images of 1,000 classes, 1,280 to 5 images per class.

    The lists are ``ImageNet_LT_train.txt``, ``ImageNet_LT_val.txt`` (20 images per class) and
    ``ImageNet_LT_test.txt`` (50 images per class, the validation images of ImageNet). Their paths
    start with ``train/`` and ``val/``, which hold one folder per class. Classes are in the order
    of their WordNet ids, as in ImageNet. For the options, see :class:`BenchmarkList`.

    Reference: Liu et al., "Large-Scale Long-Tailed Recognition in an Open World", CVPR 2019.

    Example:
        >>> test = dict(type='ImageNetLT', data_root='data/imagenet', split='test')
    """

    NUM_CLASSES = 1000
    METAINFO = {'classes': IMAGENET_CATEGORIES}
    LISTS = {split: f'ImageNet_LT_{split}.txt' for split in ('train', 'val', 'test')}


@DATASETS.register_module()
class PlacesLT(BenchmarkList):
    """Places-LT: 62,500 training images of 365 classes, 4,980 to 5 images per class.

    The lists are ``Places_LT_train.txt``, ``Places_LT_val.txt`` (20 images per class) and
    ``Places_LT_test.txt`` (100 images per class). Their paths start with ``train/`` and ``val/``;
    the folder of an image is the name of its class. For the options, see :class:`BenchmarkList`.

    Reference: Liu et al., "Large-Scale Long-Tailed Recognition in an Open World", CVPR 2019.

    Example:
        >>> train = dict(type='PlacesLT', data_root='data/places')
    """

    NUM_CLASSES = 365
    LISTS = {split: f'Places_LT_{split}.txt' for split in ('train', 'val', 'test')}


@DATASETS.register_module()
class INaturalist2018(BenchmarkList):
    """iNaturalist 2018: 437,513 training images of 8,142 species, 1,000 to 2 images per species.

    The lists are ``iNaturalist18_train.txt`` and ``iNaturalist18_val.txt`` (3 images per species,
    on which results are reported; there is no test list). Their paths start with
    ``train_val2018/``; the folder of an image is the number of its class. For the options, see
    :class:`BenchmarkList`.

    Reference: Van Horn et al., "The iNaturalist Species Classification and Detection Dataset",
    CVPR 2018.

    Example:
        >>> val = dict(type='INaturalist2018', data_root='data/inat2018', split='val')
    """

    NUM_CLASSES = 8142
    METAINFO = {'classes': tuple(str(species) for species in range(8142))}
    LISTS = {split: f'iNaturalist18_{split}.txt' for split in ('train', 'val')}
