"""A head of ``mmlt compare --frozen`` and its network in one checkpoint."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS

from mmlt.apps.features.network import build_network, describe_network
from mmlt.apps.model import load_model
from mmlt.datasets.feature_files import FeatureFile, FeatureSplit, write_features
from tests.configs.recipes import CONFIGS
from tests.tools.load_tool import load_tool

tool = load_tool('model_converters/join_head.py')
CONFIG = CONFIGS / 'digits_lt' / 'resnet8_logit_adjustment.py'
CLASSES = tuple('abcdefghij')


def network_file(path, seed):
    torch.manual_seed(seed)
    cfg = Config.fromfile(str(CONFIG))
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor))
    for norm in model.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.running_mean.normal_()
    torch.save(dict(state_dict=model.state_dict()), path)
    return model


@pytest.fixture
def run(tmp_path):
    """Network, head and features, where ``mmlt compare --frozen`` leaves them."""
    whole = network_file(tmp_path / 'network.pth', 0)
    folder = tmp_path / 'runs_frozen' / 'la' / 'seed_0'
    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(1)
    weights = {
        'head.fc.weight': torch.randn(10, 64, generator=generator),
        'head.fc.bias': torch.randn(10, generator=generator),
    }
    meta = dict(dataset_meta=dict(classes=CLASSES, class_counts=[*range(50, 40, -1)]))
    torch.save(dict(meta=meta, state_dict=weights), folder / 'epoch_40.pth')
    cfg = Config.fromfile(str(CONFIG))
    made_by = build_network(cfg, tmp_path / 'network.pth', 'cpu')
    network = describe_network(cfg, made_by, tmp_path / 'network.pth')
    split = FeatureSplit(np.zeros((10, 64), np.float16), np.arange(10), ('',) * 10)
    content = FeatureFile(dict(train=split, test=split), CLASSES, network, {})
    write_features(tmp_path / 'runs_frozen' / 'features.npz', content)
    whole.load_state_dict(weights, strict=False)
    return folder / 'epoch_40.pth', tmp_path / 'network.pth', whole.eval()


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_the_whole_predicts_as_network_and_head_do(run, tmp_path, suffix):
    head, network, whole = run
    out = tmp_path / f'whole{suffix}'
    tool.main([str(CONFIG), str(head), str(out), '--checkpoint', str(network)])
    model = load_model(out)
    assert model.recipe.classes == CLASSES
    assert model.recipe.prior_power == 0  # of logit adjustment
    images = torch.randint(256, (3, 1, 32, 32), generator=torch.Generator().manual_seed(2)).float()
    images = images.expand(3, 3, 32, 32)
    with torch.no_grad():
        inputs = whole.data_preprocessor(dict(inputs=images))['inputs']
        scores = whole.head.fc(whole.extract_feat(inputs)[-1]).softmax(1)
    np.testing.assert_allclose(model(list(images)), scores.numpy(), atol=1e-6)


def refused(capsys, *arguments):
    with pytest.raises(SystemExit):
        tool.main([*map(str, arguments)])
    return capsys.readouterr().err.splitlines()[-1]


def test_what_does_not_belong_together_is_refused(run, tmp_path, capsys):
    head, network, _ = run
    out, other = tmp_path / 'whole.pth', tmp_path / 'other.pth'
    said = refused(capsys, CONFIG, head, out)
    assert 'checkpoint: expected weights of the network' in said
    network_file(other, 1)
    said = refused(capsys, CONFIG, head, out, '--checkpoint', other)
    assert 'features.npz' in said and 'got another' in said
    said = refused(capsys, CONFIG, network, out, '--checkpoint', network)
    assert 'HEAD: expected a head that was trained on features' in said
    torch.save(dict(meta={}, state_dict={'head.fc.weight': torch.zeros(3, 64)}), head)
    said = refused(capsys, CONFIG, head, out, '--checkpoint', network)
    assert 'head.fc.weight of shape (10, 64), as in the config, got (3, 64)' in said
    assert not out.exists()
