"""``mmlt new`` on tiny trees: what is gathered, what is written, what is refused."""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpretrain.registry import DATASETS, MODELS
from rich.console import Console

from mmlt.apps import pretrained
from mmlt.apps.compare.plan import locked
from mmlt.apps.main import main as mmlt_main
from mmlt.apps.new.histogram import about_test, advice, histogram
from mmlt.apps.new.methods import METHODS
from mmlt.apps.new.network import choose_network
from mmlt.apps.new.settings import Machine, choose_settings
from mmlt.models.backbones import CIFARResNet
from mmlt.weight_files import read_safetensors
from tests.apps.test_check_files import photograph
from tests.tools.load_tool import REPOSITORY, TOOLS

SIZE = 40


@pytest.fixture(autouse=True)
def own_scope(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default scope of a config ends with its test."""
    monkeypatch.setattr(DefaultScope, '_instance_dict', DefaultScope._instance_dict.copy())


def draw(root: Path, counts: dict[str, int], first: int = 0) -> Path:
    """Different pictures in folders; the key may be a path."""
    for seed, name in enumerate(name for name, count in counts.items() for _ in range(count)):
        file = root / name / f'{first + seed:03d}.jpg'
        file.parent.mkdir(parents=True, exist_ok=True)
        photograph(first + seed, SIZE).save(file)
    return root


def new(*arguments: object) -> int:
    return mmlt_main(['new', *map(str, arguments), '--net', 'resnet20'])


def listed(project: Path, split: str) -> list[tuple[str, str]]:
    """Path and name of the class of each line."""
    names = (project / 'splits' / 'classes.txt').read_text(encoding='utf-8').split('\n')
    lines = (project / 'splits' / f'{split}.txt').read_text(encoding='utf-8').splitlines()
    pairs = (line.rsplit(' ', 1) for line in lines)
    return [(path, names[int(label)]) for path, label in pairs]


def test_a_folder_becomes_a_project(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    images = draw(tmp_path / 'photos', {"l'été": 9, 'b "x" $y$': 5, '日本': 2, 'one': 1})
    project = tmp_path / "it's mine"
    assert new(images, '--out', project) == 0
    splits = {name: listed(project, name) for name in ('train', 'val', 'test')}
    every = [path for rows in splits.values() for path, _ in rows]
    assert len(every) == len(set(every)) == 17
    assert all(path.startswith(f'{name}/') for rows in splits.values() for path, name in rows)
    assert {name for _, name in splits['train']} == {"l'été", 'b "x" $y$', '日本', 'one'}
    assert {name for _, name in splits['test']} == {"l'été", 'b "x" $y$', '日本'}
    naming = [
        line
        for file in project.rglob('*')
        if file.is_file()
        for line in file.read_text(encoding='utf-8').splitlines()
        if str(tmp_path) in line
    ]
    assert len(naming) == 1 and naming[0].startswith('images = ')
    printed = capsys.readouterr().out
    assert '1 classes have no test image' in printed and 'docs/which_method.md' in printed


@pytest.fixture(scope='module')
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('made')
    images = draw(root / 'photos', {'cat': 16, 'dog': 8, 'elk': 5})
    assert new(images, '--out', root / 'zoo') == 0
    return root / 'zoo'


@pytest.mark.parametrize('method', METHODS)
def test_every_config_builds(project: Path, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir('/')
    file = project / 'configs' / f'{method}.py'
    assert len(file.read_text().splitlines()) <= 10
    cfg = Config.fromfile(file)
    assert MODELS.build({**cfg.model, 'data_preprocessor': cfg.data_preprocessor}) is not None
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        train = DATASETS.build(cfg.train_dataloader.dataset)
    assert list(getattr(train, 'class_counts', None) or train.dataset.class_counts) == [11, 5, 3]
    test = DATASETS.build(cfg.test_dataloader.dataset)
    assert test.CLASSES == ('cat', 'dog', 'elk') and tuple(test[0]['inputs'].shape) == (3, 40, 40)
    paired = method in ('cpmix', 'concutmix_car')
    assert (cfg.train_dataloader.dataset.type == 'PairedDataset') == paired
    assert cfg.data_preprocessor.num_classes == 3


def test_one_variable_says_where_the_images_are(project: Path, tmp_path: Path) -> None:
    moved = tmp_path / 'moved'
    shutil.copytree(project, moved / 'zoo')
    shutil.copytree(project.parent / 'photos', moved / 'elsewhere')
    data = moved / 'zoo' / 'data.py'
    data.write_text(re.sub(r'(?m)^images = .*', "images = '../elsewhere'", data.read_text()))
    cfg = Config.fromfile(moved / 'zoo' / 'configs' / 'la.py')
    path = DATASETS.build(cfg.train_dataloader.dataset)[0]['data_samples'].img_path
    assert Path(path).resolve().is_relative_to(moved / 'elsewhere')


def test_folders_of_splits_are_aligned_by_name(tmp_path: Path) -> None:
    images = draw(
        tmp_path / 'photos',
        {
            'train/a': 5,
            'train/b': 4,
            'train/c': 3,
            'Validation/c': 2,
            'Validation/a': 1,
            'notes': 1,
        },
    )
    assert new(images, '--out', tmp_path / 'p') == 0
    assert sorted({name for _, name in listed(tmp_path / 'p', 'val')}) == ['a', 'c']
    assert all(
        path.split('/')[1] == name
        for split in ('train', 'val', 'test')
        for path, name in listed(tmp_path / 'p', split)
    )
    assert len(listed(tmp_path / 'p', 'val')) == 3
    assert {name for _, name in listed(tmp_path / 'p', 'test')} == {'a', 'b', 'c'}, 'drawn'
    assert 'notes: 1 images in no folder of a class' in (tmp_path / 'p' / 'README.md').read_text()


def test_loose_images_do_not_undo_a_split(tmp_path: Path) -> None:
    for loose in (['test'], ['train', 'test']):
        images = tmp_path / '_'.join(loose)
        draw(images, {'train/a': 4, 'train/b': 4, 'test/a': 2, 'test/b': 1})
        draw(images, dict.fromkeys(loose, 1), first=50)
        project = tmp_path / f'p{len(loose)}'
        assert new(images, '--out', project) == 0
        tested = [path for path, _ in listed(project, 'test')]
        assert len(tested) == 3 and all(path.startswith('test/') for path in tested)
        assert {name for _, name in listed(project, 'train')} == {'a', 'b'}
        readme = (project / 'README.md').read_text()
        for name in loose:
            assert re.search(rf'1 images directly in \S+{name}, of no class, left out', readme)


def test_an_image_may_be_in_validation_and_test(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    images = draw(tmp_path / 'photos', {'a': 6, 'b': 6})
    files = sorted(f'{file.parent.name}/{file.name}' for file in images.rglob('*.jpg'))
    held_out = [path for k, path in enumerate(files) if k % 3 == 0]
    trained = [path for path in files if path not in held_out]
    for name, paths in dict(train=trained, val=held_out, test=held_out).items():
        text = ''.join(f'{path} {"ab".index(path[0])}\n' for path in paths)
        (images / f'{name}.txt').write_text(text)
    lists = [images / f'{name}.txt' for name in ('train', 'val', 'test')]
    assert new(*lists, '--out', tmp_path / 'p') == 0
    assert '4 images are in val and in test' in (tmp_path / 'p' / 'README.md').read_text()
    rows = [f'{path},{path[0]},train' for path in trained]
    rows += [f'{path},{path[0]},{name}' for path in held_out for name in ('test', 'val')]
    (images / 'table.csv').write_text('\n'.join(['path,label,split', *rows]))
    assert new(images / 'table.csv', '--out', tmp_path / 'q') == 0
    for project in (tmp_path / 'p', tmp_path / 'q'):
        assert [path for path, _ in listed(project, 'train')] == trained
        for split in ('val', 'test'):
            assert [path for path, _ in listed(project, split)] == held_out
    capsys.readouterr()
    shutil.copy(images / 'train.txt', images / 'test.txt')
    assert new(*lists, '--out', tmp_path / 'r') == 2
    said = 'expected images of test that can be used, got none among 8; the first is .*in train too'
    assert re.search(said, capsys.readouterr().err)
    assert not (tmp_path / 'r').exists()


def test_images_of_other_suffixes_are_used(tmp_path: Path) -> None:
    images = draw(tmp_path / 'photos', {'a': 4, 'b': 4})
    for k, file in enumerate(sorted(images.rglob('*.jpg'))):
        file.rename(file.with_suffix(('.jfif', '.JPE')[k % 2]))
    (images / 'a' / 'x.xyz').touch()
    assert new(images, '--out', tmp_path / 'p') == 0
    rows = [row for split in ('train', 'val', 'test') for row in listed(tmp_path / 'p', split)]
    assert len(set(rows)) == 8
    readme = (tmp_path / 'p' / 'README.md').read_text()
    assert '1 files of other kinds (.xyz 1), not used' in readme


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    images = draw(tmp_path / 'photos', {'train': 4, 'bus': 4})
    assert new(images, '--out', tmp_path / 'p') == 0
    assert {name for _, name in listed(tmp_path / 'p', 'train')} == {'train', 'bus'}


def test_a_table(tmp_path: Path) -> None:
    images = draw(tmp_path / 'photos', {'x': 12})
    files = sorted(images.rglob('*.jpg'))
    with (tmp_path / 'table.csv').open('w', newline='', encoding='utf-8-sig') as file:
        writer = csv.writer(file)
        writer.writerow(['Path', 'Label', 'Split'])
        for k, path in enumerate(files):
            split = ('test' if k % 4 == 3 else '') if k < 8 else 'val'
            writer.writerow([path.relative_to(images), ('=sum, "a"', '10')[k % 2], split])
    assert new(tmp_path / 'table.csv', '--root', images, '--out', tmp_path / 'p') == 0
    assert {name for _, name in listed(tmp_path / 'p', 'test')} == {'10'}
    assert len(listed(tmp_path / 'p', 'val')) == 4
    assert {name for _, name in listed(tmp_path / 'p', 'train')} == {'=sum, "a"', '10'}


def test_lists_and_then_their_config(tmp_path: Path) -> None:
    images = draw(tmp_path / 'photos', {'a': 6, 'b': 4})
    rows = [f'{f.relative_to(images)} {"ab".index(f.parent.name)}' for f in images.rglob('*.jpg')]
    (tmp_path / 'ImageNet_train.txt').write_text('\n'.join(sorted(rows)[:8]))
    (tmp_path / 'ImageNet_test.txt').write_text('\n'.join(sorted(rows)[8:]))
    lists = [tmp_path / f'ImageNet_{name}.txt' for name in ('train', 'test')]
    assert new(*lists, '--root', images, '--out', tmp_path / 'p') == 0
    assert len(listed(tmp_path / 'p', 'test')) == 2
    assert {name for _, name in listed(tmp_path / 'p', 'train')} == {'a', 'b'}, 'of their folders'
    assert new(tmp_path / 'p' / 'configs' / 'cpmix.py', '--out', tmp_path / 'q') == 0
    for name in ('train', 'val', 'test'):
        assert listed(tmp_path / 'p', name) == listed(tmp_path / 'q', name)


def test_a_separate_test_folder(tmp_path: Path) -> None:
    images = draw(tmp_path / 'photos', {'a': 8, 'b': 8})
    extra = draw(tmp_path / 'later' / 'shop', {'b': 3}, first=50)
    assert new(images, '--test', extra, '--out', tmp_path / 'p') == 0
    assert [path for path, _ in listed(tmp_path / 'p', 'test')] == [
        f'later/shop/b/{k:03d}.jpg' for k in (50, 51, 52)
    ]
    draw(tmp_path / 'wrong', {'B': 1}, first=60)
    assert new(images, '--test', tmp_path / 'wrong', '--out', tmp_path / 'q') == 2


def test_copies_stay_on_one_side_and_broken_images_stay_out(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    images = draw(tmp_path / 'photos', {'a': 10, 'b': 10})
    for k in range(10):
        photograph(k, 64).save(images / 'a' / f'{k:03d}_large.jpg', quality=70)
    (images / 'b' / 'broken.jpg').write_bytes((images / 'b' / '010.jpg').read_bytes()[:400])
    (images / 'b' / 'page.png').write_text('<html>')
    assert new(images, '--out', tmp_path / 'p') == 0
    side = {
        path: split
        for split in ('train', 'val', 'test')
        for path, _ in listed(tmp_path / 'p', split)
    }
    assert len(side) == 30
    for k in range(10):
        assert side[f'a/{k:03d}.jpg'] == side[f'a/{k:03d}_large.jpg']
    left_out = (tmp_path / 'p' / 'splits' / 'left_out.txt').read_text().splitlines()
    assert sorted(re.findall(r'(\w+\.\w+)\t', '\n'.join(left_out))) == ['broken.jpg', 'page.png']
    assert 'cannot be read or are listed twice: 2 of ' in capsys.readouterr().out


def test_weights_are_copied_and_loaded(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    images = draw(tmp_path / 'photos', {'a': 6, 'b': 4})
    network = CIFARResNet(depth=20)
    state = {f'backbone.{name}': value + 1 for name, value in network.state_dict().items()}
    torch.save(dict(state_dict={**state, 'head.fc.bias': torch.zeros(7)}), tmp_path / 'w.pth')
    assert new(images, '--out', tmp_path / 'p', '--weights', tmp_path / 'w.pth') == 0
    cfg = Config.fromfile(tmp_path / 'p' / 'configs' / 'concutmix_car.py')
    built = MODELS.build({**cfg.model, 'data_preprocessor': cfg.data_preprocessor})
    built.init_weights()
    for name, value in built.backbone.state_dict().items():
        assert torch.equal(value, state[f'backbone.{name}']), name
    assert cfg.optim_wrapper.optimizer.lr == 0.02
    del state['backbone.conv1.weight' if 'backbone.conv1.weight' in state else next(iter(state))]
    torch.save(state, tmp_path / 'w.pth')
    capsys.readouterr()
    assert new(images, '--out', tmp_path / 'q', '--weights', tmp_path / 'w.pth') == 2
    assert '--weights: expected weights of resnet20, got' in capsys.readouterr().err


def test_force_replaces_files_and_sets_runs_aside(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    images, project = draw(tmp_path / 'photos', {'a': 6, 'b': 6}), tmp_path / 'p'
    assert new(images, '--out', project) == 0
    mine = project / 'configs' / 'mine.py'
    mine.write_text('mine = 1\n')
    run = project / 'runs' / 'ce' / 'seed_0' / 'epoch_1.pth'
    run.parent.mkdir(parents=True)
    run.touch()
    (project / 'configs' / 'la.py').write_text('# changed\n')
    assert new(images, '--out', project) == 2
    assert 'expected a new or an empty folder' in capsys.readouterr().err
    assert (project / 'configs' / 'la.py').read_text() == '# changed\n' and run.exists()
    assert new(images, '--out', project, '--force') == 0
    assert (project / 'configs' / 'la.py').read_text() == METHODS['la']
    assert mine.exists() and (project / 'runs_1' / 'ce' / 'seed_0' / 'epoch_1.pth').exists()
    # Lines are broken at the width of the terminal, paths too.
    said = ''.join(capsys.readouterr().out.split())
    assert re.search(r'runsisnow\S*runs_1', said)
    run.parent.mkdir(parents=True)
    assert new(images, '--out', project, '--force') == 0
    assert run.parent.exists(), 'nothing has changed'


def test_runs_of_other_weights_are_set_aside(tmp_path: Path) -> None:
    images, project = draw(tmp_path / 'photos', {'a': 6, 'b': 6}), tmp_path / 'p'
    for name in ('one', 'other'):
        torch.save(CIFARResNet(depth=20).state_dict(), tmp_path / f'{name}.pth')
    run = project / 'runs' / 'ce'
    options = ['--out', project, '--force', '--weights']
    for name in ('one', 'one', 'other'):
        shutil.copy(tmp_path / f'{name}.pth', tmp_path / 'weights.pth')
        assert new(images, *options, tmp_path / 'weights.pth') == 0
        assert (project / 'runs_1' / 'ce').is_dir() == (name == 'other')
        run.mkdir(parents=True, exist_ok=True)
    written = read_safetensors(project / 'weights' / 'resnet20.safetensors')['state_dict']
    for name, value in torch.load(tmp_path / 'other.pth').items():
        assert torch.equal(written[f'backbone.{name}'], value), name


def test_runs_are_not_set_aside_under_a_comparison(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    images, project = draw(tmp_path / 'photos', {'a': 6, 'b': 6}), tmp_path / 'p'
    assert new(images, '--out', project) == 0
    for name in ('runs', 'runs_full'):
        (project / name / 'ce').mkdir(parents=True)
    before = {file: file.read_bytes() for file in project.rglob('*') if file.is_file()}
    capsys.readouterr()
    with locked(project / 'runs_full'):
        assert new(images, '--out', project, '--force', '--seed', 3) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and 'no comparison is at work, got ' in lines[0], lines
    assert all(file.read_bytes() == content for file, content in before.items())
    assert (project / 'runs').is_dir() and not (project / 'runs_1').exists()
    assert new(images, '--out', project, '--force', '--seed', 3) == 0
    assert (project / 'runs_1').is_dir() and (project / 'runs_full_1').is_dir()


def broken(root: Path) -> None:
    for name in ('a', 'b'):
        (root / name).mkdir(parents=True)
        (root / name / 'x.jpg').write_text('no image')


BAD = {
    'absent': (lambda root: None, [], r'a table or lists, got no file or folder \S+absent'),
    'one_class': (lambda root: draw(root, {'a': 3}), [], "got one class, 'a', in"),
    'nested': (
        lambda root: draw(root, {'photos/a': 2, 'photos/b': 2}),
        [],
        r"got one class, 'photos', in \S+: give \S+photos if its folders are the classes",
    ),
    'loose': (lambda root: draw(root, {'.': 3}), [], r'got 3 images directly in \S+loose'),
    'empty': (lambda root: (root / 'a').mkdir(parents=True), [], 'got none in'),
    'singles': (
        lambda root: draw(root, {'a': 1, 'b': 1, 'c': 1}),
        [],
        'got one image in each of 3 classes: nothing is left to test on',
    ),
    'unreadable': (broken, [], r'got none among 2; the first is \S+ \(Files that are no images'),
    'other_names': (
        lambda root: draw(root, {'train/a': 2, 'train/b': 2, 'test/B': 1}),
        [],
        r"got 'B' in validation or test only \(1 of 3 classes\)",
    ),
    'unnameable': (
        lambda root: draw(root, {'train/a': 4, 'train/b': 4, 'test/a\nb': 1}),
        [],
        r'images of test that can be used, got none among 1; .* \(its name holds a line break',
    ),
    'crossed': (
        lambda root: draw(root, {'ant/bee': 4, 'bee/ant': 3}),
        [],
        r"no folder with the name of another class, got ant/bee/00\d.jpg of class 'ant'$",
    ),
    'inside': (
        lambda root: draw(root, {'a': 2, 'b': 2}),
        ['--out', 'inside/project'],
        'expected a folder outside of',
    ),
    'seed': (lambda root: draw(root, {'a': 2, 'b': 2}), ['--seed', '-1'], '--seed: expected an'),
    'root': (lambda root: draw(root, {'a': 2, 'b': 2}), ['--root', '.'], '--root: expected it bes'),
    'net': (
        lambda root: draw(root, {'a': 2, 'b': 2}),
        ['--net', 'resnet19'],
        "--net: expected resnet18/.*, got 'resnet19'",
    ),
}  # fmt: skip


@pytest.mark.parametrize('case', BAD)
def test_bad_input_is_one_line(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, options, said = BAD[case]
    make(tmp_path / case)
    monkeypatch.chdir(tmp_path)
    arguments = ['new', str(tmp_path / case), '--out', 'project', '--net', 'resnet20', *options]
    assert mmlt_main(arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and re.search(said, lines[0]), lines
    assert not (tmp_path / 'project').exists()


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('file,class\nx.jpg,a\n', "expected columns 'path' and 'label' .* got 'file,class'"),
        ('path,label,Label\nx.jpg,a,b\n', "expected columns .* got 'path,label,Label'"),
        (
            'path,label\na/000.jpg,a\nx.png,Smith, John\n',
            "line 3: expected 2 cells, .* got 3 in 'x.png,Smith, John'",
        ),
        ('path,label\nx.jpg,\n', 'line 2: expected a path and a label'),
        (
            'path,label,split\nx.jpg,a,dev\n',
            "line 2: split: expected train, val or test, got 'dev'",
        ),
        ('path,label\na/000.jpg,a\na/000.jpg,b\n', "one class for each image, got 'a' and 'b'"),
        ('path,label\nq.jpg,a\nz.jpg,b\n', r'got none among 2; the first is \S+q.jpg \(Missing'),
    ],
)
def test_bad_tables(text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    draw(tmp_path, {'a': 1})
    (tmp_path / 'table.csv').write_text(text)
    assert new(tmp_path / 'table.csv', '--out', tmp_path / 'p') == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and re.search(said, lines[0]), lines


def test_a_name_at_two_labels(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    images = draw(tmp_path / 'photos', {'a': 4, 'b': 4})
    rows = [f'{f.relative_to(images)} {"ab".index(f.parent.name)}' for f in images.rglob('*.jpg')]
    (images / 'list.txt').write_text('\n'.join(rows))
    (images / 'classes.txt').write_text('crane\nwolf\ncrane\n')
    assert new(images / 'list.txt', '--out', tmp_path / 'p') == 2
    said = "expected another name for each class, got 'crane' at the labels 0 and 2"
    assert said in capsys.readouterr().err
    data = dict(type='LongTailListDataset', data_root=str(images), ann_file='list.txt')
    data['classes'] = ['crane', 'wolf', 'crane']
    (tmp_path / 'config.py').write_text(
        f"default_scope = 'mmpretrain'\ntrain_dataloader = dict(dataset={data})\n"
    )
    assert new(tmp_path / 'config.py', '--out', tmp_path / 'p') == 2
    assert f'config.py: train: {said}' in capsys.readouterr().err
    assert not (tmp_path / 'p').exists()


@pytest.mark.parametrize('first', [1, -1])
def test_labels_of_a_config_that_name_no_class_are_one_line(
    first: int, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    images = draw(tmp_path / 'photos', {'a': 4, 'b': 4})
    rows = [
        f'{f.relative_to(images)} {"ab".index(f.parent.name) + first}'
        for f in sorted(images.rglob('*.jpg'))
    ]
    (images / 'list.txt').write_text('\n'.join(rows))
    data = dict(type='CustomDataset', data_root=str(images), ann_file='list.txt')
    data['metainfo'] = dict(classes=['crane', 'wolf'])
    (tmp_path / 'config.py').write_text(
        f"default_scope = 'mmpretrain'\ntrain_dataloader = dict(dataset={data})\n"
    )
    assert new(tmp_path / 'config.py', '--out', tmp_path / 'p') == 2
    error = capsys.readouterr().err
    assert (
        f'expected in [0, 2), the classes of the data set, got {2 if first == 1 else -1}' in error
    )
    assert error.count('\n') == 1 and not (tmp_path / 'p').exists()


@pytest.mark.parametrize('width', [40, 80, 200])
@pytest.mark.parametrize('classes', [2, 16, 17, 1000])
def test_the_histogram_fits_the_terminal(classes: int, width: int) -> None:
    console = Console(width=width, record=True, file=open('/dev/null', 'w'))  # noqa: SIM115
    names = ['[red]日本語 with a long, long name of a class $x$', *map(str, range(1, classes))]
    counts = [1000 // (k + 1) + 1 for k in range(classes)]
    histogram(console, names, {'train': counts, 'val': counts, 'test': counts})
    lines = console.export_text().splitlines()
    assert len(lines) == min(classes, 16) + 1 <= 20
    assert max(map(len, lines)) <= width
    if width == 80:
        assert '[red]日本語' in lines[1] and '1001' in lines[1] and '█' in lines[1]


def test_advice_has_its_figures_from_the_page_that_it_names() -> None:
    page, of_96_pixels = (
        (REPOSITORY / 'docs' / name).read_text(encoding='utf-8')
        for name in ('which_method.md', 'results/grocery.md')
    )
    lines = advice([5000, 500, 50, 10])
    text = ' '.join(lines)
    assert 'docs/which_method.md' in lines[-1]
    photographs = ('+3.7 ± 0.2', '+3.0 ± 0.5', '+7.5 ± 0.3', '+19.7 ± 0.7')
    scratch = ('+9.5', '+6.3', '+2.5 ± 0.7', '+0.9', '+8.4', '-2.5', '+2.4')
    concutmix = ('85.0', '77.8', '66.3', '73.7')
    for figure in (*scratch, *photographs, *concutmix):
        assert figure in text and figure in page
    assert '+1.1' in text and '+1.1 ± 0.2' in of_96_pixels
    for exact, rounded in (
        ('7.3 ± 5.6', '7 → 61'),
        ('61.2 ± 7.5', '7 → 61'),
        ('43.1', '43 → 66'),
        ('66.3', '43 → 66'),
        ('-0.3 ± 0.1', '-0.3'),
        ('84.1', '84.1'),
        ('93.7', '93.7'),
        ('71.7', '72'),
        ('29.3', '29'),
    ):
        assert rounded in text and exact in page
    assert 'hardly a long tail' in advice([30, 29, 28])[0]
    lines = advice([900, 90, 45])
    assert any('cpmix' in line for line in lines) and any('85.0' in line for line in lines)


def test_the_readme_says_what_the_test_images_are_like(project: Path) -> None:
    drawn = about_test([40, 8, 2, 0], given=False)
    assert 'same shares as the training images' in drawn
    assert 'class of 2 test images one image is 50 points' in drawn
    assert '10 per class, so `top1` weighs rare and frequent' in about_test([10, 10, 10], True)
    assert '10 to 14 per class, so' in about_test([14, 10], True)
    uneven = about_test([90, 1], True)
    assert (
        'given, 90 to 1 per class, so `top1` is mostly' in uneven and '1 test image one' in uneven
    )
    readme = (project / 'README.md').read_text(encoding='utf-8')
    assert 'same shares as the training images' in ' '.join(readme.split()) and '@' not in readme


def test_settings_follow_data_and_machine() -> None:
    laptop, server = Machine(2, False), Machine(32, True)
    small = choose_settings(89, 160, True, False, laptop)
    assert (small.batch_size, small.steps, small.image_size) == (7, 13, 96)
    large = choose_settings(100_000, 500, True, False, server)
    assert (large.batch_size, large.image_size, large.workers) == (64, 224, 8)
    assert choose_settings(1000, 32, False, True, laptop).image_size == 32
    for images in (2, 30, 1000, 50_000):
        for machine in (laptop, server):
            made = choose_settings(images, 160, False, False, machine)
            assert made.epochs >= 10 and 1 <= made.log_interval <= max(made.steps // 5, 1)
            assert made.workers >= 1 and set(made.reasons) <= set(vars(made))


def test_without_packaged_weights_there_is_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, 'has_efficientnet_lite0', lambda: False)
    assert choose_network(side=200).name == 'resnet18'
    assert choose_network(side=200).channels == 512 and choose_network(side=32).channels == 64


def test_no_batch_is_a_single_image() -> None:
    """BatchNorm refuses it where the last features have one place, as those of 32 pixels have."""
    for machine in (Machine(2, False), Machine(32, True)):
        for images in range(2, 4000):
            made = choose_settings(images, 160, False, False, machine)
            assert images % made.batch_size != 1 and made.batch_size >= 6
            assert made.steps == -(-images // made.batch_size)


def test_a_thousand_classes(tmp_path: Path) -> None:
    """Labels alone: reading the images is the scan's business."""
    from mmlt.apps.new.splits import draw_splits

    counts = np.random.default_rng(0).integers(2, 21, size=1000)
    splits = np.array(draw_splits(np.repeat(np.arange(1000), counts).tolist()))
    tested = np.repeat(np.arange(1000), counts)[splits == 'test']
    assert len(np.unique(tested)) == 1000


@pytest.mark.slow
@pytest.mark.parametrize('method', ['ce', 'concutmix_car'])
def test_an_epoch_of_a_project(project: Path, tmp_path: Path, method: str) -> None:
    data = project / 'data.py'
    text = re.sub(r'(?m)^epochs = .*', 'epochs = 1', data.read_text())
    data.write_text(re.sub(r'(?m)^image_size = .*', 'image_size = 16', text))
    command = [sys.executable, TOOLS / 'train.py', project / 'configs' / f'{method}.py']
    done = subprocess.run(
        [*command, '--work-dir', tmp_path], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert list(tmp_path.glob('best_long_tail_macro_f1_epoch_1.pth'))
