"""The pages of results say what their logs say, and leagues and kinds of epochs stay apart."""

from __future__ import annotations

import json
import re
import runpy
import shlex

import pytest
from book import gpu, logs, pairs, rehearsal, tables
from mmengine import load
from mmengine.config import Config

from tests.configs.recipes import CONFIGS, unknown_options
from tests.tools.load_tool import load_tool

tool = load_tool('results.py')
ROOT = CONFIGS.parent


@pytest.fixture(scope='module')
def pages():
    found = tool.pages()
    return {str(path.relative_to(ROOT)): (before, after) for path, before, after in found}


def test_pages_are_what_make_results_writes(pages):
    assert [name for name, (before, after) in pages.items() if before != after] == []


def test_every_table_has_a_log(pages):
    results = {name: text for name, (text, _) in pages.items() if 'results' in name}
    assert {name: tool.bare_tables(text) for name, text in results.items()} == {
        name: [] for name in results
    }
    assert tool.bare_tables('| a | b |\n| --- | ---: |\n| 1 | 2 |\n') == ['| a | b |']


def test_a_changed_figure_is_written_back(pages):
    text = pages['docs/results/digits_lt.md'][0]
    wrong = text.replace('80.1 ± 1.8', '88.1 ± 1.8')
    assert wrong != text
    assert tool.filled(wrong, logs.read_book()) == text


def test_a_marker_of_no_table_is_an_error():
    with pytest.raises(ValueError, match='table: expected one of'):
        tool.filled('<!-- table: nonsense -->\n<!-- end -->', logs.read_book())


def test_check_writes_nothing(tmp_path, monkeypatch, capsys):
    page = tmp_path / 'page.md'
    page.write_text('<!-- table: digits_lt -->\n<!-- end -->\n')
    monkeypatch.setattr(tool, 'PAGES', tmp_path)
    monkeypatch.setattr(tool, 'ROOT', tmp_path)
    assert tool.main(['--check']) == 1
    assert 'page.md: differs' in capsys.readouterr().out
    assert '80.1' not in page.read_text()
    assert tool.main([]) == 0
    assert '80.1 ± 1.8' in page.read_text()
    assert tool.main(['--check']) == 0


def test_a_table_of_the_book_is_one_study_and_stands_under_its_data_and_league():
    book = logs.read_book()
    text = tables.book_tables(book)
    headings = re.findall(r'^### (.*)$', text, re.MULTILINE)
    assert len(headings) == len(set(headings)) > 3
    found = {}
    for part in text.split('### ')[1:]:
        for block in re.findall(r'(?:^\|.*\n?)+', part, re.MULTILINE):
            labels = tuple(line.split(' | ')[0][2:] for line in block.splitlines()[2:])
            found.setdefault(part.splitlines()[0], []).append(labels)
    expected = {}
    for study in book.studies.values():
        heading = f'{study.about["data"]}; {tables.LEAGUES[study.about["league"]]}'
        finished = tuple(label for label, method in study.methods.items() if method.last)
        if finished:
            expected.setdefault(heading, []).append(finished)
    assert found == expected


def test_what_all_rows_of_a_study_share_is_said_once(tmp_path, monkeypatch):
    monkeypatch.setattr(logs, 'LOGS', tmp_path)
    about = dict(data='D', league='A', net='N', epochs=1, hardware='H')
    runs = {}
    for name, commit, seeds in (('a', 'c1', [0]), ('b', 'c2', [0, 1])):
        runs[name.upper()] = dict(log=name, commit=commit, command='x')
        for seed in seeds:
            line = json.dumps({'long_tail/top1': 50.0, 'step': 1})
            (tmp_path / f'{name}_seed{seed}.json').write_text(line)
    study = logs.Study('s', dict(about, runs=runs))
    _, said, table = tables.book_tables(logs.Book({'s': study}, {})).split('\n\n')
    assert said == 'Net: N; epochs: 1; hardware: H; command: `x`.'
    assert table.splitlines() == [
        '| method | last epoch | best epoch on the test images | seeds | commit |',
        '| --- | ---: | ---: | ---: | --- |',
        '| A | 50.0 | 50.0 (1) | 1 (0) | `c1` |',
        '| B | 50.0 ± 0.0 | 50.0 (1) | 2 (0 to 1) | `c2` |',
    ]


