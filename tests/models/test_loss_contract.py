"""What every loss promises: value, gradient, dtype, no NaN, the same on any number of ranks."""

import contextlib
import copy

import pytest
import torch
import torch.nn.functional as F

from mmlt.models.losses import LogitAdjustedLoss
from tests.distributed.launch import run_ranks
from tests.models.loss_cases import CASES, TARGETS, call, scores_of, targets_of

EVERY = [
    pytest.param(name, soft, id=f'{name}, {"soft" if soft else "hard"}')
    for name, case in CASES.items()
    for soft in ((False, True) if case.soft else (False,))
]
LOW = [torch.float32, torch.bfloat16, torch.float16]


@pytest.mark.parametrize('name, soft', EVERY)
def test_value_is_that_of_the_reference(name, soft):
    case, targets = CASES[name], targets_of(soft)
    inputs = case.inputs(torch.float64)
    value = call(case.make(torch.float64), inputs, targets)
    assert value.dtype == torch.float64
    assert float(value) == pytest.approx(
        float(case.reference(*inputs, scores_of(targets))), rel=1e-6
    )


@pytest.mark.parametrize('name, soft', EVERY)
def test_gradcheck(name, soft):
    case, targets = CASES[name], targets_of(soft)
    loss = case.make(torch.float64)
    inputs = [part.requires_grad_() for part in case.inputs(torch.float64)]
    if name == 'ProCo':  # its estimate takes the values in, without a gradient
        call(loss, inputs, targets)
        loss.eval()
    # A call moves estimates, so each one starts from a copy.
    assert torch.autograd.gradcheck(
        lambda *parts: call(copy.deepcopy(loss), parts, targets), inputs
    )


@pytest.mark.parametrize('dtype', LOW)
@pytest.mark.parametrize('name, soft', EVERY)
def test_low_precision_is_computed_in_float32(name, soft, dtype):
    case, targets = CASES[name], targets_of(soft)
    targets = targets.float() if soft else targets
    inputs = case.inputs(dtype)
    value = call(case.make(), inputs, targets)
    assert value.dtype == torch.float32
    expected = call(case.make(), [part.float() for part in inputs], targets)
    # MMPretrain's cross-entropy, inside of CAR, stays in the dtype of the logits.
    rtol = 1e-2 if name == 'CAR, cross-entropy' else 1e-6
    torch.testing.assert_close(value, expected, rtol=rtol, atol=0)


@pytest.mark.parametrize('dtype', LOW)
@pytest.mark.parametrize('name, soft', EVERY)
def test_saturated_input_gives_a_finite_value_and_gradient(name, soft, dtype):
    case, targets = CASES[name], targets_of(soft)
    targets = targets.float() if soft else targets
    inputs = [part.requires_grad_() for part in case.saturated(dtype)]
    value = call(case.make(), inputs, targets)
    value.backward()
    assert value.isfinite()
    assert all(part.grad.isfinite().all() for part in inputs)
    assert name.startswith('CAR alone') or any(part.grad.any() for part in inputs)


@pytest.mark.parametrize('number', [float('inf'), float('nan')])
@pytest.mark.parametrize('name', CASES)
def test_a_step_that_overflowed_leaves_nothing_behind(name, number):
    loss, inputs = CASES[name].make(), CASES[name].inputs(torch.float32)
    bad = [part.clone() for part in inputs]
    bad[0][0] = number
    with contextlib.suppress(ValueError):
        call(loss, [part.requires_grad_() for part in bad], TARGETS)
    value = call(loss, [part.requires_grad_() for part in inputs], TARGETS)
    value.backward()
    assert value.isfinite() and all(part.grad.isfinite().all() for part in inputs)


@pytest.mark.parametrize('dtype', [torch.int32, torch.int16, torch.uint8])
@pytest.mark.parametrize('name', CASES)
def test_labels_of_any_width_are_classes(name, dtype):
    case = CASES[name]
    inputs = case.inputs(torch.float32)
    value = call(case.make(), inputs, TARGETS.to(dtype))
    assert torch.equal(value, call(case.make(), inputs, TARGETS))


