"""The packaged weights: written for MMPretrain, they recognise what ImageNet knows."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS

from mmlt.apps import pretrained
from mmlt.apps.pretrained import efficientnet_lite0, has_efficientnet_lite0
from mmlt.weight_files import read_safetensors
from tests.grocery import images_of
from tests.tools.load_tool import load_tool

# Their places among the 1,000 classes of ImageNet.
GRANNY_SMITH, CABBAGE, ZUCCHINI = 948, 936, 939


@pytest.fixture(scope='module')
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not has_efficientnet_lite0():
        pytest.skip('mmlt[pretrained] is not installed')
    path = tmp_path_factory.mktemp('weights') / 'new' / 'lite0.safetensors'
    efficientnet_lite0(path)
    return path


def network(weights: Path) -> torch.nn.Module:
    """An MMPretrain classifier with the written backbone and the classifier of the package."""
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(
            dict(
                type='ImageClassifier',
                data_preprocessor=dict(type='ClsDataPreprocessor', **pretrained.NORM),
                backbone=dict(
                    type='TIMMBackbone',
                    model_name='tf_efficientnet_lite0',
                    init_cfg=dict(type='Pretrained', checkpoint=str(weights), prefix='backbone.'),
                ),
                neck=dict(type='GlobalAveragePooling'),
                head=dict(
                    type='LinearClsHead',
                    num_classes=1000,
                    in_channels=1280,
                    loss=dict(type='CrossEntropyLoss'),
                ),
            )
        )
        model.init_weights()
    packaged = pretrained._read()
    model.head.fc.load_state_dict(dict(weight=packaged['_fc.weight'], bias=packaged['_fc.bias']))
    return model.eval()


def test_the_network_names_what_it_was_trained_on(weights: Path) -> None:
    photographs = images_of(['Zucchini', 'Cabbage', 'Apple'])
    model = network(weights)
    named = {}
    for name, images in photographs.items():
        batch = [torch.from_numpy(cv2.resize(x, (224, 224))).permute(2, 0, 1) for x in images]
        samples = model.test_step(dict(inputs=torch.stack(batch), data_samples=None))
        named[name] = np.array([int(sample.pred_label) for sample in samples])
    # In other orders of channels, or other means, it names half of these.
    assert (named['Zucchini'] == ZUCCHINI).mean() >= 0.8
    assert (named['Cabbage'] == CABBAGE).mean() >= 0.7
    assert GRANNY_SMITH in named['Apple']


def test_other_weights_are_refused(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packaged = pretrained._read()
    stem = packaged['_conv_stem.weight']
    packaged['_conv_stem.weight'] = stem[:16]
    monkeypatch.setattr(pretrained, '_read', lambda: packaged)
    with pytest.raises(ValueError, match=r'got \(16, 3, 3, 3\) for _conv_stem.weight in place of'):
        efficientnet_lite0(weights.with_name('other.safetensors'))
    del packaged['_bn1.bias']
    with pytest.raises(ValueError, match=r'expected the 294 arrays of .*, got 293'):
        efficientnet_lite0(weights.with_name('other.safetensors'))
    assert not weights.with_name('other.safetensors').exists()


def test_the_packages_are_named_where_they_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretrained, 'MODULE', 'no_such_package')
    assert not has_efficientnet_lite0()
    with pytest.raises(ValueError, match=r'^weights: expected .*mmlt\[pretrained\]'):
        efficientnet_lite0(tmp_path / 'lite0.safetensors')


def test_the_tool_writes_a_new_file_only(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tool = load_tool('model_converters/efficientnet_lite0.py')
    with pytest.raises(SystemExit):
        tool.main([str(weights)])
    assert 'OUT: expected a new file' in capsys.readouterr().err
    before = weights.read_bytes()
    tool.main([str(weights), '--force'])
    assert weights.read_bytes() == before
    meta = read_safetensors(weights)['meta']
    assert (meta['license'], meta['data_preprocessor']['std']) == ('Apache-2.0', [128.0] * 3)