def test_every_log_of_accuracies_is_in_the_list():
    book = logs.read_book()
    listed = set()
    for study in book.studies.values():
        starts = [study.about['log']] if 'log' in study.about else []
        starts += [run['log'] for run in study.about.get('runs', {}).values()]
        listed |= {re.sub(r'\.json$', '', start) for start in starts}
    files = {
        re.sub(r'(_seed\d+)?\.json$', '', path.relative_to(logs.LOGS).as_posix())
        for path in logs.LOGS.glob('*/*.json')
        if path.parent.name != 'faults'  # those of docs/reliability.md
    }
    assert listed == files


def test_the_best_epoch_is_of_the_test_images_and_not_the_last_one():
    method = logs.Method({}, {0: {'top1': 50.0}}, {0: {5: 40.0, 10: 52.0, 15: 50.0}})
    assert (method.cell('top1'), method.best(), method.seeds()) == ('50.0', '52.0 (10)', '1 (0)')
    courses = {seed: {10: top} for seed, top in enumerate((50.0, 50.0, 56.0))}
    assert logs.Method({}, {}, courses).best() == '52.0 (10)'  # two seeds alike count twice


def test_any_number_of_seeds_has_its_place():
    courses = {0: {5: 40.0, 10: 50.0}, 2: {5: 42.0, 10: 56.0}}
    tops = {seed: {'top1': run[10]} for seed, run in courses.items()}
    runs = {'new': logs.Method({}, {}), 'both': logs.Method({}, tops, courses)}
    assert runs['both'].seeds() == '2 (0, 2)'
    study = logs.Study('s', {})
    vars(study)['methods'] = runs
    what = dict(study='s', columns=['evaluations'])
    table = tables.page_table(logs.Book({'s': study}, {'t': what}), 't').splitlines()
    assert table == [
        '| method | epochs 5, 10 |',
        '| --- | ---: |',
        '| new |  |',
        '| both | 41.0, 53.0 |',
    ]
    assert runs['both'].minus(runs['new'], 'top1') == ''


def test_a_pair_of_names_is_their_difference_over_common_seeds():
    tops = {'a': {0: 50.0, 1: 60.0, 3: 90.0}, 'b': {1: 40.0, 3: 66.0}}
    runs = {
        label: logs.Method({}, {seed: {'top1': top} for seed, top in seeds.items()})
        for label, seeds in tops.items()
    }
    study = logs.Study('s', {})
    vars(study)['methods'] = runs
    columns = [['here', 'here', 'top1'], ['there', 'there', 'top1']]
    what = dict(header=['row'], spread='none', columns=columns)
    what['rows'] = {'gain': ['A', 'B'], 'alone': 'A', 'later': None}
    across = {'A': {'here': ('s', 'a'), 'there': ('s', 'a')}, 'B': {'here': ('s', 'b')}}
    table = tables.page_table(logs.Book({'s': study}, {'t': what}, across), 't').splitlines()
    assert table[2:] == ['| gain | +22.0 ± 2.0 |  |', '| alone | 66.7 | 66.7 |', '| later |  |  |']


def test_spreads_over_seeds():
    method = logs.Method({}, {seed: {'top1': top} for seed, top in enumerate((50.0, 52.0, 57.0))})
    assert method.cell('top1') == '53.0 ± 3.6'
    assert method.cell('top1', 'interval') == '53.0 ± 9.0'  # 4.303 * 3.606 / sqrt(3)
    assert method.cell('top1', 'none') == '53.0'
    assert method.cell('few_shot') == ''


def test_figures_of_a_comparison_are_read(tmp_path):
    runs = [
        dict(method='CE', seed=seed, results=dict(last=dict(top1=50.0 + seed), best=None))
        for seed in range(2)
    ]
    (tmp_path / 'table.json').write_text(json.dumps(dict(baseline='CE', runs=runs)))
    study = logs.Study('a', {'log': tmp_path / 'table.json'})
    assert study.methods['CE'].cell('top1') == '50.5 ± 0.7'


def test_a_run_that_is_not_finished_has_an_epoch_and_no_figure(tmp_path, monkeypatch):
    monkeypatch.setattr(logs, 'LOGS', tmp_path)
    top1 = {'long_tail/top1': 50.0}
    lines = [{'epoch': 1}, {**top1, 'step': 1}, {'epoch': 2}]
    about = dict(data='D', league='A', net='N', epochs=2, hardware='H', commit='c', command='x')
    study = logs.Study('a', dict(about, runs={'CE': {'log': 'ce'}}))
    (tmp_path / 'ce_seed1.json').write_text('\n'.join(map(json.dumps, lines)))
    text = tables.unfinished(logs.Book({'a': study}, {}))
    assert '| CE | D | N | 1 | 2 of 2 |' in text
    assert tables.book_tables(logs.Book({'a': study}, {})) == ''
    (tmp_path / 'ce_seed0.json').write_text(json.dumps({**top1, 'step': 2}))
    study = logs.Study('a', study.about)
    text = tables.book_tables(logs.Book({'a': study}, {}))
    assert 'Net: N; epochs: 2; seeds: 1 (0); hardware: H; commit: `c`; command: `x`.' in text
    assert text.endswith('| CE | 50.0 | 50.0 (2) |')


