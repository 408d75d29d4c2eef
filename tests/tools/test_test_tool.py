"""`tools/test.py` on every family of recipes: what belongs to training does not run at test."""

from __future__ import annotations

import mmengine
import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS

from mmlt.functional.checks import OptionError
from tests.configs.recipes import CONFIGS
from tests.tools.load_tool import load_tool

DIGITS = sorted((CONFIGS / 'digits_lt').glob('*.py'))
EXPERTS = CONFIGS / 'cifar10_lt' / 'resnet32_cpmix_experts_ir100.py'
PAIRS = """
default_hooks = dict(
    confusion_pairs=dict(type='ConfusionPairsHook', momentum=0.5),
    confusion=dict(type='EMAConfusionHook', start_epoch=2),
    reweighting=dict(type='DeferredReweightingHook', start_epoch=1))
"""


def figures(tmp_path, recipe, *flags, more=''):
    """Figures of a model that nobody has trained, from the tool."""
    path = tmp_path / 'recipe.py'
    path.write_text(f'_base_ = [{str(recipe)!r}]\n{more}')
    cfg = Config.fromfile(path)
    model = MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor))
    checkpoint = tmp_path / 'weights.pth'
    meta = dict(dataset_meta=dict(class_counts=list(range(10, 110, 10))))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), checkpoint)
    arguments = [str(path), str(checkpoint), '--work-dir', str(tmp_path / 'run'), *flags]
    arguments += ['--cfg-options', 'log_level=WARNING']
    return load_tool('test.py').main(arguments)


def test_options_of_training_do_not_matter_at_test(tmp_path):
    recipe = CONFIGS / 'digits_lt' / 'resnet8_cpmix_car.py'
    assert 0 <= figures(tmp_path, recipe, '--tta', more=PAIRS)['long_tail/top1'] <= 100


def test_options_of_the_model_mean_the_same_with_test_time_augmentation():
    tool = load_tool('test.py')
    recipe = str(CONFIGS / 'digits_lt' / 'resnet8_ce.py')
    options = ['model.head.num_classes=5', 'tta_model.type=mmpretrain.Other']
    args = tool.parse_args([recipe, 'w.pth', '--tta', '--cfg-options', *options])
    cfg = tool.merge_args(Config.fromfile(recipe), args)
    assert cfg.model.module.head.num_classes == 5 and cfg.model.type == 'mmpretrain.Other'


def test_a_checkpoint_that_lacks_weights_is_an_error_without_the_hook_too(tmp_path):
    torch.save(dict(state_dict={'a': torch.zeros(2)}), tmp_path / 'w.pth')
    path = tmp_path / 'recipe.py'
    recipe = str(CONFIGS / 'digits_lt' / 'resnet8_ce.py')
    path.write_text(f'_base_ = [{recipe!r}]\ndefault_hooks = dict(_delete_=True)\n')
    arguments = [str(path), str(tmp_path / 'w.pth'), '--work-dir', str(tmp_path / 'run')]
    with pytest.raises(OptionError, match=r'w\.pth, which has none for backbone\.'):
        load_tool('test.py').main(arguments)


@pytest.mark.slow
@pytest.mark.parametrize('flags', [(), ('--tta',)], ids=['plain', 'tta'])
@pytest.mark.parametrize('recipe', [*DIGITS, EXPERTS], ids=lambda path: path.stem)
def test_every_family_is_tested(tmp_path, recipe, flags):
    more = ''
    if recipe == EXPERTS:
        digits = "type='DigitsLT', split='test', pipeline=[dict(type='PackInputs')]"
        more = f'test_dataloader = dict(dataset=dict({digits}, _delete_=True))\n'
    assert {'long_tail/top1', 'long_tail/worst_class'} <= set(
        figures(tmp_path, recipe, *flags, more=more)
    )


@pytest.mark.slow
def test_five_crops_are_averaged(tmp_path):
    """The figure of ``--tta`` is that of the mean of the five crops' probabilities."""
    crops = [
        dict(type='PlacedCrop', crop_size=6, place=place)
        for place in ('center', 'top left', 'top right', 'bottom left', 'bottom right')
    ]
    pack = dict(type='PackInputs')
    pipeline = [dict(type='TestTimeAug', transforms=[crops, [pack]])]
    recipe = CONFIGS / 'digits_lt' / 'resnet8_logit_adjustment.py'
    out = tmp_path / 'tta.pkl'
    torch.manual_seed(0)
    more = f'tta_pipeline = {pipeline}\n'
    found = figures(tmp_path, recipe, '--tta', '--out', str(out), more=more)

    def scores():
        return torch.stack([one['pred_score'] for one in mmengine.load(out)])

    averaged, alone = scores(), []
    for crop in crops:
        torch.manual_seed(0)  # the same network
        more = f'test_dataloader = dict(dataset=dict(pipeline={[crop, pack]}))\n'
        figures(tmp_path, recipe, '--out', str(out), more=more)
        alone.append(scores())
    torch.testing.assert_close(averaged, torch.stack(alone).mean(0))
    assert 0 <= found['long_tail/top1'] <= 100