@pytest.mark.parametrize(
    'wrong, said',
    [
        (lambda targets: targets - (targets == 3) * 4, r'classes in \[0, 4\), got -1$'),
        (lambda targets: targets + (targets == 3), r'classes in \[0, 4\), got 4$'),
        (lambda targets: targets + (targets == 3) * 9996, 'got 9999$'),
        (lambda targets: targets.float(), 'integers, got torch.float32$'),
        (lambda targets: targets > 0, 'integers, got torch.bool$'),
        (lambda targets: targets[:-1], r'got \(7,\)$'),
        (lambda targets: F.one_hot(targets), r'torch.int64|\(8, 4\)'),
    ],
)
@pytest.mark.parametrize('name', CASES)
def test_bad_labels_are_one_error_that_names_loss_and_value(name, wrong, said):
    case = CASES[name]
    with pytest.raises(ValueError, match=rf'targets?: expected .*{said}') as error:
        call(case.make(), case.inputs(torch.float32), wrong(TARGETS))
    if 'classes in' in said:
        assert type(case.make()).__name__ in str(error.value)


@pytest.mark.parametrize('name', CASES)
def test_no_image_is_an_error(name):
    first, *rest = CASES[name].inputs(torch.float32)
    with pytest.raises(ValueError, match=r'at least one image|N >= 1'):
        call(CASES[name].make(), [first[:0], *rest], TARGETS[:0])


@pytest.mark.parametrize('name', [name for name, case in CASES.items() if case.soft])
def test_rows_of_zeros_are_images_without_a_label(name):
    inputs = [part.requires_grad_() for part in CASES[name].inputs(torch.float32)]
    value = call(CASES[name].make(), inputs, torch.zeros(8, 4))
    value.backward()
    assert float(value) == 0
    assert inputs[0].grad.isfinite().all()


def test_a_label_of_a_class_that_is_left_out():
    loss = LogitAdjustedLoss(class_counts=[3, 0, 1], empty_classes='ignore')
    with pytest.raises(ValueError, match=r'LogitAdjustedLoss.target: .*ignore.*, got 1$'):
        loss(torch.zeros(2, 3), torch.tensor([0, 1]))
    assert loss(torch.zeros(1, 3), torch.tensor([[0.5, 0.5, 0.0]])).isfinite()


def images_of(name, rank, world_size):
    """Other classes on each rank, but for weighted means, which each rank takes of its own."""
    if 'class weights' in name:
        return torch.arange(8)[rank::world_size]
    return torch.arange(8).chunk(world_size)[rank]


def on_a_rank(rank, world_size):
    """Loss, gradients and state of every case; all in one launch, as starting takes longest."""
    found = []
    for parameters in EVERY:
        name, soft = parameters.values
        first, *shared = CASES[name].inputs(torch.float64)
        mine = images_of(name, rank, world_size)
        inputs = [part.requires_grad_() for part in (first[mine], *shared)]
        loss = CASES[name].make(torch.float64)
        value = call(loss, inputs, targets_of(soft)[mine])
        value.backward()
        found.append((value.detach(), [part.grad for part in inputs], dict(loss.state_dict())))
    return found


def test_two_ranks_are_one_process():
    """After the mean over ranks, which DistributedDataParallel takes of the gradients."""
    ranks = run_ranks(on_a_rank, 2)
    for parameters, one, first, second in zip(EVERY, on_a_rank(0, 1), *ranks, strict=True):
        value, (gradient, *shared), state = one
        close = dict(rtol=1e-9, atol=1e-12, msg=lambda text, case=parameters.id: f'{case}: {text}')
        torch.testing.assert_close((first[0] + second[0]) / 2, value, **close)
        for rank, found in enumerate((first, second)):
            mine = images_of(parameters.values[0], rank, 2)
            torch.testing.assert_close(found[1][0] / 2, gradient[mine], **close)
        for mine, other, expected in zip(first[1][1:], second[1][1:], shared, strict=True):
            torch.testing.assert_close((mine + other) / 2, expected, **close)
        for found in (first[2], second[2]):
            torch.testing.assert_close(found, state, **close)
