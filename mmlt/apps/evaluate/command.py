"""The command: arguments, predictions, class counts, figures, files."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config

import mmlt
from mmlt.checkpoints import TRUST, last_checkpoint
from mmlt.datasets.labels import check_class_names
from mmlt.functional.checks import one_line
from mmlt.registry import type_name
from mmlt.trained_prior import trained_prior
from mmlt.weight_files import read_checkpoint

from ..command_line import add_cfg_options, add_thresholds, command_of, parser_of
from ..config import read_config
from ..predictions import Predictions, load_predictions
from .counts import (
    HOW_TO_GIVE,
    counts_from,
    counts_of_checkpoint,
    counts_of_config,
    names_beside,
    only_numbered,
)
from .inference import predict_split, same_images
from .judge import can_correct, judge, sweep_tau
from .results import save_results, table_of, worst_line

__all__ = ['evaluate_run', 'main']

DESCRIPTION = """Judge a model on its rare classes, also one that was trained without mmlt.

Accuracy of all images, by shots, of the worst class, calibration, and what post-hoc logit
adjustment would change, without another training. In the folder --out-dir: predictions.npz,
metrics.json, per_class.csv, confusion.csv and pictures. Also from predictions that were saved by
this command (.npz) or by MMPretrain's tools/test.py --out (.pkl)."""
EXAMPLE = """examples:
  mmlt evaluate resnet50_mine.py work_dirs/resnet50_mine/epoch_90.pth
  mmlt evaluate CONFIG CHECKPOINT --tau sweep --class-counts-from train.txt
  mmlt evaluate predictions.pkl --class-counts-from train.txt"""


def _tau(text: str) -> float | None:
    """A number, or None for ``sweep``."""
    if text == 'sweep':
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"expected a number or 'sweep', got {text!r}")
    return value


