"""What every batch augment promises, and what each of them computes, against loops."""

import numpy as np
import pytest
import torch
from mmpretrain.models import ClsDataPreprocessor
from mmpretrain.registry import BATCH_AUGMENTS
from mmpretrain.structures import DataSample

from mmlt.functional.mixing import cutmix_box
from mmlt.models.batch_augments import (
    CMOBatchAugment,
    ConCutMixAugment,
    CPMixBatchAugment,
    RemixBatchAugment,
    UniMixBatchAugment,
)
from tests.models.batch_augment_cases import (
    ALL,
    CLASS_COUNTS,
    CLASSES,
    IN_BATCH,
    PAIRED,
    apply,
    batch,
    build,
)
from tests.references import mixing as reference

every = pytest.mark.parametrize('name', ALL)
paired = pytest.mark.parametrize('name', PAIRED)
in_batch = pytest.mark.parametrize('name', IN_BATCH)


@every
@pytest.mark.parametrize('soft', [False, True])
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_form_of_the_result(name, soft, dtype):
    images, scores = batch(soft=soft, dtype=dtype)
    for iteration in range(10):
        mixed, labels = apply(name, build(name, iteration), images, scores)
        size = 8 if name in IN_BATCH else 4
        assert mixed.shape == (size, 3, 6, 5) and labels.shape == (size, CLASSES)
        assert mixed.dtype == labels.dtype == dtype and mixed.device == images.device
        assert (labels >= 0).all()
        torch.testing.assert_close(labels.sum(1), torch.ones(size, dtype=dtype))


@every
def test_arguments_are_left_alone(name):
    images, scores = batch()
    copies = images.clone(), scores.clone()
    for iteration in range(5):
        apply(name, build(name, iteration), images, scores)
    assert torch.equal(images, copies[0]) and torch.equal(scores, copies[1])


@every
def test_draws_follow_seed_and_iteration(name):
    images, scores = batch()

    def run(**where):
        return apply(name, build(name, **where), images, scores)

    torch.manual_seed(0)
    np.random.seed(0)
    first = run()
    torch.manual_seed(1)
    np.random.seed(1)
    again = run()
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    for other in (run(iteration=4), run(seed=8)):
        assert not torch.equal(first[0], other[0])


@every
def test_global_generators_are_left_alone(name):
    images, scores = batch()
    states = torch.get_rng_state(), np.random.get_state()[1].copy()
    apply(name, build(name), images, scores)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (np.random.get_state()[1] == states[1]).all()


@every
def test_a_second_batch_in_one_iteration_draws_other_numbers(name):
    images, scores = batch()
    augment = build(name)
    first, second = (apply(name, augment, images, scores)[0] for _ in range(2))
    assert not torch.equal(first, second)
    augment.set_progress(epoch=1, max_epochs=2, iteration=3, seed=7)
    assert torch.equal(apply(name, augment, images, scores)[0], first)


@every
def test_without_progress_it_names_the_hook(name):
    augment = ALL[name]()
    augment.set_class_counts(CLASS_COUNTS)
    with pytest.raises(ValueError, match=r'seed and iteration.*LongTailHook'):
        apply(name, augment, *batch())


@every
@pytest.mark.parametrize('size', [1, 2])
def test_the_smallest_batches(name, size):
    images, scores = batch(size if name in IN_BATCH else 2 * size)
    mixed, labels = apply(name, build(name), images, scores)
    assert len(mixed) == len(labels) == size and torch.isfinite(mixed).all()


@every
def test_one_class_keeps_its_label(name):
    images, scores = batch()
    scores = scores[:1].expand(8, -1)
    for iteration in range(5):
        _, labels = apply(name, build(name, iteration), images, scores)
        torch.testing.assert_close(labels, scores[: len(labels)])


@every
def test_one_hot_integers_of_the_host_become_floats(name):
    images, scores = batch()
    labels = apply(name, build(name), images, scores.long())[1]
    assert torch.equal(labels, apply(name, build(name), images, scores)[1])


@every
@pytest.mark.parametrize(
    'change, error',
    [
        (lambda images, scores: (images.to(torch.uint8), scores), ValueError),
        (lambda images, scores: (images.flatten(1), scores), ValueError),
        (lambda images, scores: (images, scores.argmax(1)), ValueError),
        (lambda images, scores: (images, scores[:, :3]), ValueError),
        (lambda images, scores: (images[:0], scores[:0]), ValueError),
    ],
)
def test_bad_batches(name, change, error):
    images, scores = change(*batch())
    needs_counts = name not in ('concutmix', 'cmo', 'cpmix_mixup')
    if scores.ndim == 2 and scores.shape[1] == 3 and not needs_counts:
        return
    with pytest.raises(error, match=r'images|scores'):
        apply(name, build(name), images, scores)


@every
def test_class_counts_missing(name):
    augment = ALL[name]()
    augment.set_progress(epoch=0, max_epochs=1, iteration=0, seed=0)
    if name in ('concutmix', 'cmo', 'cpmix_mixup', 'cpmix_in_batch_linear'):
        apply(name, augment, *batch())
    else:
        with pytest.raises(ValueError, match=r'images per class.*LongTailHook'):
            apply(name, augment, *batch())


@every
def test_registered_under_its_name(name):
    cls = type(ALL[name]())
    assert BATCH_AUGMENTS.get(cls.__name__) is cls


@paired
def test_called_without_partners_it_names_the_parts_that_bring_them(name):
    augment = build(name)
    if augment.mixes_within_batch:
        assert len(augment(*batch())[0]) == 8
        return
    with pytest.raises(
        ValueError, match=r'PairSampler.*PairBatchSampler.*PairedDataset.*PairedDataPreprocessor'
    ):
        augment(*batch())


