"""Weights of another network are one line before training, in place of a random start."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from mmengine.model import PretrainedInit
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmpretrain.registry import MODELS
from torch import nn

from mmlt.functional.checks import OptionError
from mmlt.hooks.weights_check import WeightsCheckHook, _check, check_checkpoint, check_pretrained
from tests.digits_runner import digits_runner


def classifier(depth: int, init_cfg: Any = None, num_classes: int = 3) -> nn.Module:
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return MODELS.build(
            dict(
                type='ImageClassifier',
                backbone=dict(type='ResNet', depth=depth, init_cfg=init_cfg),
                neck=dict(type='GlobalAveragePooling'),
                head=dict(
                    type='LinearClsHead',
                    num_classes=num_classes,
                    in_channels=512 if depth < 50 else 2048,
                    loss=dict(type='CrossEntropyLoss'),
                ),
            )
        )


class Said:
    """A logger that keeps its warnings."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def warning(self, line: str) -> None:
        self.lines.append(line)


def runner_of(model: nn.Module) -> Any:
    return SimpleNamespace(model=model, _train_loop=None, _load_from='w.pth', logger=Said())


def refused(message: str, check: Any, *arguments: Any) -> None:
    with pytest.raises(OptionError, match=message) as caught:
        check(*arguments)
    assert '\n' not in str(caught.value)


@pytest.fixture(scope='module')
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp('weights') / 'r18.pth'
    torch.save(dict(state_dict=classifier(18).state_dict()), path)
    return path


def test_pretrained_weights(weights: Path, tmp_path: Path) -> None:
    init_cfg = dict(type='Pretrained', checkpoint=str(weights), prefix='backbone.')
    check_pretrained(runner_of(classifier(18, init_cfg)))
    said = (
        r'^model\.backbone\.init_cfg\.checkpoint: expected weights of this ResNet, got .*r18\.pth'
    )
    refused(
        f'{said}, which has 43 of its 159', check_pretrained, runner_of(classifier(50, init_cfg))
    )
    init_cfg['prefix'] = None
    refused(
        rf"{said}, which has 0 of its 60 parameters \(prefix='backbone\.' may be missing\)$",
        check_pretrained,
        runner_of(classifier(18, init_cfg)),
    )
    init_cfg['checkpoint'] = str(tmp_path / 'none.pth')
    refused(
        'expected a file of weights, got no', check_pretrained, runner_of(classifier(18, init_cfg))
    )
    whole = classifier(18)
    whole.init_cfg = dict(type='Pretrained', checkpoint=str(weights))
    check_pretrained(runner_of(whole))
    # A first layer for other channels, as one that is replaced with reason.
    state = torch.load(weights)['state_dict']
    state['backbone.conv1.weight'] = state['backbone.conv1.weight'][:, :1]
    torch.save(dict(state_dict=state), tmp_path / 'gray.pth')
    whole.init_cfg['checkpoint'] = str(tmp_path / 'gray.pth')
    check_pretrained(runner_of(whole))


@pytest.mark.parametrize('kind', [PretrainedInit, 'mmengine.Pretrained'])
def test_weights_named_by_class_or_scope_are_checked(weights: Path, kind: Any) -> None:
    init_cfg = dict(type=kind, checkpoint=str(weights), prefix='backbone.')
    refused('which has 43 of its 159', check_pretrained, runner_of(classifier(50, init_cfg)))


class Stages(nn.Sequential):
    """A stem and blocks, and what may stand beside them in a file."""

    def __init__(self, depth: int, **beside: nn.Module) -> None:
        super().__init__()
        self.stem = nn.Linear(2, 2)
        self.blocks = nn.Sequential(*(nn.Linear(2, 2) for _ in range(depth)))
        for name, part in beside.items():
            self.add_module(name, part)


def check_depths(depth: int, of_file: int, **beside: nn.Module) -> None:
    weights = Stages(of_file, **beside).state_dict()
    _check('init_cfg.checkpoint', Stages(depth), weights, 'w.pth', None)


def test_a_deeper_or_shallower_network_is_another() -> None:
    check_depths(12, 12, head=nn.Linear(9, 9), decoder=Stages(5))
    refused(r'which has 10 of its 12 parameters$', check_depths, 5, 4)
    refused(r'which has 12 of its 12 parameters and 2 others$', check_depths, 5, 6)


def test_checkpoints(weights: Path) -> None:
    checkpoint = torch.load(weights)
    runner = runner_of(classifier(18))
    check_checkpoint(runner, checkpoint)
    assert runner.logger.lines == []
    refused(
        '^load_from: expected weights of this ResNet, got w.pth, which has 43 of its 159',
        check_checkpoint,
        runner_of(classifier(50)),
        checkpoint,
    )
    # The head alone, as training on features leaves it.
    state = {n: v for n, v in checkpoint['state_dict'].items() if n.startswith('head.')}
    check_checkpoint(runner_of(classifier(18)), dict(state_dict=state))


