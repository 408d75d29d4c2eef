"""``mmlt check CONFIG`` on tiny trees: what is scanned, the report, the exit status."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmlt.apps.check.duplicates import BITS, nearest
from mmlt.apps.check.files import Scanned, Settings, scan_file
from mmlt.apps.check.sources import read_splits
from mmlt.apps.main import main as mmlt_main
from tests.apps.test_check_files import photograph
from tests.datasets.tiny_trees import make_cifar10, without_md5
from tests.tools.load_tool import REPOSITORY, TOOLS

LOAD = [dict(type='LoadImageFromFile')]


@pytest.fixture(autouse=True)
def own_scope(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default scope of a config ends with its test."""
    monkeypatch.setattr(DefaultScope, '_instance_dict', DefaultScope._instance_dict.copy())


@pytest.fixture
def birds(tmp_path: Path) -> Path:
    """Nine different training images of three classes, three of evaluation, and their lists."""
    for split, seeds in (('train', range(9)), ('test', range(20, 23))):
        rows = []
        for seed in seeds:
            file = tmp_path / 'images' / split / f'class_{seed % 3}' / f'{seed}.jpg'
            file.parent.mkdir(parents=True, exist_ok=True)
            photograph(seed).save(file)
            rows.append(f'{split}/class_{seed % 3}/{seed}.jpg {seed % 3}')
        (tmp_path / f'{split}.txt').write_text('\n'.join(rows) + '\n')
    return tmp_path


def listed(root: Path, split: str, **options: object) -> dict:
    return dict(
        type='LongTailListDataset',
        data_root=str(root),
        ann_file=f'{split}.txt',
        data_prefix='images',
        num_classes=3,
        pipeline=LOAD,
        **options,
    )


def loaders(train: dict, test: dict | None = None) -> dict:
    cfg = dict(default_scope='mmpretrain', train_dataloader=dict(dataset=train))
    if test is not None:
        cfg.update(val_dataloader=dict(dataset=test), test_dataloader=dict(dataset=test))
    return cfg


def check(root: Path, cfg: dict, *options: str) -> int:
    path = root / 'config.py'
    path.write_text('\n'.join(f'{name} = {value!r}' for name, value in cfg.items()))
    return mmlt_main(['check', str(path), '--workers', '2', *options])


def rows_of(root: Path, cfg: dict) -> list[dict]:
    status = check(root, cfg, '--out', str(root / 'found.json'), '--force')
    rows = json.loads((root / 'found.json').read_text())
    assert status == int(any(row['fault'] for row in rows))
    return rows


def kinds(rows: list[dict]) -> list[str]:
    return [row['kind'] for row in rows]


def birds_config(root: Path) -> dict:
    return loaders(listed(root, 'train'), listed(root, 'test'))


def test_healthy_images(birds: Path, capsys: pytest.CaptureFixture) -> None:
    assert check(birds, birds_config(birds)) == 0
    out, err = capsys.readouterr()
    assert 'train: 9 files (LongTailListDataset, decoder: cv2)' in out
    assert 'val/test: 3 files' in out and '12 files scanned' in out
    assert 'Faults: 0' in out and 'Warnings: 0' in out
    assert err == '', 'no bar where there is no terminal'


def test_all_faults_in_one_report(birds: Path, capsys: pytest.CaptureFixture) -> None:
    images = birds / 'images' / 'train'
    (images / 'class_0' / '0.jpg').unlink()
    (images / 'class_1' / '1.jpg').write_bytes(b'')
    os.truncate(images / 'class_2' / '2.jpg', 900)
    (images / 'class_0' / '3.jpg').unlink()
    os.mkfifo(images / 'class_0' / '3.jpg')
    photograph(4).convert('CMYK').save(images / 'class_1' / '4.jpg')
    rows = rows_of(birds, birds_config(birds))
    assert kinds(rows) == ['missing', 'empty', 'truncated', 'not_a_file', 'cmyk']
    assert [row['line'] for row in rows] == [1, 2, 3, 4, 5]
    assert {row['list_file'] for row in rows} == {str(birds / 'train.txt')}
    assert [row['fault'] for row in rows] == [True] * 4 + [False]
    out = capsys.readouterr().out
    assert 'Faults: 4' in out and 'Warnings: 1' in out
    assert f'class_0/0.jpg (train, {birds}/train.txt, line 1)' in out
    assert '\nMissing files: 1 [missing]\n  To do: mend the list' in out


