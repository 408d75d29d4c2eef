"""Which classes a model confuses: errors by shot group, and the top confused pairs.

python tools/analysis_tools/confusion_by_shot.py CONFIG CHECKPOINT [CONFIG CHECKPOINT]

A second model ("after") is compared with the first ("before") on the pairs that the first confuses
most. Such pairs are partly chosen by chance: even another seed of the same method lowers them. The
last line therefore gives the mean of each model's own top pairs too.
"""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.runner import Runner
from mmpretrain.registry import METRICS
from numpy.typing import NDArray
from worst_class_ratio import (
    add_run_arguments,
    checkpoint_file,
    config_file,
    integer,
    load_config,
    out_file,
)

from mmlt.evaluation import LongTailMetric
from mmlt.functional.counts import shot_groups
from mmlt.functional.metrics.tallies import (
    GroupConfusion,
    error_rates,
    group_confusion,
    hard_confusion,
    top_error_pairs,
)
from mmlt.registry import type_name

__all__ = ['PairRates', 'compare_pairs', 'group_table', 'pair_table']


@METRICS.register_module()
class KeptLabelsMetric(LongTailMetric):
    """LongTailMetric that keeps the true class and the prediction of each image."""

    #: ``(N, 2)``: true class and prediction, -1 for none.
    labels: NDArray[np.int32]

    def compute_metrics(self, results: Sequence[NDArray[np.int32]]) -> dict[str, float]:
        """The figures of LongTailMetric."""
        self.labels = np.concatenate(results)[:, :2]
        return super().compute_metrics(results)


@dataclass(frozen=True)
class Evaluation:
    """What one model predicts on the test set."""

    title: str
    checkpoint: str
    confusion: NDArray[np.int64]
    unpredicted: int
    class_counts: list[int]
    names: list[str]
    thresholds: tuple[int, int]


def label_keeping_evaluator(evaluator: Any) -> dict[str, Any]:
    """Config of a metric that keeps labels, with the settings of the config's LongTailMetric.

    Shot thresholds and post-hoc adjustment then act as in a test. ``evaluator`` is the config's
    ``test_evaluator``, one dict or several; it is not changed.
    """
    settings: dict[str, Any] = {}
    for metric in [evaluator] if isinstance(evaluator, Mapping) else list(evaluator or ()):
        if not settings and type_name(metric) == 'LongTailMetric':
            settings = {k: v for k, v in metric.items() if k not in ('csv_file', 'prefix')}
    return dict(settings, type='KeptLabelsMetric')


def evaluate(cfg: Config, title: str) -> Evaluation:
    """Run the test set through the runner's test loop.

    ``cfg`` has ``load_from`` set; its evaluator is replaced. Raises ``ValueError`` if the
    checkpoint has no training class counts.
    """
    cfg.test_evaluator = label_keeping_evaluator(cfg.test_evaluator)
    with redirect_stdout(io.StringIO()):  # MMEngine prints which file it loads
        runner = Runner.from_cfg(cfg)
        metric = runner.test_evaluator.metrics[0]
        runner.test()
    if metric.class_counts is None:
        raise ValueError(
            f'{cfg.load_from}: expected training class counts for the shot groups, got none; train '
            "and test with default_hooks = dict(long_tail=dict(type='LongTailHook'))"
        )
    true, predicted = metric.labels.T
    num_classes = len(metric.class_counts)
    names = list((metric.dataset_meta or {}).get('classes') or range(num_classes))
    return Evaluation(
        title=title,
        checkpoint=str(cfg.load_from),
        confusion=hard_confusion(predicted, true, num_classes),
        unpredicted=int((predicted < 0).sum()),
        class_counts=metric.class_counts,
        names=[str(name) for name in names],
        thresholds=(metric.many_threshold, metric.few_threshold),
    )


def check_comparable(before: Evaluation, after: Evaluation) -> None:
    """Raise ``ValueError`` unless both models have the same training counts and classes."""
    if before.class_counts != after.class_counts or before.names != after.names:
        raise ValueError(
            f'{after.checkpoint}: expected the classes and training counts of '
            f'{before.checkpoint}, got others'
        )