def test_a_classifier_of_other_classes_is_left_out_and_said_in_one_line(weights: Path) -> None:
    runner = runner_of(classifier(18, num_classes=5))
    check_checkpoint(runner, torch.load(weights))
    (line,) = runner.logger.lines
    assert line == (
        'load_from: head.fc.weight has the shape (3, 512) in w.pth and (5, 512) here, as for other '
        'classes: it is left out'
    )


def test_a_run_is_refused_before_it_begins(weights: Path, tmp_path: Path) -> None:
    pretrained = dict(type='Pretrained', checkpoint=str(weights), prefix='backbone.')
    runner = digits_runner(tmp_path / 'a', 'resnet8_ce', **{'model.backbone.init_cfg': pretrained})
    refused(r'^model\.backbone\.init_cfg\.checkpoint: expected weights of this', runner.train)
    runner = digits_runner(tmp_path / 'b', 'resnet8_ce', load_from=str(weights))
    refused('^load_from: expected weights of this', runner.train)
    assert runner.iter == 0


@pytest.mark.parametrize(
    ('options', 'keep', 'message'),
    [
        ({}, '', None),
        ({'model.head.num_classes': 4}, '', r'size mismatch for head.fc.weight: .*\[10, 64\]'),
        ({}, 'head.', r'got .*w\.pth, which has none for backbone\..* and \d+ others$'),
        ({}, 'backbone.', r'got .*w\.pth, which has none for head\.fc\.weight and 1 others$'),
        ({}, 'nothing', '^load_from: .* in which none has the name and shape of one of its own$'),
    ],
)
def test_a_test_needs_all_weights(
    tmp_path: Path, options: dict[str, Any], keep: str, message: str | None
) -> None:
    """It would give figures of a network that is random in part."""
    state = digits_runner(tmp_path / 'a').model.state_dict()
    kept = {n: v for n, v in state.items() if n.startswith(keep)} or {'a': torch.zeros(2)}
    torch.save(dict(state_dict=kept), tmp_path / 'w.pth')
    for name, run in (('b', Runner.test), ('c', Runner.val)):
        runner = digits_runner(tmp_path / name, load_from=str(tmp_path / 'w.pth'), **options)
        if message is not None:
            refused(message, run, runner)
        elif run is Runner.test:  # MMEngine's val alone does not get on with save_best
            runner.test()
    if keep != 'nothing':
        # In training a part may begin at random, as may a later test of it.
        runner = digits_runner(tmp_path / 'd', load_from=str(tmp_path / 'w.pth'))
        runner.train()
        runner.test()


def test_a_test_needs_all_weights_of_a_runner_that_has_loaded_them(tmp_path: Path) -> None:
    runner = digits_runner(tmp_path / 'a')
    state = {n: v for n, v in runner.model.state_dict().items() if 'head' not in n}
    torch.save(dict(state_dict=state), tmp_path / 'w.pth')
    runner.load_checkpoint(str(tmp_path / 'w.pth'))
    refused('which has none for head', runner.test)


def vit(size: int) -> nn.Module:
    arch = dict(embed_dims=8, num_layers=1, num_heads=1, feedforward_channels=8)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return MODELS.build(dict(type='VisionTransformer', arch=arch, img_size=size, patch_size=4))


def test_what_a_model_resizes_or_has_for_training_only_may_differ() -> None:
    hook, model = WeightsCheckHook(), vit(16)
    weights = model.state_dict()
    hook.after_load_checkpoint(runner_of(vit(32)), weights)
    assert hook.fault == ''
    model.loss_module = nn.Linear(2, 2)
    hook.after_load_checkpoint(runner_of(model), weights)
    assert hook.fault == ''
    model.other = nn.Linear(2, 2)
    hook.after_load_checkpoint(runner_of(model), weights)
    assert hook.fault.endswith('which has none for other.weight and 1 others')


def test_a_small_checkpoint_stands_on_its_base(tmp_path: Path) -> None:
    torch.save(vit(16).state_dict(), tmp_path / 'base.pth')
    arch = dict(embed_dims=8, num_layers=1, num_heads=1, feedforward_channels=8)
    base = dict(type='Pretrained', checkpoint=str(tmp_path / 'base.pth'))
    config = dict(type='VisionTransformer', arch=arch, img_size=16, patch_size=4, init_cfg=base)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(dict(type='TunedBackbone', backbone=config))
    assert model.leaves_out_weights
    model = nn.ModuleDict(dict(backbone=model))
    hook = WeightsCheckHook()
    hook.after_load_checkpoint(runner_of(model), model.state_dict())
    assert hook.fault == ''