@paired
def test_partners_of_another_size(name):
    images, scores = batch()
    with pytest.raises(ValueError, match='partner'):
        build(name).mix(images[:4], images[4:7], scores[:4], scores[4:7])
    with pytest.raises(ValueError, match='partner'):
        build(name).mix(images[:4], images[4:, :, :3], scores[:4], scores[4:])


@paired
def test_ranks_are_slices_of_one_process(name, monkeypatch):
    images, scores = batch(12)
    whole = apply(name, build(name), images, scores)
    for rank in range(3):
        monkeypatch.setattr(
            'mmlt.models.batch_augments.randomness.get_dist_info', lambda rank=rank: (rank, 3)
        )
        halves = [
            tensor.unflatten(0, (2, 6))[:, rank::3].flatten(0, 1) for tensor in (images, scores)
        ]
        part = apply(name, build(name), *halves)
        for ours, all_of_them in zip(part, whole, strict=True):
            assert torch.equal(ours, all_of_them[rank::3])


@in_batch
def test_unmixed_batches(name):
    images, scores = batch()
    never = build(name, prob=0.0)
    assert all(
        torch.equal(a, b) for a, b in zip(never(images, scores), (images, scores), strict=True)
    )
    mixed = [
        not torch.equal(build(name, i, prob=0.4)(images, scores)[0], images) for i in range(300)
    ]
    assert 0.3 < np.mean(mixed) < 0.5


@in_batch
def test_in_a_stock_preprocessor(name):
    augment = build(name)
    preprocessor = ClsDataPreprocessor(num_classes=CLASSES, batch_augments=dict(augments=augment))
    images, scores = batch()
    samples = [DataSample().set_gt_label(int(score.argmax())) for score in scores]
    out = preprocessor(dict(inputs=images, data_samples=samples), training=True)
    expected = build(name)(images, scores)
    assert torch.equal(out['inputs'], expected[0])
    assert torch.equal(torch.stack([s.gt_score for s in out['data_samples']]), expected[1])


@pytest.mark.parametrize('cls', [ConCutMixAugment, CMOBatchAugment])
def test_cutmix_against_loop(cls):
    images, scores = batch()
    for iteration in range(20):
        augment = cls(alpha=0.7)
        augment.set_progress(epoch=0, max_epochs=1, iteration=iteration, seed=2)
        mixed, labels = apply('cmo', augment, images, scores)
        rng = np.random.default_rng([2, iteration])
        lam = rng.beta(0.7, 0.7)
        box, lam = cutmix_box(6, 5, lam, (rng.integers(6), rng.integers(5)))
        expected = [
            reference.cutmix_pixels(a, b, box) for a, b in zip(images[:4], images[4:], strict=True)
        ]
        assert torch.equal(mixed, torch.stack(expected))
        assert torch.equal(labels, reference.mixed_labels(scores[:4], scores[4:], [lam] * 4))


def test_unimix_against_loop():
    images, scores = batch()
    mixed, labels = apply('unimix', build('unimix'), images, scores)
    lams = np.random.default_rng([7, 3]).beta(0.8, 0.8, 4)
    counts = [CLASS_COUNTS[int(score.argmax())] for score in scores]
    factors = [
        reference.unimix_factor(lam, n_i, n_j)
        for lam, n_i, n_j in zip(lams, counts[:4], counts[4:], strict=True)
    ]
    expected = [
        reference.mixup_pixels(a, b, factor)
        for a, b, factor in zip(images[:4], images[4:], factors, strict=True)
    ]
    torch.testing.assert_close(mixed, torch.stack(expected))
    torch.testing.assert_close(labels, reference.mixed_labels(scores[:4], scores[4:], factors))


def test_remix_against_loop():
    images, scores = batch()
    for iteration in range(20):
        augment = build('remix', iteration)
        mixed, labels = augment(images, scores)
        rng = np.random.default_rng([7, iteration])
        rng.random()
        lam = rng.beta(1, 1)
        order = np.argsort(rng.random(8))
        counts = [CLASS_COUNTS[int(score.argmax())] for score in scores]
        weights = [
            reference.remix_weight(lam, counts[i], counts[j], 3.0, 0.5) for i, j in enumerate(order)
        ]
        expected = [reference.mixup_pixels(images[i], images[j], lam) for i, j in enumerate(order)]
        assert torch.equal(mixed, torch.stack(expected))
        assert torch.equal(labels, reference.mixed_labels(scores, scores[order], weights))


@pytest.mark.parametrize(
    'cls, options',
    [
        (ConCutMixAugment, dict(alpha=0)),
        (CMOBatchAugment, dict(alpha=-1)),
        (UniMixBatchAugment, dict(alpha=float('inf'))),
        (RemixBatchAugment, dict(alpha=0)),
        (RemixBatchAugment, dict(kappa=0.5)),
        (RemixBatchAugment, dict(tau=1.5)),
        (RemixBatchAugment, dict(prob=1.5)),
        (CPMixBatchAugment, dict(alpha=0)),
        (CPMixBatchAugment, dict(tau=-1)),
        (CPMixBatchAugment, dict(label_rule='area')),
        (CPMixBatchAugment, dict(kappa=0)),
        (CPMixBatchAugment, dict(prob=-0.1)),
        (CPMixBatchAugment, dict(start_epoch=-1)),
        (CPMixBatchAugment, dict(start_epoch=1.5)),
        (CPMixBatchAugment, dict(normalize_confusion='yes')),
    ],
)
def test_bad_options(cls, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        cls(**options)
