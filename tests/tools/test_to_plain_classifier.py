"""A contrastive checkpoint, loaded and tested without anything of the contrastive part."""

from __future__ import annotations

import pytest
import torch
from mmpretrain.registry import MODELS

from mmlt.models.classifiers.multi_view_classifier import MultiViewClassifier
from mmlt.models.heads.contrastive_cls_head import ContrastiveClsHead
from mmlt.models.necks.bcl_neck import BCLNeck
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
    with pytest.raises(ValueError, match='no such file'):
        tool.convert(tmp_path / 'in.pth', tmp_path / 'out.pth')
    (tmp_path / 'in.pth').write_bytes(b'not a checkpoint')
    with pytest.raises(ValueError, match='cannot be read'):
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
    with pytest.raises(ValueError, match=r'in\.pth: cannot be read as a checkpoint: it is damaged'):
        tool.convert(path, tmp_path / 'out.pth')
    assert not (tmp_path / 'out.pth').exists()
