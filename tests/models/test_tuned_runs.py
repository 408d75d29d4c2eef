"""Runs of a tuned backbone: every method, small checkpoints, predictions, resuming, ranks."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.hooks import Hook
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

import mmlt
from mmlt.apps.main import main
from mmlt.apps.model import load_model
from mmlt.recipe import KEY, Recipe
from tests.digits_runner import CONFIGS
from tests.distributed.exact_runs import (
    INDICES,
    Float64Runner,
    FreezeBatchNorm,
    assert_same_run,
    rank_config,
    spare_the_compilers,
    train,
)
from tests.distributed.launch import run_ranks
from tests.models.tuned import tuned, tuned_config, write_base

METHODS = {
    'resnet8_logit_adjustment': 'lora',
    'resnet8_car': 'bias',
    'resnet8_cpmix': 'last_blocks',
    'resnet8_concutmix_car': 'adapter',
    'experts': 'adapter',
}


@pytest.fixture(autouse=True)
def own_scope(monkeypatch):
    """The default scope of a config ends with its test."""
    monkeypatch.setattr(DefaultScope, '_instance_dict', DefaultScope._instance_dict.copy())


class Enough(Exception):
    """A step was taken."""


class OneStep(Hook):
    priority = 'LOWEST'

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        assert torch.isfinite(torch.as_tensor(outputs['loss']))
        raise Enough


def config_of(work_dir, leaf, base, tune, **options):
    if leaf != 'experts':
        cfg = tuned_config(work_dir, leaf, base, tune, **options)
    else:
        cfg = tuned_config(work_dir, 'resnet8_ce', base, tune, **options)
        losses = [dict(type='LogitAdjustedLoss', tau=tau) for tau in (0.0, 1.0)]
        cfg.model.head = ConfigDict(
            type='MultiExpertClsHead', num_classes=10, in_channels=32, num_experts=2, loss=losses
        )
    name = '_'.join((work_dir.parent.name, work_dir.name, leaf, tune))
    cfg.experiment_name = f'tuned_{name}_{cfg.resume}_{cfg.get("load_from")}'.replace('/', '_')
    return cfg


@pytest.mark.parametrize('leaf', METHODS)
def test_every_method_trains_the_part_that_learns(tmp_path, leaf):
    base = write_base(tmp_path / 'vit.pth')
    options = {'train_dataloader.batch_size': 16, 'optim_wrapper.optimizer.weight_decay': 0.0}
    runner = Runner.from_cfg(config_of(tmp_path, leaf, base, METHODS[leaf], **options))
    runner.register_hook(OneStep())
    before = {name: value.clone() for name, value in runner.model.named_parameters()}
    with pytest.raises(Enough):
        runner.train()
    for name, value in runner.model.named_parameters():
        same = torch.equal(value, before[name])
        # LoRA's and the adapters' first factor has no gradient while the other is zero. BatchNorm
        # takes off a bias before it, whose gradient is rounding, on some processors none.
        waits = 'lora_down' in name or '.adapter.down.' in name or name.endswith('_mlp.0.bias')
        assert same or value.requires_grad, name
        assert not same or not value.requires_grad or waits, name


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """A folder with the checkpoint of an epoch, the weights below it, and photos."""
    folder = tmp_path_factory.mktemp('tuned')
    scopes = DefaultScope._instance_dict.copy()
    base = write_base(folder / 'vit.pth')
    runner = Runner.from_cfg(config_of(folder, 'resnet8_logit_adjustment', base, 'lora'))
    runner.train()
    dataset = runner.val_dataloader.dataset
    (folder / 'photos').mkdir()
    for i in range(5):
        cv2.imwrite(str(folder / 'photos' / f'{i}.png'), dataset.get_data_info(i)['img'])
    with torch.no_grad():
        batch = dict(
            inputs=[dataset[i]['inputs'] for i in range(5)],
            data_samples=[dataset[i]['data_samples'] for i in range(5)],
        )
        scores = torch.stack([one.pred_score for one in runner.model.eval().test_step(batch)])
    np.save(folder / 'scores.npy', scores.numpy())
    DefaultScope._instance_dict = scopes
    return folder


def test_a_checkpoint_is_small_and_names_what_it_stands_on(run):
    checkpoint = torch.load(run / 'epoch_1.pth', weights_only=True)
    names = {name for name in checkpoint['state_dict'] if name.startswith('backbone')}
    assert len(names) == 1 + 2 * 2 and all('lora' in n or 'sha256' in n for n in names)
    recipe = Recipe.from_text(checkpoint['meta'][KEY])
    assert recipe.base == dict(checkpoint=str(run / 'vit.pth'), prefix='backbone.')
    recipe.check()
    stored = sum(value.numel() for value in checkpoint['state_dict'].values())
    moments = checkpoint['optimizer']['state'].values()
    assert sum(one['momentum_buffer'].numel() for one in moments) <= stored < 2500


def test_it_predicts_with_the_weights_below_it(run, tmp_path, capsys):
    expected = np.load(run / 'scores.npy')
    found = mmlt.predict(run / 'epoch_1.pth', run / 'photos')
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-6)
    moved = tmp_path / 'epoch_1.pth'
    checkpoint = torch.load(run / 'epoch_1.pth', weights_only=True)
    checkpoint['meta'][KEY] = checkpoint['meta'][KEY].replace(str(run), '/nowhere')
    torch.save(checkpoint, moved)
    command = ['predict', str(moved), str(run / 'photos')]
    assert main(command) == 2
    said = capsys.readouterr().err
    assert said.count('\n') == 1 and 'base: expected vit.pth with SHA-256' in said
    assert '--base FILE' in said and 'got no file at /nowhere/vit.pth and' in said
    assert main([*command, '--base', str(run / 'vit.pth')]) == 0
    write_base(tmp_path / 'other.pth', seed=3)
    assert main([*command, '--base', str(tmp_path / 'other.pth')]) == 2
    assert f'got {tmp_path / "other.pth"} with ' in capsys.readouterr().err
    # Beside the checkpoint it is found without a word.
    (tmp_path / 'vit.pth').write_bytes((run / 'vit.pth').read_bytes())
    again = mmlt.predict(moved, run / 'photos')
    np.testing.assert_allclose(again.probabilities, expected, atol=1e-6)


@pytest.mark.parametrize('tune', ['lora', 'adapter'])
def test_an_exported_file_has_all_weights(run, tmp_path, tune, capsys):
    path = run / 'epoch_1.pth'
    if tune == 'adapter':
        base = write_base(tmp_path / 'vit.pth')
        cfg = config_of(tmp_path, 'resnet8_logit_adjustment', base, tune)
        cfg.train_dataloader.batch_size = 300
        Runner.from_cfg(cfg).train()
        path = tmp_path / 'epoch_1.pth'
    out = tmp_path / 'out' / 'model.safetensors'
    command = ['export', str(path), '--format', 'safetensors', '--out', str(out)]
    assert main([*command, '--images', str(run / 'photos')]) == 0, capsys.readouterr()
    model = load_model(out)
    expected = mmlt.predict(path, run / 'photos').probabilities
    found = mmlt.predict(out, run / 'photos').probabilities
    np.testing.assert_allclose(found, expected, atol=1e-6)
    kind = type(model.network.backbone).__name__
    assert kind == ('VisionTransformer' if tune == 'lora' else 'TunedBackbone')
    with pytest.raises(ValueError, match='base: expected none'):
        load_model(out, base=run / 'vit.pth')


def test_a_head_for_other_classes_is_left_out_and_said(run, tmp_path, capsys):
    """The part that was trained on one data set starts a run on another."""
    checkpoint = torch.load(run / 'epoch_1.pth', weights_only=True)
    for kind in ('weight', 'bias'):
        name = f'head.fc.{kind}'
        checkpoint['state_dict'][name] = checkpoint['state_dict'][name][:7]
    torch.save(checkpoint, tmp_path / 'seven.pth')
    base = dict(type='Pretrained', checkpoint=str(run / 'vit.pth'), prefix='backbone.')
    cfg = config_of(tmp_path, 'resnet8_logit_adjustment', base, 'lora')
    runner = Runner.from_cfg(cfg)
    runner.load_checkpoint(str(tmp_path / 'seven.pth'))
    assert 'size mismatch for head.fc.weight' in capsys.readouterr().out
    name = 'module.layers.0.attn.qkv.lora_up.weight'
    expected = checkpoint['state_dict'][f'backbone.{name}']
    assert torch.equal(dict(runner.model.backbone.named_parameters())[name], expected)


@pytest.mark.parametrize('weights', ['clip', 'dinov2', 'in21k'])
def test_recipes_describe_a_model_that_may_be_built(weights):
    cfg = Config.fromfile(CONFIGS / f'imagenet_lt/vit_base_{weights}_concutmix_car.py')
    recipe = Recipe.from_text(Recipe.of_config(cfg).to_text())
    recipe.check()
    assert recipe.base['checkpoint'].startswith(f'weights/{weights}_vit')


class Killed(Exception):
    """Power cut."""


class Kill(Hook):
    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.epoch == 1 and batch_idx == 1:
            raise Killed


@pytest.mark.slow
@pytest.mark.parametrize(
    ('leaf', 'tune'), [('resnet8_concutmix_car', 'adapter'), ('resnet8_cpmix_car', 'lora')]
)
def test_resumed_equals_uninterrupted(tmp_path, leaf, tune):
    base = write_base(tmp_path / 'vit.pth')
    options = dict(max_epochs=3, custom_hooks=[dict(type='EMAHook', momentum=0.1)])

    def runner(name, resume=False):
        cfg = config_of(tmp_path / name, leaf, base, tune, resume=resume, **options)
        cfg.default_hooks.checkpoint.save_best = None
        cfg.experiment_name += str(resume)
        return Runner.from_cfg(cfg)

    runner('whole').train()
    first = runner('parts')
    first.register_hook(Kill())
    with pytest.raises(Killed):
        first.train()
    runner('parts', resume=True).train()
    whole, parts = (
        torch.load(tmp_path / name / 'epoch_3.pth', weights_only=True)
        for name in ('whole', 'parts')
    )
    for key in ('state_dict', 'ema_state_dict'):
        assert set(whole[key]) == set(parts[key])
        for name, value in whole[key].items():
            torch.testing.assert_close(parts[key][name], value, rtol=0, atol=0, msg=name)


def exact(rank, world_size, folder):
    """Everything deterministic, in float64, with frozen BatchNorm (that of the neck)."""
    cfg = rank_config(
        folder,
        'resnet8_concutmix_car',
        rank,
        world_size,
        **{
            'model.head.label_start_epoch': 1,
            'model.head.confidence': 0.3,
            'model.head.loss_car.num_classes': 10,
            'train_dataloader.dataset.dataset.indices': INDICES,
        },
    )
    base = dict(type='Pretrained', checkpoint=str(folder / 'vit.pth'), prefix='backbone.')
    cfg.model.backbone = ConfigDict(tuned(base, 'adapter'))
    cfg.model.neck.in_channels = cfg.model.head.in_channels = 32
    flips = [dict(type='RandomFlip', prob=0.0)], [dict(type='RandomFlip', prob=1.0)]
    views = dict(num_views=[1, 2], transforms=list(flips))
    cfg.train_dataloader.dataset.dataset.pipeline[0].update(views)
    return train(TunedRunner.from_cfg(cfg), FreezeBatchNorm())


class TunedRunner(Float64Runner):
    """Adapters that have begun to learn: at zero, half of their gradients are zero."""

    def wrap_model(self, model_wrapper_cfg, model):
        for name, parameter in model.named_parameters():
            if '.adapter.up.' in name:
                values = torch.linspace(-0.1, 0.1, parameter.numel())
                parameter.data.copy_(values.view_as(parameter))
        return super().wrap_model(model_wrapper_cfg, model)


def on_a_rank(rank, world_size, folder):
    Runner._log_env = spare_the_compilers
    return exact(rank, world_size, folder)


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason='what happens without a GPU')
def test_two_ranks_train_as_one_process(tmp_path: Path):
    write_base(tmp_path / 'vit.pth')
    found = run_ranks(on_a_rank, 2, tmp_path)
    whole = exact(0, 1, tmp_path)
    for result in found:
        assert_same_run(result, whole, 1e-9)
