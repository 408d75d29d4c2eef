"""A head of ``mmlt compare --frozen`` and its network in one checkpoint."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS

from mmlt.apps.features.frozen import frozen_config
from mmlt.apps.features.network import build_network, describe_network
from mmlt.apps.model import load_model
from mmlt.datasets.feature_files import FeatureFile, FeatureSplit, write_features
from mmlt.hooks.settings import settings_of
from tests.configs.recipes import CONFIGS
from tests.tools.load_tool import load_tool

tool = load_tool('model_converters/join_head.py')
CLASSES = tuple('abcdefghij')
CONFIG = """
_base_ = ['{recipe}']
read = dict(_delete_=True, type='CustomDataset', data_root='photos', pipeline=[
    dict(type='LoadImageFromFile'), dict(type='Resize', scale=(32, 32)), dict(type='PackInputs')])
val_dataloader = test_dataloader = dict(dataset=read)
"""


def write_config(folder, method):
    path = folder / f'{method}.py'
    path.write_text(CONFIG.format(recipe=CONFIGS / 'digits_lt' / f'resnet8_{method}.py'))
    return path


def network_file(cfg, path, seed):
    torch.manual_seed(seed)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor))
    for norm in model.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.running_mean.normal_()
    torch.save(dict(state_dict=model.state_dict()), path)
    return model


@pytest.fixture
def run(tmp_path):
    """Config, head as a run on features saves it, network; and the whole in PyTorch."""
    config, network = write_config(tmp_path, 'logit_adjustment'), tmp_path / 'network.pth'
    cfg = Config.fromfile(str(config))
    whole = network_file(cfg, network, 0)
    made_by = describe_network(cfg, build_network(cfg, network, 'cpu'), network)
    split = FeatureSplit(np.ones((10, 64), np.float16), np.arange(10), ('',) * 10)
    content = FeatureFile(dict(train=split, test=split), CLASSES, made_by, {})
    write_features(tmp_path / 'features.npz', content)
    settings = settings_of(frozen_config(cfg, tmp_path / 'features.npz'), 128)
    generator = torch.Generator().manual_seed(1)
    weights = {
        'head.fc.weight': torch.randn(10, 64, generator=generator),
        'head.fc.bias': torch.randn(10, generator=generator),
    }
    whole.load_state_dict(weights, strict=False)
    meta = dict(dataset_meta=dict(classes=CLASSES, class_counts=[*range(50, 40, -1)]))
    checkpoint = dict(meta=meta, state_dict=weights, trained_with=json.dumps(settings))
    torch.save(checkpoint, tmp_path / 'head.pth')
    return config, tmp_path / 'head.pth', network, whole.eval()


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_the_whole_predicts_as_network_and_head_do(run, tmp_path, suffix):
    config, head, network, whole = run
    out = tmp_path / f'whole{suffix}'
    tool.main([str(config), str(head), str(out), '--checkpoint', str(network)])
    model = load_model(out)
    assert model.recipe.classes == CLASSES
    assert model.recipe.prior_power == 0  # of logit adjustment
    images = torch.randint(256, (3, 1, 32, 32), generator=torch.Generator().manual_seed(2))
    images = images.float().expand(3, 3, 32, 32)
    with torch.no_grad():
        inputs = whole.data_preprocessor(dict(inputs=images))['inputs']
        scores = whole.head.fc(whole.extract_feat(inputs)[-1]).softmax(1)
    np.testing.assert_allclose(model(list(images)), scores.numpy(), atol=1e-6)


def test_a_rebalanced_head_stays_one(run, tmp_path):
    config, head, network, _ = run
    checkpoint = torch.load(head)
    checkpoint['meta']['rebalanced_classifier'] = dict(method='tau_norm', tau=1.0, weight='fc')
    torch.save(checkpoint, head)
    tool.main([str(config), str(head), str(tmp_path / 'a.pth'), '--checkpoint', str(network)])
    assert 'rebalance_classifier.py' in load_model(tmp_path / 'a.pth').recipe.corrections


def refused(capsys, *arguments):
    with pytest.raises(SystemExit):
        tool.main([*map(str, arguments)])
    return capsys.readouterr().err.splitlines()[-1]


def test_what_does_not_belong_together_is_refused(run, tmp_path, capsys):
    config, head, network, _ = run
    out, other = tmp_path / 'whole.pth', tmp_path / 'other.pth'
    weights = ('--checkpoint', network)
    assert 'expected weights of the network' in refused(capsys, config, head, out)
    said = refused(capsys, write_config(tmp_path, 'ce'), head, out, *weights)
    assert 'trained with LogitAdjustedLoss' in said and 'now CrossEntropyLoss' in said
    network_file(Config.fromfile(str(config)), other, 1)
    said = refused(capsys, config, head, out, '--checkpoint', other)
    assert 'expected one on features of the network of CONFIG' in said
    said = refused(capsys, config, network, out, *weights)
    assert 'HEAD: expected a head that was trained on features' in said
    memory = CONFIGS / 'digits_lt' / 'resnet8_logit_adjustment.py'
    assert 'read from files' in refused(capsys, memory, head, out, *weights)
    assert not out.exists()
    assert '--force replaces it' in refused(capsys, config, head, network, *weights)
    assert 'another file than HEAD' in refused(capsys, config, head, head, *weights, '--force')
    missing = ('--checkpoint', tmp_path / 'none.pth')
    assert 'none.pth' in refused(capsys, config, head, out, *missing)
