"""mmlt compare: budget, processes, states of runs, tables; and a comparison that is killed."""

from __future__ import annotations

import itertools
import json
import math
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS

from mmlt.apps.compare import frozen, main
from mmlt.apps.compare import work as work_of_a_run
from mmlt.apps.compare.budget import SAFETY, Costs, fit_epochs, makespan, seconds_of
from mmlt.apps.compare.command import _conclude, _plan
from mmlt.apps.compare.frozen import Frozen
from mmlt.apps.compare.methods import Method, check_same_test, choose, find_methods, home_of
from mmlt.apps.compare.plan import Plan, forget, locked, read_plan, runs_of
from mmlt.apps.compare.processes import Ended, Task, Told, work_apart
from mmlt.apps.compare.runs import Run, changed_settings, settings
from mmlt.apps.compare.table import Comparison, save_tables, to_markdown, to_text
from mmlt.apps.compare.work import _best, train_and_judge
from mmlt.apps.config import apply_options
from mmlt.apps.predictions import load_predictions, save_predictions
from mmlt.checkpoints import last_checkpoint
from mmlt.datasets.feature_files import FeatureFile, FeatureSplit, read_features, write_features
from tests.configs.recipes import CONFIGS, unknown_options

DIGITS = CONFIGS / 'digits_lt'


# Budget


def test_times_are_read_as_people_write_them():
    assert [seconds_of(text) for text in ('90s', '40m', '1h30m', '1.5h', '2d')] == [
        90, 2400, 5400, 5400, 172800,
    ]  # fmt: skip
    for text in ('', '40', 'm', '4x', '-3m', '0m', '40m ', '1h,5m', 'inf'):
        with pytest.raises(ValueError, match='expected a time such as 40m'):
            seconds_of(text)


def test_tasks_are_taken_in_turn():
    assert makespan([3, 1, 1, 1, 2], 1) == 8
    # 0-3, 0-1, 1-2, 2-3, 3-5
    assert makespan([3, 1, 1, 1, 2], 2) == 5


@pytest.mark.parametrize('jobs', [1, 2, 3])
def test_the_most_epochs_that_fit_are_found(jobs):
    costs = [Costs(5, 2.0, 1.5, 3, 0.25, 4), Costs(5, 6.5, 1.5, 1, 0.25, 4)]
    for budget in (200.0, 700.0, 3000.0):
        fitting = [
            epochs
            for epochs in range(1, 31)
            if makespan([cost.of_run(epochs) for cost in costs] * 3, jobs) <= SAFETY * budget
        ]
        assert fit_epochs(costs, 3, jobs, budget, most=30) == max(fitting)


def test_a_budget_below_one_epoch_says_what_is_needed():
    with pytest.raises(ValueError, match=r'--budget: expected at least 4m more .* 1 methods x 2'):
        fit_epochs([Costs(0, 100.0)], 2, 1, 60.0, most=9)


# Methods


def test_a_project_has_its_baseline_first(tmp_path):
    (tmp_path / 'configs').mkdir()
    for name in ('la', 'cpmix', 'ce', 'class_balanced'):
        (tmp_path / 'configs' / f'{name}.py').write_text('')
    methods = find_methods([tmp_path])
    assert [method.name for method in methods] == ['ce', 'class_balanced', 'cpmix', 'la']
    assert [one.name for one in choose(methods, 'la, ce')] == ['la', 'ce']
    for wrong in ('la,nope', 'la,la', ''):
        with pytest.raises(ValueError, match='--methods: expected different ones of ce, cl'):
            choose(methods, wrong)


def test_a_study_gives_variants_of_recipes():
    studies = Path(__file__).parents[2] / 'tools' / 'studies'
    paths = [path for path in sorted(studies.glob('*.py')) if '\nstudy = ' in path.read_text()]
    assert len(paths) > 4  # fine_tuning.py is a program of its own
    for path in paths:
        methods = find_methods([path])
        assert len({method.name for method in methods}) == len(methods) > 4, path
        for options in {str(method.options): method.options for method in methods}.values():
            apply_options(Config(), options)
    hold = next(m for m in find_methods([studies / 'car.py']) if m.label == 'CE + CAR, hold')
    assert hold.name == 'CE_CAR_hold'
    cfg = hold.load()
    assert cfg.model.head.loss.absent_classes == 'hold'
    assert cfg.default_hooks.checkpoint.save_best is None


