"""The report: what stands in it, that no name can run in it, and what a browser makes of it."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import time

import numpy as np
import pytest
from PIL import Image

pytest.importorskip('plotly', reason="the report needs plotly: pip install 'mmlt[report]'")

from mmlt.apps.predictions import Predictions, save_predictions
from mmlt.apps.report import main
from mmlt.apps.report.command import write_report
from mmlt.apps.report.runs import load_runs

HOSTILE = '</script><script>window.hit=1</script>'
NAMES = [HOSTILE, '<img src=x onerror=window.hit=1>', '=1+1', 'two $2$', '<b>猫</b> & "dog"']
COUNTS = [400, 150, 60, 12, 3]


def toy(folder, seed=0, classes=5, images=200, counts=COUNTS, names=NAMES, paths=None):
    """A file of predictions that favour frequent classes."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, images)
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


CHROMIUM = shutil.which('chromium') or shutil.which('google-chrome')
# Clicks and types as a reader does, and leaves what it finds in attributes of the page.
READER = """<script>
addEventListener('load', () => {
  const root = document.documentElement, all = what =>
    [...document.querySelectorAll(what)], cells = n => all(`#classes tbody tr td:nth-child(${n})`)
    .map(cell => cell.firstChild ? cell.firstChild.data : '');
  const note = (name, value) => root.setAttribute('data-' + name, JSON.stringify(value));
  note('worst', cells(5));
  document.querySelectorAll('#classes th button')[1].click();
  note('counts', cells(2));
  document.querySelectorAll('#classes th button')[1].click();
  note('turned', cells(2));
  const search = document.querySelector('#search');
  search.value = 'few';
  search.dispatchEvent(new Event('input'));
  note('few', cells(2));
  for (const part of document.querySelectorAll('details')) part.open = true;
  draw();
  note('drawn', all('.chart').filter(chart => chart.querySelector('.main-svg')).length);
  note('charts', all('.chart').length);
  note('hit', window.hit === undefined ? 'no' : 'yes');
  note('wide', document.documentElement.scrollWidth > innerWidth);
});
</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason='no Chromium here')
@pytest.mark.slow
@pytest.mark.parametrize('theme', ['light', 'dark'])
def test_a_browser_draws_it_without_errors_or_network(report, tmp_path, theme):
    page = report.read_text(encoding='utf-8')
    probed = tmp_path / 'probed.html'
    probed.write_text(page.replace('</body>', READER + '</body>'), encoding='utf-8')
    dark = ['--blink-settings=preferredColorScheme=0'] if theme == 'dark' else []
    done = subprocess.run(
        [
            CHROMIUM, '--headless', '--no-sandbox', '--disable-gpu', '--enable-logging=stderr',
            '--host-resolver-rules=MAP * ~NOTFOUND', '--virtual-time-budget=8000',
            '--window-size=500,900', *dark, '--dump-dom', probed.as_uri(),
        ],
        capture_output=True, text=True, timeout=240, encoding='utf-8',
    )  # fmt: skip
    errors = [line for line in done.stderr.splitlines() if 'CONSOLE' in line]
    assert not errors
    opening = re.search(r'<html[^>]*>', done.stdout)[0]
    found = {
        name: json.loads(value.replace('&quot;', '"'))
        for name, value in re.findall(r'data-(\w+)="([^"]*)"', opening)
        if name != 'ready'
    }
    assert 'data-ready="yes"' in opening
    assert found['worst'] == sorted(found['worst'], key=float)
    assert found['counts'] == [str(count) for count in sorted(COUNTS)]
    assert found['turned'] == [str(count) for count in COUNTS]
    assert sorted(found['few']) == ['12', '3']
    assert found['drawn'] == found['charts'] == 11
    assert found['hit'] == 'no' and found['wide'] is False


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
