"""The report: what stands in it, that no name can run in it, and what a browser makes of it."""

from __future__ import annotations

import base64
import csv
import html
import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip('plotly', reason="the report needs plotly: pip install 'mmlt[report]'")

from mmlt.apps.predictions import Predictions, load_predictions, save_predictions
from mmlt.apps.report import main
from mmlt.apps.report.command import write_report
from mmlt.apps.report.content import describe
from mmlt.apps.report.curves import read_curves
from mmlt.apps.report.differences import class_differences, differences
from mmlt.apps.report.entries import checkpoint_file
from mmlt.apps.report.images import thumbnail
from mmlt.apps.report.runs import load_runs
from mmlt.apps.report.suspects import find_doubles, find_suspects

HOSTILE = '</script><script>window.hit=1</script>'
NAMES = [HOSTILE, '<img src=x onerror=window.hit=1>', '=1+1', 'two $2$', '<b>猫</b> & "dog"']
COUNTS = [400, 150, 60, 12, 3]


def toy(
    folder, seed=0, classes=5, images=200, counts=COUNTS, names=NAMES, paths=None, noise=None,
    labels=None,
):  # fmt: skip
    """A file of predictions that favour frequent classes; ``seed`` chooses the test images."""
    generator = np.random.default_rng(seed)
    if labels is None:
        labels = generator.integers(0, classes, images)
    labels = np.array(labels)
    generator = generator if noise is None else np.random.default_rng(noise)
    logits = generator.normal(size=(images, classes)) + 2 * np.eye(classes)[labels]
    if counts is not None:
        logits += np.log(counts) / 2
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    predictions = Predictions(
        paths=np.full(images, '') if paths is None else np.array([paths[k] for k in labels]),
        labels=labels,
        probabilities=probabilities.astype(np.float32),
        classes=np.array(names),
        class_counts=None if counts is None else np.array(counts),
        split='test',
    )
    save_predictions(folder / 'predictions.npz', predictions)
    return folder


@pytest.fixture(scope='module')
def report(tmp_path_factory):
    """A report of two runs with real images and a log, and its page."""
    home = tmp_path_factory.mktemp('report')
    paths = []
    for k in range(5):
        paths.append(str(home / f'"{k}" <é>.png'))
        Image.new('RGB', (30, 20), (40 * k, 80, 90)).save(paths[-1])
    for seed, name in enumerate(('plain', 'adjusted <i>')):
        toy(home / name, seed, paths=paths)
        log = home / name / '2026' / 'vis_data' / 'scalars.json'
        log.parent.mkdir(parents=True)
        lines = []
        for epoch in (1, 2, 3):
            lines.append({'loss': 3.0 / epoch, 'epoch': epoch, 'step': 10 * epoch})
            lines.append({'confusion/spectral_norm': epoch / 4, 'step': 10 * epoch})
            lines.append({'long_tail/top1': 20.0 * epoch, 'long_tail/top5': 9.0, 'step': epoch})
        log.write_text('\n'.join(map(json.dumps, lines)) + '\nno json\n')
        (home / name / 'config.py').write_text('text = "</pre><script>window.hit=1</script>"\n')
    out = home / 'page.html'
    runs = [str(home / 'plain'), f'<u>={home / "adjusted <i>"}']
    assert main([*runs, '--out', str(out)]) == 0
    return out


def data_of(page):
    return json.loads(re.search(r'^const DATA = (.*);$', page, re.MULTILINE)[1])


def test_the_last_epoch_is_evaluated_though_the_best_was_written_after_it(tmp_path):
    """In a copied folder, without the note of MMEngine."""
    assert checkpoint_file(tmp_path) is None
    for seconds, name in enumerate(('epoch_4.pth', 'epoch_5.pth', 'best_top1_epoch_5.pth')):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (seconds, seconds))
    assert checkpoint_file(tmp_path).name == 'epoch_5.pth'
    for path in tmp_path.glob('epoch_*'):
        path.unlink()
    assert checkpoint_file(tmp_path).name == 'best_top1_epoch_5.pth'


