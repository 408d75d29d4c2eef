"""What stands in the report: tables, charts and images, ready for the template."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Iterator, Sequence
from importlib import metadata
from typing import Any

import numpy as np

import mmlt
from mmlt.functional.counts import class_prior
from mmlt.functional.metrics.priors import accuracy_under_prior, reversed_prior
from mmlt.functional.metrics.tallies import most_confused_with
from mmlt.functional.metrics.uncertainty import wilson_interval

from ..evaluate.pictures import GROUPED_ABOVE
from ..evaluate.results import COLUMNS, confused_pairs
from . import charts
from .differences import Difference, differences
from .images import thumbnail
from .runs import Run
from .suspects import find_doubles, find_suspects, rare_classes

__all__ = ['describe', 'script_json']

FIGURES = {name: text for name, text in COLUMNS.items() if name != 'macro_f1'}
CURVES = ('top1', 'many_shot', 'medium_shot', 'few_shot', 'worst_class', 'loss')
# Of the metric, too: what the others show already.
OTHER_CURVES = ('top5', 'harmonic_mean', 'geometric_mean', 'macro_f1')
PAIRS, IMAGES_OF_PAIR, IMAGES_IN_ALL = 10, 6, 240
SUSPECTS, DOUBLES = 24, 24


def describe(runs: Sequence[Run], title: str) -> dict[str, Any]:
    """Everything that the template shows.

    Args:
        runs: the first is the baseline.
        title: of the page.
    """
    first = runs[0]
    drawn: dict[str, Any] = {'accuracy': charts.accuracy_chart(runs)}
    if len(runs) > 1:
        drawn['difference'] = charts.difference_chart(runs)
    shots = [name for name in FIGURES if name in first.judged.figures][:-2]
    drawn['groups'] = charts.dots_chart(
        runs,
        [FIGURES[name] for name in shots],
        [[run.judged.figures.get(name) for name in shots] for run in runs],
        [[run.judged.intervals.get(name) for name in shots] for run in runs],
    )
    priors = [_under_priors(run) for run in runs]
    drawn['priors'] = charts.dots_chart(
        runs, list(priors[0]), [list(row.values()) for row in priors]
    )
    calibration = []
    for index, run in enumerate(runs):
        drawn[f'confusion{index}'] = charts.confusion_chart(run)
        drawn[f'calibration{index}'], errors = charts.calibration_chart(run)
        calibration.append((run, {shot: f'{error:.1f}' for shot, error in errors.items()}))
    known = {name for run in runs for name in run.curves}
    curves = [name for name in CURVES if name in known]
    curves += sorted(known - set(CURVES) - set(OTHER_CURVES))
    for index, name in enumerate(curves):
        drawn[f'curve{index}'] = charts.curve_chart(runs, name)
    counts = first.predictions.class_counts
    return dict(
        title=title,
        runs=runs,
        images=first.images,
        seeds=max(len(run.seeds) for run in runs),
        classes=len(first.predictions.classes),
        split=first.predictions.split or 'test',
        training=0 if counts is None else int(counts.sum()),
        ratio='' if counts is None else f'{counts.max() / max(counts.min(), 1):.0f}',
        groups={shot: int(mask.sum()) for shot, mask in first.judged.groups.items()},
        thresholds=first.thresholds,
        figures=FIGURES,
        summary=[_summary(run, first) for run in runs],
        pairs=list(_pairs(runs)),
        calibration=calibration,
        curves=[name.replace('_', ' ') for name in curves],
        confusion_width=charts.confusion_width(first),
        grouped=len(first.predictions.classes) > GROUPED_ABOVE,
        **_doubtful(runs),
        versions=_versions(),
        data=script_json(_class_table(runs)),
        charts=script_json_of_charts(drawn),
    )


def _under_priors(run: Run) -> dict[str, float]:
    accuracy, counts = run.judged.tallies.accuracy, run.predictions.class_counts
    uniform = np.ones(len(accuracy))
    known = uniform if counts is None else counts
    return {
        'uniform': 100 * accuracy_under_prior(accuracy, uniform),
        'training': 100 * accuracy_under_prior(accuracy, class_prior(known).numpy()),
        'reversed': 100 * accuracy_under_prior(accuracy, reversed_prior(known)),
    }


def _summary(run: Run, first: Run) -> dict[str, Any]:
    """Figure -> value, deviation over seeds, interval and difference from the first, as text."""
    changes = {} if run is first else differences(first, run)
    cells: dict[str, Any] = {}
    for name in FIGURES:
        value = run.judged.figures.get(name)
        if value is None or math.isnan(value):
            cells[name] = {}
            continue
        ends, change = run.judged.intervals.get(name), changes.get(name)
        cells[name] = dict(
            value=f'{value:.1f}',
            deviation=_deviation(run, name),
            interval='' if ends is None else f'{ends[0]:.1f} to {ends[1]:.1f}',
            change=[] if change is None else _change(change),
            # Not by chance: the interval of the difference leaves out 0.
            sure=change is not None
            and change.interval is not None
            and not change.interval[0] <= 0 <= change.interval[1],
        )
    return cells


def _deviation(run: Run, name: str) -> str:
    if len(run.seeds) < 2:
        return ''
    values = [judged.figures[name] for judged in run.seeds.values()]
    return f'± {np.std(values, ddof=1):.1f}'


def _change(change: Difference) -> list[str]:
    """The points, and on another line their interval."""
    ends = change.interval
    points = [f'{change.points:+.1f}']
    return points if ends is None else [*points, f'{ends[0]:+.1f} to {ends[1]:+.1f}']


def _class_table(runs: Sequence[Run]) -> dict[str, Any]:
    """Columns of the classes, for table and hover texts; accuracies in per cent."""
    first = runs[0]
    shots = [''] * len(first.predictions.classes)
    for shot, mask in first.judged.groups.items():
        for k in np.flatnonzero(mask):
            shots[k] = shot
    columns = []
    for run in runs:
        tallies = run.judged.tallies
        low, high = wilson_interval(tallies.correct, tallies.targets)
        confused = most_confused_with(run.judged.predicted, run.predictions.labels, len(shots))
        columns.append(
            dict(
                name=run.name,
                accuracy=_rounded(100 * tallies.accuracy),
                low=_rounded(100 * low),
                high=_rounded(100 * high),
                images=tallies.targets.tolist(),
                confused=confused.tolist(),
            )
        )
    counts = first.predictions.class_counts
    return dict(
        names=first.predictions.classes.tolist(),
        counts=[] if counts is None else counts.tolist(),
        shots=shots,
        runs=columns,
    )


def _rounded(values: Any) -> list[float | None]:
    return [None if math.isnan(value) else round(float(value), 1) for value in values]


def _pairs(runs: Sequence[Run]) -> Iterator[dict[str, Any]]:
    """The most frequent errors of each run, with the images that were taken for the other class."""
    left = IMAGES_IN_ALL
    for run in runs:
        predictions, judged = run.predictions, run.judged
        rows = []
        found = confused_pairs(predictions, judged)
        back = {(true, wrong): images for true, wrong, images in found}
        for true, wrong, images in found[:PAIRS]:
            where = (predictions.labels == true) & (judged.predicted == wrong)
            ordered = np.flatnonzero(where)[np.argsort(-judged.confidence[where], kind='stable')]
            # Several seeds err on the same image, which is shown once.
            once: dict[int, int] = {}
            for k in ordered.tolist():
                once.setdefault(k % run.images, k)
            shown = []
            for k in list(once.values())[: min(IMAGES_OF_PAIR, left)]:
                picture = thumbnail(str(predictions.paths[k]))
                if picture is not None:
                    text = f'{predictions.paths[k]}: {100 * judged.confidence[k]:.0f} % sure'
                    shown.append((picture, text))
            left -= len(shown)
            rows.append(
                dict(
                    true=predictions.classes[true],
                    wrong=predictions.classes[wrong],
                    images=images,
                    total=int(judged.tallies.targets[true]) * len(run.seeds),
                    back=back.get((wrong, true), 0),
                    shown=shown,
                )
            )
        yield dict(run=run, rows=rows, pictures=any(row['shown'] for row in rows))


def _doubtful(runs: Sequence[Run]) -> dict[str, Any]:
    """Suspicious labels, and images on both sides of a split, of the rarest classes."""
    first = runs[0]
    shot, rare = rare_classes(first)
    suspects, no_suspects = find_suspects(runs, rare)
    doubles, compared = find_doubles(first, rare)
    names = first.predictions.classes.tolist()

    def named(label: int) -> str:
        return names[label] if 0 <= label < len(names) else 'another class'

    return dict(
        rare=shot,
        rare_classes=int(rare.sum()),
        suspects=[
            dict(
                picture=thumbnail(one.path),
                path=one.path,
                label=named(one.label),
                given=f'{100 * one.given:.0f}',
                suggested=named(one.suggested),
                probability=f'{100 * one.probability:.0f}',
            )
            for one in suspects[:SUSPECTS]
        ],
        suspects_in_all=len(suspects),
        no_suspects=no_suspects,
        doubles=[
            dict(
                pictures=[(thumbnail(one.path), one.path), (thumbnail(one.other), one.other)],
                label=named(one.label),
                split=one.split,
                other=named(one.other_label),
                text=one.text,
            )
            for one in doubles[:DOUBLES]
        ],
        doubles_in_all=len(doubles),
        compared=compared,
        looked=not compared.startswith('Not'),
        tables=dict(suspects=suspects, doubles=doubles, names=names),
    )


def _versions() -> dict[str, str]:
    found = {'mmlt': mmlt.__version__, 'Python': platform.python_version()}
    for name in (
        'torch',
        'numpy',
        'mmengine',
        'onedl-mmengine',
        'mmpretrain',
        'onedl-mmpretrain',
        'plotly',
        'cleanlab',
    ):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def script_json(value: Any) -> str:
    """JSON that may stand inside a script: no name can end it."""
    text = json.dumps(value, ensure_ascii=False, separators=(',', ':'), allow_nan=False)
    return _inside_script(text)


def script_json_of_charts(drawn: dict[str, Any]) -> str:
    """The same for figures of plotly, whose arrays are written in base64."""
    parts = [
        f'{json.dumps(name)}:{figure.to_json(validate=False)}' for name, figure in drawn.items()
    ]
    return _inside_script('{' + ','.join(parts) + '}')


def _inside_script(text: str) -> str:
    for sign in '<>&\u2028\u2029':
        text = text.replace(sign, f'\\u{ord(sign):04x}')
    return text
