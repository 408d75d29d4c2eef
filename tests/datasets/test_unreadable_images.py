"""Images that cannot be read: an error with file and line, or another image of the same class."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from mmcv.transforms import BaseTransform
from mmengine.dataset import ConcatDataset, RepeatDataset, default_collate, pseudo_collate
from mmpretrain.datasets import CustomDataset
from mmpretrain.registry import TRANSFORMS
from torch.utils.data import DataLoader, Subset

from mmlt.datasets import LongTailDataset, LongTailListDataset, PairedDataset
from mmlt.datasets.long_tail import skips
from mmlt.datasets.reading import UnreadableImageError, skipped_in
from tests.datasets.tiny_trees import make_image_folder

COUNTS = [6, 3, 2]
READ = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
# Line 2, line 8 and line 9 of the list; class 1 has one image left.
BROKEN = {1: 'class_0/1.jpg', 7: 'class_1/1.jpg', 8: 'class_1/2.jpg'}


@TRANSFORMS.register_module(name='TestReadByCV2')
class ReadByCV2(BaseTransform):
    """As people write it: cv2 returns None for what it cannot read."""

    def transform(self, results):
        import cv2

        results['img'] = cv2.imread(results['img_path'])
        return results


@TRANSFORMS.register_module(name='TestReadByPillow')
class ReadByPillow(BaseTransform):
    def transform(self, results):
        from PIL import Image

        with Image.open(results['img_path']) as image:
            results['img'] = np.asarray(image.convert('RGB'))
        return results


DECODERS = {
    'mmcv, cv2': [dict(type='LoadImageFromFile')],
    'mmcv, pillow': [dict(type='LoadImageFromFile', imdecode_backend='pillow')],
    'mmcv, ignore_empty': [dict(type='LoadImageFromFile', ignore_empty=True)],
    'cv2': [dict(type='TestReadByCV2')],
    'pillow': [dict(type='TestReadByPillow')],
}


@pytest.fixture(scope='module')
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('images')
    make_image_folder(root, COUNTS)
    for name, content in zip(BROKEN.values(), (b'', b'no image', b'\xff\xd8\xff'), strict=True):
        (root / name).write_bytes(content)
    lines = [f'class_{k}/{i}.jpg {k}' for k, n in enumerate(COUNTS) for i in range(n)]
    (root / 'list.txt').write_text('\n'.join(lines))
    return root


def listed(images: Path, pipeline=READ, **options) -> LongTailListDataset:
    options.setdefault('serialize_data', False)  # which ends in a slow garbage collection
    return LongTailListDataset(str(images), 'list.txt', '', pipeline=pipeline, **options)


@pytest.mark.parametrize('decoder', DECODERS)
@pytest.mark.parametrize('index', BROKEN)
def test_the_error_names_file_line_and_class(images: Path, decoder: str, index: int) -> None:
    k = int(BROKEN[index][6])
    message = (
        f'list.txt, line {index + 1}: expected an image that can be read, got '
        f'{images}/{BROKEN[index]}, class {k} (class_{k}) ('
    )
    data = listed(images, DECODERS[decoder])
    with pytest.raises(UnreadableImageError, match=re.escape(message)) as caught:
        data[index]
    assert '\n' not in str(caught.value)


def test_the_line_is_that_of_the_list_after_imbalance_and_indices(images: Path) -> None:
    data = listed(images, imbalance_ratio=3, indices=[7, 0])
    line = data.get_data_info(0)['line']
    assert data.get_data_info(0)['img_path'].endswith(
        (images / 'list.txt').read_text().splitlines()[line - 1].split()[0]
    )


def test_wrapped_data_sets_of_mmpretrain_are_named_by_file_and_line(images: Path) -> None:
    plain = CustomDataset(str(images), ann_file='list.txt', classes=['a', 'b', 'c'], pipeline=READ)
    for data, index in (
        (LongTailDataset(plain), 7),
        (PairedDataset(plain), (7, None)),
        (PairedDataset(plain), (0, 7)),
        (PairedDataset(RepeatDataset(plain, 2)), 11 + 7),
        (PairedDataset(ConcatDataset([plain, LongTailDataset(plain)])), -4),
        (PairedDataset(Subset(plain, [0, 7])), 1),
    ):
        with pytest.raises(UnreadableImageError, match=r'list\.txt, line 8: .* class 1 \(b\)'):
            data[index]


def test_nothing_is_put_in_the_place_of_what_ignore_empty_gives_up(images: Path) -> None:
    """MMEngine draws any other image there."""
    options = dict(pipeline=[dict(type='LoadImageFromFile', ignore_empty=True), READ[1]])
    plain = CustomDataset(str(images), ann_file='list.txt', classes=['a', 'b', 'c'], **options)
    for _ in range(3):
        for data in (LongTailDataset(ConcatDataset([plain, plain])), PairedDataset(plain)):
            with pytest.raises(UnreadableImageError, match='the pipeline gave no image'):
                data[1]


def test_an_error_is_said_once_through_a_wrapper_of_ones_own(images: Path) -> None:
    class Wrapper:
        def __init__(self, dataset):
            self.dataset, self.get_cat_ids = dataset, dataset.get_cat_ids

        def __len__(self):
            return len(self.dataset)

        def __getitem__(self, index):
            return self.dataset[index]

    with pytest.raises(UnreadableImageError, match=r'^\S*list\.txt, line 8: [^:]*: [^:]*$'):
        LongTailDataset(Wrapper(listed(images, DECODERS['pillow'])))[7]
    assert skips(Wrapper(listed(images, on_error='skip')))


def test_a_skipped_image_is_replaced_by_one_of_its_class_and_named(images: Path) -> None:
    data = listed(images, on_error='skip')
    plain = CustomDataset(str(images), ann_file='list.txt', classes=['a', 'b', 'c'], pipeline=READ)
    for around in (data, LongTailDataset(data), LongTailDataset(plain, on_error='skip')):
        for index in range(len(data)):
            sample = around[index]['data_samples']
            label = int(data.get_gt_labels()[index])
            assert int(sample.gt_label) == label and sample.img_path.split('class_')[1][0] == str(
                label
            )
            skipped = list(skipped_in(sample))
            assert bool(skipped) == (index in BROKEN)
            if skipped:
                assert f'list.txt, line {index + 1}: ' in skipped[0]
                assert sample.sample_idx not in BROKEN


def test_replacements_follow_from_seed_epoch_and_index(images: Path) -> None:
    data = listed(images, on_error='skip', pipeline=[*DECODERS['pillow'], READ[1]])

    def replaced(seed, epoch):
        data.begin_epoch(seed, epoch)
        return data[1]['data_samples'].sample_idx

    assert replaced(0, 3) == replaced(0, 3)
    assert len({replaced(0, epoch) for epoch in range(20)}) == 5, 'every whole image takes its turn'
    assert len({replaced(seed, 0) for seed in range(20)}) == 5


def test_partner_and_anchor_keep_their_classes(images: Path) -> None:
    data = PairedDataset(RepeatDataset(listed(images, on_error='skip'), 2))
    for anchor, partner in ((1, 7), (7, 1), (0, 8), (9, 11 + 7)):
        pair = data[anchor, partner]
        expected = data.get_gt_labels()[[anchor, partner]].tolist()
        got = [int(one['data_samples'].gt_label) for one in (pair, pair['partner'])]
        assert got == expected
        assert len(set(skipped_in(pair))) >= (anchor % 11 in BROKEN) + (partner % 11 in BROKEN)


@pytest.mark.parametrize('collate', [default_collate, pseudo_collate])
@pytest.mark.parametrize('num_workers', [0, 2])
def test_workers_hand_the_names_over_in_the_batch(
    images: Path, num_workers: int, collate: object
) -> None:
    data = listed(images, on_error='skip')
    loader = DataLoader(data, batch_size=4, num_workers=num_workers, collate_fn=collate)
    skipped = Counter(name for batch in loader for name in skipped_in(batch))
    assert {re.search(r'line (\d+)', name)[1] for name in skipped} == {'2', '8', '9'}


def test_a_class_of_which_no_image_can_be_read_is_an_error(images: Path) -> None:
    data = listed(images, on_error='skip', indices=[0, 7, 8])
    assert data[0]
    with pytest.raises(UnreadableImageError, match=r'class 1: .* none of 2 .*list\.txt, line 8'):
        data[1]


def test_an_index_beyond_the_end_is_no_broken_image(images: Path) -> None:
    data = listed(images, on_error='skip')
    with pytest.raises(IndexError):
        data[11]
    assert int(data[-1]['data_samples'].gt_label) == 2
    assert len(list(data)) == 11


def test_the_policy_is_one_of_two(images: Path) -> None:
    with pytest.raises(ValueError, match="on_error: expected 'raise' or 'skip', got 'ignore'"):
        listed(images, on_error='ignore')
    inner = listed(images, on_error='skip')
    assert LongTailDataset(inner).on_error == 'skip'
    assert LongTailDataset(inner, on_error='raise').on_error == 'raise'
    assert skips(PairedDataset(ConcatDataset([LongTailDataset(inner), inner])))
    assert not skips(CustomDataset(str(images), ann_file='list.txt', classes=['a', 'b', 'c']))