def test_the_commands_work_today():
    """An option that was renamed is renamed there too."""
    book = logs.read_book()
    runs = [run for study in book.studies.values() for run in study.methods.values()]
    commands = {run.about['command'] for run in runs if 'cfg-options' in run.about['command']}
    assert len(commands) > 6
    train = load_tool('train.py')
    for command in commands:
        args = train.parse_args(shlex.split(command)[2:])
        cfg = train.merge_args(Config.fromfile(ROOT / args.config), args)
        assert unknown_options(cfg) == [], command


def test_the_metafiles_agree_with_the_logs():
    """Of runs of a recipe as it is, top-1 of the last epoch."""
    book, found = logs.read_book(), {}
    for run in book.studies['cifar10_lt_15e'].methods.values():
        recipe = re.search(r'configs/\S+', run.about['command'])[0]
        if 'cfg-options' not in run.about['command']:
            found.setdefault(recipe, set()).add(run.cell('top1'))
    for digits in (one for one in book.studies.values() if 'order' in one.about):
        study = runpy.run_path(ROOT / digits.about['order'])['study']
        for label, (recipe, options) in study.items():
            if not options:
                top1 = digits.methods[label].cell('top1', 'none')
                found.setdefault(recipe.removeprefix('../../'), set()).add(top1)
    for path in (ROOT / 'configs' / 'metafiles').glob('*.yml'):
        for model in logs.yaml.safe_load(path.read_text(encoding='utf-8'))['Models']:
            if model['Config'] in found and 'Results' in model:
                (result,) = model['Results']
                top1 = result['Metrics']['Top 1 Accuracy']
                assert str(top1) in found.pop(model['Config']), model['Config']
    assert not found


@pytest.mark.parametrize(
    ('recipe', 'study', 'label'),
    [
        ('ce', 'cifar10_lt_200e', 'CE'),
        ('ce_device_images', 'cifar10_lt_200e', 'CE'),
        ('logit_adjustment', 'cifar10_lt_200e', 'LA'),
        ('cpmix', 'cifar10_lt_200e', 'CP-Mix'),
        ('bcl', 'cifar10_lt_200e', 'BCL'),
        ('concutmix', 'cifar10_lt_200e', 'ConCutMix'),
        ('concutmix_car', 'cifar10_lt_200e', 'ConCutMix + CAR'),
        ('concutmix_car_device_images', 'cifar10_lt_200e', 'ConCutMix + CAR'),
        ('crt', 'cifar10_lt_second_stage', 'cRT'),
        ('over_smoothing', 'cifar10_lt_second_stage', 'label over-smoothing'),
    ],
)
def test_head_and_metafile_have_the_figure_of_the_log(recipe, study, label):
    figure = logs.read_book().studies[study].methods[label].cell('top1')
    path = f'configs/cifar10_lt/resnet32_{recipe}_ir100.py'
    head = (ROOT / path).read_text().split('_base_')[0]
    assert re.search(r'here:? (\d+\.\d)', head)[1] == figure
    files = {'ce': 'cross_entropy', 'ce_device_images': 'cross_entropy', 'concutmix_car': 'car'}
    file = files.get(recipe.removesuffix('_device_images'), recipe)
    metafile = load(CONFIGS / 'metafiles' / f'{file}.yml')
    (model,) = [one for one in metafile['Models'] if one['Config'] == path]
    assert str(model['Results'][0]['Metrics']['Top 1 Accuracy']) == figure


