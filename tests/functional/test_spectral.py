"""Lanczos against a full singular value decomposition, alone and along a training run."""

import pytest
import torch

from mmlt.functional.confusion import lanczos
from mmlt.functional.confusion.soft import (
    ConfusionOptions,
    ConfusionState,
    confusion_norm_,
    label_pairs,
)
from mmlt.functional.confusion.spectral import leading_singular_triplet, spectral_norm
from tests.references.drifting_logits import drifting_batches


def random_matrix(rows, columns, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(rows, columns, generator=generator, dtype=dtype)


@pytest.mark.parametrize('shape', [(1, 1), (2, 2), (5, 5), (40, 40), (7, 30), (30, 7)])
@pytest.mark.parametrize('signed', [False, True])
def test_norm_and_gradient_are_those_of_the_svd(shape, signed, monkeypatch):
    monkeypatch.setattr(lanczos, 'MOST_STEPS', 40)
    matrix = random_matrix(*shape) - (0.5 if signed else 0)
    weights = torch.linspace(0.5, 2, shape[0], dtype=torch.float64)
    results = []
    for function in (
        lambda m: spectral_norm(m, weights, tolerance=0.0),
        lambda m: spectral_norm(m, weights, exact=True),
        lambda m: torch.linalg.matrix_norm(weights[:, None] * m, 2),
    ):
        leaf = matrix.clone().requires_grad_()
        norm = function(leaf)
        norm.backward()
        results.append((norm.detach(), leaf.grad))
    torch.testing.assert_close(results[0], results[2], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(results[1], results[2], rtol=1e-12, atol=1e-12)


def test_gradcheck():
    weights = torch.linspace(1, 2, 4, dtype=torch.float64)
    matrix = random_matrix(4, 4).requires_grad_()
    for exact in (False, True):
        assert torch.autograd.gradcheck(
            lambda leaf, exact=exact: spectral_norm(leaf, weights, exact=exact, tolerance=0.0),
            (matrix,),
        )


@pytest.mark.parametrize(
    'matrix',
    [
        torch.zeros(4, 4),
        torch.eye(4),
        torch.outer(torch.tensor([1.0, -1.0, 1.0, -1.0]), torch.tensor([1.0, 1.0, -1.0, -1.0])),
        torch.tensor([[0.0, 1.0], [-1.0, 0.0]]),
        torch.full((3, 3), 1e-12),
    ],
    ids=['zero', 'identity', 'rank one, orthogonal to all starts but a row', 'rotation', 'tiny'],
)
def test_degenerate_matrices(matrix):
    triplet = leading_singular_triplet(matrix, torch.ones(len(matrix)))
    expected = torch.linalg.matrix_norm(matrix, 2)
    torch.testing.assert_close(triplet.value, expected, rtol=1e-5, atol=0)
    assert all(torch.isfinite(part).all() for part in triplet)
    torch.testing.assert_close(
        matrix @ triplet.right, triplet.value * triplet.left, rtol=1e-4, atol=1e-18
    )


@pytest.mark.parametrize('others', [1, 2, 3])
def test_a_few_steps_are_taken_even_where_the_residual_is_small(others):
    """A start in the space of lesser pairs, as after a jump, has no residual there either."""
    values = torch.tensor([3.0, 1.0, 0.6, 0.2], dtype=torch.float64)[: 1 + others]
    start = torch.ones(1 + others, dtype=torch.float64)
    start[0] = 1e-8
    triplet = lanczos.lanczos_triplet(torch.diag(values), torch.ones_like(values), start)
    assert float(triplet.value) == pytest.approx(3)


def test_the_start_weighs_the_past_against_the_batch(monkeypatch):
    """In two steps: more of the past loses the jumps of a fast estimate, less a slow one."""
    monkeypatch.setattr(lanczos, 'MOST_STEPS', 2)
    assert follow(100, 40, 0.5, 'decay', tolerance=0.0)[1] < 0.2
    assert follow(100, 40, 0.9, 'hold', tolerance=0.0)[1] < 0.1


def test_zero_matrix_has_a_zero_gradient():
    matrix = torch.zeros(3, 3, requires_grad=True)
    spectral_norm(matrix).backward()
    assert not matrix.grad.any()


def test_vectors_of_a_non_negative_matrix_are_non_negative():
    for seed in range(5):
        triplet = leading_singular_triplet(
            random_matrix(20, 20, seed), torch.ones(20), tolerance=0.0
        )
        assert (triplet.left > -1e-9).all()
        assert (triplet.right > -1e-9).all()


def test_scaling_and_transposition():
    matrix = random_matrix(12, 12)
    norm = spectral_norm(matrix, tolerance=0.0)
    torch.testing.assert_close(spectral_norm(3 * matrix, tolerance=0.0), 3 * norm)
    torch.testing.assert_close(spectral_norm(matrix.t(), tolerance=0.0), norm)


def test_the_eigenvector_by_squaring_is_that_of_the_eigensolver():
    for seed in range(5):
        images = random_matrix(8, 50, seed) - 0.3
        gram = images @ images.t()
        expected = torch.linalg.eigh(gram).eigenvectors[:, -1]
        found = lanczos._leading_by_squaring(gram)
        torch.testing.assert_close((found @ expected).abs(), torch.ones_like(found[0]))
    assert not lanczos._leading_by_squaring(torch.zeros(3, 3)).any()


def test_the_eigenvector_by_squaring_is_told_from_one_of_nearly_the_same_eigenvalue():
    basis = torch.linalg.qr(random_matrix(3, 3)).Q
    values = torch.tensor([1, 1 - 1e-4, 0.5], dtype=torch.float64)
    found = lanczos._leading_by_squaring(basis @ torch.diag(values) @ basis.t())
    torch.testing.assert_close((found @ basis[:, 0]).abs(), torch.ones_like(found[0]))


def test_autocast_does_not_touch_it():
    matrix = random_matrix(30, 30, dtype=torch.float32)
    plain = spectral_norm(matrix)
    for dtype in (torch.bfloat16, torch.float16):
        with torch.autocast('cpu', dtype):
            inside = spectral_norm(matrix)
        assert inside.dtype == torch.float32
        torch.testing.assert_close(inside, plain, rtol=0, atol=0)


@pytest.mark.parametrize(
    'arguments, name',
    [
        ({'matrix': torch.zeros(3)}, 'matrix'),
        ({'matrix': torch.zeros(0, 3)}, 'matrix'),
        ({'matrix': torch.eye(3), 'row_weights': torch.ones(4)}, 'row_weights'),
        ({'matrix': torch.eye(3), 'tolerance': -1.0}, 'tolerance'),
    ],
)
def test_bad_arguments(arguments, name):
    with pytest.raises(ValueError, match=name):
        spectral_norm(**arguments)


def exact_leading_pair(confusion, weights):
    """Two largest singular values and the leading vectors, in float64, of the rows in use."""
    used = confusion.amax(dim=1) > 1e-9
    rows = (weights[used, None] * confusion[used]).double()
    if len(rows) > 2000:  # too big for a full decomposition: block iteration to convergence
        return _block_iteration(rows, used, confusion.shape[0])
    values, vectors = torch.linalg.eigh(rows @ rows.t())
    singular = values.clamp(min=0).sqrt().flip(0)
    left = torch.zeros(confusion.shape[0], dtype=torch.float64)
    left[used] = vectors[:, -1]
    right = vectors[:, -1] @ rows / singular[0]
    second = singular[1] if len(singular) > 1 else torch.zeros(())
    return singular[0], second, left, right


def _block_iteration(rows, used, size):
    rows = rows.float()
    generator = torch.Generator().manual_seed(0)
    block = torch.rand(8, rows.shape[1], generator=generator)
    for _ in range(80):
        block = torch.linalg.qr(block.t())[0].t().contiguous() @ rows.t()
        block = torch.linalg.qr(block.t())[0].t().contiguous() @ rows
    images = torch.linalg.qr(block.t())[0].t().contiguous() @ rows.t()
    values, vectors = torch.linalg.eigh((images @ images.t()).double())
    singular = values.clamp(min=0).sqrt().flip(0)
    left = torch.zeros(size, dtype=torch.float64)
    left[used] = vectors[:, -1] @ images.double() / singular[0]
    return singular[0], singular[1], left, left[used] @ rows.double() / singular[0]


def follow(num_classes, steps, beta, absent_classes, tolerance=1e-3, every=1):
    """Relative errors of the norm, and of the gradient weighted by the gradient's norm."""
    state = ConfusionState.zeros(num_classes)
    options = ConfusionOptions(beta=beta, absent_classes=absent_classes, tolerance=tolerance)
    norm_errors, wrong, length = [], 0.0, 0.0
    for step, (logits, targets, prior) in enumerate(drifting_batches(num_classes, 128, steps)):
        weights = (prior + 0.2).rsqrt()
        norm = confusion_norm_(logits, label_pairs(targets, num_classes), state, weights, options)
        if step % every:
            continue
        value, second, left, right = exact_leading_pair(state.confusion, weights)
        norm_errors.append(abs(float(norm / value) - 1))
        if second / value > 0.95:
            continue
        left, right = left * left.sum().sign(), right * right.sum().sign()
        present = torch.zeros(num_classes, dtype=torch.bool)
        present[targets] = True
        # The gradient in the estimate's rows of this batch, up to a constant factor.
        expected = torch.outer((weights * left)[present], right)
        found = torch.outer(
            (weights * state.left_vector)[present].double(), state.right_vector.double()
        )
        wrong += float((found - expected).norm())
        length += float(expected.norm())
    return torch.tensor(norm_errors), wrong / length


@pytest.fixture
def stop(request, monkeypatch):
    """Tolerance of a CPU, or the fixed number of steps that other devices take."""
    if request.param == 'residual':
        return 1e-3
    monkeypatch.setattr(lanczos, 'MOST_STEPS', lanczos.FIXED_STEPS)
    return 0.0


MODES = [(0.5, 'decay'), (0.5, 'hold'), (0.9, 'decay'), (0.9, 'hold')]


@pytest.mark.parametrize('stop', ['residual', 'fixed'], indirect=True)
@pytest.mark.parametrize('beta, absent_classes', MODES)
def test_accuracy_along_a_short_run(beta, absent_classes, stop):
    errors, gradient_error = follow(100, 60, beta, absent_classes, stop)
    assert (errors < 1e-3).float().mean() >= 0.95
    assert gradient_error < 0.01


def test_one_power_iteration_is_not_accurate(monkeypatch):
    """The same measure can fail: this is why the estimate takes several Lanczos steps."""
    monkeypatch.setattr(lanczos, 'MOST_STEPS', 1)
    errors, _ = follow(300, 20, 0.5, 'decay')
    assert errors.max() > 0.05


@pytest.mark.slow
@pytest.mark.parametrize('stop', ['residual', 'fixed'], indirect=True)
@pytest.mark.parametrize(
    'num_classes, steps, every', [(100, 300, 1), (1000, 300, 2), (8142, 200, 20)]
)
@pytest.mark.parametrize('beta, absent_classes', MODES)
def test_accuracy_along_a_run(num_classes, steps, every, beta, absent_classes, stop):
    errors, gradient_error = follow(num_classes, steps, beta, absent_classes, stop, every)
    print(
        f'\nK={num_classes} beta={beta} {absent_classes} tolerance={stop}: '
        f'{float((errors < 1e-3).float().mean()):.1%} of norms within 1e-3 (largest error '
        f'{float(errors.max()):.1e}), gradient error {gradient_error:.2%}'
    )
    assert (errors < 1e-3).float().mean() >= 0.95
    assert gradient_error < 0.01
