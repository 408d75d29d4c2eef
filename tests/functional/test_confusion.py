"""Soft confusion and its EMA, against loops and the released code."""

import pytest
import torch

from mmlt.functional.confusion.soft import ConfusionOptions, soft_confusion, top_confused_pairs
from tests.functional.confusion_batches import golden, random_batch
from tests.references import confusion as reference


@pytest.mark.parametrize('soft', [False, True])
@pytest.mark.parametrize(
    'options', [{}, {'margin': 0.7, 'temperature': 2.0}, {'detach_gate': True}]
)
def test_soft_confusion_is_the_loop(options, soft):
    logits, targets = random_batch(soft=soft)
    probe = torch.rand(6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    results = []
    for function in (soft_confusion, reference.soft_confusion):
        leaf = logits.clone().requires_grad_()
        matrix = function(leaf, targets, **options)
        (matrix * probe).sum().backward()
        results.append((matrix.detach(), leaf.grad))
    torch.testing.assert_close(results[0], results[1], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize('case', ['case00', 'case01'])
@pytest.mark.parametrize('gate', [0, 1])
@pytest.mark.parametrize('baseline', [0, 1])
def test_released_numbers(case, gate, baseline):
    """Whether the release detaches the baseline of its softmax makes no difference."""
    logits = golden(f'{case}_logits').requires_grad_()
    matrix = soft_confusion(
        logits,
        golden(f'{case}_targets'),
        temperature=float(golden(f'{case}_tau')),
        detach_gate=bool(gate),
    )
    torch.testing.assert_close(matrix.detach().t(), golden(f'{case}_ref_C'), rtol=1e-9, atol=0)
    norm = reference.spectral_norm(matrix, golden(f'{case}_w'))
    norm.backward()
    torch.testing.assert_close(norm.detach(), golden(f'{case}_ref_spec'), rtol=1e-9, atol=0)
    torch.testing.assert_close(
        logits.grad, golden(f'{case}_ref_dg{gate}_db{baseline}_grad'), rtol=1e-9, atol=1e-15
    )


def test_permuting_the_classes_permutes_the_confusion():
    logits, targets = random_batch()
    order = torch.randperm(6, generator=torch.Generator().manual_seed(4))
    permuted = soft_confusion(logits[:, order], order.argsort()[targets])
    torch.testing.assert_close(permuted, soft_confusion(logits, targets)[order][:, order])


def test_shifting_the_logits_changes_nothing():
    logits, targets = random_batch()
    torch.testing.assert_close(soft_confusion(logits + 7, targets), soft_confusion(logits, targets))


def test_a_batch_twice_over_is_the_same_batch():
    logits, targets = random_batch()
    torch.testing.assert_close(
        soft_confusion(logits.repeat(2, 1), targets.repeat(2)), soft_confusion(logits, targets)
    )


def test_one_hot_scores_are_labels():
    logits, targets = random_batch()
    scores = torch.eye(6, dtype=torch.float64)[targets]
    torch.testing.assert_close(soft_confusion(logits, scores), soft_confusion(logits, targets))


def test_contributions_are_linear_in_the_score():
    """Of a class that is only mixed in; one image with 10 % counts a tenth of a whole one."""
    logits, _ = random_batch(count=1)
    scores = torch.zeros(1, 6, dtype=torch.float64)
    scores[0, 0], scores[0, 3] = 0.9, 0.1
    whole = soft_confusion(logits, torch.tensor([3]))
    torch.testing.assert_close(soft_confusion(logits, scores)[3], 0.1 * whole[3])


def test_absent_classes_and_a_batch_of_one():
    logits, _ = random_batch(count=1)
    matrix = soft_confusion(logits, torch.tensor([2]))
    assert matrix[2].sum() > 0
    assert matrix[2, 2] == 0
    assert matrix.sum() == matrix[2].sum()


def test_top_confused_pairs():
    matrix = torch.tensor([[0.0, 0.3, 0.1], [0.5, 0.0, 0.0], [0.0, 0.2, 0.0]])
    true, predicted, values = top_confused_pairs(matrix, 3)
    assert list(zip(true.tolist(), predicted.tolist(), strict=True)) == [(1, 0), (0, 1), (2, 1)]
    torch.testing.assert_close(values, torch.tensor([0.5, 0.3, 0.2]))
    assert len(top_confused_pairs(matrix, 100)[0]) == 9


@pytest.mark.parametrize(
    'targets, error, message',
    [
        (torch.tensor([0, 6]), ValueError, r'classes in \[0, 6\)'),
        (torch.tensor([0, -1]), ValueError, r'classes in \[0, 6\)'),
        (torch.tensor([0.0, 1.0]), ValueError, 'integers'),
        (torch.zeros(2, 5), ValueError, r'\(N, 6\) for scores'),
        (torch.zeros(2, 6, dtype=torch.long), ValueError, 'floating-point'),
        (torch.tensor([0, 1, 2]), ValueError, 'one row per target'),
    ],
)
def test_bad_targets(targets, error, message):
    with pytest.raises(error, match=message):
        soft_confusion(torch.zeros(2, 6), targets)


@pytest.mark.parametrize(
    'options',
    [
        {'beta': 1.0},
        {'beta': -0.1},
        {'absent_classes': 'keep'},
        {'start': 'one'},
        {'temperature': 0.0},
        {'margin': float('nan')},
        {'tolerance': -1.0},
        {'exact': 1},
    ],
)
def test_bad_options(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        ConfusionOptions(**options)


def test_bad_arguments():
    logits, targets = random_batch()
    with pytest.raises(ValueError, match='temperature: expected'):
        soft_confusion(logits, targets, temperature=0.0)
    with pytest.raises(ValueError, match='max_labels: expected'):
        soft_confusion(logits, targets, max_labels=0)
