"""CIFAR-LT: which images are kept, which are not touched, and what is said about missing files."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
from mmpretrain.datasets import CIFAR10, CIFAR100
from mmpretrain.registry import DATASETS

from mmlt.datasets import LongTailDataset, LongTailMixin
from mmlt.datasets.cifar_lt import _OFFICIAL, CIFAR10LT, CIFAR100LT, _is_official
from mmlt.functional.imbalance import exponential_class_counts, long_tail_indices
from tests.datasets.logs import mmengine_log
from tests.datasets.tiny_trees import make_cifar10, make_cifar100, without_md5
from tests.references.imbalance import reference_exponential_counts, reference_indices


@pytest.fixture(autouse=True)
def _any_md5() -> Iterator[None]:
    with without_md5():
        yield


@pytest.fixture(scope='module')
def cifar10(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_cifar10(tmp_path_factory.mktemp('cifar10'), per_class=20)


@pytest.mark.parametrize('seed', [0, 10])
def test_kept_images_and_their_order_follow_the_protocol(cifar10: str, seed: int) -> None:
    whole = CIFAR10(cifar10)
    kept = CIFAR10LT(cifar10, imbalance_ratio=10, seed=seed)
    counts = reference_exponential_counts(20, 10, 10)
    expected = reference_indices(whole.get_gt_labels().tolist(), counts, seed)
    assert kept.class_counts == counts
    assert len(kept) == sum(counts)
    for i, position in enumerate(expected):
        np.testing.assert_array_equal(kept[i]['img'], whole[position]['img'])
    np.testing.assert_array_equal(kept.get_gt_labels(), whole.get_gt_labels()[expected])


def test_test_split_is_balanced_as_it_is(cifar10: str) -> None:
    test = CIFAR10LT(cifar10, split='test', imbalance_ratio=10, test_mode=True)
    plain = CIFAR10(cifar10, split='test', test_mode=True)
    assert test.class_counts == [2] * 10
    np.testing.assert_array_equal(test.get_gt_labels(), plain.get_gt_labels())


def test_without_a_ratio_all_images_stay_in_order(cifar10: str) -> None:
    whole = CIFAR10LT(cifar10, imbalance_ratio=None)
    np.testing.assert_array_equal(whole.get_gt_labels(), CIFAR10(cifar10).get_gt_labels())


def test_cifar100_step(tmp_path: Path) -> None:
    root = make_cifar100(tmp_path, per_class=4)
    config = dict(type='CIFAR100LT', data_root=root, imbalance_type='step', imbalance_ratio=2)
    train = DATASETS.build(config)
    assert isinstance(train, CIFAR100LT) and isinstance(train, CIFAR100)
    assert train.class_counts == [4] * 50 + [2] * 50
    assert len(train.CLASSES) == 100


def test_default_ratio_is_100_and_empty_classes_are_logged(
    cifar10: str, caplog: pytest.LogCaptureFixture
) -> None:
    with mmengine_log(caplog):
        train = CIFAR10LT(cifar10)
    assert train.class_counts == reference_exponential_counts(20, 10, 100)
    assert 'of 10 classes have no images' in caplog.text
    assert '9 (truck)' in caplog.text


@pytest.mark.parametrize('serialize_data', [True, False])
def test_counts_follow_indices_and_subsets(cifar10: str, serialize_data: bool) -> None:
    train = CIFAR10LT(
        cifar10, imbalance_ratio=10, indices=25, serialize_data=serialize_data, lazy_init=True
    )
    assert train.class_counts is None
    assert train.get_cat_ids(24) == [1]  # initialises
    assert train.class_counts == [20, 5] + [0] * 8
    first, last = train.get_subset(3), train.get_subset([-1, 0, 24])
    assert first.class_counts == [3] + [0] * 9
    assert last.class_counts == [1, 2] + [0] * 8
    assert last.get_gt_labels().tolist() == [1, 0, 1]
    assert [last[i]['gt_label'] for i in range(3)] == [1, 0, 1]
    train.get_subset_([0])
    assert train.class_counts == [1] + [0] * 9
    assert len(train.get_gt_labels()) == len(train) == 1


def test_labels_are_those_of_the_images(cifar10: str) -> None:
    train = CIFAR10LT(cifar10, imbalance_ratio=10)
    assert train.get_gt_labels().tolist() == [train[i]['gt_label'] for i in range(len(train))]
    assert [train.get_cat_ids(i)[0] for i in range(3)] == [0, 0, 0]
    train.get_gt_labels()[:] = 7
    assert train.get_cat_ids(0) == [0], 'callers get a copy'
    assert all(type(count) is int for count in train.class_counts)
    assert pickle.loads(pickle.dumps(train)).metainfo == train.metainfo


def test_missing_files_without_download(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r'expected .*, got no data_batch_1.*unpack https'):
        CIFAR10LT(str(tmp_path), download=False)


def test_failed_download_says_where_files_belong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*args: object, **kwargs: object) -> None:
        raise URLError('no network')

    monkeypatch.setattr('mmlt.datasets.cifar_lt.download_and_extract_archive', unreachable)
    with pytest.raises(FileNotFoundError, match=r'got no train, test.*no network.*data_root'):
        CIFAR100LT(str(tmp_path))


def test_wrong_md5_is_said(cifar10: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CIFAR10LT, 'test_list', [['test_batch', '0' * 32]])
    with pytest.raises(FileNotFoundError, match='md5'):
        CIFAR10LT(cifar10, download=False)


def test_bad_options(cifar10: str) -> None:
    with pytest.raises(ValueError, match="split: expected 'train' or 'test', got 'val'"):
        CIFAR10LT(cifar10, split='val')
    with pytest.raises(
        ValueError, match='data_root: expected the folder that holds cifar-10-batches-py'
    ):
        CIFAR10LT()
    with pytest.raises(ValueError, match='imbalance_ratio: expected'):
        CIFAR10LT(cifar10, imbalance_ratio=0.01)
    with pytest.raises(ValueError, match="imbalance_type: expected 'exp' or 'step', got 'linear'"):
        CIFAR10LT(cifar10, imbalance_type='linear')


def test_real_labels_at_ratio_100(shared_dir: Path) -> None:
    labels, protocol = _real_labels(shared_dir)
    counts = exponential_class_counts(5000, 10, 100)
    assert counts == [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
    np.testing.assert_array_equal(long_tail_indices(labels, counts), protocol(counts))


@pytest.mark.slow
def test_real_cifar10_at_ratio_100(shared_dir: Path, tmp_path: Path) -> None:
    _, protocol = _real_labels(shared_dir)
    script = shared_dir / 'data' / 'read_packed.py'
    subprocess.run(
        [sys.executable, str(script), 'cifar10', str(tmp_path)], check=True, capture_output=True
    )
    train, whole = CIFAR10LT(str(tmp_path)), CIFAR10(str(tmp_path))
    expected = protocol(train.class_counts)
    assert len(train) == len(expected) == 12_406
    for i in range(0, len(train), 97):
        np.testing.assert_array_equal(train[i]['img'], whole[int(expected[i])]['img'])


def _real_labels(shared_dir: Path) -> tuple[np.ndarray, Callable[[list[int]], np.ndarray]]:
    """CIFAR-10's training labels, and the kept indices of smaller subsets.

    The pack lists the ratio-10 subset in the protocol's order: smaller subsets lead each class.
    """
    folder = shared_dir / 'data' / 'cifar10'
    if not folder.is_dir():
        pytest.skip(f'{folder} is absent')
    labels = np.full(50_000, -1)
    for name in ('train_rest', 'train_lt10'):
        with np.load(folder / f'{name}.npz') as pack:
            classes, official = pack['labels'].astype(np.int64), pack['index'].astype(np.int64)
        labels[official] = classes

    def protocol(counts: list[int]) -> np.ndarray:
        return np.concatenate([official[classes == k][:n] for k, n in enumerate(counts)])

    return labels, protocol


class _Marker:
    """Unpickled, it leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