@dataclass(frozen=True)
class PairRates:
    """Error rates of several models on the same ``P`` ordered pairs of classes.

    ``true`` and ``predicted`` are ``(P,)`` classes; ``rates`` maps a model to ``(P,)`` per cent of
    the true class's images.
    """

    true: NDArray[np.int64]
    predicted: NDArray[np.int64]
    rates: dict[str, NDArray[np.float64]]

    @property
    def means(self) -> dict[str, float]:
        """Mean over the pairs, model -> per cent; 0 where there is no pair."""
        return {
            title: float(rates.sum()) / max(len(rates), 1) for title, rates in self.rates.items()
        }


def compare_pairs(confusions: Mapping[str, NDArray[np.int64]], count: int) -> PairRates:
    """Error rates of all models on the pairs that the first model confuses most.

    Args:
        confusions: model -> ``(K, K)`` counts, ``confusion[true, predicted]``; the first chooses.
        count: how many pairs, at least 1; fewer where the first confuses fewer.

    Returns:
        The pairs, largest rate of the first model first.

    Raises:
        ValueError: if there is no model or the matrices do not have one shape.

    Example:
        >>> before, after = np.array([[6, 4], [1, 9]]), np.array([[9, 1], [3, 7]])
        >>> compare_pairs({'before': before, 'after': after}, 1).means
        {'before': 40.0, 'after': 10.0}
    """
    shapes = {confusion.shape for confusion in confusions.values()}
    if len(shapes) != 1:
        raise ValueError(f'confusions: expected matrices of one shape, got {sorted(shapes)}')
    true, predicted, _ = top_error_pairs(next(iter(confusions.values())), count)
    return PairRates(
        true,
        predicted,
        {
            title: 100 * error_rates(confusion)[true, predicted]
            for title, confusion in confusions.items()
        },
    )


def group_table(grouped: GroupConfusion) -> str:
    """A row for each group of true classes, in per cent of its images.

    The cells of a group without images are empty.

    Example:
        >>> from mmlt.functional.metrics.tallies import group_confusion
        >>> print(group_table(group_confusion(np.array([[3, 1], [2, 2]]), {'all': [1, 1]})))
        | true class | images | right | wrong: all |
        |---|---|---|---|
        | all | 8 | 62.5 | 37.5 |
    """
    rows = [
        [
            name,
            str(images),
            *('' if np.isnan(share) else f'{100 * share:.1f}' for share in (right, *wrong)),
        ]
        for name, images, right, wrong in zip(
            grouped.names, grouped.images, grouped.right, grouped.wrong, strict=True
        )
    ]
    return _markdown(
        ['true class', 'images', 'right', *(f'wrong: {name}' for name in grouped.names)], rows
    )


def pair_table(pairs: PairRates, names: Sequence[str]) -> str:
    """A row for each pair, and the means; ``names`` are those of the ``K`` classes."""
    rows = [
        [names[j], names[i], *(f'{rate:.1f}' for rate in rates)]
        for j, i, *rates in zip(pairs.true, pairs.predicted, *pairs.rates.values(), strict=True)
    ]
    means = [f'mean of {len(rows)}', '', *(f'{mean:.2f}' for mean in pairs.means.values())]
    return _markdown(['true', 'predicted', *pairs.rates], [*rows, means])


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ['| ' + ' | '.join(cells) + ' |' for cells in (header, *rows)]
    lines.insert(1, '|---' * len(header) + '|')
    return '\n'.join(lines)


