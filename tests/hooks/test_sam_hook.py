"""SAM against two plain passes, and what must move once."""

from __future__ import annotations

import copy
import functools
import gc
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from mmengine.model import BaseDataPreprocessor, MMDistributedDataParallel
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmpretrain.models import ImageClassifier
from mmpretrain.models.utils import ClsDataPreprocessor
from mmpretrain.structures import DataSample
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel

from mmlt.autocast import CPUAutocastOptimWrapper
from mmlt.functional.sam import ascent_step
from mmlt.hooks import SAMHook
from mmlt.hooks.sam_hook import _copied, _TwoPasses
from mmlt.models.batch_augments.randomness import SeededDraws
from mmlt.models.losses.confusion_pair_counts import ConfusionPairCounts
from tests.digits_runner import digits_runner
from tests.distributed.launch import run_ranks

RHO, LR = 0.1, 0.5


class DropoutBackbone(nn.Module):
    """Whatever moves or draws: BatchNorm and masks."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3)
        )

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.layers(inputs),)


def _model() -> ImageClassifier:
    torch.manual_seed(0)
    criterion = dict(type='LogitAdjustedLoss', prior='effective', class_counts=[5, 2, 1])
    model = ImageClassifier(
        backbone=DropoutBackbone(),
        data_preprocessor=BaseDataPreprocessor(),
        head=dict(
            type='LinearClsHead',
            in_channels=6 * 2 * 2,
            num_classes=3,
            loss=dict(type='CARLoss', criterion=criterion, class_counts=[5, 2, 1], tolerance=0.0),
        ),
    ).double()
    return model.train()


def _batch(seed: int) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    return dict(
        inputs=torch.randn(4, 1, 4, 4, generator=generator, dtype=torch.float64),
        data_samples=[DataSample().set_gt_label(label) for label in (0, 1, 0, 2)],
    )


def _loss(model: ImageClassifier, batch: dict[str, Any], seed: int) -> torch.Tensor:
    torch.manual_seed(seed)
    return model.loss(**batch)['loss']


def _reference(model: ImageClassifier, batch: dict[str, Any], seed: int) -> list[torch.Tensor]:
    """Gradients at the worst point nearby; moves the buffers of the model as one pass does."""
    uphill = copy.deepcopy(model)
    slopes = torch.autograd.grad(_loss(model, batch, seed), list(model.parameters()))
    length = sum(float(slope.square().sum()) for slope in slopes) ** 0.5
    with torch.no_grad():
        for weight, slope in zip(uphill.parameters(), slopes, strict=True):
            weight += RHO / length * slope
    return list(torch.autograd.grad(_loss(uphill, batch, seed), list(uphill.parameters())))


def _wrapper(model: nn.Module, **options: Any) -> OptimWrapper:
    return OptimWrapper(torch.optim.SGD(model.parameters(), lr=LR), **options)


def _assert_same(model: nn.Module, other: nn.Module) -> None:
    expected = other.state_dict()
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, expected[name], rtol=1e-9, atol=1e-11, msg=name)


def test_three_steps_are_those_of_two_plain_passes() -> None:
    model = _model()
    plain, step, wrapper = copy.deepcopy(model), _TwoPasses(model, RHO), _wrapper(model)
    for seed in range(3):
        gradients = _reference(plain, _batch(seed), seed)
        with torch.no_grad():
            for weight, gradient in zip(plain.parameters(), gradients, strict=True):
                weight -= LR * gradient
        torch.manual_seed(seed)
        step(_batch(seed), wrapper)
    _assert_same(model, plain)
    assert int(model.backbone.layers[1].num_batches_tracked) == 3
    assert int(model.head.loss_module.estimate.num_updates) == 3


def test_accumulated_gradients_have_a_step_uphill_each() -> None:
    model = _model()
    plain, step = copy.deepcopy(model), _TwoPasses(model, RHO)
    wrapper = _wrapper(model, accumulative_counts=2)
    wrapper.initialize_count_status(model, 0, 2)
    both = []
    for seed in range(2):
        both.append(_reference(plain, _batch(seed), seed))
        torch.manual_seed(seed)
        step(_batch(seed), wrapper)
    with torch.no_grad():
        for weight, *gradients in zip(plain.parameters(), *both, strict=True):
            weight -= LR * sum(gradients) / 2
    _assert_same(model, plain)


class ScaledWrapper(OptimWrapper):
    """``AmpOptimWrapper`` on a CPU: the loss is scaled, and an overflow is no step."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        super().__init__(optimizer)
        self.scaler = torch.amp.GradScaler('cpu', init_scale=2.0**12)

    def backward(self, loss: torch.Tensor, **kwargs: Any) -> None:
        self.scaler.scale(loss).backward(**kwargs)
        self._inner_count += 1

    def step(self, **kwargs: Any) -> None:
        self.scaler.step(self.optimizer)
        self.scaler.update()


