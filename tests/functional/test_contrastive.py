from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmlt.functional.contrastive import balanced_contrastive_loss
from tests.references import contrastive as reference

GOLDEN = np.load(Path(__file__).parents[1] / 'golden' / 'balscl.npz')


def batch(num_images=6, num_views=2, channels=5, num_classes=4, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    embeddings = F.normalize(
        torch.randn(num_images, num_views, channels, generator=generator, dtype=dtype), dim=-1
    )
    prototypes = F.normalize(
        torch.randn(num_classes, channels, generator=generator, dtype=dtype), dim=-1
    )
    targets = torch.randint(num_classes, (num_images,), generator=generator)
    return embeddings, targets, prototypes


def loss_and_gradients(loss_fn, embeddings, targets, prototypes, temperature):
    embeddings = embeddings.detach().clone().requires_grad_()
    prototypes = prototypes.detach().clone().requires_grad_()
    loss = loss_fn(embeddings, targets, prototypes, temperature)
    return (loss.detach(), *torch.autograd.grad(loss, [embeddings, prototypes]))


@pytest.mark.parametrize(
    'shape', [(6, 2, 5, 4), (5, 3, 4, 7), (1, 2, 3, 2), (4, 4, 3, 1), (2, 2, 3, 9)]
)
@pytest.mark.parametrize('temperature', [0.07, 1.0])
def test_equals_the_equation(shape, temperature):
    ours = loss_and_gradients(balanced_contrastive_loss, *batch(*shape), temperature)
    slow = loss_and_gradients(reference.balanced_contrastive_loss, *batch(*shape), temperature)
    for mine, expected in zip(ours, slow, strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize('case', ['case00', 'case01', 'case02'])
@pytest.mark.parametrize('dtype, rtol', [(torch.float64, 1e-9), (torch.float32, 2e-5)])
def test_golden_numbers(case, dtype, rtol):
    given = {
        name: torch.from_numpy(GOLDEN[f'{case}_{name}'])
        for name in ('features', 'centers', 'targets', 'loss', 'grad_features', 'grad_centers')
    }
    ours = loss_and_gradients(
        balanced_contrastive_loss,
        given['features'].to(dtype),
        given['targets'],
        given['centers'].to(dtype),
        float(GOLDEN[f'{case}_temperature']),
    )
    for mine, name in zip(ours, ('loss', 'grad_features', 'grad_centers'), strict=True):
        atol = 1e-12 if dtype == torch.float64 else 2e-6
        torch.testing.assert_close(mine.double(), given[name], rtol=rtol, atol=atol)


def test_gradcheck():
    embeddings, targets, prototypes = batch(4, 3, 3, 3)
    assert torch.autograd.gradcheck(
        lambda e, p: balanced_contrastive_loss(e, targets, p, 0.5),
        (embeddings.requires_grad_(), prototypes.requires_grad_()),
    )


def test_order_of_images_views_and_classes_does_not_matter():
    embeddings, targets, prototypes = batch(6, 3)
    loss = balanced_contrastive_loss(embeddings, targets, prototypes)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    torch.testing.assert_close(
        balanced_contrastive_loss(embeddings[order], targets[order], prototypes), loss
    )
    torch.testing.assert_close(
        balanced_contrastive_loss(embeddings.flip(1), targets, prototypes), loss
    )
    names = torch.tensor([2, 0, 3, 1])
    renamed = torch.empty_like(prototypes)
    renamed[names] = prototypes
    torch.testing.assert_close(balanced_contrastive_loss(embeddings, names[targets], renamed), loss)


def test_scaling_vectors_is_scaling_the_temperature():
    embeddings, targets, prototypes = batch()
    torch.testing.assert_close(
        balanced_contrastive_loss(3 * embeddings, targets, 3 * prototypes, 0.9),
        balanced_contrastive_loss(embeddings, targets, prototypes, 0.1),
    )


def test_rotation_of_the_space_does_not_matter():
    embeddings, targets, prototypes = batch()
    rotation = torch.linalg.qr(batch(5, 2, 5, 5)[2]).Q
    torch.testing.assert_close(
        balanced_contrastive_loss(embeddings @ rotation, targets, prototypes @ rotation),
        balanced_contrastive_loss(embeddings, targets, prototypes),
    )


def test_one_class_of_equal_vectors_is_the_log_of_one():
    # Positives only, each of weight |B|-1: the loss is 0 whatever the similarity.
    ones = torch.ones(4, 2, 1, dtype=torch.float64)
    loss = balanced_contrastive_loss(ones, torch.zeros(4, dtype=torch.int64), ones[0, :1], 0.1)
    torch.testing.assert_close(loss, torch.zeros((), dtype=torch.float64), rtol=0, atol=1e-12)


def test_a_class_weighs_alike_however_many_images_it_has():
    """Copies of one vector as class 1: the loss of each anchor does not see how many there are."""
    embeddings, _, prototypes = batch(2, 2, 5, 2)
    other = prototypes[1].expand(1, 2, 5)

    def mean_loss(repeats):
        lot = torch.cat([embeddings[:1], other.repeat(repeats, 1, 1)])
        return balanced_contrastive_loss(
            lot, torch.tensor([0] + [1] * repeats), prototypes, temperature=0.5
        )

    # The mean of one class-0 image and `repeats` class-1 images.
    second = 3 * mean_loss(2) - 2 * mean_loss(1)
    first = 2 * mean_loss(1) - second
    torch.testing.assert_close(mean_loss(7), (first + 7 * second) / 8)


def test_extreme_similarities_stay_finite():
    embeddings, targets, prototypes = batch(dtype=torch.float32)
    parts = loss_and_gradients(
        balanced_contrastive_loss, 100 * embeddings, targets, 100 * prototypes, 0.01
    )
    assert all(part.isfinite().all() for part in parts)


def test_half_precision_and_autocast_are_computed_in_float32():
    embeddings, targets, prototypes = batch(dtype=torch.float32)
    expected = balanced_contrastive_loss(
        embeddings.bfloat16().float(), targets, prototypes.bfloat16().float()
    )
    with torch.autocast('cpu', torch.bfloat16):
        loss = balanced_contrastive_loss(embeddings.bfloat16(), targets, prototypes.bfloat16())
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected)


def test_arguments_are_left_alone():
    given = batch()
    kept = [tensor.clone() for tensor in given]
    loss_and_gradients(balanced_contrastive_loss, *given, 0.1)
    for tensor, before in zip(given, kept, strict=True):
        assert torch.equal(tensor, before)


@pytest.mark.parametrize(
    'change, error, words',
    [
        (lambda e, t, p: (e[:, :1], t, p, 0.1), ValueError, 'V >= 2'),
        (lambda e, t, p: (e[:, 0], t, p, 0.1), ValueError, 'embeddings'),
        (lambda e, t, p: (e[:0], t[:0], p, 0.1), ValueError, 'at least one image'),
        (lambda e, t, p: (e, t, p[:, :2], 0.1), ValueError, 'prototypes'),
        (lambda e, t, p: (e, F.one_hot(t), p, 0.1), ValueError, 'not mixed'),
        (lambda e, t, p: (e, t[:2], p, 0.1), ValueError, 'targets'),
        (lambda e, t, p: (e, t.float(), p, 0.1), ValueError, 'integers'),
        (lambda e, t, p: (e, t + 4, p, 0.1), ValueError, r'\[0, 4\)'),
        (lambda e, t, p: (e, t, p, 0.0), ValueError, 'temperature'),
    ],
)
def test_bad_input(change, error, words):
    with pytest.raises(error, match=words):
        balanced_contrastive_loss(*change(*batch()))