@pytest.mark.parametrize(
    'noted, again',
    [
        (dict(split='test', source=['a.py', 'elsewhere/epoch_2.pth']), False),
        (dict(split='val', source=['a.py', 'epoch_2.pth']), True),
        (dict(split='test', source=['a.py', 'best_top1_epoch_1.pth']), True),
        (dict(split='test', source=['predictions.pkl']), False),
        (None, False),
    ],
)
def test_a_run_is_shown_by_its_last_epoch_on_the_test_images(tmp_path, monkeypatch, noted, again):
    for name in ('best_top1_epoch_1.pth', 'epoch_2.pth', 'a.py'):
        (tmp_path / name).touch()
    folder = toy(tmp_path / 'evaluation')
    if noted is not None:
        (folder / 'metrics.json').write_text(json.dumps(noted))
    judged = []
    monkeypatch.setattr(
        'mmlt.apps.report.runs.evaluate_run', lambda *arguments: judged.append(arguments)
    )
    load_runs([str(tmp_path)])
    expected = (tmp_path / 'a.py', tmp_path / 'epoch_2.pth', folder)
    assert judged == ([expected] if again else [])


def test_validation_is_not_compared_with_test(tmp_path):
    for split in ('test', 'val'):
        known = load_predictions(toy(tmp_path / split) / 'predictions.npz')
        save_predictions(tmp_path / split / 'predictions.npz', replace(known, split=split))
    with pytest.raises(ValueError, match=r'expected predictions of the test images.*got .* of val'):
        load_runs([str(tmp_path / 'test'), str(tmp_path / 'val')])


def test_the_page_tells_what_the_figures_are(report):
    page = report.read_text(encoding='utf-8')
    runs = load_runs([str(report.parent / 'plain'), str(report.parent / 'adjusted <i>')])
    data = data_of(page)
    assert data['names'] == NAMES and data['counts'] == COUNTS
    assert data['shots'] == ['many', 'many', 'medium', 'few', 'few']
    for run, part in zip(runs, data['runs'], strict=True):
        expected = 100 * run.judged.tallies.accuracy
        np.testing.assert_allclose(part['accuracy'], expected, atol=0.051)
        for low, value, high in zip(part['low'], part['accuracy'], part['high'], strict=True):
            assert low <= value <= high
        top = run.judged.figures['top1']
        assert f'<td>{top:.1f}<small>' in page
    change = runs[1].judged.figures['few_shot'] - runs[0].judged.figures['few_shot']
    assert f'<small>{change:+.1f}</small>' in page


def test_images_that_were_taken_for_another_class_are_shown(report):
    page = report.read_text(encoding='utf-8')
    assert page.count('src="data:image/jpeg;base64,') > 20


def test_curves_of_the_log_are_drawn(report):
    curves = load_runs([str(report.parent / 'plain')])[0].curves
    assert curves['top1'] == ([1, 2, 3], [20, 40, 60])
    assert curves['confusion/spectral_norm'] == ([1, 2, 3], [0.25, 0.5, 0.75])
    assert curves['loss'][0] == [1, 2, 3]
    page = report.read_text(encoding='utf-8')
    assert '<h3>top1</h3>' in page and '<h3>confusion/spectral norm</h3>' in page
    assert '<h3>top5</h3>' not in page


def test_no_name_becomes_markup(report):
    page = report.read_text(encoding='utf-8')
    assert page.count('<script>') == page.count('</script>') == 2
    assert '<img src=x' not in page and '<u>' not in page and '<i>' not in page


def test_the_page_loads_nothing(report):
    page = report.read_text(encoding='utf-8')
    assert not re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(?!data:)', page)
    assert report.stat().st_size < 8_000_000


