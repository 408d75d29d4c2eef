"""Tiny on-disk copies of the layout of every data set, for tests of data sets and configs.

Each function writes below a root, takes well under two seconds, and returns the root as a string,
ready to be a ``data_root``. CIFAR's check of official md5 sums has to be off: ``without_md5``.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from mmpretrain.datasets import CIFAR10, CIFAR100

from mmlt.datasets import cifar_lt
from mmlt.datasets.cifar_lt import CIFAR10LT, CIFAR100LT


@contextmanager
def without_md5() -> Iterator[None]:
    """The CIFAR data sets, MMPretrain's and ours, take any files of the official layout."""
    saved = [(cls, dict(cls.__dict__)) for cls in (CIFAR10, CIFAR100, CIFAR10LT, CIFAR100LT)]
    for cls, _ in saved:
        cls.train_list = [[name, None] for name, _ in cls.train_list]
        cls.test_list = [[name, None] for name, _ in cls.test_list]
        cls.meta = {**cls.meta, 'md5': None}
    is_official = cifar_lt._is_official
    cifar_lt._is_official = lambda file: True
    try:
        yield
    finally:
        cifar_lt._is_official = is_official
        for cls, attributes in saved:
            for name in ('train_list', 'test_list', 'meta'):
                if name in attributes:
                    setattr(cls, name, attributes[name])
                else:
                    delattr(cls, name)


def make_cifar10(root: str | Path, per_class: int = 6, test_per_class: int = 2) -> str:
    """``cifar-10-batches-py`` with five training batches; labels alternate.

    A ratio of 100 needs ``per_class >= 100``, or the last classes are empty.
    """
    folder = _folder(root, 'cifar-10-batches-py')
    labels = np.arange(10 * per_class) % 10
    for number, part in enumerate(np.array_split(labels, 5), start=1):
        _write_cifar(folder / f'data_batch_{number}', part, 'labels', seed=number)
    _write_cifar(folder / 'test_batch', np.arange(10 * test_per_class) % 10, 'labels', seed=0)
    names = CIFAR10.METAINFO['classes']
    (folder / 'batches.meta').write_bytes(pickle.dumps({'label_names': list(names)}))
    return str(root)


def make_cifar100(root: str | Path, per_class: int = 2, test_per_class: int = 1) -> str:
    """``cifar-100-python``; a ratio of 100 needs ``per_class >= 100``."""
    folder = _folder(root, 'cifar-100-python')
    for name, size in (('train', per_class), ('test', test_per_class)):
        labels = np.arange(100 * size) % 100
        _write_cifar(folder / name, labels, 'fine_labels', seed=len(name))
    names = CIFAR100.METAINFO['classes']
    (folder / 'meta').write_bytes(pickle.dumps({'fine_label_names': list(names)}))
    return str(root)


def make_imagenet_lt(
    root: str | Path, classes: int = 1000, max_count: int = 3, per_class: int = 1
) -> str:
    """Lists and JPEGs of ImageNet-LT: ``max_count`` training images of the first class, 1 of most.

    ``val`` and ``test`` have ``per_class`` images of each class.
    """
    names = [f'n{k:08d}' for k in range(classes)]
    train = [
        f'train/{names[k]}/{names[k]}_{i}.JPEG {k}'
        for k, count in enumerate(_counts(classes, max_count))
        for i in range(count)
    ]
    val = _balanced(names, per_class, 'train/{name}/{name}_9{i}.JPEG')
    test = _balanced(names, per_class, 'val/{name}/ILSVRC2012_val_{k:08d}{i}.JPEG')
    return _write_lists(root, 'ImageNet_LT', train=train, val=val, test=test)


def make_places_lt(
    root: str | Path, classes: int = 365, max_count: int = 3, per_class: int = 1
) -> str:
    """Lists and JPEGs of Places-LT, as ``make_imagenet_lt``."""
    names = [f'place_{k:03d}' for k in range(classes)]
    train = [
        f'train/{names[k]}/{i:08d}.jpg {k}'
        for k, count in enumerate(_counts(classes, max_count))
        for i in range(count)
    ]
    val = _balanced(names, per_class, 'train/{name}/9{i:07d}.jpg')
    test = _balanced(names, per_class, 'val/{name}/Places365_val_{k:08d}{i}.jpg')
    return _write_lists(root, 'Places_LT', train=train, val=val, test=test)


def make_inat2018(
    root: str | Path, classes: int = 8142, max_count: int = 2, val_classes: int = 100
) -> str:
    """Lists and JPEGs of iNaturalist 2018; the validation list has its first classes only."""
    train = [
        f'train_val2018/Aves/{k}/{i:032x}.jpg {k}'
        for k, count in enumerate(_counts(classes, max_count))
        for i in range(count)
    ]
    val = [f'train_val2018/Aves/{k}/{9:032x}.jpg {k}' for k in range(min(val_classes, classes))]
    return _write_lists(root, 'iNaturalist18', train=train, val=val)


def make_image_folder(root: str | Path, counts: Sequence[int], suffix: str = '.jpg') -> str:
    """``class_0/0.jpg`` and so on, with ``counts[k]`` images of class ``k``."""
    for k, count in enumerate(counts):
        folder = _folder(root, f'class_{k}')
        for i in range(count):
            (folder / f'{i}{suffix}').write_bytes(_jpeg(k))
    return str(root)


def _counts(classes: int, max_count: int) -> list[int]:
    """One image of every class, and more of the first five in a hundred."""
    return [max_count if k <= classes // 20 else 1 for k in range(classes)]


def _balanced(names: Sequence[str], per_class: int, pattern: str) -> list[str]:
    return [
        f'{pattern.format(name=name, k=k, i=i)} {k}'
        for k, name in enumerate(names)
        for i in range(per_class)
    ]


def _write_lists(root: str | Path, prefix: str, **splits: list[str]) -> str:
    root = _folder(root)
    for split, lines in splits.items():
        (root / f'{prefix}_{split}.txt').write_text('\n'.join(lines) + '\n')
        for line in lines:
            path, label = line.rsplit(' ', 1)
            file = root / path
            try:
                file.write_bytes(_jpeg(int(label)))
            except FileNotFoundError:
                file.parent.mkdir(parents=True)
                file.write_bytes(_jpeg(int(label)))
    return str(root)


def _write_cifar(file: Path, labels: np.ndarray, key: str, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(256, size=(len(labels), 3072), dtype=np.uint8)
    file.write_bytes(pickle.dumps({'data': pixels, key: labels.tolist()}, protocol=2))


def _folder(root: str | Path, *parts: str) -> Path:
    folder = Path(root, *parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


_JPEGS: list[bytes] = []


def _jpeg(label: int, size: int = 32) -> bytes:
    """One of eight small JPEGs."""
    if not _JPEGS:
        import io

        from PIL import Image

        for seed in range(8):
            pixels = np.random.default_rng(seed).integers(256, size=(size, size, 3), dtype=np.uint8)
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, 'JPEG')
            _JPEGS.append(buffer.getvalue())
    return _JPEGS[label % len(_JPEGS)]
