"""CARLoss in any head: what it adds, when it updates, what it survives."""

import copy

import pytest
import torch
import torch.nn.functional as F
from mmpretrain.models import build_classifier
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

import mmlt  # noqa: F401
from mmlt.functional.confusion.soft import ConfusionOptions
from mmlt.functional.counts import frequency_weights
from mmlt.models.losses.car_loss import CARLoss
from mmlt.models.losses.confusion_estimate import ConfusionEstimate
from tests.references import confusion as reference

COUNTS = [50, 20, 9, 4, 2]
CE = dict(type='CrossEntropyLoss')


def batch(seed=0, count=8, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(count, 5, generator=generator, dtype=dtype)
    return logits, torch.randint(4, (count,), generator=generator)


def build(criterion=CE, **options):
    return MODELS.build(dict(type='CARLoss', criterion=criterion, class_counts=COUNTS, **options))


@pytest.mark.parametrize('absent_classes', ['decay', 'hold'])
def test_loss_and_gradient_are_those_of_the_loop_and_the_svd(absent_classes):
    alpha = 0.7
    loss = build(
        beta=0.8, loss_weight=alpha, r0=0.001, absent_classes=absent_classes, exact=True
    ).double()
    loss.set_class_counts(COUNTS)
    batches = [batch(seed, dtype=torch.float64) for seed in range(4)]
    norms, gradients, _ = reference.car_trajectory(
        batches, frequency_weights(COUNTS, 0.001), 0.8, absent_classes
    )
    for (logits, targets), norm, gradient in zip(batches, norms, gradients, strict=True):
        logits = logits.requires_grad_()
        value = loss(logits, targets, avg_factor=len(targets))
        value.backward()
        plain = logits.detach().clone().requires_grad_()
        cross_entropy = F.cross_entropy(plain, targets)
        cross_entropy.backward()
        torch.testing.assert_close(value.detach(), (cross_entropy + alpha * norm).detach())
        torch.testing.assert_close(logits.grad, plain.grad + alpha * gradient)
        torch.testing.assert_close(loss.loss_parts['loss_cls'], cross_entropy.detach())
        torch.testing.assert_close(loss.loss_parts['loss_car'], alpha * norm)


def test_named_settings():
    released = build(setting='released', loss_weight=2.0)
    assert released.estimate.options == ConfusionOptions(start='first_batch', detach_gate=True)
    assert (released.loss_weight, released.r0, released.normalize_weights) == (2.0, 0.5, True)
    paper = build(r0=None, beta=None)  # None leaves an option at the setting
    assert paper.estimate.options == ConfusionOptions()
    assert (paper.loss_weight, paper.r0, paper.normalize_weights) == (0.5, 0.2, False)
    assert not build(setting='released', detach_gate=False).estimate.options.detach_gate


@pytest.mark.parametrize(
    'criterion',
    [
        CE,
        dict(type='LabelSmoothLoss', label_smooth_val=0.1, num_classes=5),
        dict(type='LogitAdjustedLoss'),
        dict(type='LDAMLoss'),
    ],
    ids=lambda c: c['type'],
)
def test_any_criterion_with_hard_targets(criterion):
    loss = build(criterion)
    logits, targets = batch()
    value = loss(logits.requires_grad_(), targets, avg_factor=8)
    value.backward()
    assert value.ndim == 0
    torch.testing.assert_close(value.detach(), sum(loss.loss_parts.values()))
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize(
    'criterion',
    [CE, dict(type='LogitAdjustedLoss'), dict(type='LDAMLoss')],
    ids=lambda c: c['type'],
)
def test_soft_targets(criterion):
    logits, targets = batch()
    scores = 0.7 * F.one_hot(targets, 5) + 0.3 * F.one_hot(targets.flip(0), 5)
    loss, hard = build(criterion), build(criterion)
    loss(logits, scores, avg_factor=8)
    hard(logits, targets, avg_factor=8)
    expected = 0.5 * reference.soft_confusion(logits, scores)
    torch.testing.assert_close(loss.estimate.confusion, expected)
    assert (loss.estimate.confusion - hard.estimate.confusion).abs().max() > 1e-3


def test_without_a_criterion_it_is_the_regulariser_alone():
    logits, targets = batch()
    alone, whole = build(criterion=None), build()
    whole(logits, targets)
    torch.testing.assert_close(alone(logits, targets), whole.loss_parts['loss_car'])
    assert alone.loss_parts == {}


def test_class_weights_belong_to_the_criterion():
    """DeferredReweightingHook would else take the regulariser for a loss that it can weight."""
    found = [
        type(module).__name__
        for module in build(dict(type='LogitAdjustedLoss')).modules()
        if hasattr(module, 'set_class_weight')
    ]
    assert found == ['LogitAdjustedLoss']


def test_per_image_losses():
    loss = build()
    logits, targets = batch()
    values = loss(logits, targets, reduction_override='none')
    assert values.shape == (8,)
    torch.testing.assert_close(values.mean(), sum(loss.loss_parts.values()))


def test_the_estimate_moves_in_training_only():
    loss = build()
    loss(*batch(0))
    before = copy.deepcopy(loss.estimate.state_dict())
    loss.eval()
    loss(*batch(1))
    torch.testing.assert_close(loss.estimate.state_dict(), before, rtol=0, atol=0)
    torch.testing.assert_close(loss.loss_parts['loss_car'], 0.5 * before['norm'])
    loss.train()
    loss(*batch(1))
    assert int(loss.estimate.num_updates) == 2


def test_counts_arriving_again_keep_the_estimate():
    loss = build()
    loss(*batch())
    before = loss.estimate.confusion.clone()
    loss.set_class_counts(COUNTS)
    torch.testing.assert_close(loss.estimate.confusion, before, rtol=0, atol=0)


def test_gradient_accumulation_is_the_sum_of_the_steps():
    """Two forward passes before one backward: neither disturbs what the other has kept."""
    together, apart = build(), build()
    first, second = (batch(seed) for seed in (0, 1))
    leaves = [first[0].clone().requires_grad_(), second[0].clone().requires_grad_()]
    (together(leaves[0], first[1]) + together(leaves[1], second[1])).backward()
    for leaf, (logits, targets) in zip(leaves, (first, second), strict=True):
        logits = logits.clone().requires_grad_()
        apart(logits, targets).backward()
        torch.testing.assert_close(leaf.grad, logits.grad)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_autocast_keeps_the_estimate_in_float32(dtype):
    logits, targets = batch()
    loss, plain = build(), build()
    features, classifier = logits, torch.eye(5)
    with torch.autocast('cpu', dtype):
        low = (features @ classifier).requires_grad_()
        assert low.dtype == dtype
        value = loss(low, targets)
    value.backward()
    plain(low.detach().float(), targets)
    assert low.grad.dtype == dtype
    torch.testing.assert_close(loss.estimate.confusion, plain.estimate.confusion)
    torch.testing.assert_close(loss.loss_parts['loss_car'], plain.loss_parts['loss_car'])


def test_half_does_not_reach_the_buffers():
    estimate = ConfusionEstimate(5)
    estimate(*batch())
    before = estimate.confusion.clone()
    assert estimate.half().confusion.dtype == torch.float32
    torch.testing.assert_close(estimate.confusion, before, rtol=0, atol=0)
    assert estimate.double().confusion.dtype == torch.float64


def test_an_overflow_step_is_skipped_and_counted():
    loss = build()
    loss(*batch(0))
    before = loss.estimate.confusion.clone()
    logits, targets = batch(1)
    logits[0, 0] = float('inf')
    loss(logits.requires_grad_(), targets)
    torch.testing.assert_close(loss.estimate.confusion, before, rtol=0, atol=0)
    assert torch.isfinite(loss.loss_parts['loss_car'])
    assert int(loss.estimate.num_skipped) == 1


def test_strength():
    loss = build()
    loss.set_strength(0.0)
    logits, targets = batch()
    value = loss(logits, targets)
    torch.testing.assert_close(value, F.cross_entropy(logits, targets))
    assert int(loss.estimate.num_updates) == 1


def test_resume_from_a_state_dict():
    loss = build()
    loss(*batch(0))
    fresh = CARLoss(CE)  # knows nothing until checkpoint and counts arrive, in either order
    fresh.load_state_dict(loss.state_dict())
    fresh.set_class_counts(COUNTS)
    values = [module(*batch(1)) for module in (loss, fresh)]
    torch.testing.assert_close(values[0], values[1], rtol=0, atol=0)


def test_torch_compile_of_the_model():
    torch.manual_seed(0)
    layer, loss = torch.nn.Linear(5, 5), build()
    logits, targets = batch()
    expected = build()(layer(logits), targets)
    compiled = torch.compile(lambda images: loss(layer(images), targets), backend='eager')
    value = compiled(logits)
    value.backward()
    torch.testing.assert_close(value, expected)
    assert int(loss.estimate.num_updates) == 1


@pytest.mark.parametrize(
    'model',
    [
        dict(
            type='ImageClassifier',
            backbone=dict(type='ResNet', depth=18, num_stages=4),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='LinearClsHead', num_classes=5, in_channels=512),
        ),
        dict(
            type='ImageClassifier',
            backbone=dict(type='VisionTransformer', arch='deit-tiny', img_size=32, patch_size=16),
            head=dict(type='VisionTransformerClsHead', num_classes=5, in_channels=192),
        ),
    ],
    ids=['resnet', 'vit'],
)
@pytest.mark.parametrize('soft', [False, True])
def test_stock_heads_take_it(model, soft):
    model = copy.deepcopy(model)
    model['head']['loss'] = dict(type='CARLoss', criterion=CE)
    model = build_classifier(model).train()
    model.head.loss_module.set_class_counts(COUNTS)
    samples = [DataSample().set_gt_label(label) for label in (0, 1, 3, 1)]
    if soft:
        for sample, score in zip(samples, torch.eye(5)[[0, 1, 3, 1]], strict=True):
            sample.set_gt_score(0.8 * score + 0.2 * torch.eye(5)[2])
    losses = model(torch.rand(4, 3, 32, 32), samples, mode='loss')
    losses['loss'].backward()
    assert int(model.head.loss_module.estimate.num_updates) == 1
    assert set(model.head.loss_module.loss_parts) == {'loss_cls', 'loss_car'}