def test_tables_and_pictures_stand_beside_it(report):
    beside = report.with_name('page_files')
    with (beside / 'per_class.csv').open(newline='', encoding='utf-8') as file:
        rows = list(csv.DictReader(file))
    assert [row['train_count'] for row in rows] == [str(count) for count in COUNTS]
    assert rows[2]['name'] == "'=1+1"
    assert len(json.loads((beside / 'figures.json').read_text())) == 2
    assert (
        len(list(beside.glob('accuracy_*.png'))) == len(list(beside.glob('confusion_*.png'))) == 2
    )


@pytest.mark.parametrize('classes', [1, 2, 61])
def test_any_number_of_classes(tmp_path, classes):
    names = [f'class {k}' for k in range(classes)]
    counts = [100] if classes == 1 else np.geomspace(300, 1, classes).astype(int).tolist()
    toy(tmp_path / 'run', classes=classes, counts=counts, names=names)
    write_report(tmp_path / 'a.html', load_runs([str(tmp_path / 'run')]))
    page = (tmp_path / 'a.html').read_text(encoding='utf-8')
    assert data_of(page)['names'] == names
    assert ('in groups of equally many classes' in page) == (classes > 60)


def test_classes_without_test_images(tmp_path):
    """A test set of one class only."""
    probabilities = np.full((4, 3), 1 / 3, np.float32)
    kept = Predictions(
        np.full(4, 'gone.png'), np.ones(4, np.int64), probabilities, np.array(list('abc')),
        np.array([5, 0, 9]),
    )  # fmt: skip
    save_predictions(tmp_path / 'p.npz', kept)
    assert main([str(tmp_path / 'p.npz'), '--out', str(tmp_path / 'a.html')]) == 0
    page = (tmp_path / 'a.html').read_text(encoding='utf-8')
    assert data_of(page)['runs'][0]['accuracy'] == [None, 0.0, None]
    assert 'the predictions name no image files' in page


def test_the_thresholds_are_those_of_the_evaluation(tmp_path):
    toy(tmp_path / 'a')
    (tmp_path / 'a' / 'metrics.json').write_text('{"thresholds": [50, 5]}')
    (run,) = load_runs([str(tmp_path / 'a')])
    assert run.thresholds == (50, 5) and run.judged.groups['many'].sum() == 3
    (other,) = load_runs([f'mine={tmp_path / "a"}'], (500, 2))
    assert other.name == 'mine' and not other.judged.groups['many'].any()


def test_mistakes_are_one_line(tmp_path, capsys):
    plain = str(toy(tmp_path / 'plain'))
    bare = str(toy(tmp_path / 'bare', counts=None))
    other = str(toy(tmp_path / 'other', names=list('abcde')))
    counts = str(toy(tmp_path / 'counts', counts=[9] * 5))
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'there.html').write_text('')
    out = ['--out', str(tmp_path / 'a.html')]
    for arguments, message in (
        ([bare, *out], 'expected training images per class, got none; mmlt evaluate'),
        ([plain, other, *out], 'expected the classes of plain'),
        ([plain, counts, *out], 'expected the training images of plain'),
        ([plain, plain, *out], "expected different names (NAME=PATH), got 'plain' twice"),
        ([str(tmp_path / 'empty'), *out], 'expected predictions.npz, or config and checkpoint'),
        ([str(tmp_path / 'none'), *out], 'expected a folder or predictions'),
        ([plain, '--out', str(tmp_path / 'there.html')], '--force replaces it'),
    ):
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert error.startswith('mmlt report: error: ') and error.count('\n') == 1, error
        assert message in error
    assert not (tmp_path / 'a.html').exists()


def test_a_report_that_replaces_another_leaves_none_of_its_pictures(tmp_path):
    out = tmp_path / 'page.html'
    runs = [str(toy(tmp_path / name, seed)) for seed, name in enumerate(('one', 'two'))]
    assert main([*runs, '--out', str(out)]) == 0
    own = tmp_path / 'page_files' / 'notes.png'
    own.touch()
    assert main([runs[1], '--out', str(out), '--force']) == 0
    pictures = sorted(path.name for path in own.parent.glob('*.png'))
    assert pictures == ['accuracy_0_two.png', 'confusion_0_two.png', 'notes.png']