def test_gpu_figures_are_compared_with_plain_cross_entropy_of_the_same_views(tmp_path, monkeypatch):
    def row(method, views, ms, **more):
        known = dict(method=method, views=views, ms=ms, mb=10 * ms, plain=method == 'CE')
        return {
            **known,
            'net': 'N',
            'arithmetic': 'float32',
            'compiled': False,
            'images': 8,
            'commit': 'abc',
            'date': 'd',
            **more,
        }

    rows = [row('CE', 1, 2.0), row('CE', 3, 5.0), row('LA', 1, 3.0), row('BCL', 3, 6.0)]
    rows.append(row('LA', 1, 4.0, arithmetic='float16'))
    rows.append(row('CP-Mix', 1, 4.0, commit='def'))
    known = dict(rows=rows, device='D', torch='2')
    path = tmp_path / 'gpu.json'
    monkeypatch.setattr(gpu, 'FILE', path)
    assert gpu.gpu_tables() == 'Nothing was run on a GPU yet.'
    one = dict(
        net='N', method='CE', where='loader', workers=8, seconds=3.25, commit='abc', date='d'
    )
    passes = [dict(one, loader=12_000.4, step=9000, both=8000), dict(one, loader=1, step=2, both=3)]
    passes[1]['seconds'] = None
    left_out = ['N: ProCo, views: 3', 'loader']
    path.write_text(json.dumps(dict(known, passes=passes, repeats=5, left_out=left_out)))
    text = gpu.gpu_tables()
    assert '| LA | 1 | float32 | no | 8 | 3.0 | 1.50 | 30.0 | 1.50 | `abc` |' in text
    assert '| BCL | 3 | float32 | no | 8 | 6.0 | 1.20 | 60.0 | 1.20 | `abc` |' in text
    assert '| LA | 1 | float16 | no | 8 | 4.0 |  | 40.0 |  | `abc` |' in text
    # Of another commit: no ratio.
    assert '| CP-Mix | 1 | float32 | no | 8 | 4.0 |  | 40.0 |  | `def` |' in text
    assert '| N | CE | loader | 8 | 12,000 | 9,000 | 8,000 | 3.2 | `abc` |' in text
    assert '| N | CE | loader | 8 | 1 | 2 | 3 |  | `abc` |' in text
    assert text.endswith('Not measured within the time: N: ProCo, views: 3, float32; loader.')


def test_the_rehearsal_names_the_bottleneck_and_extrapolates(tmp_path, monkeypatch):
    monkeypatch.setattr(rehearsal, 'FILE', tmp_path / 'none.json')
    made = rehearsal.rehearsal_tables()['rehearsal, on paper']
    assert made() == 'The rehearsal was not run yet.'
    rates = {'batches that are not mixed': 60.0, 'mixed batches': 30.0, 'validation': 200.0}
    rates |= {'views on the device, not mixed': 160.0, 'views on the device, mixed': 160.0}
    startup = dict(images=115_200)
    known = {'parts': dict(startup=startup, loader=dict(images_per_second=rates))}
    monkeypatch.setattr(rehearsal, 'FILE', tmp_path / 'log.json')
    rehearsal.FILE.write_text(json.dumps(known))
    text = made()
    # A core loads 40 images/s, half of them mixed: 64 cores 2,560, of which each has 3 views.
    assert '| 500 | 192 | 1,333 | 33 | 8 | 1.4 | 2.2 | GPUs |' in text
    assert '| 1,000 | 96 | 2,667 | 67 | 17 | 0.8 | 1.1 | loader |' in text
    assert '| 2,000 | 48 | 5,333 | 133 | 33 | 0.8 | 1.1 | loader |' in text
    assert 'load 2,560 images/s (40 each)' in text
    assert 'them 1.6 seconds to load' in text


def test_confused_pairs_are_means_of_what_the_tool_wrote(tmp_path, monkeypatch):
    monkeypatch.setattr(pairs, 'FOLDER', tmp_path)
    monkeypatch.setattr(pairs, 'SEEDS', range(2))
    shares = dict(right={'many': 90.0, 'few': 20.0}, wrong={'many': {'many': 0.0, 'few': 10.0}})
    shares['wrong']['few'] = {'many': 80.0, 'few': 0.0}
    for seed in range(2):
        for other, after in (('cpmix', 4.0), ('ce', 8.0)):
            models = {
                title: dict(shares, own_top_mean=own)
                for title, own in (('before', 10), ('after', 6))
            }
            known = dict(models=models, means=dict(before=10.0 + seed, after=after + seed))
            (tmp_path / f'seed{seed}_{other}.json').write_text(json.dumps(known))
    makers = pairs.pair_tables()
    assert makers['confused pairs']().splitlines()[2:] == [
        '| seed 0 | 10.0 | 4.0 | 8.0 |',
        '| seed 1 | 11.0 | 5.0 | 9.0 |',
        '| mean | 10.5 | 4.5 | 8.5 |',
        "| each model's own ten, mean | 10.0 | 6.0 | 6.0 |",
    ]
    assert makers['confusion by shot, seed 0']().splitlines()[2:] == [
        '| many | 90.0, 90.0 | 0.0, 0.0 | 10.0, 10.0 |',
        '| few | 20.0, 20.0 | 80.0, 80.0 | 0.0, 0.0 |',
    ]
