"""The converter that rebalances a checkpoint's classifier."""

from __future__ import annotations

import pytest
import torch

from mmlt.functional.logit_adjustment import adjusted_bias, tau_normalize
from tests.tools.load_tool import load_tool

tool = load_tool('model_converters/rebalance_classifier.py')
COUNTS = [90, 9, 1]


def save(path, weights=None, counts=COUNTS, **extra):
    generator = torch.Generator().manual_seed(0)
    state_dict = (
        weights
        if weights is not None
        else {
            'backbone.fc.weight': torch.randn(3, 4, generator=generator),
            'head.fc.weight': torch.randn(3, 4, generator=generator),
            'head.fc.bias': torch.randn(3, generator=generator),
            'head.loss_module.confusion': torch.zeros(3, 3),
        }
    )
    meta = {'epoch': 5, 'dataset_meta': {} if counts is None else {'class_counts': counts}}
    torch.save(
        {'state_dict': state_dict, 'meta': {**meta, **extra}, 'optimizer': {'state': {}}}, path
    )
    return state_dict


def load(path):
    return torch.load(path, weights_only=True)


def test_logit_adjustment_changes_the_bias_only(tmp_path, capsys):
    before = save(tmp_path / 'in.pth')
    tool.main(
        [
            str(tmp_path / 'in.pth'),
            str(tmp_path / 'new' / 'out.pth'),
            '--method',
            'logit_adjustment',
            '--tau',
            '0.5',
        ]
    )
    after = load(tmp_path / 'new' / 'out.pth')
    assert 'head.fc.weight' in capsys.readouterr().out
    assert set(after) == {'meta', 'state_dict'}, 'nothing that a resume would trip over'
    torch.testing.assert_close(
        after['state_dict'].pop('head.fc.bias'),
        adjusted_bias(before.pop('head.fc.bias'), COUNTS, 0.5),
    )
    torch.testing.assert_close(after['state_dict'], before)
    assert after['meta']['dataset_meta']['class_counts'] == COUNTS
    assert after['meta']['rebalanced_classifier'] == {
        'method': 'logit_adjustment',
        'tau': 0.5,
        'weight': 'head.fc.weight',
    }


def test_tau_norm_changes_the_weight_drops_the_bias_and_needs_no_counts(tmp_path):
    before = save(tmp_path / 'in.pth', counts=None)
    del before['head.loss_module.confusion']
    tool.convert(tmp_path / 'in.pth', tmp_path / 'out.pth', 'tau_norm', 0.7)
    after = load(tmp_path / 'out.pth')['state_dict']
    torch.testing.assert_close(
        after['head.fc.weight'], tau_normalize(before['head.fc.weight'], 0.7)
    )
    assert (after['head.fc.bias'] == 0).all()
    torch.testing.assert_close(after['backbone.fc.weight'], before['backbone.fc.weight'])


def test_a_second_adjustment_is_said(tmp_path):
    save(tmp_path / 'in.pth', cfg="model = dict(head=dict(loss=dict(type='LogitAdjustedLoss')))")
    with pytest.warns(UserWarning, match='corrects twice'):
        tool.convert(tmp_path / 'in.pth', tmp_path / 'out.pth', 'logit_adjustment', 1.0)


def test_counts_of_another_checkpoint(tmp_path):
    before = save(tmp_path / 'in.pth', counts=None)
    save(tmp_path / 'counts.pth', counts=[5, 4, 3])
    tool.convert(
        tmp_path / 'in.pth', tmp_path / 'out.pth', 'logit_adjustment', 1.0, tmp_path / 'counts.pth'
    )
    torch.testing.assert_close(
        load(tmp_path / 'out.pth')['state_dict']['head.fc.bias'],
        adjusted_bias(before['head.fc.bias'], [5, 4, 3]),
    )


def test_several_matrices_need_a_name(tmp_path):
    weights = {f'head.{name}.weight': torch.ones(3, 4) for name in ('fc', 'projection')}
    weights['head.fc.bias'] = torch.zeros(3)
    save(tmp_path / 'in.pth', weights)
    arguments = (tmp_path / 'in.pth', tmp_path / 'out.pth', 'logit_adjustment', 1.0)
    with pytest.raises(ValueError, match='--weight-key'):
        tool.convert(*arguments)
    assert tool.convert(*arguments, weight_key='head.fc.weight') == 'head.fc.weight'


@pytest.mark.parametrize(
    ('prepare', 'message'),
    [
        (lambda path: None, 'got no file'),
        (
            lambda path: path.write_bytes(b'not a checkpoint'),
            'expected a checkpoint that loads safely',
        ),
        (lambda path: torch.save({'weights': 1}, path), 'without state_dict'),
        (lambda path: save(path, counts=None), '--class-counts-from'),
        (lambda path: save(path, counts=[1, 2]), 'one weight matrix with 2 rows'),
        (lambda path: save(path, counts=[1, 0, 2]), 'training images in every class'),
        (lambda path: save(path, {'head.fc.weight': torch.ones(3, 4)}), 'post_hoc_tau'),
        (lambda path: save(path, rebalanced_classifier='before'), 'already'),
    ],
)
def test_what_cannot_be_rebalanced_is_said(tmp_path, prepare, message):
    path = tmp_path / 'in.pth'
    prepare(path)
    with pytest.raises(ValueError, match=message):
        tool.convert(path, tmp_path / 'out.pth', 'logit_adjustment', 1.0)
    assert not (tmp_path / 'out.pth').exists()


@pytest.mark.parametrize('tau', [-1.0, float('nan'), float('inf')])
@pytest.mark.parametrize('method', tool.METHODS)
def test_a_strength_that_is_no_number_writes_nothing(tmp_path, method, tau):
    save(tmp_path / 'in.pth')
    with pytest.raises(ValueError, match='tau: expected a number in'):
        tool.convert(tmp_path / 'in.pth', tmp_path / 'out.pth', method, tau)
    assert not (tmp_path / 'out.pth').exists()


def test_the_original_is_never_overwritten(tmp_path):
    save(tmp_path / 'in.pth')
    with pytest.raises(ValueError, match='choose another name'):
        tool.convert(tmp_path / 'in.pth', tmp_path / 'in.pth', 'tau_norm', 1.0)


def test_command_ends_with_a_message_and_no_traceback(tmp_path, capsys):
    with pytest.raises(SystemExit):
        tool.main([str(tmp_path / 'a'), str(tmp_path / 'b'), '--method', 'tau_norm'])
    assert 'got no file' in capsys.readouterr().err


def test_a_cosine_classifier_has_nothing_to_normalise(tmp_path):
    save(tmp_path / 'in.pth', weights={'head.fc.weight': torch.ones(3, 4)})
    with pytest.raises(ValueError, match='cosine classifier'):
        tool.convert(tmp_path / 'in.pth', tmp_path / 'out.pth', 'tau_norm', 0.7)