@pytest.fixture
def project(tmp_path):
    """What ``mmlt compare`` leaves: two methods with three seeds, one of which still trains."""
    runs = tmp_path / 'project' / 'runs'
    for method, start in (('la', 100), ('ce', 0)):
        for seed in range(3):
            folder = runs / method / f'seed_{seed}'
            toy(folder / 'evaluation', 0, noise=start + seed)
            log = folder / 'a' / 'vis_data' / 'scalars.json'
            log.parent.mkdir(parents=True)
            log.write_text(json.dumps({'long_tail/top1': 10.0 * seed, 'step': 1}) + '\n')
    started = toy(runs / 'la' / 'seed_3' / 'evaluation').parent
    (started / 'run.json').write_text('{"state": "started"}')
    (runs / 'cpmix' / 'seed_0').mkdir(parents=True)
    for name in ('table.csv', 'table.json', 'table.txt'):
        (runs / name).write_text('')
    return runs.parent


@pytest.mark.parametrize('how', ['project', 'runs', 'all of runs', 'all seeds'])
def test_the_seeds_of_a_method_are_one_entry(project, how, capsys):
    paths = {
        'project': [project],
        'runs': [project / 'runs'],
        'all of runs': sorted((project / 'runs').iterdir()),
        'all seeds': [p for p in sorted(project.glob('runs/*/seed_[012]')) if any(p.iterdir())],
    }[how]
    runs = load_runs([str(path) for path in paths])
    assert [run.name for run in runs] == ['ce', 'la']
    if how != 'all seeds':
        said = capsys.readouterr().err
        assert 'seed_3 is not trained yet' in said and 'cpmix' in said
    for run in runs:
        alone = [
            load_runs([str(p)])[0] for p in sorted(project.glob(f'runs/{run.name}/seed_[012]'))
        ]
        assert list(run.seeds) == ['seed_0', 'seed_1', 'seed_2'] and run.images == 200
        for name, value in run.judged.figures.items():
            assert value == pytest.approx(np.mean([one.judged.figures[name] for one in alone]))
        means = np.mean([one.judged.tallies.accuracy for one in alone], axis=0)
        np.testing.assert_allclose(run.judged.tallies.accuracy, means)
        # Three seeds on the same 200 images tell no more of other images than one.
        widths = [np.ptp(one.judged.intervals['top1']) for one in (run, alone[0])]
        assert widths[0] == pytest.approx(widths[1], rel=0.1)
        assert run.curves['top1'] == ([1], [10])


def test_seeds_of_another_training_are_left_out(project, capsys):
    """As the same method has after ``mmlt compare --force`` with fewer seeds and more epochs."""
    for seed, epochs in enumerate((2, 1, 2)):
        state = project / 'runs' / 'ce' / f'seed_{seed}' / 'run.json'
        settings = dict(train_cfg=dict(max_epochs=epochs), randomness=dict(seed=seed))
        state.write_text(json.dumps(dict(state='finished', settings=settings)))
        os.utime(state, (seed, seed))
    (run,) = load_runs([str(project / 'runs' / 'ce')])
    assert list(run.seeds) == ['seed_0', 'seed_2']
    said = capsys.readouterr().err
    assert (
        'seed_1 is left out, since it was trained otherwise than seed_2: train_cfg.max_epochs'
        in said
    )


