"""Data sets given by lists: parsing, speed, class names, and every way a list can be wrong."""

from __future__ import annotations

import gzip
import json
import re
import time
from pathlib import Path

import numpy as np
import pytest
from mmpretrain.registry import DATASETS

from mmlt.datasets.benchmarks import ImageNetLT, INaturalist2018, PlacesLT
from mmlt.datasets.lists import LongTailListDataset, parse_image_list
from tests.datasets.logs import mmengine_log
from tests.datasets.tiny_trees import (
    make_image_folder,
    make_imagenet_lt,
    make_inat2018,
    make_places_lt,
)


@pytest.fixture(scope='module')
def birds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four, two and one image of three classes, and a list of them."""
    root = tmp_path_factory.mktemp('birds')
    make_image_folder(root / 'images', [4, 2, 1])
    lines = [f'class_{k}/{i}.jpg {k}' for k, n in enumerate([4, 2, 1]) for i in range(n)]
    (root / 'train.txt').write_text('\n'.join(lines) + '\n')
    return root


def _birds(root: Path, **options: object) -> LongTailListDataset:
    # Serialising ends in a full garbage collection, which costs a tenth of a second a time.
    defaults = dict(
        data_root=str(root), ann_file='train.txt', data_prefix='images', serialize_data=False
    )
    return LongTailListDataset(**{**defaults, **options})


def test_own_list(birds: Path) -> None:
    train = _birds(birds, pipeline=[dict(type='LoadImageFromFile')])
    assert train.metainfo == {'classes': ('class_0', 'class_1', 'class_2')}
    assert train.class_counts == [4, 2, 1]
    assert train[6]['img'].shape == (32, 32, 3)
    assert train[6]['img_path'] == str(birds / 'images' / 'class_2' / '0.jpg')
    assert train.get_gt_labels().tolist() == [0, 0, 0, 0, 1, 1, 2]
    assert train.get_cat_ids(5) == [1]


def test_conventions_of_mmpretrain(birds: Path) -> None:
    config = dict(
        type='LongTailListDataset',
        data_root='/nowhere',
        ann_file=str(birds / 'train.txt'),
        data_prefix=dict(img_path=str(birds / 'images')),
        classes=['jay', 'owl', 'tit'],
        indices=5,
        lazy_init=True,
        test_mode=True,
        metainfo=dict(task='birds'),
    )
    train = DATASETS.build(config)
    assert train.CLASSES == ('jay', 'owl', 'tit') and train.class_to_idx['owl'] == 1
    assert not train._fully_initialized
    assert len(train) == 5
    assert train.class_counts == [4, 1, 0]
    assert train.metainfo['task'] == 'birds'


def test_imbalance_on_a_list(birds: Path) -> None:
    train = _birds(birds, imbalance_ratio=4, imbalance_type='exp')
    assert train.class_counts == [4, 2, 1]
    assert _birds(birds, imbalance_ratio=1).class_counts == [4, 2, 1]
    assert _birds(birds, imbalance_ratio=1, max_count=1).class_counts == [1, 1, 1]


def test_a_class_below_the_profile_is_logged(birds: Path, caplog: pytest.LogCaptureFixture) -> None:
    with mmengine_log(caplog):
        _birds(birds, imbalance_ratio=1)
    assert '2 of 3 classes have fewer images' in caplog.text
    assert 'class 1: 2 instead of 4' in caplog.text


def test_empty_classes_are_allowed_and_logged(
    birds: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with mmengine_log(caplog):
        train = _birds(birds, num_classes=5)
    assert train.class_counts == [4, 2, 1, 0, 0]
    assert train.CLASSES == ('class_0', 'class_1', 'class_2', '3', '4')
    assert '2 of 5 classes have no images: 3 (3), 4 (4)' in caplog.text


def test_names_are_numbers_where_folders_do_not_tell(birds: Path, tmp_path: Path) -> None:
    (tmp_path / 'mixed.txt').write_text('class_0/0.jpg 0\nclass_0/1.jpg 1\n')
    train = _birds(birds, ann_file=str(tmp_path / 'mixed.txt'))
    assert train.CLASSES == ('0', '1')


def test_a_list_that_lacks_one_of_its_classes_is_an_error(birds: Path, tmp_path: Path) -> None:
    """Its labels are those of a list of two classes."""
    (tmp_path / 'val.txt').write_text('class_0/0.jpg 0\nclass_2/0.jpg 1\n')
    names = ['class_0', 'class_1', 'class_2']
    message = "val.txt: expected class 'class_2' at index 2, as in its classes, got it at 1"
    with pytest.raises(ValueError, match=re.escape(message)):
        _birds(birds, ann_file=str(tmp_path / 'val.txt'), classes=names)
    assert tuple(names) == _birds(birds, classes=names).CLASSES
    assert _birds(birds, classes=['jay', 'owl', 'tit']).CLASSES == ('jay', 'owl', 'tit')


def test_paths_with_blanks_tabs_and_windows_line_ends() -> None:
    paths, labels = parse_image_list('a cat.jpg 0\r\nb.jpg\t12  \r\n\r\n', 'list')
    assert paths == ['a cat.jpg', 'b.jpg']
    assert labels.tolist() == [0, 12]


@pytest.mark.parametrize(
    'line',
    [
        'a.jpg',
        'my dog.jpg',
        '3',
        '',
        'a.jpg 3',
        'a.jpg 99999999999999999999',
        'a.jpg -1',
        'a.jpg 1.0',
        'a.jpg cat',
        '1 a.jpg',
        'a.jpg,1',
    ],
)
def test_faulty_line_is_named(birds: Path, tmp_path: Path, line: str) -> None:
    ann_file = tmp_path / 'bad.txt'
    ann_file.write_text(f'class_0/0.jpg 0\nclass_0/1.jpg 0\n{line}\nclass_1/0.jpg 1\n')
    message = f"bad.txt, line 3: expected 'path label' with a label in [0, 3), got '{line}'"
    with pytest.raises(ValueError, match=re.escape(message)):
        _birds(birds, ann_file=str(ann_file), num_classes=3)


def test_all_faulty_lines_are_named_at_once() -> None:
    lines = ['a.jpg 0'] * 20
    for number in (2, 5, 9):
        lines[number - 1] = 'a.jpg'
    with pytest.raises(ValueError, match=r"line 2: .*'a\.jpg'; also faulty: line 5, 9 \(3 of 20\)"):
        parse_image_list('\n'.join(lines), 'list')


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('{"metainfo": {},\n "data_list": []}', 'looks like JSON: .*BaseDataset'),
        ('[["a.jpg", 0]]', 'looks like JSON'),
        ('s3://bucket/a.jpg 0', 'a URL: its beginning belongs in data_prefix'),
        ('a.jpg, 0\nb.jpg,1', 'by a blank, not by a comma'),
        ('3 a.jpg', 'the path comes before the label'),
        ('a.jpg 1\nb.jpg 2\nc.jpg 5', 'line 3: .*labels count from 0'),
        ('a.jpg 0\rb.jpg 1\r', 'got a bare carriage return'),
        ('a\0.\0j\0p\0g\0 \x000\0', 'got utf-16 or no text'),
        ('a.jpg ' + '9' * 5000, 'line 1: expected'),
    ],
)
def test_the_message_says_what_a_list_is_in_place_of_lines(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        parse_image_list(text, 'list', 5)
    assert '\n' not in str(caught.value)


def test_a_path_may_look_like_json() -> None:
    assert parse_image_list('[a]/b.jpg 0', 'list')[0] == ['[a]/b.jpg']


def test_rows_that_begin_with_a_slash(birds: Path, tmp_path: Path) -> None:
    (tmp_path / 'slash.txt').write_text('/class_0/0.jpg 0\n/class_1/0.jpg 1\n')
    said = r'begins with a slash, .* without the slash there is such an image in .*images'
    with pytest.raises(FileNotFoundError, match=said):
        _birds(birds, ann_file=str(tmp_path / 'slash.txt'))


def _listed(birds: Path, tmp_path: Path, *rows: str, **options: object) -> LongTailListDataset:
    (tmp_path / 'rows.txt').write_text(''.join(f'{row} 0\n' for row in rows))
    return _birds(birds, ann_file=str(tmp_path / 'rows.txt'), check_images=0, **options)


@pytest.mark.parametrize('row', ['../../far.jpg', '/far.jpg', 'a/../../../far.jpg', '../../birds'])
def test_paths_that_leave_the_root(
    birds: Path, tmp_path: Path, row: str, caplog: pytest.LogCaptureFixture
) -> None:
    with mmengine_log(caplog):
        _listed(birds, tmp_path, 'class_0/0.jpg', row, row)
    assert caplog.text.count('inside_root=True refuses') == 1, 'said once'
    assert f'2 of 3 lines lead out of {birds}/images, the first is line 2: {row!r}' in caplog.text
    said = f'rows.txt, line 2: inside_root: expected a path inside .*, got {re.escape(repr(row))}'
    with pytest.raises(ValueError, match=said):
        _listed(birds, tmp_path, 'class_0/0.jpg', row, row, inside_root=True)


@pytest.mark.parametrize('row', ['../shared/a.jpg', 'b/../a.jpg', 'a..b.jpg', '..', '{root}/a.jpg'])
def test_paths_that_stay_inside_the_root(
    birds: Path, tmp_path: Path, row: str, caplog: pytest.LogCaptureFixture
) -> None:
    with mmengine_log(caplog):
        _listed(birds, tmp_path, row.format(root=birds), inside_root=True)
        _listed(birds, tmp_path, row.format(root=birds))
    assert 'lead out' not in caplog.text


def test_the_root_is_the_real_one_where_it_is_a_link(birds: Path, tmp_path: Path) -> None:
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data' / 'images').symlink_to(birds / 'images')
    options = dict(data_root=str(tmp_path / 'data'), data_prefix='images', inside_root=True)
    _listed(birds, tmp_path, 'class_0/0.jpg', f'{birds}/images/class_0/0.jpg', **options)
    with pytest.raises(ValueError, match=r"got '\.\./a\.jpg'"):  # in birds, not in data
        _listed(birds, tmp_path, '../a.jpg', **options)


def test_without_a_root_there_is_no_outside(birds: Path, caplog: pytest.LogCaptureFixture) -> None:
    (birds / 'absolute.txt').write_text(f'{birds}/images/class_0/0.jpg 0\n')
    with mmengine_log(caplog):
        assert len(LongTailListDataset(ann_file=str(birds / 'absolute.txt'))) == 1
    assert 'lead out' not in caplog.text
    with pytest.raises(ValueError, match='inside_root: expected a data_root or data_prefix'):
        LongTailListDataset(ann_file=str(birds / 'absolute.txt'), inside_root=True)


@pytest.mark.parametrize('prefix', [dict(img='images'), dict(), dict(img_path='a', b='c'), 3])
def test_other_forms_of_data_prefix_are_refused(birds: Path, prefix: object) -> None:
    with pytest.raises(ValueError, match='data_prefix: expected a path'):
        _birds(birds, data_prefix=prefix)
    with pytest.raises(ValueError, match='data_prefix: expected a path'):
        _birds(birds, data_prefix=dict(img_path=3))


def test_paths_may_be_objects(birds: Path) -> None:
    train = _birds(birds, data_root=birds, ann_file=Path('train.txt'), data_prefix=Path('images'))
    assert len(train) == 7


def test_indices_that_empty_a_class_are_named(
    birds: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with mmengine_log(caplog):
        _birds(birds, indices=[0, 4], num_classes=5)
    assert '3 of 5 classes have no images: 2 (class_2), 3 (3), 4 (4)' in caplog.text
    assert '1 of them lost all to indices=[0, 4]' in caplog.text


@pytest.mark.parametrize(
    ('indices', 'said'),
    [
        ([], 'to leave some of 7 images, got []'),
        (0, 'to leave some of 7 images, got 0'),
        ([77], 'an integer in [-7, 6], got 77'),
        ('all', "an integer, got 'all'"),
        (1.5, 'an integer, got 1.5'),
    ],
)
def test_wrong_indices(birds: Path, indices: object, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f'indices: expected {said}')):
        _birds(birds, indices=indices)


def test_a_long_faulty_line_is_cut() -> None:
    with pytest.raises(ValueError, match=r"got 'xxx") as caught:
        parse_image_list('x' * 10_000, 'list')
    assert len(str(caught.value)) < 250


def test_slip_in_a_list_without_num_classes_does_not_fill_the_memory() -> None:
    with pytest.raises(ValueError, match=r'list, line 1: .* in \[0, 1000000\), .*20180101'):
        parse_image_list('a.jpg 20180101', 'list')


def test_byte_order_mark_of_windows_is_dropped(birds: Path, tmp_path: Path) -> None:
    (tmp_path / 'marked.txt').write_bytes(b'\xef\xbb\xbfclass_0/0.jpg 0\n')
    assert len(_birds(birds, ann_file=str(tmp_path / 'marked.txt'))) == 1


def test_unreadable_lists(birds: Path, tmp_path: Path) -> None:
    (tmp_path / 'packed.txt').write_bytes(gzip.compress(b'a.jpg 0'))
    (tmp_path / 'empty.txt').write_text('\n')
    with pytest.raises(
        FileNotFoundError, match=r'ann_file: expected a list file, got no .*absent\.txt'
    ):
        _birds(birds, ann_file='absent.txt')
    with pytest.raises(ValueError, match=r'ann_file: expected a list file, got .*images'):
        _birds(birds, ann_file='images')
    with pytest.raises(ValueError, match=r'expected text \(utf-8\), got .*packed\.txt'):
        _birds(birds, ann_file=str(tmp_path / 'packed.txt'))
    with pytest.raises(ValueError, match=r'empty\.txt: .* got an empty file'):
        _birds(birds, ann_file=str(tmp_path / 'empty.txt'))
    with pytest.raises(ValueError, match="ann_file: expected the path of a list file, got ''"):
        LongTailListDataset(data_root=str(birds))


def test_missing_images_are_found_before_training(birds: Path, tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r'data_prefix: .*, got .*photos, which is no folder'
    ):
        _birds(birds, data_prefix='photos')
    (tmp_path / 'far.txt').write_text('class_0/0.jpg 0\nclass_0/99.jpg 0\n')
    far = str(tmp_path / 'far.txt')
    with pytest.raises(FileNotFoundError, match=r'far.txt, line 2: expected the .*99\.jpg'):
        _birds(birds, ann_file=far)
    assert len(_birds(birds, ann_file=far, check_images=0)) == 2


def test_contradicting_numbers_of_classes(birds: Path) -> None:
    with pytest.raises(ValueError, match='num_classes: expected 2, as classes has, got 4'):
        _birds(birds, num_classes=4, classes=['a', 'b'])
    with pytest.raises(ValueError, match=r'num_classes: expected an integer in \[1, '):
        _birds(birds, num_classes=0)


def test_imagenet_lt_tree(tmp_path: Path) -> None:
    root = make_imagenet_lt(tmp_path)
    train, test = ImageNetLT(root), ImageNetLT(root, split='test', test_mode=True)
    assert train.class_counts == [3] * 51 + [1] * 949
    assert test.class_counts == [1] * 1000
    assert train.CLASSES[0] == 'tench, Tinca tinca' and len(test.CLASSES) == 1000
    assert 'ILSVRC2012_val' in test.get_data_info(0)['img_path']
    with pytest.raises(
        ValueError, match="split: expected 'train' or 'val' or 'test', got 'minival'"
    ):
        ImageNetLT(root, split='minival')


def test_places_lt_tree(tmp_path: Path) -> None:
    root = make_places_lt(tmp_path)
    train, val = PlacesLT(root), PlacesLT(root, split='val')
    assert len(train.class_counts) == 365
    assert train.CLASSES == val.CLASSES and train.CLASSES[7] == 'place_007'


def test_inat2018_tree(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = make_inat2018(tmp_path)
    train = INaturalist2018(root)
    with mmengine_log(caplog):
        val = INaturalist2018(root, split='val', test_mode=True)
    assert len(train.class_counts) == 8142 and min(train.class_counts) == 1
    assert val.class_counts == [1] * 100 + [0] * 8042
    assert '8042 of 8142 classes have no images' in caplog.text
    assert len(caplog.text) < 1000, 'not thousands of names'


def test_inaturalist_is_read_in_seconds(tmp_path: Path) -> None:
    labels = np.arange(437_513) % 8142
    lines = [f'train_val2018/Aves/{k}/{i:032x}.jpg {k}' for i, k in enumerate(labels.tolist())]
    (tmp_path / 'iNaturalist18_train.txt').write_text('\n'.join(lines))
    start = time.process_time()
    train = INaturalist2018(str(tmp_path), check_images=0)
    counts, found = train.class_counts, train.get_gt_labels()
    assert time.process_time() - start < 8
    np.testing.assert_array_equal(found, labels)
    assert counts == np.bincount(labels).tolist()
    start = time.process_time()
    assert [train.get_cat_ids(i)[0] for i in range(8142)] == list(range(8142))
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    ('dataset', 'name', 'images'),
    [
        (ImageNetLT, 'ImageNet_LT_val', 20_000),
        (ImageNetLT, 'ImageNet_LT_test', 50_000),
        (PlacesLT, 'Places_LT_train', 62_500),
        (PlacesLT, 'Places_LT_val', 7_300),
        (PlacesLT, 'Places_LT_test', 36_500),
        (INaturalist2018, 'iNaturalist18_val', 24_426),
    ],
)
def test_lists_as_distributed(
    shared_dir: Path, tmp_path: Path, dataset: type, name: str, images: int
) -> None:
    packed = shared_dir / 'data' / 'lists' / f'{name}.txt.gz'
    if not packed.is_file():
        pytest.skip(f'{packed} is absent')
    (tmp_path / f'{name}.txt').write_bytes(gzip.decompress(packed.read_bytes()))
    split = name.rsplit('_', 1)[1]
    listed = dataset(str(tmp_path), split=split, check_images=0)
    counts = listed.class_counts
    assert len(listed) == sum(counts) == images
    assert len(counts) == dataset.NUM_CLASSES == len(listed.CLASSES)
    if split == 'train':
        expected = json.loads((packed.parent / 'class_counts.json').read_text())
        assert counts == expected['Places_LT']
        assert listed.CLASSES[0] == 'airfield'
    else:
        assert len(set(counts)) == 1
