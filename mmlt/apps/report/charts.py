"""The charts of a report, as figures of plotly. Their colours follow the theme in the browser."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from ..evaluate.judge import reliability_of
from ..evaluate.pictures import GROUPED_ABOVE, confusion_shares
from ..pictures import COLOURS, short
from .differences import class_differences
from .runs import Run

__all__ = [
    'accuracy_chart',
    'calibration_chart',
    'confusion_chart',
    'confusion_width',
    'curve_chart',
    'difference_chart',
    'dots_chart',
]

SYMBOLS = ('circle', 'diamond', 'square', 'triangle-up', 'x', 'star', 'cross')
SHOT_COLOURS = dict(zip(('many', 'medium', 'few'), COLOURS, strict=False))
INTERVALS_UP_TO = 200
NAMES_UP_TO = 20
LEAST_IN_BIN = 5
OF_ACCURACY = ('top1', 'many_shot', 'medium_shot', 'few_shot', 'worst_class')


def _look(index: int) -> tuple[str, str]:
    return COLOURS[index % len(COLOURS)], SYMBOLS[index // len(COLOURS) % len(SYMBOLS)]


def _dot(index: int, classes: int) -> dict[str, object]:
    """Small and pale where there are many, so that places with many dots are seen as such."""
    colour, symbol = _look(index)
    few = classes <= INTERVALS_UP_TO
    return dict(color=colour, symbol=symbol, size=8 if few else 5, opacity=0.75 if few else 0.35)


def _text(name: object, length: int = 28) -> str:
    """A name as plotly shows it: it would take some tags for markup, and two dollars for maths."""
    return html.escape(short(name, length)).replace('$', '&#36;')


def _counts(run: Run) -> NDArray[np.float64]:
    counts = run.predictions.class_counts
    return np.maximum(np.zeros(1) if counts is None else counts.astype(float), 0.5)


def _figure(x: str, y: str, height: int = 420) -> go.Figure:
    figure = go.Figure()
    figure.update_layout(
        template='none',
        height=height,
        margin=dict(l=52, r=12, t=30, b=48),
        legend=dict(orientation='h', y=1.06, yanchor='bottom', x=0),
        hovermode='closest',
        xaxis=dict(title=dict(text=x), automargin=True, zeroline=False),
        yaxis=dict(title=dict(text=y), automargin=True, zeroline=False),
    )
    return figure


def _frequency_axis(figure: go.Figure, run: Run) -> None:
    counts = _counts(run)
    low, high = np.log10(counts.min()), np.log10(counts.max())
    margin = 0.06 * max(high - low, 0.5)
    figure.update_xaxes(type='log', range=[low - margin, high + 2 * margin])
    steps = (1, 2, 5) if high - low < 2.5 else (1,)
    ticks = [step * 10**power for power in range(8) for step in steps]
    figure.update_xaxes(tickvals=ticks, ticktext=[f'{tick:,}' for tick in ticks])
    for limit in run.thresholds:
        if counts.min() < limit < counts.max():
            figure.add_shape(
                type='line', x0=limit, x1=limit, y0=0, y1=1, yref='paper', line=dict(dash='dot')
            )
    for shot, mask in run.judged.groups.items():
        if mask.any():
            middle = (np.log10(counts[mask].min()) + np.log10(counts[mask].max())) / 2
            figure.add_annotation(
                x=middle, y=1, yref='paper', yanchor='bottom', text=shot, showarrow=False
            )


def _shift(index: int, runs: int, classes: int) -> float:
    """A factor by which runs stand side by side, not upon each other."""
    return 1.03 ** (index - (runs - 1) / 2) if classes <= INTERVALS_UP_TO else 1.0


def accuracy_chart(runs: Sequence[Run]) -> go.Figure:
    """Accuracy of each class against its training images; group means as lines."""
    figure = _figure('training images of the class', 'test accuracy of the class (%)')
    _frequency_axis(figure, runs[0])
    classes = len(runs[0].predictions.classes)
    for index, run in enumerate(runs):
        colour, _ = _look(index)
        accuracy = 100 * run.judged.tallies.accuracy
        shift = _shift(index, len(runs), classes)
        named = index == 0 and classes <= NAMES_UP_TO
        figure.add_scatter(
            x=_counts(run) * shift,
            y=accuracy,
            mode='markers+text' if named else 'markers',
            text=[_text(name, 14) for name in run.predictions.classes] if named else None,
            textposition='top center',
            textfont=dict(size=10),
            name=_text(run.name),
            legendgroup=run.name,
            marker=_dot(index, classes),
            meta=dict(run=index),
        )
        xs: list[float | None] = []
        ys: list[float | None] = []
        for mask in run.judged.groups.values():
            tested = mask & ~np.isnan(accuracy)
            if tested.any():
                ends = _counts(run)[tested]
                xs += [float(ends.min()), float(ends.max()), None]
                ys += [float(accuracy[tested].mean())] * 2 + [None]
        figure.add_scatter(
            x=xs,
            y=ys,
            mode='lines',
            line=dict(color=colour, width=2),
            legendgroup=run.name,
            showlegend=False,
            hovertemplate='mean of the group: %{y:.1f} %<extra></extra>',
        )
    figure.update_yaxes(range=[-4, 108], tickvals=[0, 20, 40, 60, 80, 100])
    return figure


def difference_chart(runs: Sequence[Run]) -> go.Figure:
    """Points that each class gains or loses against the first run."""
    base = _text(runs[0].name)
    figure = _figure('training images of the class', f'points more than {base}')
    _frequency_axis(figure, runs[0])
    classes = len(runs[0].predictions.classes)
    for index, run in enumerate(runs[1:], start=1):
        change = 100 * (run.judged.tallies.accuracy - runs[0].judged.tallies.accuracy)
        figure.add_scatter(
            x=_counts(run) * _shift(index, len(runs), classes),
            y=change,
            mode='markers',
            name=_text(run.name),
            showlegend=True,
            marker=_dot(index, classes),
            error_y=_change_bars(runs[0], run, change) if classes <= INTERVALS_UP_TO else None,
            meta=dict(run=index, change=True),
        )
    figure.update_yaxes(zeroline=True)
    return figure


def _change_bars(base: Run, run: Run, change: NDArray[np.float64]) -> dict[str, object]:
    ends = [
        (value, value) if pair is None else pair
        for pair, value in zip(class_differences(base, run), change, strict=True)
    ]
    up = [high - value for (_, high), value in zip(ends, change, strict=True)]
    down = [value - low for (low, _), value in zip(ends, change, strict=True)]
    return dict(
        type='data',
        symmetric=False,
        array=[max(round(value, 2), 0.0) for value in up],
        arrayminus=[max(round(value, 2), 0.0) for value in down],
        thickness=1,
        width=0,
    )


def dots_chart(
    runs: Sequence[Run],
    columns: Sequence[str],
    values: Sequence[Sequence[float | None]],
    intervals: Sequence[Sequence[tuple[float, float] | None]] | None = None,
) -> go.Figure:
    """A dot for each run in each column, in per cent, with its interval."""
    figure = _figure('', '%', height=340)
    for index, run in enumerate(runs):
        colour, symbol = _look(index)
        shift = 0.5 * (index - (len(runs) - 1) / 2) / max(len(runs), 2)
        row = values[index]
        bars = None
        if intervals is not None:
            ends = [
                pair if pair is not None and value is not None else (value or 0, value or 0)
                for pair, value in zip(intervals[index], row, strict=True)
            ]
            bars = dict(
                type='data',
                symmetric=False,
                array=[end[1] - (v or 0) for end, v in zip(ends, row, strict=True)],
                arrayminus=[(v or 0) - end[0] for end, v in zip(ends, row, strict=True)],
                thickness=1.5,
                width=4,
                color=colour,
            )
        figure.add_scatter(
            x=[k + shift for k in range(len(columns))],
            y=list(row),
            mode='markers',
            name=_text(run.name),
            marker=dict(color=colour, symbol=symbol, size=10),
            error_y=bars,
            hovertemplate='%{y:.1f} %<extra>' + _text(run.name) + '</extra>',
            showlegend=True,
        )
    ticks = list(range(len(columns)))
    figure.update_yaxes(range=[-3, 104])
    figure.update_xaxes(
        tickvals=ticks, ticktext=list(columns), range=[-0.5, len(columns) - 0.5], showgrid=False
    )
    return figure


def confusion_chart(run: Run) -> go.Figure:
    """What is taken for what, in the order of frequency."""
    names, shares = confusion_shares(run.predictions, run.judged)
    labels, ticks = [_text(name, 22) for name in names], list(range(len(names)))
    figure = _figure('', '', height=min(300 + 16 * len(names), 900))
    figure.add_heatmap(
        z=np.round(100 * shares, 2),
        zmin=0,
        zmax=100,
        customdata=[[f'{true} → {predicted}' for predicted in labels] for true in labels],
        hovertemplate='%{customdata}: %{z:.1f} %<extra></extra>',
        colorbar=dict(title=dict(text='% of row'), thickness=10, outlinewidth=0),
    )
    axis = dict(tickvals=ticks, ticktext=labels, showgrid=False, tickfont=dict(size=10))
    figure.update_xaxes(tickangle=-90, **axis)
    figure.update_yaxes(autorange='reversed', **axis)
    return figure


def confusion_width(run: Run) -> int:
    """Least width in pixels at which the names of the columns do not overlap."""
    shown = min(len(run.predictions.classes), GROUPED_ABOVE)
    return 220 + 13 * shown


def calibration_chart(run: Run) -> tuple[go.Figure, dict[str, float]]:
    """Reliability diagram by shot, and the calibration error of each in per cent."""
    figure = _figure('confidence of the prediction (%)', 'right (%)', height=360)
    figure.add_scatter(
        x=[0, 100], y=[0, 100], mode='lines', line=dict(dash='dot', width=1), meta=dict(guide=True),
        showlegend=False, hoverinfo='skip',
    )  # fmt: skip
    errors = {}
    for shot, mask in run.judged.groups.items():
        diagram = reliability_of(run.judged, run.predictions.labels, mask)
        filled = diagram.images >= LEAST_IN_BIN
        if not diagram.images.any():
            continue
        labels = run.predictions.labels[: run.images]
        seeds = [reliability_of(judged, labels, mask).error for judged in run.seeds.values()]
        errors[shot] = 100 * float(np.mean(seeds))
        images = diagram.images[filled]
        figure.add_scatter(
            x=100 * diagram.confidence[filled],
            y=100 * diagram.accuracy[filled],
            mode='lines+markers',
            name=shot,
            line=dict(color=SHOT_COLOURS[shot], width=1.5),
            marker=dict(
                color=SHOT_COLOURS[shot], size=5 + 13 * np.sqrt(images / images.max(initial=1))
            ),
            customdata=images,
            hovertemplate='sure %{x:.0f} %, right %{y:.0f} % of %{customdata} images'
            f'<extra>{shot}</extra>',
        )
    figure.update_xaxes(range=[-3, 103])
    figure.update_yaxes(range=[-3, 103])
    return figure, errors


def curve_chart(runs: Sequence[Run], name: str) -> go.Figure:
    """One figure over the epochs, a line for each run."""
    figure = _figure('epoch', '', height=260)
    for index, run in enumerate(runs):
        if name in run.curves:
            epochs, values = run.curves[name]
            figure.add_scatter(
                x=epochs,
                y=values,
                mode='lines+markers' if len(epochs) <= 20 else 'lines',
                name=_text(run.name),
                line=dict(color=_look(index)[0], width=2),
                showlegend=len(runs) > 1,
            )
    figure.update_yaxes(rangemode='tozero')
    if name in OF_ACCURACY:
        figure.update_yaxes(range=[-3, 104])
    return figure