def test_strict_counts_warnings(birds: Path) -> None:
    photograph(4).convert('CMYK').save(birds / 'images' / 'train' / 'class_1' / '4.jpg')
    assert check(birds, birds_config(birds)) == 0
    assert check(birds, birds_config(birds), '--strict') == 1


def test_csv_with_names_as_text_and_a_short_report(
    birds: Path, capsys: pytest.CaptureFixture
) -> None:
    (birds / 'train.txt').write_text(''.join(f'=bad{k}.jpg {k}\n' for k in range(3)))
    cfg = loaders(dict(listed(birds, 'train'), data_root='', data_prefix=''))
    cfg['train_dataloader']['dataset']['ann_file'] = str(birds / 'train.txt')
    assert check(birds, cfg, '--out', str(birds / 'deep' / 'found.csv'), '--show', '1') == 1
    with (birds / 'deep' / 'found.csv').open(newline='') as file:
        cells = [row['file'] for row in csv.DictReader(file)]
    assert cells == ["'=bad0.jpg", "'=bad1.jpg", "'=bad2.jpg"]
    out = capsys.readouterr().out
    assert 'and 2 more' in out and 'bad1.jpg' not in out


def test_names_cannot_move_the_cursor(birds: Path, capsys: pytest.CaptureFixture) -> None:
    (birds / 'train.txt').write_text('a\x1b[2J.jpg 0\n')
    check(birds, loaders(listed(birds, 'train')))
    out = capsys.readouterr().out
    assert '\x1b' not in out and r'a\x1b[2J.jpg' in out


