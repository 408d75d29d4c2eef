"""iNaturalist 2018."""

from __future__ import annotations

from mmpretrain.registry import DATASETS

from .list_dataset import BenchmarkList

__all__ = ['INaturalist2018']


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
