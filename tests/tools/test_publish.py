"""Files to give away: what they hold, their names, and that everything of ours reads them."""

from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.runner.checkpoint import load_checkpoint

from mmlt import weight_files
from mmlt.functional.checks import OptionError
from tests.digits_runner import digits_config, digits_runner
from tests.tools.load_tool import load_tool

publish = load_tool('model_converters/publish.py')
plain = load_tool('model_converters/to_plain_classifier.py')
train, tester = load_tool('train.py'), load_tool('test.py')


def checkpoint(**weights):
    shared = torch.arange(6.0)
    return dict(
        meta=dict(
            dataset_meta=dict(classes=('cat', 'kočka'), class_counts=torch.tensor([3, 1])),
            cfg='model = 1',
            epoch=2,
            hook_msgs=dict(last_ckpt='/data/runs/epoch_2.pth'),
        ),
        state_dict={
            'head.fc.weight': shared[:4].view(2, 2).t(),
            'head.fc.bias': shared[1:3],
            'head.steps': torch.tensor(7),
            'backbone.half': torch.ones(2, dtype=torch.bfloat16),
            **weights,
        },
        optimizer=dict(state={}),
        message_hub={},
    )


@pytest.mark.parametrize('suffix', publish.SUFFIXES)
def test_weights_and_meta_with_a_hash_in_the_name(tmp_path, capsys, suffix):
    source = checkpoint()
    torch.save(source, tmp_path / 'in.pth')
    publish.main([str(tmp_path / 'in.pth'), str(tmp_path / 'new' / f'out{suffix}')])
    (written,) = (tmp_path / 'new').iterdir()
    assert capsys.readouterr().out.strip() == str(written)
    digits = hashlib.sha256(written.read_bytes()).hexdigest()[:8]
    assert written.name == f'out-{digits}{suffix}'
    found = load_tool('cli.py').load_checkpoint(written)
    assert set(found) == {'meta', 'state_dict'}
    torch.testing.assert_close(found['state_dict'], source['state_dict'], rtol=0, atol=0)
    assert set(found['meta']) == {'dataset_meta', 'cfg', 'epoch'}
    assert list(found['meta']['dataset_meta']['classes']) == ['cat', 'kočka']
    assert found['meta']['cfg'] == 'model = 1'
    assert list(found['meta']['dataset_meta']['class_counts']) == [3, 1]
    again = publish.publish(written, tmp_path / f'out{suffix}')
    assert again.name == written.name, 'the same content has the same name'


def test_other_readers_find_json_in_the_header(tmp_path):
    from safetensors import safe_open

    path = tmp_path / 'out.safetensors'
    weight_files.write_whole(path, weight_files.checkpoint_bytes(checkpoint(), path))
    with safe_open(path, framework='np') as file:
        texts = file.metadata()
    assert texts['format'] == 'pt'
    assert json.loads(texts['dataset_meta']) == dict(classes=['cat', 'kočka'], class_counts=[3, 1])


def test_what_is_no_tensor_is_left_out_and_named(tmp_path):
    path = tmp_path / 'out.safetensors'
    with pytest.warns(UserWarning, match=r'left out: head\.extra'):
        content = weight_files.checkpoint_bytes(checkpoint(**{'head.extra': {}}), path)
    weight_files.write_whole(path, content)
    assert 'head.extra' not in weight_files.read_safetensors(path)['state_dict']


def test_a_file_is_whole_or_not_there(tmp_path, monkeypatch):
    path = tmp_path / 'out.pth'
    path.write_text('old')

    def full(*args):
        raise OSError('disk full')

    monkeypatch.setattr(weight_files.os, 'fsync', full)
    with pytest.raises(OSError, match='disk full'):
        weight_files.write_whole(path, b'new')
    assert [file.read_text() for file in tmp_path.iterdir()] == ['old']


def test_a_broken_file_is_refused(tmp_path):
    path = tmp_path / 'out.safetensors'
    content = weight_files.checkpoint_bytes(checkpoint(), path)
    for broken in (content[:-1], content[:20], b'', pickle.dumps(checkpoint())):
        path.write_bytes(broken)
        with pytest.raises(ValueError, match='expected a safetensors file, got another'):
            load_checkpoint(torch.nn.Linear(1, 1), str(path))
    with pytest.raises(FileNotFoundError):
        load_checkpoint(torch.nn.Linear(1, 1), str(tmp_path / 'none.safetensors'))


def test_a_refused_pickle_names_the_file_and_the_way_out(tmp_path):
    torch.save(dict(state_dict={}, extra=Path('x')), tmp_path / 'in.pth')
    with pytest.raises(OptionError, match=r'in\.pth: broken, or .*--trust-checkpoint$'):
        load_checkpoint(torch.nn.Linear(1, 1), str(tmp_path / 'in.pth'))


@pytest.mark.parametrize('kind', ['garbage', 'npz', 'list'])
def test_what_is_no_checkpoint_is_one_line(tmp_path, kind):
    path = tmp_path / 'in.pth'
    if kind == 'npz':
        with path.open('wb') as file:
            np.savez(file, a=np.zeros(2))
    else:
        path.write_bytes(b'no checkpoint') if kind == 'garbage' else torch.save([1], path)
    with pytest.raises(OptionError, match=r'^checkpoint: expected .*, got .*in\.pth') as caught:
        load_checkpoint(torch.nn.Linear(1, 1), str(path))
    assert '\n' not in str(caught.value)


def test_mistakes_are_named(tmp_path, capsys):
    torch.save(checkpoint(), tmp_path / 'in.pth')
    with pytest.raises(SystemExit):
        publish.main([str(tmp_path / 'in.pth'), str(tmp_path / 'out.bin')])
    assert 'OUT: expected a name that ends in .safetensors or .pth' in capsys.readouterr().err
    with pytest.raises(SystemExit):
        train.main(['config.py', '--resume', 'model.safetensors'])
    assert 'which holds weights only' in capsys.readouterr().err


def test_the_tools_read_it(tmp_path):
    """``test.py``, ``load_from``, ``Pretrained`` and the converters, of one trained model."""
    digits_runner(tmp_path / 'run').train()
    source = tmp_path / 'run' / 'epoch_1.pth'
    given = str(publish.publish(source, tmp_path / 'model.safetensors'))
    config = tmp_path / 'config.py'
    cfg = digits_config(tmp_path / 'tested')
    config.write_text('\n'.join(f'{name} = {value!r}' for name, value in cfg.to_dict().items()))
    assert tester.main([str(config), given]) == tester.main([str(config), str(source)])
    expected = torch.load(source, weights_only=True)['state_dict']
    from_file = digits_runner(tmp_path / 'a', load_from=given)
    from_file.load_or_resume()
    pretrained = digits_runner(
        tmp_path / 'b', **{'model.init_cfg': dict(type='Pretrained', checkpoint=given)}
    )
    pretrained.model.init_weights()
    for runner in (from_file, pretrained):
        torch.testing.assert_close(runner.model.state_dict(), expected, rtol=0, atol=0)
    plain.main([given, str(tmp_path / 'plain.safetensors')])
    found = weight_files.read_safetensors(tmp_path / 'plain.safetensors')
    assert found['meta']['dataset_meta']['class_counts']
    assert set(found['state_dict']) <= set(expected)
