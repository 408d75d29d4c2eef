"""Options of the command line that would change nothing are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from mmlt.apps.compare.methods import find_methods
from mmlt.apps.config import apply_options, read_config
from mmlt.functional.checks import OptionError
from tests.tools.load_tool import load_tool

TEXT = """
epochs, lr, num_classes = 60, 0.1, 3
auto_scale_lr = dict(enable=True)
train_cfg = dict(by_epoch=True, max_epochs=epochs)
optim_wrapper = dict(optimizer=dict(type='SGD', lr=lr))
train_dataloader = dict(batch_size=8)
test_dataloader = dict(batch_size=8)
unused = 1
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / 'ce.py'
    path.write_text(TEXT)
    return path


@pytest.mark.parametrize(
    ('option', 'message'),
    [
        ('epochs', r'got epochs, a variable .* edit the file, or give train_cfg\.max_epochs$'),
        ('lr', r'edit the file, or give optim_wrapper\.optimizer\.lr$'),
        ('num_classes', 'edit the file$'),
        ('unused', 'edit the file$'),
        ('optim_wraper.optimizer.lr', r'got optim_wraper\.optimizer\.lr \(optim_wrapper\?\)$'),
        ('train_cfg.max_epochs.x', r'got train_cfg\.max_epochs\.x: '),
    ],
)
def test_an_option_that_changes_nothing_is_refused(path: Path, option: str, message: str) -> None:
    with pytest.raises(OptionError, match=f'^--cfg-options: expected settings .*{message}'):
        read_config(path, {option: 1})
    train, test = (load_tool(f'{name}.py') for name in ('train', 'test'))
    for tool, arguments in ((train, [str(path)]), (test, [str(path), 'w.pth'])):
        args = tool.parse_args([*arguments, '--cfg-options', f'{option}=1'])
        with pytest.raises(OptionError, match=message):
            tool.merge_args(Config.fromfile(path), args)
    study = path.with_name('study.py')
    study.write_text(f"study = {{'a': 'ce.py', 'b': ('ce.py', {{{option!r}: 1}})}}\n")
    methods = find_methods([study])
    methods[0].load()
    with pytest.raises(OptionError, match=f"^'b' of the study: expected settings .*{message}"):
        methods[1].load()


@pytest.mark.parametrize(
    ('option', 'value'),
    [
        ('train_cfg.max_epochs', 3),
        ('auto_scale_lr.enable', True),
        ('randomness.seed', 1),
        ('model_wrapper_cfg.find_unused_parameters', True),
        ('strategy', dict(type='FSDPStrategy')),
        ('load_from', 'x.pth'),
    ],
)
def test_what_a_run_reads_is_replaced(path: Path, option: str, value: Any) -> None:
    cfg = Config.fromfile(path)
    apply_options(cfg, {option: value})
    for part in option.split('.'):
        cfg = cfg[part]
    assert cfg == value