def test_a_hanging_and_a_deadly_file_are_faults(
    birds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scan(path: str, settings: Settings) -> Scanned:
        if path.endswith('3.jpg'):
            time.sleep(60)
        if path.endswith('5.jpg'):
            os._exit(9)
        return scan_file(path, settings)

    monkeypatch.setattr('mmlt.apps.check.command.scan_file', scan)
    out = birds / 'found.json'
    assert check(birds, birds_config(birds), '--timeout', '2', '--out', str(out)) == 1
    rows = json.loads(out.read_text())
    assert {(row['kind'], row['line']) for row in rows} == {('hangs', 4), ('crashes', 6)}
    assert [row['detail'] for row in rows] == ['not read in 2 s', '']


def test_images_that_are_there_twice(birds: Path) -> None:
    images = birds / 'images'
    shutil.copy(images / 'train' / 'class_0' / '0.jpg', images / 'test' / 'class_2' / '20.jpg')
    shutil.copy(images / 'train' / 'class_0' / '3.jpg', images / 'train' / 'class_1' / '4.jpg')
    photograph(1).resize((80, 80)).save(images / 'train' / 'class_2' / '5.jpg', quality=50)
    photograph(2).save(images / 'test' / 'class_0' / '21.png')
    (birds / 'test.txt').write_text(
        'test/class_2/20.jpg 2\ntest/class_0/21.png 0\ntrain/class_2/8.jpg 2\n'
    )
    with (birds / 'train.txt').open('a') as file:
        file.write('train/class_0/6.jpg 1\ntrain/class_1/7.jpg 1\n')
    rows = [row for row in rows_of(birds, birds_config(birds)) if row['kind'] != 'log']
    found = {(row['kind'], Path(row['file']).name, row['line']) for row in rows}
    assert found == {
        ('in_training_and_test', '20.jpg', 1),
        ('in_training_and_test', '8.jpg', 3),
        ('same_other_label', '4.jpg', 5),
        ('alike_other_label', '5.jpg', 6),
        ('alike_in_training_and_test', '21.png', 2),
        ('two_labels', '6.jpg', 7),
        ('listed_twice', '7.jpg', 11),
    }
    details = {row['kind']: row['detail'] for row in rows}
    assert details['two_labels'] == 'labels 0 (train, line 7) and 1 (train, line 10)'
    assert details['same_other_label'].startswith('label 1; 0 in ')
    assert not any(row['fault'] for row in rows)


def test_a_file_is_read_once_and_told_of_once(
    birds: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    reads = tmp_path / 'reads'
    reads.touch()
    opened = os.open

    def count(path: str, flags: int, *rest: int, **options: int) -> int:
        if str(path).endswith('.jpg'):
            with reads.open('a') as file:
                file.write(f'{path}\n')
        return opened(path, flags, *rest, **options)

    monkeypatch.setattr('os.open', count)
    train = listed(birds, 'train')
    repeated = dict(type='RepeatDataset', times=3, dataset=train)
    assert check(birds, loaders(repeated, train)) == 0
    lines = reads.read_text().splitlines()
    assert len(lines) == len(set(lines)) == 9


@pytest.mark.parametrize(
    ('wrap', 'images'),
    [
        (lambda d: dict(type='RepeatDataset', times=3, dataset=d), 9),
        (lambda d: dict(type='ClassBalancedDataset', oversample_thr=0.9, dataset=d), 9),
        (lambda d: dict(type='PairedDataset', dataset=d), 9),
        (lambda d: dict(type='KFoldDataset', num_splits=3, dataset=dict(d, lazy_init=True)), 6),
        (lambda d: dict(type='LongTailDataset', imbalance_ratio=3, dataset=d), 5),
        (
            lambda d: dict(
                type='PairedDataset', dataset=dict(type='RepeatDataset', times=2, dataset=d)
            ),
            9,
        ),
        (
            lambda d: dict(
                type='ConcatDataset', datasets=[dict(d, indices=3), dict(d, indices=-3)]
            ),
            6,
        ),
    ],
)
def test_wrappers(birds: Path, wrap: object, images: int) -> None:
    (split,) = read_splits(Config(loaders(wrap(listed(birds, 'train')))))
    assert split.fault is None
    assert len(split.images) == images
    assert all(image.line is not None for image in split.images)
    assert split.decoders == (('cv2', 'color'),)


def test_image_folders_of_mmpretrain(birds: Path) -> None:
    (birds / 'images' / 'train' / 'class_0' / '0.jpg').write_bytes(b'<html>')
    folder = dict(type='CustomDataset', data_prefix=str(birds / 'images' / 'train'), pipeline=LOAD)
    (row,) = rows_of(birds, loaders(folder))
    assert (row['kind'], row['line'], row['label']) == ('not_an_image', None, '0')
    assert row['detail'].startswith('a page of HTML')
    with_list = dict(folder, data_prefix=str(birds / 'images'), ann_file=str(birds / 'train.txt'))
    (row,) = rows_of(birds, loaders(with_list))
    assert row['line'] == 1


def test_images_in_memory(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    root = make_cifar10(tmp_path)
    cifar = dict(type='CIFAR10LT', data_root=root, imbalance_ratio=1, pipeline=[])
    with without_md5():
        assert check(tmp_path, loaders(cifar)) == 0
    assert 'train: 60 images in memory, nothing to scan' in capsys.readouterr().out


def test_nothing_is_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('socket.socket.connect', lambda *a: pytest.fail('a connection'))
    (row,) = rows_of(tmp_path, loaders(dict(type='CIFAR10LT', data_root=str(tmp_path / 'no'))))
    assert row['kind'] == 'data_set' and 'got no data_batch_1' in row['detail']


def test_a_list_that_cannot_be_read_does_not_hide_the_others(birds: Path) -> None:
    (birds / 'train.txt').write_text('a.jpg 0\nb.jpg\nc.jpg\n')
    (birds / 'images' / 'test' / 'class_2' / '20.jpg').unlink()
    rows = rows_of(birds, birds_config(birds))
    assert kinds(rows) == ['data_set', 'missing']
    assert 'train.txt, line 2: expected' in rows[0]['detail']
    assert 'also faulty: line 3' in rows[0]['detail']


def test_warnings_of_the_data_set_are_in_the_report(birds: Path) -> None:
    cfg = loaders(dict(listed(birds, 'train'), num_classes=4))
    (row,) = rows_of(birds, cfg)
    assert row['kind'] == 'log' and '1 of 4 classes have no images: 3' in row['detail']


def test_options_of_the_config_can_be_overridden(birds: Path) -> None:
    cfg = loaders(listed(birds, 'absent'))
    assert check(birds, cfg) == 1
    option = 'train_dataloader.dataset.ann_file=train.txt'
    assert check(birds, cfg, '--cfg-options', option) == 0


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (['nope.py'], 'config: expected a config file, got no such file: nope.py'),
        (['.'], 'config: expected a config file, got a folder: .'),
        (['broken.py'], 'config: expected a config that can be read, got broken.py: '),
        (['words.txt'], 'config: expected a config that can be read, got words.txt: '),
        (['bare.py'], 'expected a config with train_dataloader'),
        (['bare.py', '--out', 'x.txt'], "--out: expected a file .csv/.json, got 'x.txt'"),
        (['bare.py', '--workers', '0'], "--workers: expected an integer of at least 1, got '0'"),
        (['bare.py', '--timeout', 'nan'], '--timeout: expected a number in (0, inf), got nan'),
    ],
)
def test_wrong_arguments_are_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path('broken.py').write_text('model = dict(\n')
    Path('words.txt').write_text('words')
    Path('bare.py').write_text('model = dict()')
    try:
        status = mmlt_main(['check', *arguments])
    except SystemExit as end:
        status = end.code
    assert status == 2
    assert said in capsys.readouterr().err.strip().splitlines()[-1]


def test_a_file_is_not_overwritten(birds: Path, capsys: pytest.CaptureFixture) -> None:
    mine = birds / 'mine.csv'
    mine.write_text('path,label\n')
    with pytest.raises(SystemExit) as end:
        check(birds, birds_config(birds), '--out', str(mine))
    assert end.value.code == 2 and mine.read_text() == 'path,label\n'
    assert f'--out: expected a new file, got {mine}; --force' in capsys.readouterr().err
    assert check(birds, birds_config(birds), '--out', str(mine), '--force') == 0
    assert mine.read_text() != 'path,label\n'


def test_a_report_that_cannot_be_written(birds: Path, capsys: pytest.CaptureFixture) -> None:
    assert check(birds, birds_config(birds), '--out', str(birds / 'train.txt' / 'a.csv')) == 2
    out, err = capsys.readouterr()
    assert 'Faults: 0' in out and err.startswith('mmlt check: error: --out: ')


@pytest.mark.slow
@pytest.mark.parametrize('door', [['-m', 'mmlt', 'check'], [str(TOOLS / 'check.py')]])
def test_both_doors(birds: Path, door: list[str]) -> None:
    (birds / 'images' / 'train' / 'class_0' / '3.jpg').unlink()
    os.mkfifo(birds / 'images' / 'train' / 'class_0' / '3.jpg')
    check(birds, birds_config(birds))
    done = subprocess.run(
        [sys.executable, *door, str(birds / 'config.py')],
        env={**os.environ, 'PYTHONPATH': str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 1
    assert 'No regular files: 1 [not_a_file]' in done.stdout and 'a named pipe' in done.stdout
    assert 'Traceback' not in done.stderr


def test_help_shows_an_example(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        mmlt_main(['check', '--help'])
    assert 'mmlt check configs/' in capsys.readouterr().out
    mmlt_main([])
    assert 'mmlt check' in capsys.readouterr().out


def test_nearest_is_that_of_a_comparison_with_all() -> None:
    rng = np.random.default_rng(0)
    gallery = rng.integers(1 << 16, size=(300, 8), dtype=np.uint16)
    looks = gallery[rng.integers(300, size=100)].copy()
    for row, flips in enumerate(rng.integers(0, 8, size=100)):
        for bit in rng.choice(128, flips, replace=False):
            looks[row, bit // 16] ^= np.uint16(1 << (bit % 16))
    distances = BITS[looks[:, None] ^ gallery[None]].sum(axis=2, dtype=np.int64)
    found = list(nearest(looks, gallery, lambda rows, columns: rows >= 0, most_bits=7))
    assert found == [
        (row, int(distances[row].argmin()), int(distances[row].min())) for row in range(100)
    ]
    far = rng.integers(1 << 16, size=(50, 8), dtype=np.uint16)
    assert list(nearest(far, gallery, lambda rows, columns: rows >= 0)) == []


def test_a_crowd_of_equal_looks_costs_little() -> None:
    crowd = np.zeros((20_000, 8), np.uint16)
    assert list(nearest(crowd, crowd, lambda rows, columns: rows != columns)) == []