def test_a_difference_between_methods_is_paired_by_seed(project, tmp_path):
    stats = pytest.importorskip('scipy.stats')
    base, run = load_runs([str(project)])
    found = differences(base, run)
    for name in ('few_shot', 'worst_class', 'ece'):
        points = [
            run.seeds[seed].figures[name] - base.seeds[seed].figures[name] for seed in base.seeds
        ]
        expected = stats.ttest_1samp(points, 0).confidence_interval(0.95)
        assert found[name].points == pytest.approx(np.mean(points))
        np.testing.assert_allclose(found[name].interval, expected, rtol=1e-3)
    out = tmp_path / 'page.html'
    assert main([str(project), '--out', str(out)]) == 0
    page = out.read_text(encoding='utf-8')
    assert page.count('<small>3 seeds</small>') == 2 and 'paired by seed' in page
    deviation = np.std([judged.figures['top1'] for judged in run.seeds.values()], ddof=1)
    assert f'<small>± {deviation:.1f}</small>' in page
    known = json.loads((tmp_path / 'page_files' / 'figures.json').read_text())['la']
    assert known['deviations']['top1'] == pytest.approx(deviation, abs=1e-4)
    assert known['differences']['few_shot']['points'] == pytest.approx(
        found['few_shot'].points, abs=1e-4
    )


def test_a_difference_between_single_runs_is_that_of_the_same_images(tmp_path):
    base, run, other = load_runs(
        [str(toy(tmp_path / name, seed, noise=noise)) for name, seed, noise in (
            ('a', 0, 1), ('b', 0, 2), ('c', 5, 3)
        )]
    )  # fmt: skip
    found = differences(base, run)
    for name in ('top1', 'class_mean', 'many_shot', 'few_shot'):
        low, high = found[name].interval
        assert low < found[name].points < high and high - low < 60
    # Most images are judged alike, so that the difference is surer than either figure.
    assert np.ptp(found['top1'].interval) < 1.5 * np.ptp(run.judged.intervals['top1'])
    assert found['worst_class'].interval is None
    assert all(change.interval is None for change in differences(base, other).values())
    assert class_differences(base, other) == [None] * 5
    accuracy = [100 * one.judged.tallies.accuracy for one in (base, run)]
    for k, (low, high) in enumerate(class_differences(base, run)):
        assert low <= accuracy[1][k] - accuracy[0][k] <= high


def test_seeds_have_to_be_tested_on_the_same_images(tmp_path):
    for seed in range(2):
        toy(tmp_path / 'ce' / f'seed_{seed}', seed)
    with pytest.raises(ValueError, match='ce: expected the test images of seed_0, got others of'):
        load_runs([str(tmp_path / 'ce')])


def test_seeds_of_one_folder_only_are_one_entry(tmp_path, capsys):
    alone = toy(tmp_path / 'a' / 'ce', noise=1)
    for home, seed in (('b', 0), ('b', 1), ('c', 2)):
        toy(tmp_path / home / 'runs' / 'ce' / f'seed_{seed}', noise=seed)
    for runs in ([alone, tmp_path / 'b'], [tmp_path / 'b', tmp_path / 'c']):
        with pytest.raises(ValueError, match=r"different names \(NAME=PATH\), got 'ce' twice"):
            load_runs([str(run) for run in runs])
    found = load_runs([f'old={alone}', str(tmp_path / 'b'), f'new={tmp_path / "c/runs/ce"}'])
    assert {run.name: list(run.seeds) for run in found} == {
        'old': ['ce'], 'ce': ['seed_0', 'seed_1'], 'new': ['seed_2'],
    }  # fmt: skip


def test_a_run_that_diverged_stands_beside_the_others(tmp_path):
    runs = [toy(tmp_path / name, noise=k) for k, name in enumerate(('good', 'bad'))]
    known = load_predictions(runs[1] / 'predictions.npz')
    nothing = np.full_like(known.probabilities, np.nan)
    save_predictions(runs[1] / 'predictions.npz', replace(known, probabilities=nothing))
    good, bad = load_runs([str(run) for run in runs])
    rare = np.ones(5, dtype=bool)
    suspects, said = find_suspects([good, bad], rare)
    assert (suspects, said) == find_suspects([good], rare) and suspects
    assert find_suspects([bad], rare) == ([], 'Not looked for: no prediction is a number.')
    for order in (runs, runs[::-1]):
        out = tmp_path / f'{order[0].name}.html'
        assert main([*map(str, order), '--out', str(out)]) == 0


