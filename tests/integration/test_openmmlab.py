"""The stack below mmlt: a plain message where it is unusable, safe checkpoints where it is."""

from __future__ import annotations

import importlib
import importlib.metadata
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import config as configs
from mmengine.logging.history_buffer import HistoryBuffer

from mmlt import openmmlab
from tests.digits_runner import digits_runner

REAL_IMPORT = importlib.import_module
LAID_OUT = configs.Config.pretty_text.fget  # which conftest.py replaces
needs_allow_list = pytest.mark.skipif(
    not hasattr(torch.serialization, 'add_safe_globals'), reason='torch before 2.4'
)

lays_out_configs = pytest.mark.skipif(
    not hasattr(configs, 'FormatCode'), reason='an MMEngine without yapf'
)


@pytest.fixture
def pretend(monkeypatch):
    """Replace a package by an error or a version for ``check_openmmlab``."""

    def install(**packages):

        def import_module(name, *rest):
            stand_in = packages.get(name)
            if isinstance(stand_in, Exception):
                raise stand_in
            if stand_in is not None:
                return SimpleNamespace(__version__=stand_in)
            return REAL_IMPORT(name, *rest)

        monkeypatch.setattr(importlib, 'import_module', import_module)

    return install


def missing(name):
    return ModuleNotFoundError(f'No module named {name!r}', name=name)


def test_the_stack_of_this_environment_is_accepted():
    openmmlab.check_openmmlab()


def test_all_missing_packages_are_named_with_the_way_to_install_them(pretend):
    pretend(mmcv=missing('mmcv'), mmpretrain=missing('mmpretrain'))
    with pytest.raises(ImportError) as caught:
        openmmlab.check_openmmlab()
    message = str(caught.value)
    assert 'mmcv is not installed; mmpretrain is not installed' in message
    assert "pip install 'mmlt[openmmlab]'" in message
    assert "pip install 'mmlt[onedl]'" in message


@pytest.mark.parametrize(
    ('version', 'accepted'),
    [
        ('1.1.9', False),
        ('0.99', False),
        ('1.2.0', True),
        ('1.2.0rc1', True),
        ('1.10.0', True),
        ('2.0.0+local.3', True),
    ],
)
def test_versions_are_compared_as_numbers(pretend, version, accepted):
    pretend(mmpretrain=version)
    if accepted:
        openmmlab.check_openmmlab()
    else:
        with pytest.raises(ImportError, match=f'mmpretrain {version} is too old, 1.2 is needed'):
            openmmlab.check_openmmlab()


@lays_out_configs
def test_the_text_of_a_config_is_laid_out_once(monkeypatch):
    laid_out = []

    def lay_out(text, **options):
        laid_out.append(text)
        return text.replace('=', ' = '), True

    monkeypatch.setattr(configs, 'FormatCode', lay_out)
    openmmlab.format_configs_once()
    openmmlab.format_configs_once()
    cfg = configs.Config(dict(a=1))
    assert [LAID_OUT(cfg), LAID_OUT(cfg)] == ['a = 1'] * 2
    assert laid_out == ['a=1']
    for cfg.a in range(2, 9):
        assert LAID_OUT(cfg) == f'a = {cfg.a}'
    assert len(laid_out) == 8
    assert len(configs.FormatCode.known) == 4


@lays_out_configs
def test_importing_mmlt_lets_a_text_be_laid_out_once():
    text = LAID_OUT(configs.Config(dict(b='a text of this test')))
    assert text in {laid_out for laid_out, _ in configs.FormatCode.known.values()}


def test_a_package_that_lacks_its_own_needs_says_which(pretend):
    pretend(mmengine=missing('pkg_resources'), mmcv=missing('addict'))
    with pytest.raises(ImportError) as caught:
        openmmlab.check_openmmlab()
    assert "mmengine cannot be imported: it needs 'pkg_resources' (install setuptools<81)" in str(
        caught.value
    )
    assert "mmcv cannot be imported: it needs 'addict'" in str(caught.value)


def test_both_stacks_at_once_are_refused(monkeypatch):
    both = [SimpleNamespace(metadata={'Name': name}) for name in ('mmengine', 'onedl_mmengine')]
    monkeypatch.setattr(importlib.metadata, 'distributions', lambda: both)
    with pytest.raises(ImportError, match='both installed'):
        openmmlab.check_openmmlab()


@needs_allow_list
def test_a_checkpoint_of_a_runner_loads_safely(tmp_path):
    digits_runner(tmp_path, max_epochs=1).train()
    checkpoint = torch.load(tmp_path / 'epoch_1.pth', weights_only=True)
    buffers = checkpoint['message_hub']['log_scalars']
    assert isinstance(buffers['train/loss'], HistoryBuffer)
    assert isinstance(checkpoint['meta']['dataset_meta']['class_counts'], list)


@needs_allow_list
@pytest.mark.parametrize('scalar', [np.float32, np.float64, np.int32, np.int64, np.bool_, np.uint8])
def test_arrays_and_numbers_of_numpy_load_safely(tmp_path, scalar):
    saved = {'array': np.arange(3).astype(scalar), 'number': scalar(1)}
    torch.save(saved, tmp_path / 'saved.pth')
    loaded = torch.load(tmp_path / 'saved.pth', weights_only=True)
    assert loaded['array'].dtype == scalar
    assert loaded['array'].tolist() == saved['array'].tolist()
    assert loaded['number'] == saved['number']


@needs_allow_list
def test_the_classes_stay_allowed_when_the_host_withdraws_its_own_list(tmp_path):
    """The OneDL fork loads inside ``safe_globals`` with the bare classes of its own."""
    if not hasattr(torch.serialization, 'safe_globals') or openmmlab._numbers(torch.__version__) < (
        2,
        7,
    ):
        pytest.skip('torch before 2.7')
    torch.save({'history': HistoryBuffer([1.0], [1])}, tmp_path / 'saved.pth')
    with torch.serialization.safe_globals([HistoryBuffer, getattr, np.ndarray, np.dtype]):
        torch.load(tmp_path / 'saved.pth', weights_only=True)
    loaded = torch.load(tmp_path / 'saved.pth', weights_only=True)
    assert loaded['history'].current() == 1.0


@needs_allow_list
def test_other_classes_are_still_refused(tmp_path):
    torch.save({'path': tmp_path}, tmp_path / 'saved.pth')
    with pytest.raises(Exception, match='Weights only load failed'):
        torch.load(tmp_path / 'saved.pth', weights_only=True)
