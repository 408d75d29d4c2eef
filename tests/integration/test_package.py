"""The package: what the wheel holds, what importing costs, what the layers may import."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

FUNCTIONAL = sorted((REPOSITORY / 'mmlt' / 'functional').rglob('*.py'))
# What git and the tools make here, in nobody's checkout (`.git` is a file in a linked worktree).
MADE = (
    *('.coverage', '.git', '.hypothesis', '.mim', '.venv', '__pycache__'),
    *('_build', 'build', 'data', 'dist', 'work_dirs'),
)
TEXT = ('', '.cff', '.in', '.md', '.py', '.sh', '.toml', '.txt', '.yaml', '.yml')


def sources(root=REPOSITORY):
    """Text files of the repository."""
    for folder, folders, files in os.walk(root):
        folders[:] = [
            name
            for name in folders
            if not name.startswith('.venv')
            and name not in MADE
            and not name.endswith(('_cache', '.egg-info'))
        ]
        yield from (
            Path(folder, name) for name in files if name not in MADE and Path(name).suffix in TEXT
        )


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    """The wheel, unpacked; made from a copy, so that nothing is left in the repository."""
    root = tmp_path_factory.mktemp('wheel')
    ignore = shutil.ignore_patterns(*MADE, '.venv*', '*_cache', '*.egg-info')
    shutil.copytree(REPOSITORY, root / 'source', ignore=ignore)
    done = subprocess.run(
        [
            sys.executable,
            '-m',
            'pip',
            'wheel',
            '--no-deps',
            '--no-build-isolation',
            '--no-index',
            '--disable-pip-version-check',
            '--quiet',
            '--wheel-dir',
            root,
            root / 'source',
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (file,) = root.glob('mmlt-*.whl')
    with zipfile.ZipFile(file) as archive:
        archive.extractall(root / 'site')
    return root / 'site'


def files_below(folder):
    """Relative paths of its files, without those that Python or an editable install made."""
    paths = (path.relative_to(folder) for path in folder.rglob('*') if path.is_file())
    return {path.as_posix() for path in paths if not {'__pycache__', '.mim'} & set(path.parts)}


def test_the_wheel_holds_package_configs_and_tools_and_nothing_else(wheel):
    inside = wheel / 'mmlt' / '.mim'
    for folder in ('configs', 'tools'):
        assert files_below(inside / folder) == files_below(REPOSITORY / folder)
    assert files_below(wheel / 'mmlt') == files_below(REPOSITORY / 'mmlt')
    assert sorted(path.name.split('-')[0] for path in wheel.iterdir()) == ['mmlt', 'mmlt']
    index = (inside / 'model-index.yml').read_bytes()
    assert index == (REPOSITORY / 'model-index.yml').read_bytes()
    assert len(list(inside.iterdir())) == 3


def test_the_wheel_names_its_requirements(wheel):
    (metadata,) = wheel.glob('mmlt-*.dist-info/METADATA')
    lines = metadata.read_text().splitlines()
    needed = {
        re.split('[<>=]', line.split()[1])[0]
        for line in lines
        if line.startswith('Requires-Dist') and 'extra' not in line
    }
    # MMPretrain comes by an extra: it would pull in mmcv, of which there are several.
    assert needed == {'torch', 'torchvision', 'numpy', 'safetensors'}
    extras = {line.split()[1] for line in lines if line.startswith('Provides-Extra')}
    named = {'openmmlab', 'onedl', 'tests', 'report', 'cleanlab', 'export', 'kornia', 'docs'}
    assert extras == named | {'pretrained', 'text'}
    assert any(line.startswith('Requires-Python: ') and '3.10' in line for line in lines)


IMPORT = """
import os, sys, time, warnings
warnings.simplefilter('ignore')
start = time.perf_counter()
import mmpretrain.datasets, mmpretrain.engine, mmpretrain.evaluation, mmpretrain.models
packages = lambda: {name.split('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)
theirs, before = time.perf_counter() - start, packages()
start = time.perf_counter()
import mmlt
own = time.perf_counter() - start
print('PACKAGES', *sorted(packages() - before))
print('SECONDS', theirs, own)
print('FILE', mmlt.__file__)
from mmpretrain.registry import DATASETS, METRICS
print('REGISTERED', DATASETS.get('DigitsLT') is mmlt.datasets.DigitsLT, 'LongTailMetric' in METRICS)
from pathlib import Path
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import MODELS, init_default_scope
config = Path(mmlt.__file__).parent / '.mim' / 'configs' / 'digits_lt' / 'resnet8_ce.py'
print('CONFIG', Config.fromfile(config).model.head.type)
Path('own.py').write_text('''
_base_ = 'mmlt::digits_lt/resnet8_concutmix_car.py'
model = dict(head=dict(top_k=4))
''')
own = Config.fromfile('own.py')
init_default_scope(own.default_scope)
model = MODELS.build(own.model)
print('INHERITED', type(model).__name__, type(model.head).__name__, own.model.head.top_k)
print('FOUND', Config._get_cfg_path('mmlt::digits_lt/resnet8_ce.py', '')[0])
print('HUB', get_config('mmlt::digits_lt/resnet8_ldam_drw.py').model.head.type)
"""


@pytest.fixture(scope='module')
def imported(wheel, tmp_path_factory):
    """What a process sees that imports the unpacked wheel, away from the repository."""
    environment = {**os.environ, 'PYTHONPATH': str(wheel), 'OMP_NUM_THREADS': '1'}
    done = subprocess.run(
        [sys.executable, '-c', IMPORT],
        capture_output=True,
        text=True,
        timeout=150,
        cwd=tmp_path_factory.mktemp('elsewhere'),
        env=environment,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert 'WARNING' not in done.stdout + done.stderr
    return {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines() if line}


def test_importing_registers_into_the_registries_of_mmpretrain(imported, wheel):
    assert imported['FILE'] == [str(wheel / 'mmlt' / '__init__.py')]
    assert imported['REGISTERED'] == ['True', 'True']


def test_an_installed_package_finds_its_configs(imported):
    assert imported['CONFIG'] == ['LinearClsHead']


@pytest.mark.slow
def test_a_config_inherits_from_a_recipe_of_the_installed_package(imported, wheel):
    assert imported['INHERITED'] == ['MultiViewClassifier', 'ContrastiveClsHead', '4']
    inside = wheel / 'mmlt' / '.mim' / 'configs'
    assert imported['FOUND'] == [str(inside / 'digits_lt' / 'resnet8_ce.py')]
    assert imported['HUB'] == ['CosineClsHead']


def test_importing_costs_no_more_than_mmpretrain(imported):
    """Nothing beyond MMPretrain is loaded; the time is generous, the machine may be busy."""
    # Where they are installed, looking for installed packages loads these small ones.
    assert set(imported['PACKAGES']) - {'importlib_metadata', 'zipp'} == {'mmlt'}
    theirs, own = map(float, imported['SECONDS'])
    assert own < max(theirs, 2.0)


def imports_of(path):
    """Top-level packages that a file imports, and ``.`` for each relative import."""
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split('.')[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield '.' * node.level if node.level else node.module.split('.')[0]


@pytest.mark.parametrize('path', FUNCTIONAL, ids=lambda path: path.stem)
def test_the_maths_imports_torch_and_numpy_only(path):
    """Siblings relatively, and nothing from the layers above."""
    allowed = {'.', '..', 'torch', 'numpy', *sys.stdlib_module_names}
    assert set(imports_of(path)) <= allowed


@pytest.mark.parametrize('folder', ['mmlt', 'tools'])
def test_a_mistake_of_the_user_is_no_assertion(folder):
    """What catches every error, of decoders or of configs, says in its line why it must."""
    for path in sorted((REPOSITORY / folder).rglob('*.py')):
        if '.mim' in path.parts:
            continue
        text = path.read_text(encoding='utf-8')
        for node in ast.walk(ast.parse(text)):
            where = f'{path.relative_to(REPOSITORY)}:{getattr(node, "lineno", 0)}'
            assert not isinstance(node, ast.Assert), where
            if isinstance(node, ast.ExceptHandler):
                caught = node.type.id if isinstance(node.type, ast.Name) else node.type
                line = text.splitlines()[node.lineno - 1]
                assert caught is not None and (caught != 'Exception' or '  # ' in line), where


def test_no_file_names_a_path_of_the_machine_it_was_written_on():
    """Tests may look for real data beside the repository; nothing names an absolute path."""
    private = [
        re.compile(pattern) for pattern in (r'(?<![\w.])/(work|root|home)/\w', r'(?<![\w.])/tmp/\w')
    ]
    beside = re.compile(r'\.\./shared\b')
    found = []
    for path in sources():
        text = path.read_text(encoding='utf-8', errors='replace')
        name = path.relative_to(REPOSITORY)
        found += [
            f'{name}: {match.group()}' for pattern in private for match in pattern.finditer(text)
        ]
        if name.parts[0] != 'tests':
            found += [f'{name}: {match.group()}' for match in beside.finditer(text)]
    assert not found