def test_no_class_counts():
    with pytest.raises(ValueError, match='class_counts: expected'):
        CARLoss(CE)(*batch())
    with pytest.raises(ValueError, match='class_counts: expected'):
        CARLoss(CE, num_classes=5)(*batch())


def test_num_classes_that_disagree():
    with pytest.raises(ValueError, match='logits of 5 classes, as in the training data, got 4'):
        build()(batch()[0][:, :4], batch()[1] % 4)
    with pytest.raises(ValueError, match='num_classes'):
        build(num_classes=6)
    with pytest.raises(ValueError, match='num_classes=5'):
        ConfusionEstimate(5)(torch.zeros(2, 4), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match='num_classes'):
        ConfusionEstimate()(torch.zeros(2, 4), torch.tensor([0, 1]))


@pytest.mark.parametrize('targets', [[0, 5], [-1, 0]])
def test_targets_out_of_range(targets):
    with pytest.raises(ValueError, match=r'CARLoss.target: expected classes in \[0, 5\)'):
        build(criterion=None)(torch.zeros(2, 5), torch.tensor(targets))


@pytest.mark.parametrize(
    'options',
    [
        {'beta': 1.0},
        {'beta': -0.5},
        {'r0': -1.0},
        {'absent_classes': 'keep'},
        {'setting': 'best'},
        {'start': 'second'},
        {'temperature': -1.0},
        {'loss_weight': -0.1},
        {'normalize_weights': 1},
        {'max_labels': 0},
    ],
)
def test_bad_options(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        build(**options)


def test_an_unknown_option_is_refused():
    with pytest.raises(ValueError, match='detach_baseline'):
        build(detach_baseline=True)


def test_an_empty_class_needs_smoothing():
    with pytest.raises(ValueError, match='training images in every class'):
        CARLoss(CE, r0=0.0, class_counts=[3, 0])


@pytest.mark.parametrize('soft', [False, True])
@pytest.mark.parametrize('absent_classes', ['decay', 'hold'])
def test_no_host_synchronisation(absent_classes, soft):
    """On tensors without data, every attempt of the host to read a value is an error."""
    with FakeTensorMode():
        estimate = ConfusionEstimate(5, absent_classes=absent_classes, start='first_batch')
        estimate = estimate.to('cuda')
        logits = torch.randn(8, 5, device='cuda', requires_grad=True)
        targets = (
            torch.rand(8, 5, device='cuda')
            if soft
            else torch.zeros(8, dtype=torch.long, device='cuda')
        )
        norm = estimate(logits, targets)
        assert norm.requires_grad
        with pytest.raises(DataDependentOutputException):
            norm.item()


def test_a_misspelt_option_is_named_beside_those_that_there_are():
    with pytest.raises(
        ValueError, match=r'lossweight: expected an option of CAR \(beta, .*got 0.3'
    ):
        CARLoss(None, lossweight=0.3)
