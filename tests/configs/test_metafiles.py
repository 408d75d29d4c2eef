"""The index of recipes: each is in one metafile, under the method it is, and says what is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from mmengine import load
from mmpretrain import get_model
from mmpretrain.apis.model import ModelHub

from tests.configs.recipes import CONFIGS, RECIPES, resolved

ROOT = CONFIGS.parent
FILES = load(ROOT / 'model-index.yml')['Import']
DATA = {
    'cifar10_lt': 'CIFAR-10-LT',
    'cifar100_lt': 'CIFAR-100-LT',
    'digits_lt': 'DigitsLT',
    'imagenet_lt': 'ImageNet-LT',
    'inat2018': 'iNaturalist 2018',
    'places_lt': 'Places-LT',
}


def models():
    return [model for file in FILES for model in load(ROOT / file)['Models']]


def test_every_metafile_is_imported_once():
    assert sorted(FILES) == sorted(
        path.relative_to(ROOT).as_posix() for path in CONFIGS.rglob('*.yml')
    )


def test_every_recipe_is_in_one_metafile():
    listed = [model['Config'] for model in models()]
    assert sorted(listed) == [f'configs/{recipe}.py' for recipe in RECIPES]
    assert all((ROOT / path).is_file() for path in listed)


@pytest.mark.parametrize('file', FILES)
def test_a_metafile_holds_one_method(file):
    content = load(ROOT / file)
    (method,) = content['Collections']
    # The outermost method gives a recipe its place: ConCutMix + CAR is with CAR.
    name = {'cross_entropy': 'ce'}.get(Path(file).stem, Path(file).stem)
    for model in content['Models']:
        assert model['In Collection'] == method['Name']
        assert f'_{name}_' in f'{Path(model["Config"]).stem}_'
        assert name == 'car' or '_car_' not in f'{Path(model["Config"]).stem}_'


def test_a_metafile_says_what_the_recipe_says():
    for model in models():
        folder, name = Path(model['Config']).with_suffix('').parts[1:]
        cfg = resolved(f'{folder}/{name}')
        dataset = cfg['train_dataloader']['dataset']
        ratio = dataset.get('dataset', dataset).get('imbalance_ratio')
        assert model['Name'] == f'{name}_{folder}'
        assert model['Metadata'] == {
            'Training Data': DATA[folder] + (f' (ratio {ratio})' if ratio else ''),
            'Epochs': cfg['train_cfg']['max_epochs'],
            'Batch Size': cfg['auto_scale_lr']['base_batch_size']
            * cfg['optim_wrapper'].get('accumulative_counts', 1),
        }


def test_results_are_those_that_were_measured_here():
    measured = {model['Config'] for model in models() if 'Results' in model}
    for path in measured:
        assert 'docs/results/' in (ROOT / path).read_text()
        assert 'ot yet run' not in (ROOT / path).read_text()


def test_what_was_measured_here_has_its_result():
    for model in models():
        head = (ROOT / model['Config']).read_text().split('_base_')[0]
        if re.search(r'here:? \d\d\.\d', head):
            assert 'Results' in model, model['Name']


def test_mmpretrain_builds_a_model_by_its_name(monkeypatch):
    monkeypatch.setattr(ModelHub, '_models_dict', dict(ModelHub._models_dict))
    ModelHub.register_model_index(ROOT / 'model-index.yml', ROOT)
    model = get_model('resnet8_concutmix_car_digits_lt')
    assert type(model).__name__ == 'MultiViewClassifier'