@pytest.mark.parametrize('overflow', [None, 'first pass', 'second pass'])
def test_a_scaled_loss_gives_the_same_steps_and_an_overflow_none(overflow: str | None) -> None:
    model = _model()
    plain, plain_wrapper = copy.deepcopy(model), _wrapper(model)
    plain_wrapper.optimizer = torch.optim.SGD(plain.parameters(), lr=LR)
    own, calls = model.loss, []

    def loss(*args: Any, **kwargs: Any) -> dict[str, torch.Tensor]:
        calls.append(len(calls))
        losses = own(*args, **kwargs)
        if overflow and calls[-1] == ['first pass', 'second pass'].index(overflow):
            losses['loss'] = losses['loss'] * float('inf')
        return losses

    model.loss = loss  # type: ignore[method-assign]
    scaled, step = ScaledWrapper(torch.optim.SGD(model.parameters(), lr=LR)), _TwoPasses(model, RHO)
    reference = _TwoPasses(plain, RHO)
    if overflow:
        torch.manual_seed(9)
        step(_batch(9), scaled)
        slopes = torch.autograd.grad(_loss(plain, _batch(9), 9), list(plain.parameters()))
        if overflow == 'first pass':  # no direction uphill: a plain step
            with torch.no_grad():
                for weight, slope in zip(plain.parameters(), slopes, strict=True):
                    weight -= LR * slope
        halved = overflow == 'second pass'  # no gradient: no step
        assert scaled.scaler.get_scale() == 2.0 ** (11 if halved else 12)
    for seed in range(3):
        for one, wrapper in ((step, scaled), (reference, plain_wrapper)):
            torch.manual_seed(seed)
            one(_batch(seed), wrapper)
    for weight, value in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(weight, value, rtol=1e-9, atol=1e-11)
        assert weight.isfinite().all()


def test_the_log_has_the_loss_before_the_step_uphill() -> None:
    model = _model()
    expected = _loss(copy.deepcopy(model), _batch(0), 0)
    torch.manual_seed(0)
    logged = _TwoPasses(model, RHO)(_batch(0), _wrapper(model))
    torch.testing.assert_close(logged['loss'], expected.detach())
    parts = model.head.loss_module.loss_parts
    torch.testing.assert_close(sum(parts.values()), expected.detach())


def test_a_batch_is_not_changed_and_seeded_draws_come_again() -> None:
    draws, seen = SeededDraws(), []
    draws.set_progress(epoch=0, max_epochs=1, iteration=3, seed=0)
    model = _model()
    inner = model.loss

    def loss(inputs: torch.Tensor, data_samples: list[DataSample]) -> dict[str, torch.Tensor]:
        assert all('mixed' not in sample for sample in data_samples)
        seen.append((draws.rng().random(), draws.rng().random(), float(torch.rand(()))))
        for sample in data_samples:
            sample.set_field(True, 'mixed')
        return inner(inputs, data_samples)

    model.loss = loss
    step = _TwoPasses(model, RHO)
    step.draws = [draws]
    step(_batch(0), _wrapper(model))
    assert len(seen) == 2 and seen[0] == seen[1] and seen[0][0] != seen[0][1]


def test_an_augment_that_writes_into_images_mixes_the_same_ones() -> None:
    model, seen = _model(), []
    preprocessor = ClsDataPreprocessor(
        num_classes=3, batch_augments=dict(augments=dict(type='CutMix', alpha=1.0))
    )
    model.data_preprocessor = preprocessor.double()
    inner = model.loss

    def loss(inputs: torch.Tensor, data_samples: list[DataSample]) -> dict[str, torch.Tensor]:
        seen.append(inputs.clone())
        return inner(inputs.double(), data_samples)

    model.loss = loss
    batch = dict(_batch(0), inputs=_batch(0)['inputs'].float())
    np.random.seed(0)
    _TwoPasses(model, RHO)(batch, _wrapper(model))
    assert torch.equal(*seen) and not torch.equal(seen[0], _batch(0)['inputs'].float())


