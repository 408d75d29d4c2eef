"""What a GPU must not change, and what must not make it wait; part of ``make gpu``.

Without a CUDA device the tests skip. ``MMLT_REHEARSE=1`` runs those on the CPU that can run there.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.utils import digit_version
from torch import nn

from mmlt.models import device_augments
from tests.configs.recipes import resolved
from tests.distributed.launch import run_ranks
from tests.models import batch_augment_cases as augments
from tests.models.loss_cases import CASES, call, targets_of
from tests.models.test_loss_contract import images_of
from tests.tools.load_tool import load_tool

steps = load_tool('benchmarks/steps.py')
CUDA = torch.cuda.is_available()
REHEARSED = os.environ.get('MMLT_REHEARSE') == '1'
DEVICE = 'cuda' if CUDA else 'cpu'
OLD_KORNIA = digit_version(version('kornia')) < digit_version('0.9')
STEPS = {
    'CE': 'cifar100_lt/resnet32_ce_ir100',
    'CAR': 'cifar100_lt/resnet32_car_ir100',
    'LDAM-DRW': 'cifar100_lt/resnet32_ldam_drw_ir100',
    'BCL': 'cifar100_lt/resnet32_bcl_ir100',
    'ProCo': 'cifar100_lt/resnet32_proco_ir100',
    'ConCutMix + CAR': 'cifar100_lt/resnet32_concutmix_car_ir100',
    'CP-Mix': 'cifar100_lt/resnet32_cpmix_ir100',
    'experts': 'cifar100_lt/resnet32_cpmix_experts_ir100',
}

# Crops and mirror images are exact on any device, colours are not.
EXACT = {'CE, images on the device': 'cifar10_lt/resnet32_ce_device_images_ir100'}
ON_DEVICE = {
    **EXACT,
    'ConCutMix + CAR, images on the device': (
        'cifar10_lt/resnet32_concutmix_car_device_images_ir100'
    ),
}
EVERY_STEP = {**STEPS, **ON_DEVICE}

pytestmark = pytest.mark.skipif(not (CUDA or REHEARSED), reason='no CUDA device')
needs_cuda = pytest.mark.skipif(not CUDA, reason='no CUDA device')
EVERY_LOSS = [(name, soft) for name, case in CASES.items() for soft in {False, case.soft}]


@pytest.fixture(autouse=True)
def exact_products() -> Iterator[None]:
    """Products of float32 in float32, not in TF32."""
    kept = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = kept


@pytest.mark.parametrize(('name', 'soft'), EVERY_LOSS)
def test_a_loss_is_that_of_the_cpu(name: str, soft: bool) -> None:
    case, results = CASES[name], []
    for device in ('cpu', DEVICE):
        inputs = [part.to(device).requires_grad_() for part in case.inputs(torch.float32)]
        value = call(case.make().to(device), inputs, targets_of(soft).to(device))
        gradients = torch.autograd.grad(value, inputs[0])
        results.append([value.cpu(), *(gradient.cpu() for gradient in gradients)])
    for found, expected in zip(*reversed(results), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize('name', augments.ALL)
def test_an_augment_mixes_as_on_the_cpu(name: str) -> None:
    results = []
    for device in ('cpu', DEVICE):
        batch = [part.to(device) for part in augments.batch()]
        mixed = augments.apply(name, augments.build(name), *batch)
        results.append([part.cpu() for part in mixed])
    for found, expected in zip(*reversed(results), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_images_are_augmented_as_on_the_cpu() -> None:
    draw = np.random.default_rng(0)
    names, magnitudes = device_augments.draw_auto_augment(draw, 400, (32, 32))
    corners, flipped = draw.integers(9, size=(400, 2)), draw.random(400) < 0.5
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (400, 3, 32, 32), generator=generator).byte()
    results = []
    for device in ('cpu', DEVICE):
        cropped = device_augments.crop_and_flip(images.to(device), corners, flipped, 4)
        augmented = device_augments.auto_augment(cropped, names, magnitudes, 128)
        cut = device_augments.cut_out(augmented, 3.5 * corners, 16)
        results.append((cropped.cpu(), cut.cpu().int()))
    assert torch.equal(results[0][0], results[1][0])
    # A grey level may be rounded otherwise, which equalising makes more of.
    assert ((results[0][1] - results[1][1]).abs() > 1).float().mean() < 1e-3


def build(name: str) -> tuple[nn.Module, dict]:
    """A recipe's model in its last epoch, and a mixed batch of it on the device."""
    return steps.build(resolved(EVERY_STEP[name]), 8, DEVICE)