def parse_args(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; ends the process with status 2 if it is wrong."""
    parser = parser_of('evaluate', DESCRIPTION, EXAMPLE)
    add = parser.add_argument
    add(
        'source',
        nargs='+',
        metavar='CONFIG CHECKPOINT | PREDICTIONS',
        help='config and checkpoint, or saved predictions (.npz, .pkl)',
    )
    add(
        '--class-counts-from',
        type=Path,
        metavar='FILE',
        help='training images per class: a list of the training images (path and label in each '
        'line), the config of the training, or a table (.csv) with a column train_count or label '
        '(default: the training data of CONFIG)',
    )
    add('--split', choices=['test', 'val'], default='test', help='of CONFIG (default: test)')
    add(
        '--tau',
        type=_tau,
        default=1.0,
        metavar='NUMBER|sweep',
        help='strength of the post-hoc correction; sweep: the one with the best mean class '
        'accuracy on the validation data (default: 1)',
    )
    add(
        '--validation',
        type=Path,
        metavar='PREDICTIONS',
        help='predictions of the validation images, for --tau sweep without CONFIG',
    )
    add_thresholds(parser, 'those of the LongTailMetric of CONFIG, or 100 20')
    add(
        '--features',
        action='store_true',
        help='keep the features before the classifier in predictions.npz, for maps of the images, '
        'searches and cleanlab',
    )
    add(
        '--out-dir',
        type=Path,
        metavar='FOLDER',
        help='default: evaluation beside the checkpoint; with the name of a split or of a '
        'checkpoint that is not the last one of its folder, such as evaluation_val',
    )
    add('--force', action='store_true', help='replace the files of an earlier evaluation')
    add(
        '--trust',
        action='store_true',
        help='load checkpoint and .pkl as they are; they can run any code: only for files that you '
        'or people you trust have made',
    )
    add_cfg_options(parser, 'test')
    args = parser.parse_args(arguments)
    if len(args.source) > 2:
        parser.error(f'expected CONFIG CHECKPOINT or PREDICTIONS, got {len(args.source)} arguments')
    if len(args.source) == 1 and Path(args.source[0]).suffix == '.py':
        parser.error(f'expected a checkpoint after the config {args.source[0]}, got none')
    if len(args.source) == 1 and args.tau is None and args.validation is None:
        parser.error('--tau sweep: expected --validation PREDICTIONS to choose on, got none')
    if args.validation is not None and args.tau is not None:
        parser.error('--validation: expected it with --tau sweep, which chooses on it, got a tau')
    if len(args.source) == 1 and (args.cfg_options or args.split != 'test'):
        option = '--cfg-options' if args.cfg_options else '--split'
        parser.error(f'{option}: expected CONFIG CHECKPOINT, which it is for, got predictions')
    if len(args.source) == 1 and args.features:
        parser.error('--features: expected CONFIG CHECKPOINT to compute them, got predictions')
    if args.out_dir is None:
        home = Path(args.source[-1])
        name = _folder_of(home, args.split) if len(args.source) == 2 else f'{home.stem}_evaluation'
        args.out_dir = home.parent / name
    return args


def _folder_of(checkpoint: Path, split: str) -> str:
    """``evaluation`` is of the last epoch on the test images, which reports show."""
    last = last_checkpoint(checkpoint.parent)
    other = [] if last is None or last.name == checkpoint.name else [checkpoint.stem]
    return '_'.join(['evaluation', *other, *([] if split == 'test' else [split])])


def evaluate_run(config: Path, checkpoint: Path, out_dir: Path, pictures: bool = True) -> None:
    """What ``mmlt evaluate CONFIG CHECKPOINT --out-dir FOLDER`` does, without printing.

    Pictures take a second or two, most of the time where a head was evaluated on features.
    """
    args = parse_args([str(config), str(checkpoint), '--out-dir', str(out_dir), '--force'])
    _evaluate(args, quiet=True, pictures=pictures)


def _evaluate(args: argparse.Namespace, quiet: bool = False, pictures: bool = True) -> None:
    folder = args.out_dir
    if (folder / 'metrics.json').exists() and not args.force:
        raise ValueError(
            f'--out-dir: expected a folder without an evaluation, got {folder}; --force replaces it'
        )
    about: dict[str, Any] = dict(mmlt=mmlt.__version__, source=[str(part) for part in args.source])
    thresholds = args.thresholds or (100, 20)
    cfg: Config | None = None
    notes: list[str] = []
    corrected: list[str] = []
    if len(args.source) == 2:
        cfg, predictions, meta = _from_model(args)
        notes += _other_names(args, predictions, meta)
        corrected += _corrections(cfg, meta)
        if not args.thresholds:
            thresholds = _thresholds_of(cfg)
    else:
        predictions = load_predictions(Path(args.source[0]), args.trust)
    predictions, about['class_counts_from'], fault = _with_counts(args, cfg, predictions)
    judged = {'as predicted': judge(predictions, thresholds)}
    notes += [] if fault is None else [fault]
    if can_correct(predictions):
        tau, said, about['sweep'] = _strength(args, cfg, predictions)
        about['tau'] = tau
        notes += said
        if args.tau is None and not tau:
            notes.append('no strength of the post-hoc correction helps on the validation data')
        if tau and corrected:
            notes.append(
                f'the model was {" and ".join(corrected)}: with the post-hoc correction it is '
                'corrected twice'
            )
        if tau:
            judged[f'post-hoc, tau {tau:g}'] = judge(predictions, thresholds, tau)
    elif fault is None:
        notes.append('post-hoc correction left out: a class has no training images')
    save_results(folder, predictions, judged, thresholds, about, pictures)
    for note in notes:
        print(f'mmlt evaluate: {note}', file=sys.stderr)
    if not quiet:
        print(f'{predictions.split or "images"}: {len(predictions.labels)} images; in per cent\n')
        print(table_of(judged))
        print(f'\n{worst_line(predictions, judged["as predicted"])}')
        print(f'{folder}: predictions.npz, metrics.json, per_class.csv, confusion.csv, pictures')


def _from_model(args: argparse.Namespace) -> tuple[Config, Predictions, dict[str, Any]]:
    """Config, predictions, and the meta data of the checkpoint."""
    config, checkpoint = args.source
    cfg = read_config(config, args.cfg_options)
    if args.trust:
        os.environ[TRUST] = '1'
    meta = read_checkpoint(checkpoint, trust=args.trust, switch='--trust').get('meta') or {}
    return cfg, predict_split(cfg, checkpoint, args.split, args.features), meta


def _other_names(
    args: argparse.Namespace, predictions: Predictions, meta: dict[str, Any]
) -> list[str]:
    """What the log of a test would warn of, which is not shown; an error if classes are shifted."""
    trained = [str(name) for name in (meta.get('dataset_meta') or {}).get('classes') or ()]
    name = f'{args.split}_dataloader.dataset'
    note = check_class_names(trained, predictions.classes.tolist(), name, 'the checkpoint')
    return [] if note is None else [note]


def _corrections(cfg: Config, meta: dict[str, Any]) -> list[str]:
    """How the frequency of classes is compensated already, as the end of a sentence."""
    known = trained_prior(cfg)[1]
    rebalanced = (meta.get('rebalanced_classifier') or {}).get('tau')
    return [f'trained with {", ".join(known)}'] * bool(known) + [
        'corrected by rebalance_classifier.py'
    ] * bool(rebalanced)


def _thresholds_of(cfg: Config) -> tuple[int, int]:
    evaluators = cfg.get('test_evaluator') or ()
    for metric in [evaluators] if isinstance(evaluators, dict) else evaluators:
        if type_name(metric) == 'LongTailMetric':
            return metric.get('many_threshold', 100), metric.get('few_threshold', 20)
    return 100, 20


def _with_counts(
    args: argparse.Namespace, cfg: Config | None, predictions: Predictions
) -> tuple[Predictions, str | None, str | None]:
    """The predictions with class counts, where these come from, or what to give."""
    classes = len(predictions.classes)
    if args.class_counts_from is not None:
        names = names_beside(args.class_counts_from, predictions.classes.tolist())
        counts = counts_from(args.class_counts_from, names)
        predictions = replace(predictions, classes=np.array(names)).with_counts(counts)
        return predictions, str(args.class_counts_from), None
    reason = 'the predictions do not tell them'
    if cfg is not None:
        try:
            counts = counts_of_config(cfg, classes)
            return predictions.with_counts(counts), 'the training data of the config', None
        except ValueError as error:
            reason = one_line(error)
        saved = counts_of_checkpoint(args.source[1], classes, args.trust)
        if saved is not None:
            return predictions.with_counts(saved), 'the checkpoint', None
    if predictions.class_counts is not None:
        return predictions, 'the predictions', None
    return predictions, None, (
        f'no training images per class ({reason}), so shots and post-hoc correction are left '
        f'out; {HOW_TO_GIVE}'
    )  # fmt: skip


def _strength(
    args: argparse.Namespace, cfg: Config | None, predictions: Predictions
) -> tuple[float, list[str], dict[str, float] | None]:
    """The strength of the correction, what has to be said about it, and the sweep."""
    if args.tau is not None:
        return args.tau, [], None
    notes = []
    if args.validation is not None:
        validation = load_predictions(args.validation, args.trust)
        _check_classes(validation.classes.tolist(), predictions.classes.tolist())
    elif cfg is None or same_images(cfg) or args.split == 'val':
        validation = predictions
        notes.append(
            'tau is chosen on the images that it is tested on (the config has no other validation '
            'data): expect less on new images'
        )
    else:
        validation = predict_split(cfg, args.source[1], 'val')
    results = sweep_tau(validation.with_counts(predictions.class_counts))
    best = max(results, key=lambda tau: (results[tau], -abs(tau - 1)))
    return best, notes, {f'{tau:g}': round(value, 4) for tau, value in results.items()}


def _check_classes(found: list[str], expected: list[str]) -> None:
    """Of other predictions; a ``.pkl`` only numbers them."""
    if len(found) != len(expected):
        raise ValueError(f'--validation: expected {len(expected)} classes, got {len(found)}')
    if found != expected and not (only_numbered(found) or only_numbered(expected)):
        k = next(k for k, name in enumerate(expected) if found[k] != name)
        raise ValueError(
            f'--validation: expected the same classes, {expected[k]!r} at index {k}, got '
            f'{found[k]!r}'
        )


main = command_of('evaluate', parse_args, _evaluate)