def test_an_error_in_the_second_pass_leaves_the_weights_where_they_were() -> None:
    model = _model()
    before, inner = copy.deepcopy(model.state_dict()), model.loss

    def loss(*batch: Any) -> dict[str, torch.Tensor]:
        if any(not torch.equal(w, before[name]) for name, w in model.named_parameters()):
            raise RuntimeError('out of memory')
        return inner(*batch)

    model.loss = loss
    with pytest.raises(RuntimeError, match='out of memory'):
        _TwoPasses(model, RHO)(_batch(0), _wrapper(model))
    for name, weight in model.named_parameters():
        assert torch.equal(weight, before[name])


def test_the_second_pass_keeps_weights_and_buffers_once_more() -> None:
    model, alive = _model(), []
    model.register_buffer('odd', torch.zeros(7, 5))
    inner = model.loss

    def loss(*batch: Any) -> dict[str, torch.Tensor]:
        shapes = [part.shape for part in gc.get_objects() if type(part) is torch.Tensor]
        alive.append([shapes.count(model.head.fc.weight.shape), shapes.count((7, 5))])
        return inner(*batch)

    model.loss = loss
    _TwoPasses(model, RHO)(_batch(0), _wrapper(model))
    assert alive == [[0, 2], [1, 2]]


def test_a_compiled_step_is_given_back() -> None:
    model = _model()
    compiled = model.train_step = functools.partial(model.train_step)
    model.train_step = _TwoPasses(model, RHO)
    model.train_step.give_back()
    assert vars(model)['train_step'] is compiled


class _Batch(NamedTuple):
    inputs: torch.Tensor
    rest: list[Any]


def test_a_batch_of_any_form_is_copied() -> None:
    batch = [_Batch(torch.zeros(2), [1, 'a']), (torch.ones(1), None)]
    copied = _copied(batch, torch.device('cpu'))
    assert str(copied) == str(batch) and type(copied[0]) is _Batch
    assert copied[0].inputs is not batch[0].inputs


def test_pairs_are_counted_once() -> None:
    model = _model()
    model.head.pairs = ConfusionPairCounts(num_classes=3)
    model.head.loss_module.register_forward_pre_hook(
        lambda loss, inputs: model.head.pairs(*inputs[:2])
    )
    _TwoPasses(model, RHO)(_batch(0), _wrapper(model))
    assert int(model.head.pairs.counts.sum()) == 4 and model.head.pairs.training


def test_in_autocast_and_with_clipping() -> None:
    model = _model().float()
    batch = dict(_batch(0), inputs=_batch(0)['inputs'].float())
    wrapper = CPUAutocastOptimWrapper(
        torch.optim.SGD(model.parameters(), lr=LR), clip_grad=dict(max_norm=1e-3)
    )
    before = [weight.detach().clone() for weight in model.parameters()]
    _TwoPasses(model, RHO)(batch, wrapper)
    moved = [w.detach() - old for w, old in zip(model.parameters(), before, strict=True)]
    length = torch.cat([part.flatten() for part in moved]).norm()
    assert float(length) == pytest.approx(LR * 1e-3, rel=1e-3)  # nothing of rho is left


@pytest.mark.parametrize('value', [0.0, float('nan'), float('inf')])
def test_no_direction_no_step(value: float) -> None:
    gradients = [torch.tensor([value, 0.0]), torch.zeros(3)]
    assert all(not step.any() for step in ascent_step(gradients, rho=0.1))


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_a_norm_beyond_half_precision(dtype: torch.dtype) -> None:
    gradients = [torch.full((400,), 6e4, dtype=dtype)]
    (step,) = ascent_step(gradients, rho=1.0)
    assert step.dtype == dtype and float(step.float().norm()) == pytest.approx(1, rel=0.01)


def test_what_cannot_be_done_is_refused(tmp_path) -> None:
    with pytest.raises(ValueError, match=r'rho: expected .* got 0'):
        SAMHook(rho=0)
    runner = digits_runner(tmp_path)
    runner.optim_wrapper = OptimWrapperDict(one=_wrapper(nn.Linear(1, 1)))
    with pytest.raises(ValueError, match='SAMHook: expected one optimiser'):
        SAMHook().before_train(runner)


