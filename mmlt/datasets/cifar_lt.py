"""CIFAR-10-LT and CIFAR-100-LT out of the official CIFAR files."""

from __future__ import annotations

import logging
import os.path as osp
from typing import Any

from mmengine.dist import is_main_process
from mmengine.fileio import exists
from mmengine.logging import print_log
from mmpretrain.datasets import CIFAR10, CIFAR100
from mmpretrain.registry import DATASETS

from .long_tail import LongTailMixin

__all__ = ['CIFAR10LT', 'CIFAR100LT']


class _LongTailCIFAR(LongTailMixin):
    """Imbalance on the training split only, and plain words about missing files."""

    def __init__(
        self,
        data_root: str = '',
        split: str = 'train',
        imbalance_ratio: float | None = 100,
        **kwargs: Any,
    ) -> None:
        if split not in ('train', 'test'):
            raise ValueError(f"split must be 'train' or 'test', got {split!r}")
        if not data_root and not kwargs.get('data_prefix'):
            raise ValueError(f'data_root must name the folder that holds {self.base_folder}')
        super().__init__(
            data_root=data_root,
            split=split,
            imbalance_ratio=imbalance_ratio if split == 'train' else None,
            **kwargs,
        )

    def load_data_list(self) -> list[dict]:
        """Read the official files, after a download if they are missing and it is allowed."""
        root = self.data_prefix['root']
        if is_main_process() and not self._check_integrity():
            state = f'{osp.join(root, self.base_folder)}: {self._faulty_files()}'
            advice = f'unpack {self.url} in {root or "the current folder"}'
            if not self.download:
                raise FileNotFoundError(f'{state}. Set data_root, download=True, or {advice}')
            print_log(f'{state}; downloading {self.url}', logger='current', level=logging.WARNING)
            try:
                return super().load_data_list()
            except (OSError, RuntimeError) as error:
                raise FileNotFoundError(
                    f'{state}, and the download failed ({error}). Set data_root, or {advice}'
                ) from error
        return super().load_data_list()

    def _faulty_files(self) -> str:
        names = [name for name, _ in self.train_list + self.test_list]
        folder = osp.join(self.data_prefix['root'], self.base_folder)
        missing = [name for name in names if not exists(osp.join(folder, name))]
        if missing:
            return f'missing {", ".join(missing)}'
        return 'a file differs from the official one (md5)'


@DATASETS.register_module()
class CIFAR10LT(_LongTailCIFAR, CIFAR10):
    """CIFAR-10 with an imbalanced training split; the test split is the balanced one.

    Args:
        data_root: folder that holds ``cifar-10-batches-py``.
        split: ``'train'`` or ``'test'``.
        imbalance_ratio: largest over smallest class, 10, 50, 100 and 200 in the literature;
            ``None`` keeps all images. Without effect on the test split.
        imbalance_type: ``'exp'`` or ``'step'``.
        seed: which images are kept: 0 in LDAM-DRW and BCL, 10 in the ConCutMix code.
        download: download the files if they are missing (the host's default).
        **kwargs: other options of ``mmpretrain.datasets.CIFAR10``.

    Raises:
        ValueError: if an option is out of range.
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
    """CIFAR-100 with an imbalanced training split; the test split is the balanced one.

    Args:
        data_root: folder that holds ``cifar-100-python``.
        split: ``'train'`` or ``'test'``.
        imbalance_ratio: largest over smallest class, 10, 50, 100 and 200 in the literature;
            ``None`` keeps all images. Without effect on the test split.
        imbalance_type: ``'exp'`` or ``'step'``.
        seed: which images are kept: 0 in LDAM-DRW and BCL, 10 in the ConCutMix code.
        download: download the files if they are missing (the host's default).
        **kwargs: other options of ``mmpretrain.datasets.CIFAR100``.

    Raises:
        ValueError: if an option is out of range.
        FileNotFoundError: if the files are missing or differ, and could not be downloaded.

    Reference:
        Cao et al., NeurIPS 2019. The kept images and their order are those of the released code.

    Example:
        >>> train = dict(type='CIFAR100LT', data_root='data/cifar100', imbalance_ratio=50)
    """
