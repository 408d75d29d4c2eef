"""A run that begins with a checkpoint's weights takes nothing else from it; a resumed one does."""

from __future__ import annotations

import logging

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import MODELS

from mmlt.functional.checks import OptionError
from mmlt.models import ConfusionEstimate, ConfusionPairCounts, LogitAdjustedLoss
from tests.configs.recipes import CONFIGS
from tests.datasets.tiny_trees import make_image_folder
from tests.integration.test_plugin import STOCK

TEN, SIX = (8,) * 5 + (3,) * 5, (8,) * 3 + (3,) * 3


def trained(kind, counts=TEN):
    """A part with state, after a batch of data in which all is class 0."""
    part = {
        'estimate': lambda: ConfusionEstimate(len(counts)),
        'prior': lambda: LogitAdjustedLoss(prior='effective', class_counts=counts),
        'pairs': lambda: ConfusionPairCounts(len(counts)),
    }[kind]()
    logits = torch.randn(6, len(counts), generator=torch.Generator().manual_seed(0))
    part(logits, torch.zeros(6, dtype=torch.long))
    return part


def state_of(part):
    state = part.sparse_state() if isinstance(part, ConfusionPairCounts) else part.state_dict()
    flat = [value for item in state.values() for value in (item if type(item) is tuple else [item])]
    return [torch.as_tensor(value) for value in flat]


def fresh(kind, counts=TEN):
    part = trained(kind, counts)
    part.begin_run()
    return part