@pytest.mark.parametrize('split', ['train', 'test'])
def test_files_that_are_not_the_official_ones_are_not_unpickled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, split: str
) -> None:
    """The subclass has no md5 sums, as people write it to load data of their own."""
    monkeypatch.undo()
    monkeypatch.setattr('mmlt.datasets.cifar_lt._is_official', _is_official)
    root, marker = make_cifar10(tmp_path / 'data', per_class=2), tmp_path / 'marker'
    name = 'data_batch_3' if split == 'train' else 'test_batch'
    file = Path(root, 'cifar-10-batches-py', name)
    content = file.read_bytes()
    file.write_bytes(pickle.dumps(_Marker(marker)))
    options = dict(split=split, imbalance_ratio=None, download=False)
    with pytest.raises(
        ValueError, match=rf'{name}|data_batch_1: expected the official file.*trust'
    ):
        CIFAR10LT(root, **options)
    assert not marker.exists()
    with pytest.raises(TypeError):  # trusted, it is run, and then is no data
        CIFAR10LT(root, trust=True, **options)
    assert marker.exists()
    file.write_bytes(content)
    assert len(CIFAR10LT(root, trust=True, **options)) == 20


@pytest.mark.parametrize('dataset', [CIFAR10LT, CIFAR100LT])
def test_trusted_files_of_ones_own_need_no_md5_sums(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dataset: type
) -> None:
    make, name = (make_cifar10, 'test_batch') if dataset is CIFAR10LT else (make_cifar100, 'test')
    root = make(tmp_path, per_class=2)
    monkeypatch.setattr(dataset, 'train_list', [(n, 'f' * 32) for n, _ in dataset.train_list])
    options = dict(imbalance_ratio=None, download=False)
    with pytest.raises(FileNotFoundError, match=r'another md5 sum \(trust=True'):
        dataset(root, **options)
    assert len(dataset(root, trust=True, **options)) == 2 * len(dataset.METAINFO['classes'])
    Path(root, dataset.base_folder, name).unlink()
    with pytest.raises(FileNotFoundError, match=f'got no {name}'):
        dataset(root, trust=True, **options)


def test_the_meta_file_is_not_unpickled_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_cifar10(tmp_path, per_class=2)
    monkeypatch.setattr(
        'mmlt.datasets.cifar_lt._is_official', lambda file: not file.endswith('meta')
    )
    with pytest.raises(ValueError, match=r'batches\.meta: expected the official file'):
        CIFAR10LT(root)


def test_official_sums_are_those_of_mmpretrain() -> None:
    assert len(_OFFICIAL) == 5 + 1 + 1 + 1 + 1 + 1 and all(len(md5) == 32 for md5 in _OFFICIAL)


def test_pickled_annotations_are_not_unpickled(tmp_path: Path) -> None:
    marker, file = tmp_path / 'marker', tmp_path / 'annotations.pkl'
    file.write_bytes(pickle.dumps(_Marker(marker)))
    data = dict(type='BaseDataset', ann_file=str(file))
    for build in (
        lambda: LongTailMixin(ann_file=str(file)),
        lambda: LongTailDataset(data),
        lambda: LongTailDataset(dict(type='RepeatDataset', times=2, dataset=data)),
    ):
        with pytest.raises(ValueError, match=r'ann_file: .* not pickled, got .*trust=True'):
            build()
    assert not marker.exists()
    with pytest.raises(TypeError):
        LongTailDataset(data, trust=True)
    assert marker.exists()