def test_a_run_trains_and_gets_its_step_back(tmp_path) -> None:
    runner = digits_runner(
        tmp_path,
        leaf='resnet8_concutmix_car',
        max_epochs=1,
        custom_hooks=[dict(type='SAMHook', rho=0.02)],
    )
    runner.train()
    assert 'train_step' not in vars(runner.model)
    assert all(weight.isfinite().all() for weight in runner.model.parameters())
    assert int(runner.model.head.loss_car.estimate.num_updates) == runner.iter


def test_an_augment_that_comes_later_draws_the_same_twice(tmp_path) -> None:
    later = dict(action_epoch=2, batch_augments=dict(augments=dict(type='RemixBatchAugment')))
    runner = digits_runner(
        tmp_path,
        leaf='resnet8_cpmix',
        max_epochs=2,
        custom_hooks=[
            dict(type='SAMHook', rho=0.02),
            dict(type='SwitchRecipeHook', schedule=[later]),
        ],
    )
    preprocessor, passes = runner.model.data_preprocessor, []
    prepare = preprocessor.forward

    def watched(data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        batch = prepare(data, training)
        if training:
            passes.append((float(batch['inputs'].sum()), 'gt_score' in batch['data_samples'][0]))
        return batch

    preprocessor.forward = watched
    runner.train()
    assert passes[::2] == passes[1::2] and passes[-1][1]


def test_views_that_are_rendered_are_the_same_in_both_passes(tmp_path) -> None:
    pytest.importorskip('kornia')
    from mmlt.models import DeviceViewsDataPreprocessor

    preprocessor = DeviceViewsDataPreprocessor(view_size=16, crops_in='source')
    preprocessor.set_progress(epoch=0, max_epochs=1, iteration=0, seed=0)
    source = torch.rand(2, 3, 32, 32) * 255
    first = preprocessor.render(source)
    preprocessor.rewind()
    assert all(map(torch.equal, first, preprocessor.render(source)))


def test_a_run_after_one_that_an_error_ended_has_two_passes(tmp_path) -> None:
    runner = digits_runner(tmp_path)
    hook = SAMHook()
    hook.before_train(runner)
    first = runner.model.train_step.own_step
    hook.before_train(runner)
    assert runner.model.train_step.own_step == first


def test_whole_weights_are_expected_of_any_kind_of_shards(tmp_path, monkeypatch) -> None:
    class MMFullyShardedDataParallel(FullyShardedDataParallel):
        def __init__(self) -> None:
            nn.Module.__init__(self)

        modules = nn.Module.modules

    runner = digits_runner(tmp_path)
    monkeypatch.setattr(runner, 'model', MMFullyShardedDataParallel())
    with pytest.raises(ValueError, match='got FSDP'):
        SAMHook().before_train(runner)


class _Unused(nn.Module):
    """A backbone with a layer that only images of one rank reach, and one that none does."""

    def __init__(self) -> None:
        super().__init__()
        self.all, self.some, self.none = (nn.Linear(16, 16) for _ in range(3))

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor]:
        features, reaching = self.all(inputs.flatten(1)), inputs.flatten(1).sum(dim=1) > 0
        if reaching.any():
            features = features + reaching[:, None] * self.some(features)
        return (features.tanh(),)


def _steps_on_a_rank(rank: int, world_size: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    head = dict(type='LinearClsHead', in_channels=16, num_classes=3)
    model: Any = ImageClassifier(
        backbone=_Unused(), head=head, data_preprocessor=BaseDataPreprocessor()
    )
    model = model.double().train()
    inner, each = model, 4 // world_size
    if world_size > 1:
        model = MMDistributedDataParallel(model, find_unused_parameters=True)
    wrapper = _wrapper(model, accumulative_counts=2)
    wrapper.initialize_count_status(model, 0, 4)
    step, mine = _TwoPasses(model, RHO), slice(rank * each, (rank + 1) * each)
    for seed in range(4):
        batch = _batch(seed)
        batch['inputs'][2:] = -batch['inputs'][2:].abs()  # not to reach `some`
        batch['inputs'][:2] = batch['inputs'][:2].abs() * 3
        step({name: part[mine] for name, part in batch.items()}, wrapper)
    return {name: value.detach() for name, value in inner.state_dict().items()}


def test_two_ranks_are_one_process_also_with_unused_weights() -> None:
    expected = _steps_on_a_rank(0, 1)
    for weights in run_ranks(_steps_on_a_rank, 2):
        for name, value in weights.items():
            torch.testing.assert_close(value, expected[name], rtol=1e-9, atol=1e-11, msg=name)