@pytest.mark.parametrize('kind', ['estimate', 'prior', 'pairs'])
def test_beginning_a_run_forgets_everything_and_says_whether_there_was_any(kind):
    part = trained(kind)
    untouched = {
        'estimate': lambda: ConfusionEstimate(len(TEN)),
        'prior': lambda: LogitAdjustedLoss(prior='effective', class_counts=TEN),
        'pairs': lambda: ConfusionPairCounts(len(TEN)),
    }[kind]()
    assert not untouched.begin_run()
    assert part.begin_run()
    assert not part.begin_run()
    for ours, theirs in zip(state_of(part), state_of(untouched), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize('kind', ['estimate', 'prior', 'pairs'])
def test_state_of_other_classes_is_left_out_as_a_whole_and_said_in_one_line(kind, monkeypatch):
    said = []
    for name in ('loaded_state', 'confusion_pair_counts'):
        monkeypatch.setattr(
            f'mmlt.models.losses.{name}.print_log',
            lambda text, logger, level: said.append((text, level)),
        )
    part, before = trained(kind, SIX), state_of(trained(kind, SIX))
    other = trained(kind, TEN)
    if kind == 'pairs':
        part.load_sparse_state(other.sparse_state())
    else:
        part.load_state_dict(other.state_dict())
    for ours, theirs in zip(state_of(part), before, strict=True):
        assert torch.equal(ours, theirs)
    ((text, level),) = said
    assert '10 classes, the model has 6' in text and level == logging.WARNING


def digits_leaves():
    return sorted(path.stem for path in (CONFIGS / 'digits_lt').glob('*.py'))


@pytest.mark.parametrize('leaf', [*digits_leaves(), '../cifar10_lt/resnet32_cpmix_experts_ir100'])
def test_every_module_of_ours_with_saved_state_can_forget_it(leaf):
    """Buffers that training writes to and a checkpoint keeps, those of torch's layers aside."""
    cfg = Config.fromfile(CONFIGS / 'digits_lt' / f'{leaf}.py')
    for name, module in MODELS.build(cfg.model).named_modules():
        kept = set(module._buffers) - module._non_persistent_buffers_set
        if type(module).__module__.startswith('mmlt') and kept:
            assert hasattr(module, 'begin_run'), f'{name}: {kept}'


class First(Hook):
    """Estimates, of the model and of its averaged copy, as the first step finds them."""

    priority = 'VERY_LOW'

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if not hasattr(self, 'updates'):
            copy = next(h.ema_model for h in runner.hooks if hasattr(h, 'ema_model')).module
            losses = [model.head.loss_module for model in (runner.model, copy)]
            self.updates = [int(loss.estimate.num_updates) for loss in losses]
            self.norms = [float(loss.estimate.norm) for loss in losses]
            self.steps = [int(loss.criterion.running_steps) for loss in losses]
            self.epochs = runner.model.head.confusion_pairs.num_epochs


def runner_on(folder, work_dir, counts, epochs=1, **options):
    """A run with every kind of state: an estimate, a running prior, confused pairs, a copy."""
    path = work_dir.with_suffix('.py')
    path.write_text(
        STOCK.replace('{root}', str(folder)).replace('num_classes=3', f'num_classes={len(counts)}')
        + "custom_imports = dict(imports=['mmlt'])\n"
        + "default_hooks = dict(long_tail=dict(type='LongTailHook'))\n"
        + "custom_hooks = [dict(type='EMAHook', update_buffers=True)]\n"
        + "model['train_cfg'] = dict(augments=[dict(type='CPMixBatchAugment')])\n"
        + "model['head']['loss'] = dict(type='CARLoss', criterion=dict("
        + "type='LogitAdjustedLoss', prior='effective'))\n"
        + "val_evaluator = dict(type='LongTailMetric')\n"
        + 'test_dataloader, test_evaluator, test_cfg = val_dataloader, val_evaluator, dict()\n'
    )
    cfg = Config.fromfile(path)
    cfg.merge_from_dict({'train_cfg.max_epochs': epochs, **options})
    cfg.work_dir, cfg.experiment_name = str(work_dir), f'{work_dir.parent.name}_{work_dir.name}'
    cfg.log_level = 'INFO'
    runner = Runner.from_cfg(cfg)
    first = First()
    runner.register_hook(first)
    return runner, first


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    """Of a run on ten classes, and the folders of both data sets."""
    folder = tmp_path_factory.mktemp('other')
    trees = []
    for counts in (TEN, SIX):
        (folder / f'{len(counts)}').mkdir()
        trees.append(make_image_folder(folder / f'{len(counts)}', counts))
    runner, _ = runner_on(trees[0], folder / 'run', TEN)
    runner.train()
    return folder / 'run' / 'epoch_1.pth', *trees


def test_a_run_from_the_weights_forgets_and_a_resumed_one_keeps(checkpoint, tmp_path):
    path, ten, _ = checkpoint
    runner, first = runner_on(ten, tmp_path / 'new', TEN, load_from=str(path))
    runner.train()
    assert first.updates == first.norms == first.steps == [0, 0] and first.epochs == 0
    log = next((tmp_path / 'new').rglob('*.log')).read_text()
    (line,) = (line for line in log.splitlines() if 'is forgotten by' in line)
    assert 'ConfusionEstimate, LogitAdjustedLoss' in line

    runner, first = runner_on(
        ten, tmp_path / 'more', TEN, epochs=2, load_from=str(path), resume=True
    )
    runner.train()
    steps = len(runner.train_dataloader)
    # EMAHook writes its copy as the model, and the model as this.
    saved = torch.load(path, weights_only=True)['ema_state_dict']
    assert first.norms[0] == saved['module.head.loss_module.estimate.norm'] > 0
    assert first.updates[0] == first.steps[0] == steps and first.epochs == 1


@pytest.mark.parametrize('way', ['load_from', 'init_cfg', 'test'])
def test_ten_classes_into_six(way, checkpoint, tmp_path):
    path, _, six = checkpoint
    options = {'load_from': str(path)}
    if way == 'init_cfg':
        options = {'model.init_cfg': dict(type='Pretrained', checkpoint=str(path))}
    runner, first = runner_on(six, tmp_path / 'new', SIX, **options)
    log = tmp_path / 'new'
    if way == 'test':
        with pytest.raises(OptionError, match='checkpoint: expected the weights of the model'):
            runner.test()
        wanted = ['ClassCountsHook: the checkpoint has class counts of 10 classes, the model has 6']
    else:
        runner.train()
        assert first.updates == first.steps == [0, 0] and first.epochs == 0
        wanted = ['LogitAdjustedLoss: the checkpoint', 'ConfusionEstimate: the checkpoint']
    if way == 'load_from':
        wanted.append('checkpoint: expected averaged weights')
    text = next(log.rglob('*.log')).read_text()
    assert all(line in text for line in wanted)
