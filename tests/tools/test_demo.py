"""The demo: it trains, prints one table, leaves picture and tables, and shows what went wrong."""

from __future__ import annotations

import os
import statistics
import sys
import time

import pytest
from mmengine.config import Config

from mmlt.evaluation.per_class_table import read_per_class_csv
from tests.tools.load_tool import TOOLS, load_tool

# As for a script, whose folder Python searches.
sys.path.append(str(TOOLS))
demo = load_tool('demo.py')
forked_runs = sys.modules['forked_runs']


@pytest.fixture(autouse=True)
def restored_environment(monkeypatch):
    """The demo hides GPUs from its process."""
    for name in ('CUDA_VISIBLE_DEVICES', 'OMP_NUM_THREADS'):
        monkeypatch.setenv(name, os.environ.get(name, ''))
        if name not in os.environ:
            monkeypatch.delenv(name)


def make_runs(folder, count, epochs=2):
    return [
        forked_runs.Run('CE', seed, epochs, folder / f'{seed}.log', (str(seed),))
        for seed in range(count)
    ]


class FakeRunner:
    """What ``main`` of tools/train.py returns, as far as the demo looks at it."""

    def __init__(self, value):
        self.message_hub, self.value = self, value

    def get_scalar(self, name):
        assert name == 'val/top1'
        return self

    def current(self):
        return self.value


def fake_train(argv):
    print('Epoch(train) 1\nEpoch(train) 2', flush=True)
    time.sleep(0.3)
    return FakeRunner(10 * int(argv[0]))


@pytest.mark.slow
def test_quick_demo_trains_every_method(tmp_path, capfd):
    assert demo.main(['--quick', '--seeds', '1', '--work-dir', str(tmp_path)]) == 0
    out = capfd.readouterr().out
    table = [line for line in out.splitlines() if 'worst class' in line]
    assert table[0].split() == ['method', 'all', 'many', 'medium', 'few', 'worst', 'class']
    for label, leaf in demo.METHODS.items():
        assert any(
            line.startswith(f'{label} ') and line.count('.') == len(demo.COLUMNS)
            for line in out.splitlines()
        ), label
        rows = read_per_class_csv(tmp_path / f'{leaf}_seed0.csv')
        assert [row.test_images for row in rows] == [60] * 10
        log = (tmp_path / f'{leaf}_seed0.log').read_text()
        assert log.count('Epoch(train)') == demo.QUICK_EPOCHS
    assert 'Epoch(' not in out  # what the runs print is in their logs
    assert '\r' not in out and '\x1b' not in out  # no bar where there is no terminal
    assert f'{len(demo.METHODS)}/{len(demo.METHODS)}' in out


def test_the_plan_has_every_method_with_every_seed_and_its_own_epochs(tmp_path):
    runs = demo.plan_runs(tmp_path, seeds=3, quick=False)
    assert {(run.label, run.seed) for run in runs} == {
        (label, seed) for label in demo.METHODS for seed in range(3)
    }
    assert len({run.log for run in runs}) == len(runs)
    for run in runs:
        config = Config.fromfile(demo.CONFIGS / f'{demo.METHODS[run.label]}.py')
        assert run.epochs == config.train_cfg.max_epochs
        assert f'randomness.seed={run.seed}' in run.argv


def test_a_method_without_a_config_is_no_silent_gap(tmp_path, monkeypatch):
    monkeypatch.setitem(demo.METHODS, 'new', 'resnet8_new')
    with pytest.raises(FileNotFoundError, match='resnet8_new'):
        demo.plan_runs(tmp_path, seeds=1, quick=False)


def test_table_has_mean_and_deviation_of_each_column(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, 'METHODS', {'CE': 'ce', 'a longer name': 'other'})
    done, values = {}, {}
    for label in demo.METHODS:
        for seed in (1, 0, 2):
            run = forked_runs.Run(label, seed, 1, tmp_path / f'{label}{seed}', ())
            done[run] = {
                figure: 10.0 * seed + column + len(label)
                for column, figure in enumerate(demo.COLUMNS.values())
            }
            values.setdefault(label, []).append(done[run]['long_tail/few_shot'])
    head, *rows = demo.format_table(done).splitlines()
    assert len({len(head), *map(len, rows)}) == 1
    for label, row in zip(demo.METHODS, rows, strict=True):
        mean, spread = statistics.fmean(values[label]), statistics.stdev(values[label])
        assert row.startswith(label)
        assert f'{mean:.1f} ± {spread:.1f}' in row[head.index('medium') + 6 :]


def test_runs_go_two_at_a_time_and_bring_their_figures(tmp_path):
    shown = []
    start = time.monotonic()
    results = {
        run.seed: figures
        for run, figures, _ in forked_runs.train_all(
            fake_train, make_runs(tmp_path, 4), ['top1'], 2, shown.append
        )
    }
    assert results == {seed: {'top1': 10.0 * seed} for seed in range(4)}
    assert time.monotonic() - start > 0.55  # two pairs of 0.3 s
    assert shown == sorted(shown) and shown[-1] == 4 * 2
    assert 'Epoch(train) 2' in (tmp_path / '3.log').read_text()


def failing_train(argv):
    if argv[0] == '1':
        raise ValueError('the images are upside down')
    time.sleep(30)


def test_a_failing_run_stops_the_others_and_shows_its_error(tmp_path, monkeypatch, capfd):
    start = time.monotonic()
    monkeypatch.setattr(demo, 'import_trainer', lambda: failing_train)
    monkeypatch.setattr(demo, 'plan_runs', lambda *options: make_runs(tmp_path, 2))
    assert demo.main(['--work-dir', str(tmp_path)]) == 1
    errors = capfd.readouterr().err
    assert 'CE, seed 1 failed' in errors
    assert 'ValueError: the images are upside down' in errors
    assert str(tmp_path / '1.log') in errors
    assert time.monotonic() - start < 20


def test_a_run_that_dies_without_a_word_is_a_failure(tmp_path):
    with pytest.raises(forked_runs.RunFailed, match='seed 0 failed'):
        list(
            forked_runs.train_all(
                lambda argv: os._exit(0), make_runs(tmp_path, 1), ['top1'], 2, lambda epochs: None
            )
        )


@pytest.mark.parametrize('option', ['--seeds', '--jobs'])
def test_numbers_below_one_are_refused(option, capsys):
    with pytest.raises(SystemExit):
        demo.parse_args([option, '0'])
    assert f"{option}: expected an integer of at least 1, got '0'" in capsys.readouterr().err
