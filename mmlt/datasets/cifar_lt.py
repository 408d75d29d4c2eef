"""CIFAR-10-LT and CIFAR-100-LT out of the official CIFAR files."""

from __future__ import annotations

import hashlib
import logging
import os.path as osp
from os import PathLike
from typing import Any

from mmengine.dist import barrier, is_main_process
from mmengine.fileio import LocalBackend, exists, get, get_file_backend
from mmengine.logging import print_log
from mmpretrain.datasets import CIFAR10, CIFAR100
from mmpretrain.datasets.utils import download_and_extract_archive
from mmpretrain.registry import DATASETS

from mmlt.functional.checks import check_choice, check_flag, refuse

from .long_tail import LongTailMixin

__all__ = ['CIFAR10LT', 'CIFAR100LT']

# Of the files that the University of Toronto distributes. Not read from the attributes of a data
# set when it loads, which a subclass can set to None.
_OFFICIAL = frozenset(
    md5
    for dataset in (CIFAR10, CIFAR100)
    for md5 in (*(md5 for _, md5 in dataset.train_list + dataset.test_list), dataset.meta['md5'])
)


class _LongTailCIFAR(LongTailMixin):
    """Imposes the imbalance on the training split only, and says which files are missing."""

    def __init__(
        self,
        data_root: str = '',
        split: str = 'train',
        imbalance_ratio: float | None = 100,
        **kwargs: Any,
    ) -> None:
        check_choice('split', split, ('train', 'test'))
        check_flag('download', kwargs.get('download', True))
        if not isinstance(data_root, (str, PathLike)) or not (
            data_root or kwargs.get('data_prefix')
        ):
            raise refuse('data_root', f'the folder that holds {self.base_folder}', data_root)
        super().__init__(
            data_root=data_root,
            split=split,
            imbalance_ratio=imbalance_ratio if split == 'train' else None,
            **kwargs,
        )

    def load_data_list(self) -> list[dict]:
        """Read the official files, after a download if they are missing and it is allowed."""
        if is_main_process() and not self._check_integrity():
            self._download()
        barrier()
        if not self.trust:
            self._refuse_other_files()
        return super().load_data_list()

    def _check_integrity(self) -> bool:
        """All files are there, and have the official md5 sums unless they are trusted."""
        return not self._missing() if self.trust else super()._check_integrity()

    def _missing(self) -> list[str]:
        folder = osp.join(self.data_prefix['root'], self.base_folder)
        names = [name for name, _ in self.train_list + self.test_list]
        return [name for name in names if not exists(osp.join(folder, name))]

    def _download(self) -> None:
        root = self.data_prefix['root']
        folder = osp.join(root, self.base_folder)
        missing = self._missing()
        other = 'one of another md5 sum (trust=True reads it nevertheless)'
        found = f'no {", ".join(missing)}' if missing else other
        state = f'{folder}: expected the official files, got {found}'
        advice = f'unpack {self.url} in {root or "the current folder"}'
        local = isinstance(get_file_backend(root, enable_singleton=True), LocalBackend)
        if not (self.download and local):
            raise FileNotFoundError(f'{state}. Set data_root, download=True, or {advice}')
        print_log(f'{state}; downloading {self.url}', logger='current', level=logging.WARNING)
        try:
            download_and_extract_archive(self.url, root, filename=self.filename, md5=self.tgz_md5)
        except (OSError, RuntimeError) as error:
            raise FileNotFoundError(
                f'{state}, and the download failed ({error}). Set data_root, or {advice}'
            ) from error

    def _refuse_other_files(self) -> None:
        """They are pickled, and unpickling a file can run any code."""
        folder = osp.join(self.data_prefix['root'], self.base_folder)
        used = [name for name, _ in (self.train_list if self.split == 'train' else self.test_list)]
        for file in (osp.join(folder, name) for name in (*used, self.meta['filename'])):
            if exists(file) and not _is_official(file):
                raise ValueError(
                    f'{file}: expected the official file, got another md5 sum. It is pickled, and '
                    'unpickling can run any code; trust=True allows it'
                )


def _is_official(file: str) -> bool:
    return hashlib.md5(get(file), usedforsecurity=False).hexdigest() in _OFFICIAL


@DATASETS.register_module()
class CIFAR10LT(_LongTailCIFAR, CIFAR10):
    """CIFAR-10 with an imbalanced training split; the test split is the balanced one.

    Args:
        data_root: folder that holds ``cifar-10-batches-py``.
        split: ``'train'`` or ``'test'``.
        imbalance_ratio: largest over smallest class, at least 1; 10, 50, 100 and 200 in the
            literature; ``None`` keeps all images. Without effect on the test split.
        imbalance_type: ``'exp'`` or ``'step'``.
        seed: which images are kept: 0 in LDAM-DRW and BCL, 10 in the ConCutMix code.
        download: download the files if they are missing (the default of MMPretrain).
        trust: unpickle files that are not the official ones by their md5 sums. Only for files
            that you made yourself: a pickled file can run any code.
        **kwargs: other options of ``mmpretrain.datasets.CIFAR10``.

    Raises:
        ValueError: if an option is out of range, or a file is neither official nor trusted.
        FileNotFoundError: if the files are missing or differ, and could not be downloaded.

    Reference:
        Cao et al., "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss",
        NeurIPS 2019. The kept images and their order are those of the released code.

    Example:
        >>> train = dict(type='CIFAR10LT', data_root='data/cifar10', imbalance_ratio=100)
        >>> test = dict(type='CIFAR10LT', data_root='data/cifar10', split='test', test_mode=True)
    """


@DATASETS.register_module()
class CIFAR100LT(_LongTailCIFAR, CIFAR100):
    """CIFAR-100 with an imbalanced training split; options and reference of :class:`CIFAR10LT`.

    ``data_root`` is the folder that holds ``cifar-100-python``.

    Example:
        >>> train = dict(type='CIFAR100LT', data_root='data/cifar100', imbalance_ratio=50)
    """
