from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mmlt.functional.nearest_prototypes import MARGIN, nearest_prototypes
from mmlt.functional.semantic_labels import label_confidence, semantic_scores, semantic_similarity
from tests.references import semantic_labels as reference

GOLDEN = np.load(Path(__file__).parents[1] / 'golden' / 'semantic_label.npz')


def batch(num_images=5, num_classes=20, channels=6, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(num_images, channels, generator=generator, dtype=dtype)
    prototypes = torch.randn(num_classes, channels, generator=generator, dtype=dtype)
    scores = torch.rand(num_images, num_classes, generator=generator, dtype=dtype).softmax(1)
    counts = torch.randint(1, 100, (num_classes,), generator=generator)
    return features, prototypes, scores, counts


@pytest.mark.parametrize('top_k', [1, 3, 12, 20, 99])
@pytest.mark.parametrize('omega', [0.0, 0.5, 20.0])
def test_equals_the_reference(top_k, omega):
    features, prototypes, scores, counts = batch()
    expected, expected_gamma = reference.semantic_scores(
        features, prototypes, scores, counts.tolist(), top_k, omega
    )
    rectified, gamma = semantic_scores(features, prototypes, scores, counts, top_k, omega)
    torch.testing.assert_close(rectified, torch.tensor(expected, dtype=torch.float64))
    torch.testing.assert_close(gamma, torch.tensor(expected_gamma, dtype=torch.float64))


@pytest.mark.parametrize('case', ['case00', 'case02'])
@pytest.mark.parametrize('dtype, rtol', [(torch.float64, 1e-9), (torch.float32, 2e-5)])
def test_golden_numbers(case, dtype, rtol):
    features, centers, target = (
        torch.from_numpy(GOLDEN[f'{case}_{name}']).to(dtype)
        for name in ('features', 'centers', 'target')
    )
    numerator, denominator = GOLDEN[f'{case}_scaling']
    rectified, gamma = semantic_scores(
        features,
        centers,
        target,
        GOLDEN[f'{case}_counts'],
        int(GOLDEN[f'{case}_k']),
        numerator / denominator,
    )
    np.testing.assert_allclose(rectified.numpy(), GOLDEN[f'{case}_label'], rtol=rtol, atol=1e-9)
    np.testing.assert_allclose(gamma.numpy(), GOLDEN[f'{case}_omega'], rtol=rtol)


def test_rows_sum_to_one_and_support_is_top_k():
    features, prototypes, scores, counts = batch()
    similarity = semantic_similarity(features, prototypes, 3)
    assert ((similarity > 0).sum(1) == 3).all()
    torch.testing.assert_close(similarity.sum(1), torch.ones(5, dtype=torch.float64))
    rectified, _ = semantic_scores(features, prototypes, scores, counts, 3, 5.0)
    torch.testing.assert_close(rectified.sum(1), torch.ones(5, dtype=torch.float64))


def test_renaming_classes_scaling_and_shifting_the_space():
    features, prototypes, scores, counts = batch()
    rectified, gamma = semantic_scores(features, prototypes, scores, counts, 4, 3.0)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(1))
    renamed, same = semantic_scores(
        features, prototypes[order], scores[:, order], counts[order], 4, 3.0
    )
    torch.testing.assert_close(renamed, rectified[:, order])
    torch.testing.assert_close(same, gamma)
    moved, _ = semantic_scores(7 * features + 2, 7 * prototypes + 2, scores, counts, 4, 3.0)
    torch.testing.assert_close(moved, rectified)


@pytest.mark.parametrize('copies', [2, 3 * MARGIN])
def test_ties_at_the_edge_are_all_kept(copies):
    prototypes = torch.cat(
        [torch.full((1, 4), 0.3), torch.full((copies, 4), 1.7), torch.arange(5.0, 9.0).repeat(3, 1)]
    )
    similarity = semantic_similarity(torch.zeros(2, 4), prototypes, 2)
    assert ((similarity > 0).sum(1) == 1 + copies).all()
    far = similarity[:, 1 : 1 + copies]
    assert torch.equal(far, far[:, :1].expand_as(far))
    torch.testing.assert_close(similarity[:, 0] / far[:, 0], torch.full((2,), 1.7 / 0.3))


def test_all_prototypes_equal_is_uniform():
    similarity = semantic_similarity(torch.randn(3, 4), torch.ones(50, 4), 2)
    torch.testing.assert_close(similarity, torch.full((3, 50), 1 / 50))
    on_top = semantic_similarity(torch.ones(3, 4), torch.ones(50, 4), 2)
    torch.testing.assert_close(on_top, torch.full((3, 50), 1 / 50))


