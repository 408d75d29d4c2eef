"""A contrastive checkpoint, loaded and tested without anything of the contrastive part."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from mmpretrain import get_model
from mmpretrain.registry import MODELS

from mmlt.apps.model import load_model
from mmlt.models.classifiers.multi_view_classifier import MultiViewClassifier
from mmlt.models.heads.contrastive_cls_head import ContrastiveClsHead
from mmlt.models.necks.bcl_neck import BCLNeck
from mmlt.recipe import KEY, Recipe
from tests.tools.load_tool import load_tool

tool = load_tool('model_converters/to_plain_classifier.py')
BACKBONE = dict(type='CIFARResNet', depth=8)


def save(path, cosine):
    torch.manual_seed(0)
    model = MultiViewClassifier(
        backbone=BACKBONE,
        neck=BCLNeck(64, 4),
        head=ContrastiveClsHead(
            5,
            64,
            4,
            cosine=cosine,
            scale=20.0,
            loss_car=dict(type='CARLoss', criterion=None, num_classes=5),
        ),
    )
    meta = dict(epoch=3, dataset_meta=dict(class_counts=[5, 4, 3, 2, 1]))
    torch.save(dict(state_dict=model.state_dict(), meta=meta, optimizer={}), path)
    return model.eval()


@pytest.mark.parametrize(
    ('cosine', 'head_type'), [(False, 'LinearClsHead'), (True, 'CosineClsHead')]
)
def test_plain_classifier_predicts_the_same(tmp_path, capsys, cosine, head_type):
    model = save(tmp_path / 'in.pth', cosine)
    tool.main([str(tmp_path / 'in.pth'), str(tmp_path / 'new' / 'out.pth'), '--scale', '20'])
    assert head_type in capsys.readouterr().out
    written = torch.load(tmp_path / 'new' / 'out.pth', weights_only=True)
    assert set(written) == {'meta', 'state_dict'}
    assert written['meta']['dataset_meta']['class_counts'] == [5, 4, 3, 2, 1]
    plain = MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=BACKBONE,
            neck=dict(type='GlobalAveragePooling'),
            head=tool.plain_head(written['state_dict'], 20.0),
        )
    )
    plain.load_state_dict(written['state_dict'], strict=True)
    images = torch.randn(3, 3, 16, 16)
    torch.testing.assert_close(plain.eval()(images), model(images))


def test_bad_input(tmp_path, capsys):
    with pytest.raises(ValueError, match='got no file'):
        tool.convert(tmp_path / 'in.pth', tmp_path / 'out.pth')
    (tmp_path / 'in.pth').write_bytes(b'not a checkpoint')
    with pytest.raises(ValueError, match='that loads safely'):
        tool.convert(tmp_path / 'in.pth', tmp_path / 'out.pth')
    torch.save(dict(weights={}), tmp_path / 'in.pth')
    with pytest.raises(ValueError, match='state_dict'):
        tool.convert(tmp_path / 'in.pth', tmp_path / 'out.pth')
    torch.save(dict(state_dict={'head.layers.weight': torch.ones(1)}), tmp_path / 'in.pth')
    with pytest.raises(ValueError, match=r'found .*layers'):
        tool.convert(tmp_path / 'in.pth', tmp_path / 'out.pth')
    with pytest.raises(SystemExit):
        tool.main([str(tmp_path / 'in.pth'), str(tmp_path / 'in.pth')])
    assert 'OUT is IN' in capsys.readouterr().err


@pytest.mark.parametrize('token', [True, False])
def test_a_transformer_needs_no_pooling(tmp_path, capsys, token):
    save(tmp_path / 'in.pth', cosine=False)
    checkpoint = torch.load(tmp_path / 'in.pth', weights_only=True)
    if token:
        checkpoint['state_dict']['backbone.cls_token'] = torch.zeros(1, 1, 4)
    torch.save(checkpoint, tmp_path / 'in.pth')
    tool.main([str(tmp_path / 'in.pth'), str(tmp_path / 'out.pth')])
    printed = capsys.readouterr().out
    assert ('neck=None' in printed) == token == ('GlobalAveragePooling' not in printed)


def test_a_damaged_source_is_refused(tmp_path):
    """PyTorch itself loads overwritten weights in silence."""
    path = tmp_path / 'in.pth'
    torch.save(dict(state_dict={'head.fc.weight': torch.ones(64, 64)}), path)
    with path.open('r+b') as file:
        file.seek(path.stat().st_size // 2)
        file.write(b'\xff' * 64)
    with pytest.raises(ValueError, match=r'got \S+in\.pth, which is damaged'):
        tool.convert(path, tmp_path / 'out.pth')
    assert not (tmp_path / 'out.pth').exists()


NORMALISING = dict(type='ClsDataPreprocessor', mean=[90.0] * 3, std=[50.0] * 3)


def save_described(path, backbone, channels):
    """A contrastive checkpoint that describes its model, and the probabilities of an image."""
    torch.manual_seed(0)
    config = dict(
        type='MultiViewClassifier',
        backbone=backbone,
        neck=dict(type='BCLNeck', in_channels=channels, hidden_channels=8, out_channels=4),
        head=dict(
            type='ContrastiveClsHead',
            num_classes=3,
            in_channels=channels,
            hidden_channels=8,
            embedding_channels=4,
        ),
        data_preprocessor=NORMALISING,
    )
    model = MODELS.build(config).eval()
    recipe = Recipe(config, [dict(type='PackInputs')], image_size=(32, 32))
    meta = dict(dataset_meta=dict(classes=['a', 'b', 'c']), cfg='model = ...')
    meta[KEY] = recipe.to_text()
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    image = torch.arange(3 * 32 * 32).reshape(1, 3, 32, 32).float() % 255
    with torch.no_grad():
        return image, model.test_step(dict(inputs=image, data_samples=None))[0].pred_score


@pytest.mark.parametrize(
    ('backbone', 'channels', 'of_mmlt'),
    [(BACKBONE, 64, True), (dict(type='ResNet_CIFAR', depth=18), 512, False)],
)
def test_the_config_beside_it_is_one_of_mmpretrain(tmp_path, capsys, backbone, channels, of_mmlt):
    image, expected = save_described(tmp_path / 'in.pth', backbone, channels)
    arguments = [str(tmp_path / 'in.pth'), str(tmp_path / 'out.pth')]
    tool.main(arguments)
    assert capsys.readouterr().out == f'{tmp_path}/out.pth: load with {tmp_path}/out.py\n'
    assert ('mmlt' in (tmp_path / 'out.py').read_text()) == of_mmlt
    model = get_model(str(tmp_path / 'out.py'), pretrained=str(tmp_path / 'out.pth')).eval()
    found = model.test_step(dict(inputs=image, data_samples=None))[0].pred_score
    torch.testing.assert_close(found, expected)
    ours = load_model(tmp_path / 'out.pth')
    torch.testing.assert_close(torch.from_numpy(ours(list(image)))[0], expected)
    assert ours.recipe.model['type'] == 'ImageClassifier'
    with pytest.raises(SystemExit):
        tool.main(arguments)
    assert '--force replaces it' in capsys.readouterr().err
    tool.main([*arguments, '--force'])


@pytest.mark.slow
def test_mmpretrain_loads_it_without_mmlt(tmp_path):
    image, expected = save_described(tmp_path / 'in.pth', dict(type='ResNet_CIFAR', depth=18), 512)
    tool.convert(tmp_path / 'in.pth', tmp_path / 'out.pth')
    torch.save((image, expected), tmp_path / 'image.pt')
    code = (
        "import sys; sys.modules['mmlt'] = None\n"
        'import torch\n'
        'from mmpretrain import get_model\n'
        "model = get_model('out.py', pretrained='out.pth').eval()\n"
        "image, expected = torch.load('image.pt')\n"
        'found = model.test_step(dict(inputs=image, data_samples=None))[0].pred_score\n'
        'torch.testing.assert_close(found, expected)\n'
    )
    subprocess.run([sys.executable, '-c', code], cwd=tmp_path, check=True, timeout=300)