def test_curves_of_a_copied_folder_are_in_the_order_of_the_runs(tmp_path):
    for age, (begun, top) in enumerate((('20260102_000000', 60.0), ('20260101_000000', 40.0))):
        log = tmp_path / begun / 'vis_data' / 'scalars.json'
        log.parent.mkdir(parents=True)
        log.write_text(json.dumps({'long_tail/top1': top, 'step': 1}) + '\n')
        os.utime(log, (age, age))  # as a copy may set it
    assert read_curves(tmp_path)['top1'] == ([1], [60])


@pytest.mark.parametrize(
    'starts, expected',
    [
        ([1, 1], ([1, 2], [1, 1])),  # begun anew
        ([1, 3], ([1, 2, 3, 4], [0, 0, 1, 1])),  # resumed
        ([1, 2], ([1, 2, 3], [0, 1, 1])),  # resumed from an epoch before the last
        ([1, 1, 3], ([1, 2, 3, 4], [1, 1, 2, 2])),
    ],
)
def test_curves_are_those_of_the_newest_training(tmp_path, starts, expected):
    for number, start in enumerate(starts):
        log = tmp_path / f'2026010{number}' / 'vis_data' / 'scalars.json'
        log.parent.mkdir(parents=True)
        # The first training has an epoch more than those that are begun anew.
        epochs = range(start, start + 2 + (number == 0 and starts == [1, 1]))
        lines = [{'spectral_norm': number, 'step': 1}]  # which does not tell its epoch
        lines += [{'loss': float(number), 'epoch': epoch} for epoch in epochs]
        log.write_text('\n'.join(map(json.dumps, lines)) + '\n')
    (tmp_path / '20260109' / 'vis_data').mkdir(parents=True)
    (tmp_path / '20260109' / 'vis_data' / 'scalars.json').touch()  # has logged nothing yet
    curves = read_curves(tmp_path)
    assert curves['loss'] == expected
    assert curves['spectral_norm'][0][-1] == starts[-1]


def test_a_thumbnail_stands_upright(tmp_path):
    image = Image.new('RGB', (40, 20), 'blue')
    exif = image.getexif()
    exif[0x0112] = 6  # the camera was turned by 90 degrees
    image.save(tmp_path / 'a.jpg', exif=exif)
    shown = base64.b64decode(thumbnail(str(tmp_path / 'a.jpg')).split(',')[1])
    with Image.open(io.BytesIO(shown)) as small:
        assert small.size == (42, 84)


def test_wrong_labels_of_rare_classes_are_suspected(tmp_path):
    pytest.importorskip('cleanlab', reason="pip install 'mmlt[cleanlab]'")
    labels = np.repeat(np.arange(4), 20)
    probabilities = np.full((80, 4), 0.02, np.float32)
    probabilities[np.arange(80), labels] = 0.94
    wrong = {3: 0, 25: 1, 65: 3, 70: 3}
    for row, label in {3: 2, 25: 2, 65: 0, 70: 1}.items():
        labels[row] = label  # what is listed; the model knows better
    kept = Predictions(
        np.array([f'{k}.png' for k in range(80)]), labels, probabilities, np.array(list('abcd')),
        np.array([300, 200, 50, 5]),
    )  # fmt: skip
    save_predictions(tmp_path / 'p.npz', kept)
    runs = load_runs([str(tmp_path / 'p.npz')])
    everything, said = find_suspects(runs, np.ones(4, bool))
    assert said == '' and {one.path for one in everything} == {f'{row}.png' for row in wrong}
    few, _ = find_suspects(runs, np.array([False, False, True, False]))
    assert {(one.path, one.label, one.suggested) for one in few} == {
        ('3.png', 2, 0),
        ('25.png', 2, 1),
    }
    assert few[0].given == pytest.approx(0.02) and few[0].probability == pytest.approx(0.94)


def test_what_was_not_looked_for_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'cleanlab', None)
    known = describe(load_runs([str(toy(tmp_path / 'run'))]), 'title')
    assert "cleanlab is not installed (pip install 'mmlt[cleanlab]')" in known['no_suspects']
    assert 'the run has no config beside it' in known['compared']


