"""The image folder converter: what it writes reads back, and the splits are what it says."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from mmpretrain.registry import DATASETS

from mmlt.datasets.lists import LongTailListDataset
from tests.datasets.tiny_trees import make_image_folder

SCRIPT = Path(__file__).parents[2] / 'tools' / 'dataset_converters' / 'image_folder.py'


@pytest.fixture(scope='module')
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location('image_folder', SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture()
def images(tmp_path: Path) -> Path:
    return Path(make_image_folder(tmp_path / 'images', [20, 20, 20]))


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_written_lists_read_back(
    tool: ModuleType, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / 'lists'
    command = [
        str(images),
        '--out',
        str(out),
        '--imbalance-ratio',
        '10',
        '--test-per-class',
        '6',
        '--val-per-class',
        '4',
    ]
    assert tool.main(command) == 0
    splits = {name: _lines(out / f'{name}.txt') for name in ('train', 'val', 'test')}
    every = [line for lines in splits.values() for line in lines]
    assert len(set(every)) == len(every), 'no image in two splits'
    train = LongTailListDataset(
        data_root=str(out),
        ann_file='train.txt',
        data_prefix=str(images),
        classes=str(out / 'classes.txt'),
    )
    assert train.class_counts == [10, 3, 1]
    assert train.CLASSES == ('class_0', 'class_1', 'class_2')
    assert len(splits['val']) == 12 and len(splits['test']) == 18
    printed = capsys.readouterr().out
    assert '14 training images of 3 classes, 10 to 1 per class, imbalance ratio 10.0' in printed
    assert '0 many-shot, 0 medium-shot, 3 few-shot' in printed
    assert printed.splitlines()[0] == f'class_0      10  {"#" * 40}'


def test_printed_config_builds(
    tool: ModuleType, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    tool.main([str(images), '--out', str(tmp_path), '--test-per-class', '5'])
    entries = capsys.readouterr().out.split('In a config:\n')[1]
    config: dict = {}
    exec(entries, config)
    assert DATASETS.build(config['train']).class_counts == [15, 15, 15]
    assert DATASETS.build(config['test']).class_counts == [5, 5, 5]
    assert 'val' not in config and not (tmp_path / 'val.txt').exists()


def test_same_seed_same_lists(tool: ModuleType, images: Path) -> None:
    lists = [list(paths) for paths in tool.find_images(images).values()]
    draws = [tool.split_images(lists, 5, test_per_class=5, seed=seed) for seed in (3, 3, 4)]
    assert draws[0] == draws[1] != draws[2]


def test_existing_lists_are_not_overwritten(
    tool: ModuleType, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    command = [str(images), '--out', str(tmp_path), '--test-per-class', '2']
    assert tool.main(command) == 0
    assert tool.main([*command, '--seed', '1']) == 2
    assert (
        'has train.txt, test.txt, classes.txt already; see --overwrite' in capsys.readouterr().err
    )
    assert tool.main([*command, '--overwrite']) == 0


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (
            ['--test-per-class', '20'],
            'expected at most 19, .* class 0 .* got 20 . 0; 3 of 3 classes',
        ),
        (['--max-count', '5', '--test-per-class', '2'], 'max_count: expected an imbalance_ratio'),
    ],
)
def test_mistakes(
    tool: ModuleType, images: Path, capsys: pytest.CaptureFixture, options: list[str], message: str
) -> None:
    assert tool.main([str(images), *options]) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not (images / 'train.txt').exists()


@pytest.mark.parametrize('flag', ['--imbalance-ratio', '--test-per-class'])
def test_numbers_out_of_range(tool: ModuleType, images: Path, capsys, flag: str) -> None:
    with pytest.raises(SystemExit, match='2'):
        tool.main([str(images), flag, '-1'])
    assert re.search(rf"{flag}: expected .* of at least [01], got '-1'", capsys.readouterr().err)


def test_missing_and_empty_roots(
    tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert tool.main([str(tmp_path / 'absent')]) == 2
    assert 'image_root: expected a folder, got' in capsys.readouterr().err
    assert tool.main([str(tmp_path)]) == 2
    assert 'got no such image' in capsys.readouterr().err


def test_class_without_images_is_kept(tool: ModuleType, images: Path, tmp_path: Path) -> None:
    (images / 'class_1b').mkdir()
    (images / '.cache').mkdir()
    (images / 'class_0' / 'notes.txt').write_text('no image')
    assert tool.main([str(images), '--out', str(tmp_path), '--test-per-class', '2']) == 0
    assert _lines(tmp_path / 'classes.txt') == ['class_0', 'class_1', 'class_1b', 'class_2']
    assert _lines(tmp_path / 'train.txt')[-1].endswith(' 3')


def test_histogram_of_many_classes_is_short(tool: ModuleType) -> None:
    text = tool.histogram([f'c{k}' for k in range(1000)], list(range(1000, 0, -1)), rows=10)
    lines = text.splitlines()
    assert len(lines) == 12
    assert lines[0].startswith('c0 ') and lines[-2].startswith('c999')
    assert '990 more classes' in lines[5]


def test_help_is_readable() -> None:
    text = subprocess.run(
        [sys.executable, str(SCRIPT), '--help'], capture_output=True, text=True, check=True
    ).stdout
    assert 'largest over smallest training class' in text
    assert '--imbalance-ratio 100 --test-per-class 20' in text