@pytest.mark.parametrize('name', [*STEPS, *EXACT])
def test_a_step_is_that_of_the_cpu(name: str) -> None:
    """In float64: in float32 a sum rounds otherwise there, and then some unit is on or off."""
    model, batch = build(name)
    model = model.double()
    on_cpu = copy.deepcopy(model).cpu()
    results = []
    for one, device in ((on_cpu, 'cpu'), (model, DEVICE)):
        data = one.data_preprocessor(_moved(steps.fresh(batch), device), training=True)
        data['inputs'] = _double(data['inputs'])
        total, _ = one.parse_losses(one(**data, mode='loss'))
        total.backward()
        results.append({n: p.grad.cpu() for n, p in one.named_parameters() if p.grad is not None})
    largest = max(float(expected.abs().max()) for expected in results[0].values())
    for key, expected in results[0].items():
        error = (results[1][key] - expected).abs()
        bound = 1e-5 * expected.abs() + 1e-6 * largest
        assert bool((error <= bound).all()), f'{key}: {float(error.max()):.1e} of {largest:.1e}'


def _double(inputs: Any) -> Any:
    return [part.double() for part in inputs] if isinstance(inputs, list) else inputs.double()


def _moved(part: Any, device: str) -> Any:
    if isinstance(part, dict):
        return {key: _moved(value, device) for key, value in part.items()}
    if isinstance(part, list):
        return [_moved(value, device) for value in part]
    return part.to(device)


@needs_cuda
@pytest.mark.parametrize('name', EVERY_STEP)
def test_a_step_does_not_make_the_cpu_wait(name: str) -> None:
    if name not in (*STEPS, *EXACT) and OLD_KORNIA:
        pytest.skip('kornia before 0.9 makes the CPU wait')
    model, batch = build(name)
    optim_wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.01, foreach=True))
    for _ in range(2):  # memory, kernels and buffers that are made at first use
        model.train_step(steps.fresh(batch), optim_wrapper)
    waiting = [steps.fresh(batch) for _ in range(3)]
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode('error')
    try:
        for one in waiting:
            model.train_step(one, optim_wrapper)
    finally:
        torch.cuda.set_sync_debug_mode('default')


@needs_cuda
@pytest.mark.parametrize('name', EVERY_STEP)
def test_float16_goes_through_overflows(name: str) -> None:
    model, batch = build(name)
    optim_wrapper = AmpOptimWrapper(
        optimizer=torch.optim.SGD(model.parameters(), lr=0.01),
        loss_scale=dict(init_scale=2.0**40, growth_interval=4, backoff_factor=2.0**-8),
    )
    before = optim_wrapper.loss_scaler.get_scale()
    for _ in range(12):
        model.train_step(steps.fresh(batch), optim_wrapper)
    assert optim_wrapper.loss_scaler.get_scale() < before, 'nothing overflowed: nothing was tested'
    tensors = [*model.parameters(), *model.buffers()]
    assert all(bool(part.isfinite().all()) for part in tensors if part.is_floating_point())


def _gathered(rank: int, world_size: int) -> list[torch.Tensor]:
    """What all ranks gather, then every loss of the images of this one."""
    from mmlt.functional.distributed import gather_with_grad

    device = f'cuda:{rank}' if CUDA else 'cpu'
    if CUDA:
        torch.cuda.set_device(rank)
    part = torch.full((2, 3), float(rank), device=device)
    found = [gather_with_grad(part, equal_sizes=True).cpu()] if world_size > 1 else [torch.empty(0)]
    for name, soft in EVERY_LOSS:
        mine = images_of(name, rank, world_size)
        first, *shared = CASES[name].inputs(torch.float64)
        inputs = [part.to(device).requires_grad_() for part in (first[mine], *shared)]
        loss = CASES[name].make(torch.float64).to(device)
        value = call(loss, inputs, targets_of(soft)[mine].to(device))
        value.backward()
        found.append(value.detach().cpu())
    return found


@pytest.mark.skipif(CUDA and torch.cuda.device_count() < 2, reason='one CUDA device')
def test_ranks_gather_by_nccl() -> None:
    """CAR gathers rows of its confusion, BCL embeddings; the other losses gather nothing."""
    first, second = run_ranks(_gathered, 2, backend='nccl' if CUDA else 'gloo')
    torch.testing.assert_close(first[0], second[0])
    assert first[0].mean() == 0.5
    whole = _gathered(0, 1)
    for case, *values in zip(EVERY_LOSS, first[1:], second[1:], whole[1:], strict=True):
        torch.testing.assert_close(
            (values[0] + values[1]) / 2, values[2], rtol=1e-6, atol=1e-9, msg=str(case)
        )