def report(
    evaluations: Sequence[Evaluation], groups: Mapping[str, NDArray[np.bool_]], count: int
) -> tuple[str, dict[str, Any]]:
    """All tables of one model or two: the Markdown text, and the same for JSON, in per cent.

    ``groups`` maps a shot to ``(K,)`` bool; ``count`` is the number of pairs.
    """
    names = evaluations[0].names
    shots = [shot for k in range(len(names)) for shot, mask in groups.items() if mask[k]]
    pairs = compare_pairs({one.title: one.confusion for one in evaluations}, count)
    text, models = [], {}
    for one in evaluations:
        grouped = group_confusion(one.confusion, groups)
        text += [f'{one.title}: {one.checkpoint}', '', group_table(grouped), '']
        if one.unpredicted:
            text += [f'{one.unpredicted} images without a prediction are left out.', '']
        models[one.title] = summary(one, grouped, len(pairs.true))
    text.append(
        pair_table(pairs, [f'{name} ({shot})' for name, shot in zip(names, shots, strict=True)])
    )
    if len(evaluations) == 2:
        change = pairs.means['after'] - pairs.means['before']
        own = ', '.join(f'{title} {model["own_top_mean"]:.2f}' for title, model in models.items())
        text += [
            '',
            f"Change on these pairs: {change:+.2f} points. Mean of each model's own top "
            f'{len(pairs.true)}: {own}.',
        ]
    return '\n'.join(text), dict(
        models=models,
        classes=names,
        shots=shots,
        means=pairs.means,
        pairs=dict(
            true=pairs.true.tolist(),
            predicted=pairs.predicted.tolist(),
            **{title: rates.tolist() for title, rates in pairs.rates.items()},
        ),
    )


def summary(one: Evaluation, grouped: GroupConfusion, num_pairs: int) -> dict[str, Any]:
    """What JSON keeps of one model; ``confusion`` as [true, predicted, images] where not 0."""

    def percent(shares: NDArray[np.float64]) -> dict[str, float | None]:
        return {
            name: None if np.isnan(share) else 100 * float(share)
            for name, share in zip(grouped.names, shares, strict=True)
        }

    own = top_error_pairs(one.confusion, max(num_pairs, 1))[2]
    true, predicted = np.nonzero(one.confusion)
    return dict(
        checkpoint=one.checkpoint,
        unpredicted=one.unpredicted,
        # Over as many places as the first model fills, so that few wrong pairs are no drawback.
        own_top_mean=100 * float(own.sum()) / max(num_pairs, 1),
        images=dict(zip(grouped.names, grouped.images.tolist(), strict=True)),
        right=percent(grouped.right),
        wrong={name: percent(row) for name, row in zip(grouped.names, grouped.wrong, strict=True)},
        confusion=np.stack([true, predicted, one.confusion[true, predicted]], axis=1).tolist(),
    )


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        'models',
        nargs='+',
        metavar='CONFIG CHECKPOINT',
        help='config and checkpoint, once or twice: before, after',
    )
    parser.add_argument('--top', type=integer(1), default=10, help='how many pairs')
    parser.add_argument(
        '--thresholds',
        type=integer(0),
        nargs=2,
        metavar=('MANY', 'FEW'),
        help='training images above which a class is many-shot, and below which '
        'it is few-shot (default: those of the config)',
    )
    add_run_arguments(parser)
    parser.add_argument('--out', type=out_file('.json'), help='file for the result (.json)')
    args = parser.parse_args(argv)
    if len(args.models) not in (2, 4):
        parser.error(f'expected CONFIG CHECKPOINT once or twice, got {len(args.models)} arguments')
    try:
        for config, checkpoint in zip(args.models[::2], args.models[1::2], strict=True):
            config_file(config), checkpoint_file(checkpoint)
    except argparse.ArgumentTypeError as error:
        parser.error(str(error))
    if args.thresholds and args.thresholds[1] > args.thresholds[0] + 1:
        parser.error(f'--thresholds: expected FEW of at most MANY + 1, got {args.thresholds}')
    return args


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    args = parse_args(argv)
    evaluations = []
    for title, config, checkpoint in zip(
        ('before', 'after'), args.models[::2], args.models[1::2], strict=False
    ):
        folder = Path(args.work_dir or Path('work_dirs') / Path(config).stem / 'confusion_by_shot')
        model = argparse.Namespace(
            **{
                **vars(args),
                'config': config,
                'checkpoint': checkpoint,
                'work_dir': str(folder / title),
            }
        )
        evaluations.append(evaluate(load_config(model), title))
    if len(evaluations) == 2:
        check_comparable(*evaluations)
    first = evaluations[0]
    groups = shot_groups(first.class_counts, *(args.thresholds or first.thresholds))
    text, known = report(evaluations, groups, args.top)
    if is_main_process():
        print(text)
        if args.out:
            args.out.parent.mkdir(parents=True, exist_ok=True)
            args.out.write_text(json.dumps(known, indent=2) + '\n', encoding='utf-8')
    return known


if __name__ == '__main__':
    main()