DATA_OF_FILES = """
default_scope = 'mmpretrain'
train_dataloader = dict(dataset=dict(type='CustomDataset', data_root=r'{home}',
    ann_file='train.txt', classes=['often', 'rare'], pipeline=[]))
test_dataloader = dict(dataset=dict(type='CustomDataset', data_root=r'{home}',
    ann_file='test.txt', classes=['often', 'rare'], pipeline=[]))
"""


def test_copies_of_training_images_of_rare_classes_are_found(tmp_path):
    generator = np.random.default_rng(0)
    names = [f'{split}_{k}' for split in ('train', 'test') for k in range(6)]
    for name in names:
        blocks = generator.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(blocks).resize((90, 90)).save(tmp_path / f'{name}.png')
    with Image.open(tmp_path / 'train_5.png') as image:  # rare, in another size and format
        image.resize((70, 70)).save(tmp_path / 'test_5.jpg', quality=80)
    shutil.copy(tmp_path / 'train_0.png', tmp_path / 'test_0.png')  # of the frequent class
    for split in ('train', 'test'):
        lines = [f'{split}_{k}.png {int(k >= 4)}' for k in range(5)]
        lines.append(f'{split}_5.{"png" if split == "train" else "jpg"} 1')
        (tmp_path / f'{split}.txt').write_text('\n'.join(lines))
    run = tmp_path / 'run'
    toy(
        run, classes=2, images=2, counts=[200, 3], names=['often', 'rare'],
        paths=[str(tmp_path / 'test_0.png'), str(tmp_path / 'test_5.jpg')], labels=[0, 1],
    )  # fmt: skip
    (run / 'config.py').write_text(DATA_OF_FILES.format(home=tmp_path))
    assert 'the run has no config' in find_doubles(load_runs([str(run)])[0], np.ones(2, bool))[1]
    (run / '20260101_000000' / 'vis_data').mkdir(parents=True)  # now it is of MMEngine
    (found,), said = find_doubles(load_runs([str(run)])[0], np.array([False, True]))
    assert (Path(found.path).name, Path(found.other).name) == ('test_5.jpg', 'train_5.png')
    assert found.split == 'test' and 'of 128 bits differ' in found.text
    assert said == '2 of 2 images of test were compared with 6 of 6 training images.'
    (tmp_path / 'test_0.png').rename(tmp_path / 'away.png')
    _, said = find_doubles(load_runs([str(run)])[0], np.array([False, True]))
    assert said == (
        '1 of 2 images of test were compared with 6 of 6 training images; 1 cannot be read.'
    )
    (tmp_path / 'test_5.jpg').rename(tmp_path / 'away.jpg')
    _, said = find_doubles(load_runs([str(run)])[0], np.array([False, True]))
    assert said == 'Not looked for: the images of test cannot be read.'
    for name in ('0.png', '5.jpg'):
        (tmp_path / f'away.{name[2:]}').rename(tmp_path / f'test_{name}')
    both, _ = find_doubles(load_runs([str(run)])[0], np.array([True, True]))
    assert [one.text for one in both if 'same file' in one.text] == ['the same file']
    out = tmp_path / 'a.html'
    assert main([str(run), '--out', str(out)]) == 0
    page = out.read_text(encoding='utf-8')
    assert page.split('id="doubles"')[1].split('<h2>')[0].count('data:image/jpeg') == 2
    with (tmp_path / 'a_files' / 'near_duplicates.csv').open(newline='') as file:
        assert [row['training_label'] for row in csv.DictReader(file)] == ['rare']