@pytest.mark.parametrize('length', [('--epochs', '1'), ('--budget', '5m')])
def test_images_that_are_not_there_are_one_line_before_any_run(tmp_path, capfd, length):
    base = str(CONFIGS / 'digits_lt' / 'resnet8_ce.py')
    images = "dict(type='LongTailListDataset', data_root='moved', ann_file='a.txt', _delete_=True)"
    for name in ('ce', 'la'):
        text = f'_base_ = [{base!r}]\ntest_dataloader = dict(dataset={images})\n'
        (tmp_path / f'{name}.py').write_text(text)
    home = tmp_path / 'runs'
    paths = [str(tmp_path / f'{name}.py') for name in ('ce', 'la')]
    assert main([*paths, '--seeds', '1', '--out', str(home), *length]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert 'error: ce: test_dataloader: data_root: expected the folder of the data, got no' in line
    assert not list(home.glob('*/seed_*'))
    if length[0] == '--budget':
        return
    # What is finished needs no images.
    for run in runs_of(find_methods([Path(path) for path in paths]), 1, 1, home):
        figures = dict(top1=50.0, worst_class=0.0, few_shot=None)
        known = dict(results=dict(last=figures, best=None), best_epoch=None, no_best='none')
        run.note(state='finished', epochs=1, seed=0, method=run.method.label, **known)
    assert main([*paths, '--seeds', '1', '--out', str(home), *length]) == 0


@pytest.mark.slow
def test_options_of_the_studies_exist():
    """An option that was renamed would end a study after hours, or at its start."""
    studies = Path(__file__).parents[2] / 'tools' / 'studies'
    for path in studies.glob('*.py'):
        if '\nstudy = ' not in path.read_text():
            continue
        for method in find_methods([path]):
            assert unknown_options(method.load()) == [], (path, method.label)


@pytest.mark.parametrize(
    'text, said',
    [
        ('study = 3', 'expected study = {label'),
        ("study = {'a': ('nowhere.py', {})}", r"'a': expected \(recipe from this folder"),
        ("study = {'a': 'study.py', 'A!': 'study.py'}", "different names, got two 'a'"),
        ("study = {'a': ('study.py', 3)}", r"'a': expected \(recipe from this folder"),
        ("study = {'a': None}", r"'a': expected \(recipe from this folder, options\), got None"),
    ],
)
def test_a_wrong_study_is_named(tmp_path, text, said):
    (tmp_path / 'study.py').write_text(text)
    with pytest.raises(ValueError, match=said):
        find_methods([tmp_path / 'study.py'])


@pytest.mark.parametrize(
    'arguments, said',
    [
        (
            ['nope'],
            'PROJECT: expected a folder, or recipes (.py), got no such file or folder: nope',
        ),
        (['.'], 'PROJECT: expected configs/*.py in the folder, got none in .'),
        (['broken.py', '--out', 'out'], 'config: expected a config that can be read, got '),
        (['iterations.py', '--out', 'out'], 'train_cfg: expected max_epochs'),
    ],
)
def test_mistakes_are_one_line(arguments, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path('broken.py').write_text('1 / 0')
    Path('iterations.py').write_text('train_cfg = dict(by_epoch=False, max_iters=9)')
    assert main(arguments) == 2
    errors = capsys.readouterr().err
    assert said in errors and errors.count('\n') == 1


@pytest.mark.parametrize(
    'options, said',
    [
        (['--seeds', '0'], "--seeds: expected an integer of at least 1, got '0'"),
        (['--jobs', 'two'], "--jobs: expected an integer of at least 1, got 'two'"),
        (['--budget', '40'], "--budget: expected a time such as 40m, 1h30m or 2d, got '40'"),
        (['--budget', '4m', '--epochs', '3'], 'not allowed with argument'),
    ],
)
def test_wrong_options_are_named(options, said, capsys):
    with pytest.raises(SystemExit):
        main(['.', *options])
    assert said in capsys.readouterr().err


# States of runs


def digits_run(home, seed=0, epochs=None, options=()):
    return Run(Method('CE', 'ce', DIGITS / 'resnet8_ce.py', dict(options)), seed, epochs, home)


def test_a_run_knows_how_far_it_is(tmp_path):
    run = digits_run(tmp_path)
    assert run.read() == {} and not run.can_resume() and changed_settings(run) == []
    run.note(state='started', settings=settings(run))
    run.note(seconds=3.5)
    assert run.read()['state'] == 'started' and run.read()['seconds'] == 3.5
    assert not run.is_finished() and not run.can_resume()
    for name in ('epoch_2.pth', 'iter_12.pth'):
        (run.folder / name).write_text('')
    os.utime(run.folder / 'epoch_2.pth', (1, 1))
    assert last_checkpoint(run.folder).name == 'iter_12.pth'
    (run.folder / 'last_checkpoint').write_text('/moved/from/elsewhere/epoch_2.pth')
    assert last_checkpoint(run.folder).name == 'epoch_2.pth'
    run.note(state='finished')
    assert run.is_finished()


def test_a_run_with_another_config_is_refused_and_a_number_of_workers_is_not(tmp_path):
    run = digits_run(tmp_path, epochs=4)
    run.note(state='finished', settings=settings(run))
    same = digits_run(tmp_path, epochs=4, options={'train_dataloader.num_workers': 2})
    assert changed_settings(same) == []
    with pytest.raises(ValueError, match=r'max_epochs: trained with 4, now 40.* --force'):
        runs_of([run.method], 1, None, tmp_path)
    other = {
        'optim_wrapper.optimizer.lr': 0.3,
        'test_dataloader.dataset.split': 'train',
        'load_from': 'weights.pth',
        'train_dataloader.batch_size': 32,
    }
    for item in other.items():
        assert len(changed_settings(digits_run(tmp_path, epochs=4, options=[item]))) == 1, item


def test_a_run_knows_the_content_of_the_files_that_it_read(tmp_path):
    weights = tmp_path / 'stage1.pth'
    weights.write_bytes(b'one')
    run = digits_run(tmp_path, options={'load_from': str(weights)})
    known = settings(run)
    run.note(state='finished', settings=known)
    assert changed_settings(run) == []
    weights.write_bytes(b'another')
    (line,) = changed_settings(run)
    assert 'stage1.pth: trained with content' in line and '(sha256), now' in line
    weights.unlink()
    assert changed_settings(run) == [], 'it was there when it was needed'
    del known['content']
    run.note(settings=known)
    weights.write_bytes(b'another')
    assert changed_settings(run) == [], 'of an earlier version of mmlt'


def test_a_run_knows_the_images_of_its_features(features, tmp_path):
    run = Run(replace(digits_methods('ce')[0], features=features), 0, 2, tmp_path / 'home')
    run.note(settings=settings(run))
    assert changed_settings(run) == []
    content = read_features(features)
    write_features(features, replace(content, network=dict(content.network, images='others')))
    (line,) = changed_settings(run)
    assert line.startswith('images of the features: trained with content')


def test_one_figure_chooses_the_best_epoch(tmp_path):
    cfg = Config(dict(default_hooks=dict(checkpoint=dict(save_best='auto'))))
    names = ('long_tail_top1_epoch_3', 'long_tail_top1_epoch_2', 'long_tail_few_shot_epoch_9')
    for age, name in enumerate(names):
        (tmp_path / f'best_{name}.pth').touch()
        os.utime(tmp_path / f'best_{name}.pth', (100 - 10 * age, 100 - 10 * age))
    os.utime(tmp_path / 'best_long_tail_few_shot_epoch_9.pth', (500, 500))
    assert _best(tmp_path, cfg).name == 'best_long_tail_few_shot_epoch_9.pth'
    cfg.default_hooks.checkpoint.save_best = ['long_tail/top1', 'long_tail/few_shot']
    assert _best(tmp_path, cfg).name == 'best_long_tail_top1_epoch_3.pth'
    assert _best(tmp_path / 'nowhere', cfg) is None


def test_a_project_moves_together_with_its_runs(tmp_path):
    def run_in(project):
        recipe = project / 'configs' / 'ce.py'
        return Run(Method('ce', 'ce', recipe), 0, None, project / 'runs')

    run = run_in(tmp_path / 'here')
    run.method.config.parent.mkdir(parents=True)
    run.method.config.write_text(
        "_base_ = '../data.py'\n"
        "model = dict(init_cfg=dict(checkpoint=_base_.project + '/weights/w.safetensors'))\n"
    )
    (tmp_path / 'here' / 'data.py').write_text(
        'project = r"""{{ fileDirname }}"""\ntrain_cfg = dict(by_epoch=True, max_epochs=2)\n'
        "files = dict(data_root=project, classes=project + '/splits/classes.txt')\n"
        "listed = dict(files, data_prefix='/photos', ann_file='train.txt')\n"
        'train_dataloader = dict(dataset=listed)\n'
    )
    (tmp_path / 'here' / 'train.txt').write_text('a.jpg 0\n')
    run.note(state='finished', settings=settings(run))
    assert settings(run)['weights'] == ['None', 'weights/w.safetensors']
    moved = run_in((tmp_path / 'here').rename(tmp_path / 'there'))
    assert moved.is_finished() and changed_settings(moved) == []
    data = tmp_path / 'there' / 'data.py'
    data.write_text(data.read_text().replace('/photos', '/disk/photos'))
    assert changed_settings(run_in(tmp_path / 'there')) == [], 'the images have moved'
    data.write_text(data.read_text().replace('/photos', '/resized'))
    (change,) = changed_settings(run_in(tmp_path / 'there'))
    assert change.startswith("train_dataloader.dataset.data_prefix: trained with 'photos', now ")
    data.write_text(data.read_text().replace('/resized', '/photos'))
    (tmp_path / 'there' / 'train.txt').write_text('b.jpg 0\n')
    (change,) = changed_settings(run_in(tmp_path / 'there'))
    assert change.startswith("train_dataloader.dataset.ann_file: trained with 'train.txt (sha256 ")


def test_only_folders_of_runs_are_removed(tmp_path):
    run = digits_run(tmp_path)
    run.folder.mkdir(parents=True)
    (run.folder / 'thesis.txt').write_text('')
    run.remove()
    assert (run.folder / 'thesis.txt').exists()
    run.note(state='started')
    run.remove()
    assert not run.folder.exists()


def test_force_forgets_all_seeds_of_its_methods(tmp_path):
    """Or a mean over seeds would be of two trainings."""
    run = digits_run(tmp_path, seed=3)
    run.note(state='finished')
    other = replace(run, method=replace(run.method, name='other'))
    other.note(state='finished')
    forget([run.method], tmp_path)
    assert not run.folder.exists() and other.is_finished()


def test_the_plan_survives_on_the_disk_and_a_folder_has_one_command(tmp_path):
    assert read_plan(tmp_path) is None
    plan = Plan(epochs=7, budget=60.0, spent=3.0, costs={'ce': Costs(1.0, 2.0)})
    plan.save(tmp_path)
    assert read_plan(tmp_path) == plan
    fits = pytest.raises(ValueError, match='no comparison is at work')
    with locked(tmp_path), fits, locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


def test_epochs_that_were_chosen_for_a_folder_stay(tmp_path, capsys):
    methods = [digits_run(tmp_path).method]
    decide = partial(_plan, methods, tmp_path, 2, jobs=1, gpus=())
    assert decide(None, None) == Plan() and decide(3, None) == Plan(epochs=3)
    Plan(epochs=7, budget=60.0, spent=3.0, costs={'ce': Costs(1.0, 2.0)}).save(tmp_path)
    for budget in (None, 60.0):
        assert decide(None, budget) == read_plan(tmp_path)
        assert '7 epochs for each run: of 40, so many fit into 60 s' in capsys.readouterr().out
    assert decide(9, None) == Plan(epochs=9)
    with pytest.raises(ValueError, match='--budget: expected 60 s, with which'):
        decide(None, 90.0)


# Processes


def work(number, tell):
    print('working on', number, flush=True)
    tell(number / 10)
    time.sleep(0.3)
    if number == 1:
        raise ValueError('the images are upside down')
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    tell(1.0)


def make_tasks(folder, numbers):
    return [Task(f'CE, seed {n}', folder / f'{n}' / 'run.log', partial(work, n)) for n in numbers]


def test_tasks_fail_alone_and_are_named_with_the_end_of_their_log(tmp_path):
    tasks = make_tasks(tmp_path, range(5))
    start, told, ended = time.monotonic(), {}, {}
    with closing(work_apart(tasks, 2)) as events:
        for event in events:
            if isinstance(event, Told):
                told.setdefault(tasks.index(event.task), []).append(event.value)
            elif isinstance(event, Ended):
                ended[tasks.index(event.task)] = event
    assert time.monotonic() - start > 0.85  # three turns of 0.3 s
    assert sorted(ended) == [0, 1, 2, 3, 4]
    assert told == {0: [0, 1.0], 1: [0.1], 2: [0.2], 3: [0.3, 1.0], 4: [0.4, 1.0]}
    assert [ended[n].failure for n in (0, 3, 4)] == [None] * 3
    said = ended[1].failure
    assert said.startswith(f'CE, seed 1 failed. The end of {tmp_path}/1/run.log:\n    ')
    assert said.endswith('ValueError: the images are upside down') and 'working on 1' in said
    assert ended[2].failure.startswith('CE, seed 2 ended by signal 9.')


def save_and_end(folder, tell):
    def save(*_):
        (folder / 'saved').write_text('')
        sys.exit(0)

    signal.signal(signal.SIGTERM, save)
    tell('ready')
    time.sleep(60)


def test_tasks_are_asked_to_end_and_waited_for(tmp_path):
    task = Task('CE', tmp_path / 'run.log', partial(save_and_end, tmp_path))
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt), closing(work_apart([task], 1)) as events:
        for event in events:
            if isinstance(event, Told):
                raise KeyboardInterrupt
    assert (tmp_path / 'saved').exists() and time.monotonic() - start < 30


# Tables


def state(seed, epochs=40, best=None, **figures):
    last = dict(top1=50.0, few_shot=20.0, worst_class=0.0, ece=4.0, class_mean=1.0)
    last.update(figures)
    return dict(
        method='x', seed=seed, epochs=epochs, seconds=61.0, best_epoch=None if best is None else 12,
        results=dict(last=last, best=best), no_best='validation and test images are the same',
        settings={},
    )  # fmt: skip


def three_methods():
    top1 = dict(CE=[50, 54, 52], LA=[60, 61, 65], CAR=[61, 60, 64])
    return {
        label: {seed: state(seed, top1=float(value)) for seed, value in enumerate(values)}
        for label, values in top1.items()
    }


def test_the_table_has_means_deviations_and_paired_differences():
    text = to_text(Comparison(three_methods()))
    lines = [line.split() for line in text.splitlines()]
    assert lines[2] == ['method', 'all', 'few', 'worst', 'ECE', 'epoch', 'seeds', 'time']
    assert lines[3][:3] == ['CE', '52.0±2.0', '20.0±0.0'] and lines[3][-4:] == [
        '40',
        '3',
        '61',
        's',
    ]
    pairs = [10.0, 7.0, 13.0]
    half = 4.30265 * statistics.stdev(pairs) / math.sqrt(3)  # Student's t, two degrees of freedom
    assert lines[10][:2] == ['LA', f'+10.0±{half:.1f}']
    assert len({len(line) for line in text.splitlines()[2:6]}) == 1
    assert 'all: best is LA (62.0); within noise of it: CAR (-0.3±2.9).' in text
    assert 'worst: 0.0 for every method.' in text
    assert 'No epoch is chosen on validation: validation and test images are the same.' in text


def test_seeds_that_one_method_lacks_are_not_paired():
    states = three_methods()
    del states['LA'][1], states['CAR'][1], states['CAR'][2]
    comparison = Comparison(states)
    cell = comparison.cell('LA', 'last', 'top1')
    assert cell.mean == 62.5 and cell.difference == statistics.fmean([10, 13])
    cell = comparison.cell('CAR', 'last', 'top1')
    assert cell.difference == 11 and math.isnan(cell.half) and math.isnan(cell.deviation)
    assert re.search(r'^CAR +61.0 ', to_text(comparison), re.M)


def test_one_seed_has_no_interval_and_says_so():
    states = {label: {0: runs[0]} for label, runs in three_methods().items()}
    text = to_text(Comparison(states))
    assert '±' not in text and 'One seed has no interval' in text


def test_nothing_or_one_method_is_no_comparison():
    assert to_text(Comparison({'CE': {}})) == ''
    text = to_text(Comparison({'CE': {0: state(0), 1: state(1)}, 'LA': {}}))
    assert 'Difference' not in text and 'best is' not in text


def test_the_epoch_of_validation_has_a_table_of_its_own(tmp_path):
    states = three_methods()
    for runs in states.values():
        for run in runs.values():
            run['results']['best'] = dict(run['results']['last'], top1=70.0)
            run['best_epoch'], run['no_best'] = 12 + run['seed'], None
    comparison = Comparison(states)
    text = to_text(comparison)
    assert 'Epoch chosen on validation' in text and 'No epoch is chosen' not in text
    assert re.search(r'LA +70.0±0.0 .* 12-14 +3 ', text)
    save_tables(tmp_path, comparison, dict(budget=None))
    assert (tmp_path / 'table.txt').read_text() == text + '\n'
    known = json.loads((tmp_path / 'table.json').read_text())
    assert len(known['runs']) == 9 and 'settings' not in known['runs'][0]
    rows = [line.split(',') for line in (tmp_path / 'table.csv').read_text().splitlines()]
    assert rows[0][:5] == ['epoch', 'method', 'figure', 'seeds', 'mean']
    assert ['last', 'CE', 'top1', '3', '52.0', '2.0', '', '', ''] in rows
    assert len(rows) == 1 + 2 * 3 * 4
    markdown = to_markdown(Comparison({'a|b': states['CE']}))
    assert '| a\\|b | 52.0±2.0 |' in markdown


def test_the_proposed_report_is_of_runs_that_there_are(tmp_path, capsys):
    runs = [digits_run(tmp_path / 'my runs', seed) for seed in range(2)]
    for run in runs:
        run.note(**{**state(run.seed), 'state': 'finished'})
    assert _conclude(runs, [runs[0].method], tmp_path, {}) == 0
    assert f"mmlt report '{tmp_path / 'my runs' / 'ce'}' --out" in capsys.readouterr().out
    for failed in runs:
        failed.note(state='started')
    assert _conclude(runs, [runs[0].method], tmp_path, dict.fromkeys(runs, 'failed')) == 1
    assert 'mmlt report' not in capsys.readouterr().out


# Classifiers on features


@pytest.fixture
def features(tmp_path):
    """Random ones, said to be of the digits network."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), 12)
    rows = rng.normal(size=(120, 64)).astype(np.float16)
    split = FeatureSplit(rows, labels, ('',) * 120)
    network = dict(name='CIFARResNet-8', backbone='{}', sha256='0' * 64, images='1')
    content = FeatureFile(
        dict(train=split, val=split), tuple(map(str, range(10))), network, dict(test='val')
    )
    write_features(tmp_path / 'features.npz', content)
    return tmp_path / 'features.npz'


def digits_methods(*leaves):
    return [Method(leaf, leaf, DIGITS / f'resnet8_{leaf}.py') for leaf in leaves]


def test_methods_that_features_do_not_suit_are_left_out_or_refused(
    features, tmp_path, monkeypatch, capsys
):
    def extract(method, path, checkpoint, force, gpus):
        assert method.name == 'ce' and path == tmp_path.resolve() / 'features.npz'
        return 'made'

    monkeypatch.setattr(frozen, '_extract', extract)
    methods = digits_methods('concutmix', 'ce', 'cmo', 'logit_adjustment')
    chosen = Frozen().of(methods, tmp_path, (), False)
    assert [method.name for method in chosen] == ['ce', 'logit_adjustment']
    assert all(method.load().model.backbone.type == 'IdentityBackbone' for method in chosen)
    out = capsys.readouterr().out
    assert 'Left out, concutmix: model.type: expected ImageClassifier' in out
    assert 'Left out, cmo: model.train_cfg.augments: expected mixing of whole images' in out
    with pytest.raises(ValueError, match=r'--frozen: concutmix: model\.type: expected Im'):
        Frozen(named=True).of(methods, tmp_path, (), False)
    with pytest.raises(ValueError, match='expected a method for features, got none: cmo'):
        Frozen().of(methods[2:3], tmp_path, (), False)


@pytest.mark.parametrize('changes', [False, True])
def test_runs_go_with_the_features_that_they_were_trained_on(
    features, tmp_path, monkeypatch, changes
):
    methods = digits_methods('ce')
    run = Run(methods[0], 7, None, tmp_path)
    run.note(state='finished')

    def extract(method, path, *_):
        content = read_features(path)
        network = dict(content.network, settings='{}', images='2' if changes else '1')
        write_features(path, replace(content, network=network))
        return 'made'

    monkeypatch.setattr(frozen, '_extract', extract)
    Frozen().of(methods, tmp_path, (), True)
    assert run.is_finished() != changes


def test_a_run_on_features_has_figures_of_its_last_epoch_and_no_pictures(features, tmp_path):
    run = Run(replace(digits_methods('ce')[0], features=features), 0, 2, tmp_path / 'home')
    assert run.load() is not run.load() and run.load().train_cfg.max_epochs == 2
    assert not run.load()._format_python_code
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        train_and_judge(run, lambda share: None)
    known = run.read()
    assert known['state'] == 'finished' and known['results']['best'] is None
    assert known['epochs'] == 2
    assert 0 <= known['results']['last']['top1'] <= 100
    assert known['no_best'] == 'heads on features are judged after their last epoch'
    assert [path.name for path in run.folder.glob('*.pth')] == ['epoch_2.pth']
    files = {path.name for path in (run.folder / 'evaluation').iterdir()}
    assert 'metrics.json' in files and not any(name.endswith('.png') for name in files)


def test_a_run_that_diverges_is_no_result(features, tmp_path, monkeypatch):
    run = Run(replace(digits_methods('ce')[0], features=features), 0, 1, tmp_path / 'home')
    own = work_of_a_run._judge

    def judged(run, cfg):
        results = own(run, cfg)
        path = run.folder / 'evaluation' / 'predictions.npz'
        predictions = load_predictions(path)
        if wild:
            predictions.probabilities[3:5, 0] = np.nan
        save_predictions(path, predictions)
        return results

    monkeypatch.setattr(work_of_a_run, '_judge', judged)
    for wild in (True, False):  # the second time the checkpoint is judged again
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            train_and_judge(run, lambda share: None)
        known = run.read()
        assert known['state'] == ('diverged' if wild else 'finished')
        assert run.is_finished() == ('results' in known) == (not wild)
        said = 'ce, seed 0 diverged: expected probabilities, got none for 2 of 120 test images'
        assert (known['fault'] or '').startswith(said if wild else '')


@pytest.mark.parametrize('change', ['classes', 'images', 'pipeline', 'place'])
def test_methods_are_compared_on_the_same_test_images(tmp_path, change):
    names = ['ant', 'bee']
    for name in ('a', 'b', 'c'):
        (tmp_path / f'{name}.jpg').touch()
    lists = {'one': 'a.jpg 0\nb.jpg 1\n', 'two': 'a.jpg 0\nb.jpg 1\n'}
    if change == 'images':
        lists['two'] = 'a.jpg 0\nc.jpg 1\n'
    methods = []
    for name, text in lists.items():
        (tmp_path / f'{name}.txt').write_text(text)
        classes = ['ant', 'wasp'] if change == 'classes' and name == 'two' else names
        listed = 'one' if change in ('classes', 'pipeline') else name
        flipped = [dict(type='LoadImageFromFile')] if change == 'pipeline' and name == 'two' else []
        dataset = dict(
            type='LongTailListDataset', data_root=str(tmp_path), ann_file=f'{listed}.txt',
            metainfo=dict(classes=classes), pipeline=flipped,
        )  # fmt: skip
        config = tmp_path / f'{name}.py'
        config.write_text(f'test_dataloader = dict(dataset={dataset!r})\n')
        methods.append(Method(name, name, config))
    said = {
        'classes': 'of two: expected the 2 classes of one, got 2 others',
        'images': 'of two: expected the 2 images of one, got 2, of which 1 are others',
    }.get(change)
    if said is None:
        check_same_test(methods)
    else:
        with pytest.raises(ValueError, match=f'^test_dataloader.dataset {said}'):
            check_same_test(methods)


def test_frozen_runs_have_a_folder_of_their_own(tmp_path, capsys):
    assert home_of([tmp_path], True) == tmp_path / 'runs_frozen'
    assert home_of([Path('a.py'), Path('b.py')], True) == Path('work_dirs/compare_frozen')
    with pytest.raises(SystemExit):
        main([str(tmp_path), '--checkpoint', 'w.pth'])
    assert '--checkpoint: expected it with --frozen, got w.pth alone' in capsys.readouterr().err


@pytest.mark.slow
def test_classifiers_on_features_are_compared_and_the_features_used_again(project, tmp_path):
    weights = tmp_path / 'weights.pth'
    cfg = digits_methods('ce')[0].load()
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        torch.save(dict(state_dict=MODELS.build(cfg.model).state_dict()), weights)
    (project / 'configs' / 'cmo.py').write_text(
        PROJECT.format(recipe=str(DIGITS / 'resnet8_cmo.py'))
    )
    command = [sys.executable, '-m', 'mmlt', 'compare', project, '--frozen', '--checkpoint']

    def compare(weights, *more):
        arguments = [*map(str, command), str(weights), '--epochs', '3', *more]
        done = subprocess.run(arguments, capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr

    bare = subprocess.run([*map(str, command[:-1])], capture_output=True, text=True)
    assert bare.returncode == 2 and bare.stderr.count('\n') == 1
    assert 'checkpoint: expected weights of the network' in bare.stderr

    status, out, errors = compare(weights, '--seeds', '1')
    assert status == 0, errors
    assert 'Left out, cmo: ' in out and '2 methods x 1 seeds, 2 at a time' in out
    home = project / 'runs_frozen'
    made = (home / 'features.npz').stat().st_mtime_ns
    status, out, errors = compare(weights, '--seeds', '2')
    assert status == 0 and '2 finished before' in out, errors
    assert (home / 'features.npz').stat().st_mtime_ns == made
    runs = json.loads((home / 'table.json').read_text())['runs']
    assert len(runs) == 4 and {run['epochs'] for run in runs} == {3}

    state = torch.load(weights)['state_dict']
    state['backbone.conv1.weight'] *= 2
    torch.save(dict(state_dict=state), tmp_path / 'other.pth')
    status, out, errors = compare(tmp_path / 'other.pth', '--seeds', '2')
    assert status == 2 and 'expected features of the network and images of the config' in errors
    assert (home / 'features.npz').stat().st_mtime_ns == made
    status, out, errors = compare(tmp_path / 'other.pth', '--seeds', '1', '--force')
    assert status == 0 and not (home / 'ce' / 'seed_1').exists(), errors


# A whole comparison, killed midway

PROJECT = """
_base_ = {recipe!r}
val_dataloader = dict(dataset=dict(split='train'))
train_cfg = dict(val_interval=2)
"""


@pytest.fixture
def project(tmp_path):
    configs = tmp_path / 'project' / 'configs'
    configs.mkdir(parents=True)
    for name, recipe in dict(ce='resnet8_ce', la='resnet8_logit_adjustment').items():
        (configs / f'{name}.py').write_text(PROJECT.format(recipe=str(DIGITS / f'{recipe}.py')))
    return tmp_path / 'project'


def begin(project, out, *more):
    command = [sys.executable, '-m', 'mmlt', 'compare', project, '--seeds', '2', '--epochs', '12']
    return subprocess.Popen(
        [*map(str, command), '--jobs', '2', '--out', str(out), *more],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, 'OMP_NUM_THREADS': '1', 'CUDA_VISIBLE_DEVICES': ''},
    )  # fmt: skip


def wait_for(process, pattern, home):
    """Until a file of a run is there, or the command has ended."""
    while process.poll() is None and not any(home.glob(pattern)):
        time.sleep(0.05)
    assert process.poll() is None, process.communicate()[0]


@pytest.mark.slow
def test_a_comparison_that_is_stopped_and_killed_ends_as_if_it_were_not(project, tmp_path):
    whole, parts = tmp_path / 'whole', project / 'runs'
    process = begin(project, whole)
    out = process.communicate()[0]
    assert process.returncode == 0, out
    assert '2 methods x 2 seeds' in out and 'Epoch chosen on validation' in out

    process = begin(project, parts)
    wait_for(process, '*/seed_0/epoch_*.pth', parts)
    process.send_signal(signal.SIGTERM)
    out = process.communicate()[0]
    assert process.returncode == 130 and 'the same command goes on' in out, out
    assert 'saved to' in ''.join(path.read_text() for path in parts.glob('*/seed_0/run.log'))

    process = begin(project, parts)
    wait_for(process, '*/seed_1/epoch_*.pth', parts)
    process.kill()
    out = process.communicate()[0]

    # Its runs notice, save and end; until then the folder is theirs.
    for _ in range(60):
        process = begin(project, parts)
        out = process.communicate()[0]
        if 'no other comparison works' not in out:
            break
        time.sleep(1)
    assert process.returncode == 0, out
    assert 'finished before' in out and 'go on' in out

    ends = [json.loads((home / 'table.json').read_text()) for home in (whole, parts)]
    assert ends[0]['summary'] == ends[1]['summary'] and len(ends[0]['summary']) > 20
    for one, other in itertools.zip_longest(*(end['runs'] for end in ends)):
        assert one['results'] == other['results'] and one['best_epoch'] == other['best_epoch']

    before = {path: path.stat().st_mtime_ns for path in parts.glob('*/seed_*/**/*.pth')}
    process = begin(project, parts)
    out = process.communicate()[0]
    assert process.returncode == 0 and '4 finished before' in out
    assert before == {path: path.stat().st_mtime_ns for path in parts.glob('*/seed_*/**/*.pth')}


@pytest.mark.slow
def test_a_method_that_fails_leaves_the_others_and_a_budget_is_kept(project, tmp_path):
    broken = project / 'configs' / 'broken.py'
    text = (project / 'configs' / 'ce.py').read_text()
    broken.write_text(f"{text}model = dict(head=dict(loss=dict(type='NoSuchLoss')))\n")
    command = [sys.executable, '-m', 'mmlt', 'compare', str(project), '--seeds', '1', '--jobs', '2']
    done = subprocess.run([*command, '--epochs', '1'], capture_output=True, text=True)
    assert done.returncode == 1
    assert 'broken, seed 0 failed. The end of ' in done.stderr and 'NoSuchLoss' in done.stderr
    assert re.search(r'^ce +\d', done.stdout, re.M) and re.search(r'^la +\d', done.stdout, re.M)

    broken.unlink()
    out = ['--out', str(tmp_path / 'fitted')]
    done = subprocess.run([*command, '--budget', '3m', *out], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    epochs = int(re.search(r'^(\d+) epochs for each run', done.stdout, re.M)[1])
    runs = json.loads((tmp_path / 'fitted' / 'table.json').read_text())['runs']
    assert {run['epochs'] for run in runs} == {epochs} and 1 <= epochs <= 40
    again = subprocess.run([*command, '--budget', '3m', *out], capture_output=True, text=True)
    assert 'as decided before' in again.stdout and '2 finished before' in again.stdout
    other = subprocess.run([*command, '--budget', '2m', *out], capture_output=True, text=True)
    assert other.returncode == 2 and '--budget: expected 3 min, with which' in other.stderr
