"""ProCoLoss: value, the estimate over epochs, checkpoints and ranks."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F

from mmlt.models.losses import ProCoLoss
from tests.digits_runner import digits_runner
from tests.distributed.launch import run_ranks
from tests.references.proco import proco_loss

COUNTS = [6, 3, 1]
LABELS = torch.tensor([0, 0, 1, 2])


def _views(seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(4, 2, 16, generator=generator, dtype=torch.float64) + torch.eye(16)[:4, None]


def _loss(**options: object) -> ProCoLoss:
    return ProCoLoss(3, 16, 0.2, class_counts=COUNTS, **options).double()


def test_value_is_that_of_the_estimate_of_this_epoch_and_the_last() -> None:
    loss, seen = _loss(loss_weight=0.5), []
    for step, epoch in enumerate([0, 1, 1]):  # of the first epoch, nothing is forgotten
        loss.set_progress(epoch=epoch, iteration=step)
        value = loss(_views(step), LABELS)
        seen.append(F.normalize(_views(step), dim=2).flatten(0, 1))
    vectors, labels = torch.cat(seen), LABELS.repeat_interleave(2).repeat(3)
    means, kappas = [], []
    for k in range(3):
        mean = vectors[labels == k].mean(dim=0)
        length = float(mean.norm())
        means.append((mean / length).tolist())
        kappas.append(length * (16 - length**2) / (1 - length**2))
    expected = proco_loss(
        seen[-1].tolist(), labels[:8].tolist(), means, kappas, [0.6, 0.3, 0.1], 0.2
    )
    assert float(value) == pytest.approx(0.5 * expected, rel=1e-4)
    loss.set_progress(epoch=2)
    loss(_views(3), LABELS)
    assert loss.counts.tolist() == [4, 2, 2] and loss.last_counts.tolist() == [8, 4, 4]


def test_evaluation_takes_nothing_in() -> None:
    loss = _loss()
    loss(_views(0), LABELS)
    before = copy.deepcopy(loss.state_dict())
    loss.eval()(_views(1), LABELS)
    with torch.no_grad():
        loss.train()(_views(1), LABELS)
    assert all(torch.equal(before[name], value) for name, value in loss.state_dict().items())


def test_a_checkpoint_goes_on_as_if_nothing_had_happened() -> None:
    whole, first = _loss(), _loss()
    for epoch in range(4):
        whole.set_progress(epoch=epoch)
        value = whole(_views(epoch), LABELS)
        if epoch == 2:
            first.load_state_dict(whole.state_dict())
    first.set_progress(epoch=3)
    assert float(first(_views(3), LABELS)) == float(value)


def test_a_new_run_forgets() -> None:
    loss = _loss()
    loss.set_progress(epoch=7)
    loss(_views(0), LABELS)
    assert loss.begin_run() and not loss.begin_run()
    loss.set_progress(epoch=0)
    assert not loss.last_counts.any()


def test_another_number_of_classes_is_left_out() -> None:
    other = ProCoLoss(5, 16, class_counts=[1] * 5)
    other.counts += 1
    loss = _loss()
    loss.load_state_dict(other.state_dict(), strict=False)
    assert loss.counts.shape == (3,) and not loss.counts.any()


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match=r'embedding_channels: expected .* got 8'):
        ProCoLoss(3, 8)
    with pytest.raises(ValueError, match=r'embeddings: expected \(N, V, 16\)'):
        _loss()(torch.zeros(2, 2, 5), LABELS[:2])
    with pytest.raises(ValueError, match='class_counts'):
        ProCoLoss(3, 16)(torch.zeros(2, 2, 16), LABELS[:2])


def _on_a_rank(rank: int, world_size: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    loss, each = _loss(), 4 // world_size
    mine = slice(rank * each, (rank + 1) * each)
    views = _views(0)[mine].requires_grad_()
    value = loss(views, LABELS[mine])
    value.backward()
    return value.detach(), views.grad / world_size, loss.sums


def test_two_ranks_are_one_process() -> None:
    value, gradient, sums = _on_a_rank(0, 1)
    ranks = run_ranks(_on_a_rank, 2)
    for part in ranks:
        torch.testing.assert_close(part[0], value)
        torch.testing.assert_close(part[2], sums)
    torch.testing.assert_close(torch.cat([part[1] for part in ranks]), gradient)


PROCO = dict(_delete_=True, type='ProCoLoss', num_classes=10, embedding_channels=32)


def test_a_run_on_the_digits(tmp_path) -> None:
    options = {'model.head.loss_bcl': PROCO}
    runner = digits_runner(tmp_path, leaf='resnet8_bcl', max_epochs=2, **options)
    runner.train()
    estimate = runner.model.head.loss_bcl
    assert estimate.counts.sum() == estimate.last_counts.sum() > 0


def test_a_loop_without_epochs_is_refused(tmp_path) -> None:
    options = {
        'model.head.loss_bcl': PROCO,
        'train_cfg': dict(_delete_=True, by_epoch=False, max_iters=4),
        'train_dataloader.sampler': dict(type='InfiniteSampler', shuffle=True),
    }
    runner = digits_runner(tmp_path, leaf='resnet8_bcl', **options)
    with pytest.raises(ValueError, match=r'by_epoch=True, since ProCoLoss .* IterBasedTrainLoop'):
        runner.train()