def test_zero_and_tiny_distances():
    prototypes = torch.tensor([[0.0], [0.0], [1.0], [2.0]])
    similarity = semantic_similarity(torch.zeros(1, 1), prototypes, 3)
    torch.testing.assert_close(similarity, torch.tensor([[0.5, 0.5, 0.0, 0.0]]))
    tiny = torch.tensor([[1e-42], [2e-42], [3.0]])
    assert semantic_similarity(torch.zeros(1, 1), tiny, 2).isfinite().all()


def test_near_neighbours_far_from_the_origin_keep_their_distances():
    generator = torch.Generator().manual_seed(0)
    home = 32 * torch.nn.functional.normalize(torch.randn(1, 256, generator=generator), dim=1)
    steps = torch.nn.functional.normalize(torch.randn(40, 256, generator=generator), dim=1)
    prototypes = home + steps * torch.linspace(0.1, 0.2, 40)[:, None]
    prototypes = torch.cat([prototypes, -prototypes])
    classes, distances, _ = nearest_prototypes(home, prototypes, 10)
    near = distances[distances.isfinite()].sort().values
    exact = (home.double() - prototypes.double()).norm(dim=1).sort().values[:10]
    torch.testing.assert_close(near.double(), exact, rtol=1e-5, atol=0)
    assert classes.shape == (1, 10 + MARGIN)


def test_confidence_options_and_degenerate_counts():
    scores = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
    torch.testing.assert_close(
        label_confidence(scores, [100, 1], omega=1.0),
        torch.tensor([1.0, float(np.log(50.5) / np.log(100))]),
    )
    assert label_confidence(scores, [1, 1], omega=9.0).tolist() == [0, 0]
    assert label_confidence(scores, [100, 0], omega=50.0).tolist() == [1, 1]
    torch.testing.assert_close(
        label_confidence(scores, [100, 1], omega=0, confidence=0.3), torch.tensor([0.3, 0.3])
    )


def test_half_precision_no_gradient_and_untouched_arguments():
    features, prototypes, scores, counts = batch(dtype=torch.float32)
    features, scores = features.bfloat16(), scores.bfloat16()
    prototypes.requires_grad_()
    kept = scores.clone()
    with torch.autocast('cpu', torch.bfloat16):
        rectified, gamma = semantic_scores(features, prototypes, scores, counts, 3, 1.0)
    expected, expected_gamma = semantic_scores(
        features.float(), prototypes, scores.float(), counts, 3, 1.0
    )
    torch.testing.assert_close(rectified, expected)
    torch.testing.assert_close(gamma, expected_gamma)
    assert rectified.dtype == gamma.dtype == torch.float32
    assert not rectified.requires_grad
    assert torch.equal(scores, kept)


def test_top_k_beyond_the_classes_means_all():
    features, prototypes, scores, counts = batch()
    every = semantic_scores(features, prototypes, scores, counts, 20, 1.0)[0]
    torch.testing.assert_close(
        semantic_scores(features, prototypes, scores, counts, 2000, 1.0)[0], every
    )


@pytest.mark.parametrize(
    'change, words',
    [
        (dict(top_k=0), 'top_k'),
        (dict(omega=-1.0), 'omega'),
        (dict(confidence='count'), 'confidence'),
        (dict(confidence=1.5), 'confidence'),
        (dict(scores=torch.tensor([0, 1])), 'scores'),
        (dict(class_counts=[1, 2]), 'class_counts'),
        (dict(prototypes=torch.zeros(20, 3)), 'prototypes'),
    ],
)
def test_bad_input(change, words):
    features, prototypes, scores, counts = batch()
    given = dict(
        features=features,
        prototypes=prototypes,
        scores=scores,
        class_counts=counts,
        top_k=3,
        omega=1.0,
    )
    with pytest.raises(ValueError, match=words):
        semantic_scores(**{**given, **change})


@pytest.mark.parametrize('bad', [float('nan'), float('inf')])
@pytest.mark.parametrize('omega', [0.0, 0.5])
def test_features_that_overflowed_leave_the_area_label(bad, omega):
    features = torch.tensor([[bad, 1.0], [0.5, 1.0]])
    area = torch.tensor([[0.3, 0.7, 0.0], [0.0, 0.4, 0.6]])
    prototypes = torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    scores, _ = semantic_scores(features, prototypes, area, [9, 5, 3], 2, omega)
    assert torch.equal(scores[0], area[0])
    alone, _ = semantic_scores(features[1:], prototypes, area[1:], [9, 5, 3], 2, omega)
    torch.testing.assert_close(scores[1:], alone)
