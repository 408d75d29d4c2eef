"""One reader of weights for all commands: both formats, bare weights, and what is refused."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch

from mmlt.weight_files import checkpoint_bytes, read_checkpoint, write_whole

WEIGHTS = {'head.fc.weight': torch.arange(6.0).view(2, 3), 'head.fc.bias': torch.ones(2)}


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_both_formats_are_read_alike(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f'model{suffix}'
    made = dict(meta=dict(epoch=3), state_dict=WEIGHTS)
    write_whole(path, checkpoint_bytes(made, path))
    content = read_checkpoint(path)
    assert content['meta'] == {'epoch': 3} and set(content) == {'meta', 'state_dict'}
    torch.testing.assert_close(content['state_dict'], WEIGHTS)


@pytest.mark.parametrize('wrapped', [False, True])
def test_bare_weights_are_put_in_their_place(tmp_path: Path, wrapped: bool) -> None:
    before = 'module.' if wrapped else ''
    torch.save({before + name: value for name, value in WEIGHTS.items()}, tmp_path / 'bare.pth')
    assert list(read_checkpoint(tmp_path / 'bare.pth')['state_dict']) == list(WEIGHTS)


def test_a_part_that_is_called_module_keeps_its_name(tmp_path: Path) -> None:
    weights = {'module.weight': torch.ones(2), 'fc.weight': torch.ones(2)}
    torch.save(dict(state_dict=weights), tmp_path / 'own.pth')
    assert list(read_checkpoint(tmp_path / 'own.pth')['state_dict']) == list(weights)


def test_what_is_no_checkpoint_is_one_line(tmp_path: Path) -> None:
    whole = io.BytesIO()
    torch.save(dict(state_dict={'w': torch.ones(64, 64)}), whole)
    damaged = bytearray(whole.getvalue())
    damaged[len(damaged) // 2] ^= 255
    for name, content, message in (
        ('a.pth', b'', r'expected a whole checkpoint, got \S+a\.pth, which is empty'),
        (
            'b.pth',
            whole.getvalue()[:-300],
            r'expected a whole checkpoint, got \S+, which is cut off',
        ),
        ('c.pth', bytes(damaged), r'expected a whole checkpoint, got \S+, which is damaged'),
        ('d.pth', b'a note', 'expected a checkpoint that loads safely, got'),
        ('e.safetensors', b'a note', 'expected a checkpoint that loads safely, got'),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f'^--weights: {message}') as caught:
            read_checkpoint(tmp_path / name, '--weights')
        assert '\n' not in str(caught.value)
    torch.save(dict(state_dict=Path('x')), tmp_path / 'path.pth')
    with pytest.raises(
        ValueError, match=r'loads safely \(--trust switches that off\), got'
    ) as caught:
        read_checkpoint(tmp_path / 'path.pth', switch='--trust')
    assert 'weights_only=False' not in str(caught.value)
    for content in ({}, {'epoch': 3}, [1], {'state_dict': 3}):
        torch.save(content, tmp_path / 'other.pth')
        with pytest.raises(ValueError, match='without state_dict'):
            read_checkpoint(tmp_path / 'other.pth')
    for path, got in ((tmp_path / 'none.pth', 'no file'), (tmp_path, 'a folder')):
        with pytest.raises(ValueError, match=f'^checkpoint: expected a checkpoint, got {got}'):
            read_checkpoint(path)
