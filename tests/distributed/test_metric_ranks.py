"""LongTailMetric on several ranks reports what one process reports."""

from __future__ import annotations

import numpy as np
import torch

from mmlt.evaluation.long_tail_metric import LongTailMetric
from tests.distributed.launch import run_ranks

COUNTS = [500, 90, 30, 15, 4]
SIZE = 23


def data():
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 5, SIZE)
    scores = rng.random((SIZE, 5)) + np.eye(5)[targets] * 0.6
    # Wrong on the first image: counting it twice would show.
    scores[0] = np.eye(5)[(targets[0] + 1) % 5]
    return torch.from_numpy(scores), torch.from_numpy(targets)


def evaluate_part(rank, world_size, round_up, csv_file=None):
    scores, targets = data()
    indices = list(range(SIZE))
    if round_up:
        indices += indices[: -SIZE % world_size]
    metric = LongTailMetric(csv_file=csv_file)
    metric.set_class_counts(COUNTS)
    mine = indices[rank::world_size]
    for start in range(0, len(mine), 4):
        batch = mine[start : start + 4]
        metric.process(
            None, [{'gt_label': targets[i][None], 'pred_score': scores[i]} for i in batch]
        )
    figures = metric.evaluate(SIZE)
    return figures, metric.tallies.targets.tolist()


def evaluate_with_idle_rank(rank, world_size):
    scores, targets = data()
    metric = LongTailMetric()
    metric.set_class_counts(COUNTS)
    if rank == 0:
        metric.process(
            None, [{'gt_label': targets[i][None], 'pred_score': scores[i]} for i in range(SIZE)]
        )
    return metric.evaluate(SIZE)


def every_case(rank, world_size, csv_file):
    """One start of the processes for all cases: importing the host takes most of the time."""
    return {
        'padded': evaluate_part(rank, world_size, True, csv_file),
        'uneven': evaluate_part(rank, world_size, False),
        'idle': evaluate_with_idle_rank(rank, world_size),
    }


def test_two_ranks_agree_with_one_process(tmp_path):
    figures, images = evaluate_part(0, 1, False, str(tmp_path / 'one.csv'))
    assert sum(images) == SIZE
    for result in run_ranks(every_case, 2, str(tmp_path / 'two.csv')):
        assert result == {'padded': (figures, images), 'uneven': (figures, images), 'idle': figures}
    assert (tmp_path / 'two.csv').read_text() == (tmp_path / 'one.csv').read_text()
