"""The benchmark for a GPU: what it compares with, and that it runs, as far as a CPU can tell."""

from __future__ import annotations

import json
import subprocess

import pytest
import torch
import torch.nn.functional as F
from mmengine.optim import OptimWrapper

from tests.tools.load_tool import load_tool


@pytest.fixture(scope='module')
def tool():
    return load_tool('benchmarks/gpu.py')


def test_without_a_gpu_it_says_so_and_ends_well(tool, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    assert tool.main([]) == 0
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 1
    assert 'no CUDA device' in said[0]


def test_each_method_has_plain_cross_entropy_of_its_views(tool):
    cases = list(tool.cases(tool.NETS))
    plain = [case._replace(method='') for case in cases if case.method == tool.PLAIN]
    assert all(case._replace(method='') in plain for case in cases)
    assert len(set(map(str, cases))) == len(cases)


def test_plain_cross_entropy_of_views_is_that_of_all_images(tool):
    net = tool.NETS[0]._replace(images=3)
    model, batch = tool.subject(tool.Case(net, tool.PLAIN, 3, mixed=False), 'cpu')
    with torch.no_grad():
        data = model.data_preprocessor(tool.fresh(batch), training=True)
        logits = model.head(model.neck(model.backbone(torch.cat(data['inputs']))))
    labels = [int(sample.gt_label) for sample in batch['data_samples']]
    expected = F.cross_entropy(logits, torch.tensor(labels * 3))
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    before = [part.detach().clone() for part in model.parameters()]
    found = model.train_step(tool.fresh(batch), wrapper)['loss']
    torch.testing.assert_close(found, expected)
    changed = [bool((a != b).any()) for a, b in zip(before, model.parameters(), strict=True)]
    assert all(changed)


@pytest.mark.slow
def test_rehearsal_on_a_cpu(tool, tmp_path, capsys):
    out = tmp_path / 'gpu.json'
    arguments = ['--device', 'cpu', '--quick', '--minutes', '10', '--out', str(out)]
    assert tool.main(arguments) == 0
    known = json.loads(out.read_text())
    assert known['left_out'] == []
    exact = {(row['net'], row['method']) for row in known['rows'] if row['arithmetic'] == 'float32'}
    assert exact == {(net.name, method) for net in tool.NETS for method in net.recipes}
    assert {row['method'] for row in known['rows'] if row['compiled']} == {'CE', 'ConCutMix + CAR'}
    assert all(row['ms'] > 0 for row in known['rows'])
    ways = {(row['net'], row['method'], row['where']) for row in known['passes']}
    assert ways == {way[:3] for way in tool.WAYS}
    assert all(min(row['loader'], row['step'], row['both']) > 0 for row in known['passes'])
    assert {row['arithmetic'] for row in known['rows']} == {'float32', 'bfloat16'}


def test_what_the_time_does_not_suffice_for_is_listed(tool, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tool, 'measure', lambda case, *rest: dict(ms=1.0, mb=None))
    clock = iter(range(0, 60 * 1000, 60))  # a minute for each measurement
    monkeypatch.setattr(tool.time, 'monotonic', lambda: next(clock))
    out = tmp_path / 'gpu.json'
    tool.main(['--device', 'cpu', '--minutes', '3', '--out', str(out)])
    known = json.loads(out.read_text())
    assert len(known['rows']) == 3
    assert len(known['rows']) + len(known['left_out']) == len(tool.todo(tool.NETS))


def test_the_same_command_again_measures_what_is_missing(tool, tmp_path, monkeypatch, capsys):
    out, commits, costs = tmp_path / 'gpu.json', iter(['a', 'b', 'c']), iter([1.0, 2.0, 3.0])
    monkeypatch.setattr(tool, 'commit', lambda root: next(commits))
    done = []

    def again(minutes):
        ms = next(costs)
        monkeypatch.setattr(
            tool, 'measure', lambda case, *rest: done.append(str(case)) or dict(ms=ms, mb=None)
        )
        clock = iter(range(0, 60 * 1000, 60))
        monkeypatch.setattr(tool.time, 'monotonic', lambda: next(clock))
        tool.main(['--device', 'cpu', '--minutes', str(minutes), '--out', str(out)])
        return json.loads(out.read_text())

    again(3)
    known = again(3)
    assert len(set(done)) == len(done) == 6  # none twice
    assert [(row['ms'], row['commit']) for row in known['rows']] == [(1, 'a')] * 3 + [(2, 'b')] * 3
    assert [row['name'] for row in known['rows']] == done
    assert len(known['rows']) + len(known['left_out']) == len(tool.todo(tool.NETS))
    monkeypatch.setattr(torch, '__version__', '99')
    assert [row['commit'] for row in again(2)['rows']] == ['c', 'c']  # of another PyTorch: no mix
    assert 'is replaced' in capsys.readouterr().out


def test_what_is_measured_is_not_measured_again(tool, tmp_path, monkeypatch, capsys):
    out, done = tmp_path / 'gpu.json', []
    monkeypatch.setattr(tool, 'measure_passes', lambda *rest: dict(loader=1.0, step=1.0, both=1.0))
    monkeypatch.setattr(
        tool, 'measure', lambda case, *rest: done.append(str(case)) or dict(ms=1.0, mb=None)
    )
    arguments = ['--device', 'cpu', '--minutes', '99', '--out', str(out)]
    tool.main(arguments)
    number, text = len(done), out.read_text()
    assert tool.main(arguments) == 0
    assert len(done) == number and out.read_text() == text
    assert 'has all measurements' in capsys.readouterr().out
    for other in ('[]', '{"rows": [{"ms": 1}], "passes": []}'):
        out.write_text(other)
        tool.main(arguments)
        assert 'no figures of this benchmark' in capsys.readouterr().out
        assert len(json.loads(out.read_text())['rows']) == number


def test_what_is_written_is_no_change_of_the_commit(tool, tmp_path, monkeypatch):
    """Else a second run would be of another commit than the first."""

    def git(*arguments):
        subprocess.run(['git', *arguments], cwd=tmp_path, check=True, capture_output=True)

    results = tmp_path / 'docs' / 'results'
    results.mkdir(parents=True)
    for path in (results / 'gpu.json', tmp_path / 'code.py'):
        path.write_text('1')
    git('init')
    git('add', '.')
    git('-c', 'user.name=a', '-c', 'user.email=a@b', 'commit', '-m', 'first')
    monkeypatch.setattr(tool, 'ROOT', tmp_path)
    clean = tool.commit(tool.ROOT)
    (results / 'gpu.json').write_text('2')
    assert tool.commit(tool.ROOT) == clean
    (tmp_path / 'code.py').write_text('2')
    assert tool.commit(tool.ROOT) == f'{clean} and changes'


@pytest.mark.slow
def test_the_data_path_alone_is_measured_on_a_cpu():
    rows = load_tool('benchmarks/passes.py').main(['--repeats', '1', '--batches', '1'])
    assert [row.size for row in rows] == ['batches of 128', 'batches of 256']
    assert all(row.plain > row.mmlt > 0 for row in rows)


def test_what_fails_does_not_end_the_others(tool, tmp_path, monkeypatch, capsys):
    def measured(case, *rest):
        if case.method == 'CAR':
            raise RuntimeError('out of memory')
        return dict(ms=1.0, mb=None)

    monkeypatch.setattr(tool, 'measure', measured)
    monkeypatch.setattr(tool, 'measure_passes', lambda *rest: dict(loader=1.0, step=1.0, both=1.0))
    out = tmp_path / 'gpu.json'
    assert tool.main(['--device', 'cpu', '--minutes', '9', '--out', str(out)]) == 1
    known = json.loads(out.read_text())
    assert known['left_out'] == [] and len(known['failed']) == 4
    assert all('CAR, views: 1' in part for part in known['failed'])
    assert set(known['failed'].values()) == {'RuntimeError: out of memory'}
    assert 'failed: RuntimeError: out of memory' in capsys.readouterr().out


def test_where_all_fails_the_figures_of_an_earlier_run_stay(tool, tmp_path, monkeypatch):
    def measured(*rest):
        raise RuntimeError('no kernel image for this device')

    for name in ('measure', 'measure_passes'):
        monkeypatch.setattr(tool, name, measured)
    out = tmp_path / 'gpu.json'
    out.write_text('earlier')
    assert tool.main(['--device', 'cpu', '--minutes', '9', '--out', str(out)]) == 1
    assert out.read_text() == 'earlier'
