"""The training step of CAR, against loops, an SVD and the released code."""

import pytest
import torch

from mmlt.functional.confusion.soft import (
    ConfusionOptions,
    ConfusionState,
    LabelPairs,
    confusion_norm_,
    label_pairs,
    soft_confusion,
)
from tests.functional.confusion_batches import golden, random_batch
from tests.references import confusion as reference
from tests.tools.load_tool import load_tool


def run_steps(batches, weights, options, dtype=torch.float64):
    """Norms, gradients and state of the step over batches."""
    state = ConfusionState.zeros(len(weights), dtype)
    norms, gradients = [], []
    for logits, targets in batches:
        logits = logits.detach().clone().requires_grad_()
        pairs = label_pairs(targets, logits.shape[1])
        norm = confusion_norm_(logits, pairs, state, weights, options)
        norm.backward()
        norms.append(norm.detach())
        gradients.append(logits.grad)
    return torch.stack(norms), gradients, state


@pytest.mark.parametrize('exact', [False, True])
@pytest.mark.parametrize('case', ['case00', 'case01'])
@pytest.mark.parametrize('margin', [0.0, 0.5, 1.0])
def test_paper_numbers(case, margin, exact):
    """With beta 0 the estimate is the batch itself."""
    options = ConfusionOptions(beta=0.0, margin=margin, exact=exact, tolerance=0.0)
    norms, gradients, state = run_steps(
        [(golden(f'{case}_logits'), golden(f'{case}_targets'))], golden(f'{case}_w'), options
    )
    name = f'{case}_paper_gamma{margin}'
    torch.testing.assert_close(state.confusion.t(), golden(f'{name}_C'), rtol=1e-9, atol=0)
    torch.testing.assert_close(norms[0], golden(f'{name}_spec'), rtol=1e-9, atol=0)
    torch.testing.assert_close(gradients[0], golden(f'{name}_grad'), rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize('dtype, rtol', [(torch.float64, 1e-9), (torch.float32, 2e-5)])
def test_released_moving_average(dtype, rtol):
    """Gate detached, the first batch taken over without gradient."""
    batches = list(zip(golden('ema00_logits').to(dtype), golden('ema00_targets'), strict=True))
    options = ConfusionOptions(
        beta=float(golden('ema00_beta')), start='first_batch', detach_gate=True, tolerance=0.0
    )
    norms, gradients, state = run_steps(batches, golden('ema00_w').to(dtype), options, dtype)
    torch.testing.assert_close(norms, golden('ema00_spec').to(dtype), rtol=rtol, atol=0)
    torch.testing.assert_close(
        torch.stack(gradients),
        golden('ema00_grad').to(dtype),
        rtol=rtol,
        atol=1e-12 if dtype == torch.float64 else 1e-7,
    )
    torch.testing.assert_close(
        state.confusion.t(), golden('ema00_cbar')[-1].to(dtype), rtol=rtol, atol=1e-15
    )


@pytest.mark.parametrize('soft', [False, True])
@pytest.mark.parametrize('absent_classes', ['decay', 'hold'])
@pytest.mark.parametrize(
    'options', [{}, {'detach_gate': True}, {'margin': 0.3, 'temperature': 1.7}]
)
def test_step_is_the_loop(options, absent_classes, soft):
    batches = [random_batch(count=5, seed=seed, soft=soft) for seed in range(6)]
    weights = torch.linspace(0.5, 2, 6, dtype=torch.float64)
    found = run_steps(
        batches,
        weights,
        ConfusionOptions(beta=0.9, absent_classes=absent_classes, tolerance=0.0, **options),
    )
    norms, gradients, estimate = reference.car_trajectory(
        batches, weights, 0.9, absent_classes, **options
    )
    torch.testing.assert_close(found[0], norms, rtol=1e-10, atol=0)
    torch.testing.assert_close(found[1], gradients, rtol=1e-7, atol=1e-10)
    torch.testing.assert_close(found[2].confusion, estimate, rtol=1e-12, atol=1e-15)
    assert int(found[2].num_updates) == 6


@pytest.mark.parametrize('soft', [False, True])
def test_gradcheck(soft):
    logits, targets = random_batch(count=5, classes=5, soft=soft)
    weights = torch.linspace(1, 2, 5, dtype=torch.float64)
    pairs = label_pairs(targets, 5)
    past = ConfusionState.zeros(5, torch.float64)
    past.confusion.copy_(soft_confusion(*random_batch(count=9, classes=5, seed=3)))
    options = ConfusionOptions(margin=0.2, temperature=1.5, tolerance=0.0)

    def norm(leaf):
        state = ConfusionState(*(tensor.clone() for tensor in past))
        return confusion_norm_(leaf, pairs, state, weights, options)

    assert torch.autograd.gradcheck(norm, (logits.requires_grad_(),))
    assert torch.autograd.gradcheck(lambda leaf: soft_confusion(leaf, targets, 0.2, 1.5), (logits,))


@pytest.mark.parametrize('absent_classes', ['decay', 'hold'])
@pytest.mark.parametrize('bad', [float('nan'), float('inf'), float('-inf')])
def test_a_batch_with_nan_or_inf_is_left_out_and_counted(bad, absent_classes):
    weights = torch.ones(6, dtype=torch.float64)
    options = ConfusionOptions(absent_classes=absent_classes, start='first_batch')
    logits, targets = random_batch()
    poisoned = logits.clone()
    poisoned[3, 2] = bad
    clean = run_steps([(logits, targets)] * 2, weights, options)
    mixed = run_steps(
        [(poisoned, targets), (logits, targets), (poisoned, targets), (logits, targets)],
        weights,
        options,
    )
    torch.testing.assert_close(mixed[2].confusion, clean[2].confusion)
    assert not mixed[1][0].any()
    assert not mixed[1][2].any()
    torch.testing.assert_close(mixed[1][3], clean[1][1])
    assert torch.isfinite(mixed[0]).all()
    assert (int(mixed[2].num_updates), int(mixed[2].num_skipped)) == (2, 2)


def test_bad_targets_elsewhere_than_on_a_cpu_are_left_out_and_counted():
    """There, nobody has looked at the labels; the scores nobody ever checks."""
    state = ConfusionState.zeros(3)
    for labels, score in ((3, 1.0), (-1, 1.0), (0, float('nan'))):
        leaf = torch.ones(1, 3, requires_grad=True)
        pairs = LabelPairs(torch.tensor([[labels]]), torch.tensor([[score]]))
        norm = confusion_norm_(leaf, pairs, state, torch.ones(3))
        norm.backward()
        assert float(norm) == 0
        assert not leaf.grad.any()
    assert not state.confusion.any()
    assert int(state.num_skipped) == 3


@pytest.mark.parametrize('absent_classes', ['decay', 'hold'])
def test_no_second_matrix_is_made(absent_classes):
    classes, images = 1000, 256
    side_by_side = load_tool('benchmarks/side_by_side.py')
    state, weights = ConfusionState.zeros(classes), torch.ones(classes)
    logits = torch.randn(images, classes, generator=torch.Generator().manual_seed(0))
    pairs = label_pairs(torch.arange(images), classes)
    options = ConfusionOptions(absent_classes=absent_classes)

    def step():
        leaf = logits.detach().requires_grad_()
        confusion_norm_(leaf, pairs, state, weights, options).backward()

    peak = side_by_side.cost(step, 1, torch.device('cpu')).peak_bytes
    assert peak <= 1.3 * 4 * classes**2
    # Of the N x K arrays there are five at a time (and vectors), so nothing grows with K x K.
    assert peak <= 5.1 * 4 * images * classes


def test_no_gradient_passes_to_the_past():
    """Two batches in one graph: the second norm says nothing about the first logits."""
    state = ConfusionState.zeros(6, torch.float64)
    weights = torch.ones(6, dtype=torch.float64)
    first, second = (random_batch(seed=seed)[0].requires_grad_() for seed in (0, 1))
    pairs = label_pairs(random_batch()[1], 6)
    confusion_norm_(first, pairs, state, weights)
    confusion_norm_(second, pairs, state, weights).backward()
    assert first.grad is None
    assert second.grad.abs().sum() > 0
