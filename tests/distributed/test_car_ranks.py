"""CAR on W ranks is CAR of one process with the whole batch: estimate, loss and gradient."""

import pytest
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from mmlt.models.losses.car_loss import CARLoss
from tests.distributed.launch import run_ranks

CLASSES, FEATURES, STEPS = 7, 4, 5
COUNTS = [60, 30, 14, 8, 4, 2, 1]
DTYPES = {'float64': torch.float64, 'float32': torch.float32}
TOLERANCE = {'float64': 1e-12, 'float32': 1e-6}


class Net(nn.Module):
    def __init__(self, options):
        super().__init__()
        self.layer = nn.Linear(FEATURES, CLASSES)
        self.loss = CARLoss(dict(type='CrossEntropyLoss'), num_classes=CLASSES, **options)

    def forward(self, images, targets):
        return self.loss(self.layer(images), targets, avg_factor=len(images))


def build(dtype, options):
    torch.manual_seed(0)
    net = Net(options).to(DTYPES[dtype])
    net.loss.set_class_counts(COUNTS)
    return net


def batches(dtype, soft, sizes):
    """Sorted by class, so that every rank sees other classes, and the first only the head."""
    generator = torch.Generator().manual_seed(1)
    for _ in range(STEPS):
        images = torch.randn(sum(sizes), FEATURES, generator=generator, dtype=torch.float64)
        targets = torch.randint(CLASSES, (sum(sizes),), generator=generator).sort().values
        targets[: sizes[0]] = 0
        if soft:
            eye = torch.eye(CLASSES, dtype=torch.float64)
            targets = (0.7 * eye[targets] + 0.3 * eye[targets.flip(0)]).to(DTYPES[dtype])
        yield images.to(DTYPES[dtype]), targets


def train(rank, world_size, dtype, options, soft, sizes):
    """Gradients of every step, and the estimate at the end."""
    net = build(dtype, options)
    model = DistributedDataParallel(net) if world_size > 1 else net
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    start = sum(sizes[:rank])
    mine = slice(start, start + sizes[rank]) if world_size > 1 else slice(None)
    gradients, parts = [], []
    for images, targets in batches(dtype, soft, sizes):
        optimizer.zero_grad()
        model(images[mine], targets[mine]).backward()
        gradients.append(net.layer.weight.grad.clone())
        parts.append(net.loss.loss_parts['loss_car'])
        optimizer.step()
    return torch.stack(gradients), torch.stack(parts), dict(net.loss.estimate.state_dict())


def close(found, expected, tolerance):
    scale = expected.abs().max() if expected.is_floating_point() else 1
    torch.testing.assert_close(found, expected, rtol=0, atol=float(tolerance * scale))


def overflow_on_one_rank(rank):
    loss = CARLoss(None, class_counts=COUNTS)
    logits = torch.zeros(2, CLASSES)
    if rank == 1:
        logits[0, 0] = float('nan')
    logits.requires_grad_()
    loss(logits, torch.tensor([0, 1])).backward()
    return int(loss.estimate.num_skipped), logits.grad


CASES = [
    (dtype, options, soft)
    for dtype in DTYPES
    for options, soft in (({}, False), ({'absent_classes': 'hold', 'beta': 0.9}, False), ({}, True))
]


def everything(rank, world_size):
    """All that is compared, in one launch: starting the processes takes most of the time."""
    sizes = [4] * world_size
    return ([train(rank, world_size, *case, sizes) for case in CASES], overflow_on_one_rank(rank))


@pytest.fixture(scope='module', params=[2, 3], ids=['2 ranks', '3 ranks'])
def ranks(request):
    return request.param, run_ranks(everything, request.param)


def test_ranks_equal_one_process(ranks):
    world_size, results = ranks
    for index, case in enumerate(CASES):
        tolerance = TOLERANCE[case[0]]
        gradients, parts, estimate = train(0, 1, *case, [4] * world_size)
        assert estimate['confusion'].dtype == DTYPES[case[0]]
        assert gradients[0].abs().max() > 0
        for rank in range(world_size):
            found = results[rank][0][index]
            close(found[0], gradients, tolerance)
            close(found[1], parts, tolerance)
            for name, value in estimate.items():
                close(found[2][name], value, tolerance)


def test_all_ranks_skip_what_one_rank_overflows(ranks):
    for _, (skipped, gradient) in ranks[1]:
        assert skipped == 1
        assert not gradient.any()
