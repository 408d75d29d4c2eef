"""Accuracy as the long-tail literature reports it: by shot group, worst class, class means."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_gather_object, is_main_process
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmpretrain.registry import METRICS
from numpy.typing import NDArray

from mmlt.functional.checks import check_choice, check_integer, check_number, check_text, refuse
from mmlt.functional.counts import shot_groups, validate_class_counts
from mmlt.functional.metrics.figures import long_tail_figures
from mmlt.functional.metrics.tallies import ClassTallies, count_predictions, most_confused_with

from .collect import interleave_ranks, rank_classes, true_labels
from .per_class_table import describe_omissions, per_class_rows, write_per_class_csv

__all__ = ['LongTailMetric']


@METRICS.register_module()
class LongTailMetric(BaseMetric):
    """Long-tail accuracy figures in per cent: ``long_tail/top1``, ``top5``, ``many_shot``,
    ``medium_shot``, ``few_shot``, ``worst_class``, ``harmonic_mean``, ``geometric_mean`` and
    ``macro_f1``.

    The accuracy of a shot group is the mean over its classes. Classes without test images are
    left out of every per-class figure, with a warning in the log, and a group without classes is
    not reported. Of each image only the label and the best few predictions are kept; every rank
    computes the same figures, in the order of the data set and without the images that pad ranks.

    The shot groups come from the class counts of the **training** set, which
    :class:`~mmlt.hooks.LongTailHook` passes to :meth:`set_class_counts`. Without them the groups
    are left out, with a warning.

    Args:
        many_threshold: a class with more training images than this is many-shot.
        few_threshold: a class with fewer training images than this is few-shot; at most
            ``many_threshold + 1``, so that no class is both.
        topk: which top-k accuracies to report, one integer or several of at least 1; one that
            exceeds the number of classes is left out.
        post_hoc_tau: post-hoc logit adjustment: images are ranked by ``log p - tau * log prior``
            instead of the predicted probability ``p``. Right for any head that ends in a
            softmax. 0 switches it off.
        floor: accuracies below this fraction, in ``[0, 1)``, count as this fraction in the
            harmonic and the geometric mean, which are 0 otherwise once a class is never
            recognised.
        csv_file: where to write one row per class after each evaluation, replacing the last.
        prefix: put before the names of the figures, ``'long_tail'`` by default; give each of two
            metrics in one evaluator its own, for instance ``prefix='post_hoc'``.
        **kwargs: ``collect_device`` and ``collect_dir`` of ``BaseMetric``, which have no effect.

    Raises:
        ValueError: if an option is out of range.

    Example:
        >>> metric = LongTailMetric(topk=(1,))
        >>> metric.set_class_counts([200, 10])
        >>> figures = metric.compute_metrics([np.array([[0, 0, 1], [1, 0, 1]])])
        >>> figures['top1'], figures['many_shot'], figures['few_shot']
        (50.0, 100.0, 0.0)
    """

    default_prefix = 'long_tail'

    def __init__(
        self,
        many_threshold: int = 100,
        few_threshold: int = 20,
        topk: int | Sequence[int] = (1, 5),
        post_hoc_tau: float = 0.0,
        floor: float = 0.0,
        csv_file: str | Path | None = None,
        prefix: str | None = None,
        **kwargs: Any,
    ) -> None:
        texts = dict(csv_file=csv_file, prefix=prefix, collect_dir=kwargs.get('collect_dir'))
        for name, value in texts.items():
            if value is not None and not (name == 'csv_file' and isinstance(value, PathLike)):
                check_text(name, value)
        check_choice('collect_device', kwargs.get('collect_device', 'cpu'), ('cpu', 'gpu'))
        super().__init__(prefix=prefix, **kwargs)
        ks = topk if isinstance(topk, (list, tuple)) else (topk,)
        if not ks:
            raise refuse('topk', 'at least one integer', topk)
        self.topk = tuple(check_integer('topk', k, '[1, inf)') for k in ks)
        self.post_hoc_tau = check_number('post_hoc_tau', post_hoc_tau)
        self.floor = check_number('floor', floor, '[0, 1)')
        self.many_threshold = check_integer('many_threshold', many_threshold, '[0, inf)')
        self.few_threshold = check_integer('few_threshold', few_threshold, '[0, inf)')
        if few_threshold > many_threshold + 1:
            expected = f'at most many_threshold + 1 = {many_threshold + 1}'
            raise refuse('few_threshold', expected, few_threshold)
        self.csv_file = csv_file
        self.class_counts: list[int] | None = None
        #: Per-class counts of the last evaluation, the same on every rank.
        self.tallies: ClassTallies | None = None
        self._num_classes: int | None = None
        self._logged: set[str] = set()

    def set_class_counts(self, counts: Sequence[int]) -> None:
        """Take the training images per class, ``(K,)``; ``ValueError`` if they are no counts."""
        validate_class_counts(counts)
        self.class_counts = [int(count) for count in counts]

    def figure_names(self, tested: Sequence[int] | None = None) -> list[str]:
        """Names of the figures that an evaluation reports, without prefix.

        Args:
            tested: ``(K,)`` test images per class; None: every class has some.
        """
        counts = self.class_counts if self.class_counts is not None else tested
        ks = sorted({1, *self.topk})
        groups = {}
        if self.class_counts is not None:
            groups = shot_groups(self.class_counts, self.many_threshold, self.few_threshold)
        if counts is not None:
            ks = [k for k in ks if k <= len(counts)]
        with_images = None if tested is None else np.flatnonzero(tested)
        shots = [
            f'{name}_shot'
            for name, mask in groups.items()
            if (mask if with_images is None else mask[with_images[with_images < len(mask)]]).any()
        ]
        means = ['worst_class', 'harmonic_mean', 'geometric_mean', 'macro_f1']
        return [*(f'top{k}' for k in ks), *shots, *means]

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Keep label and best predictions of a batch.

        Args:
            data_batch: not used.
            data_samples: one dict per image, with ``gt_label`` ``(1,)`` and ``pred_score``
                ``(K,)``, or instead of the scores ``pred_label`` ``(1,)``, which gives no top-k.

        Raises:
            ValueError: if an image has not exactly one label, or the scores do not fit the
                class counts.
        """
        if not data_samples:
            return
        targets = true_labels(data_samples)
        if 'pred_score' in data_samples[0]:
            scores = torch.stack([sample['pred_score'] for sample in data_samples])
            self._num_classes = scores.shape[1]
            self._check_class_counts(scores.shape[1])
            ranked = rank_classes(scores, max(self.topk), self.class_counts, self.post_hoc_tau)
        elif self.post_hoc_tau:
            raise ValueError(
                'post_hoc_tau: expected pred_score in the data samples, got pred_label only'
            )
        else:
            ranked = torch.stack([sample['pred_label'].reshape(1) for sample in data_samples])
        rows = torch.cat([targets[:, None].to(ranked), ranked], dim=1)
        # The figures are computed on the CPU: one copy per batch, a few integers per image.
        self.results.append(rows.to(torch.int32).cpu().numpy())

    def evaluate(self, size: int) -> dict[str, float]:
        """Figures over the images of all ranks, the same on every rank.

        Args:
            size: images in the data set; the images that pad the ranks are dropped.

        Returns:
            Prefixed name -> per cent.
        """
        local = np.concatenate(self.results) if self.results else np.zeros((0, 0), np.int32)
        self.results.clear()
        gathered = all_gather_object((self._num_classes, local))
        self._num_classes = next((known for known, _ in gathered if known is not None), None)
        rows = interleave_ranks([part for _, part in gathered], size)
        figures = self.compute_metrics([rows])
        return {f'{self.prefix}/{name}': value for name, value in figures.items()}

    def compute_metrics(self, results: Sequence[NDArray[np.int32]]) -> dict[str, float]:
        """Figures in per cent from the kept rows.

        Args:
            results: arrays ``(N, 1 + M)``: true class, then the predictions, best first.

        Returns:
            Name -> per cent.

        Raises:
            ValueError: if there is no image, or a label is out of range.
        """
        rows = np.concatenate(results) if results else np.zeros((0, 2), np.int32)
        if not len(rows):
            raise ValueError('LongTailMetric: expected evaluated images, got no image')
        targets, ranked = rows[:, 0], rows[:, 1:]
        num_classes = self._resolve_num_classes(rows)
        self._check_class_counts(num_classes)
        groups = {}
        if self.class_counts is not None:
            groups = shot_groups(self.class_counts, self.many_threshold, self.few_threshold)
        figures = long_tail_figures(ranked, targets, num_classes, groups, self.topk, self.floor)
        self.tallies = count_predictions(ranked[:, 0], targets, num_classes)
        self._log_once(
            describe_omissions(self.tallies, ranked, self.topk, self.class_counts is not None)
        )
        if self.csv_file is not None and is_main_process():
            confused = most_confused_with(ranked[:, 0], targets, num_classes)
            names = (self.dataset_meta or {}).get('classes') or ()
            names = names if len(names) == num_classes else None
            table = per_class_rows(self.tallies, confused, self.class_counts, groups, names)
            write_per_class_csv(self.csv_file, table)
        return {name: 100 * value for name, value in figures.items()}

    def _resolve_num_classes(self, rows: NDArray[np.int32]) -> int:
        if self._num_classes is not None:
            return self._num_classes
        known = self.class_counts or (self.dataset_meta or {}).get('classes')
        return len(known) if known else int(rows.max()) + 1

    def _check_class_counts(self, num_classes: int) -> None:
        if self.class_counts is not None and len(self.class_counts) != num_classes:
            raise ValueError(
                f'class counts: expected {num_classes}, as many as the model predicts classes, '
                f'got {len(self.class_counts)} from the training set'
            )

    def _log_once(self, notes: Sequence[str]) -> None:
        for note in notes:
            if note not in self._logged:
                self._logged.add(note)
                print_log(f'LongTailMetric: {note}', logger='current', level=logging.WARNING)