CHROMIUM = shutil.which('chromium') or shutil.which('google-chrome')
FLAGS = (
    '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync',
    '--host-resolver-rules=MAP * ~NOTFOUND', '--enable-logging=stderr',
)  # fmt: skip
# Clicks and types as a reader does, and tells the page around it what it finds.
READER = """<script>
addEventListener('load', () => {
  const all = what => [...document.querySelectorAll(what)], found = {};
  const cells = n => all(`#classes tbody tr td:nth-child(${n})`)
    .map(cell => cell.firstChild ? cell.firstChild.data : '');
  const heading = n => document.querySelectorAll('#classes th button')[n];
  found.worst = cells(2);
  heading(3).click();
  found.counts = cells(4);
  heading(3).click();
  found.turned = cells(4);
  const search = document.querySelector('#search');
  search.value = 'few';
  search.dispatchEvent(new Event('input'));
  found.few = cells(4);
  for (const part of document.querySelectorAll('details')) part.open = true;
  draw();
  const drawn = all('.chart').filter(chart => chart.querySelector('.main-svg'));
  found.drawn = drawn.length;
  found.charts = all('.chart').length;
  found.outside = drawn.filter(chart => chart.querySelector('.main-svg').clientWidth
    > chart.clientWidth).map(chart => chart.dataset.chart);
  found.paper = getComputedStyle(document.body).backgroundColor;
  found.hit = window.hit === undefined ? 'no' : 'yes';
  found.width = innerWidth;
  found.wide = document.documentElement.scrollWidth > innerWidth;
  parent.postMessage(JSON.stringify(found), '*');
});
</script>"""
# A window of a browser is never as narrow as a phone; a frame is.
FRAME = """<!doctype html><meta name="color-scheme" content="light dark">
<body style="margin:0"><iframe src="probed.html" style="border:0;width:{width}px;height:2000px">
</iframe><script>addEventListener('message', event =>
  document.documentElement.setAttribute('data-found', event.data));</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason='no Chromium here: apt-get install chromium')
@pytest.mark.slow
@pytest.mark.parametrize('theme, width', [('light', 1100), ('dark', 390)])
def test_a_browser_draws_it_without_errors_or_network(report, tmp_path, theme, width):
    page = report.read_text(encoding='utf-8')
    (tmp_path / 'probed.html').write_text(page.replace('</body>', READER + '</body>'), 'utf-8')
    frame = tmp_path / 'frame.html'
    frame.write_text(FRAME.format(width=width))
    dark = ['--blink-settings=preferredColorScheme=0'] if theme == 'dark' else []
    done = subprocess.run(
        [
            CHROMIUM, *FLAGS, *dark, f'--user-data-dir={tmp_path / "profile"}',
            '--virtual-time-budget=8000', '--window-size=1100,2000', '--dump-dom', frame.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, encoding='utf-8',
    )  # fmt: skip
    assert not [line for line in done.stderr.splitlines() if 'CONSOLE' in line]
    told = re.search(r'<html[^>]* data-found="([^"]*)"', done.stdout)
    assert told, done.stdout[:300]
    found = json.loads(html.unescape(told[1]))
    assert found['worst'] == sorted(found['worst'], key=float)
    assert found['counts'] == [str(count) for count in sorted(COUNTS)]
    assert found['turned'] == [str(count) for count in COUNTS]
    assert sorted(found['few']) == ['12', '3']
    assert found['drawn'] == found['charts'] == 11
    assert found['hit'] == 'no'
    assert found['width'] == width and found['wide'] is False and found['outside'] == []
    assert found['paper'] == ('rgb(20, 23, 26)' if theme == 'dark' else 'rgb(255, 255, 255)')


@pytest.mark.slow
def test_thousands_of_classes_cost_seconds_and_megabytes(tmp_path):
    classes = 8142
    names = [f'Genus species number {k}' for k in range(classes)]
    counts = np.geomspace(1000, 2, classes).astype(int).tolist()
    toy(tmp_path / 'run', classes=classes, images=classes, counts=counts, names=names)
    start = time.process_time()
    write_report(tmp_path / 'a.html', load_runs([str(tmp_path / 'run')]))
    assert time.process_time() - start < 10
    assert (tmp_path / 'a.html').stat().st_size < 8_000_000
