"""Balanced contrastive loss, forward and backward, against the released formulation.

python benchmarks/contrastive.py [--images 256] [--classes 8142] [--channels 1024]

One thread, median processor time of several; memory is what a call holds beyond its arguments,
the gradients included.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from side_by_side import Row, compare, shown
from torch import Tensor

from mmlt.functional.contrastive import balanced_contrastive_loss

Loss = Callable[[Tensor, Tensor, Tensor, float], Tensor]


def released_formulation(
    embeddings: Tensor,
    targets: Tensor,
    prototypes: Tensor,
    temperature: float,
    one_hot_counting: bool = True,
) -> Tensor:
    """Masks of full size, exp before the division, and a Python list of weights per key.

    Args:
        embeddings: ``(N, V, D)``.
        targets: ``(N,)``.
        prototypes: ``(K, D)``.
        temperature: positive.
        one_hot_counting: count the keys of a class by summing rows of the identity matrix, as
            released; False uses ``bincount``, which is all that differs.
    """
    num_classes, num_anchors = prototypes.shape[0], embeddings.shape[0] * embeddings.shape[1]
    keys = torch.cat([*embeddings.unbind(dim=1), prototypes])
    labels = torch.cat(
        [targets.repeat(embeddings.shape[1]), torch.arange(num_classes, device=targets.device)]
    )
    if one_hot_counting:
        sizes = torch.eye(num_classes, device=labels.device)[labels].sum(dim=0)
    else:
        sizes = torch.bincount(labels, minlength=num_classes)

    others = torch.ones(num_anchors, labels.numel(), device=keys.device)
    others.fill_diagonal_(0)
    same = (labels[:num_anchors, None] == labels[None]).float() * others
    similarities = keys[:num_anchors] @ keys.T / temperature
    similarities = similarities - similarities.max(dim=1, keepdim=True).values.detach()
    exponentials = similarities.exp() * others
    weights = torch.tensor([sizes[label] for label in labels[:, None]], device=keys.device)
    weights = weights.view(1, -1).expand(num_anchors, labels.numel()) - same
    denominator = exponentials.div(weights).sum(dim=1, keepdim=True)
    log_probabilities = similarities - denominator.log()
    return -((same * log_probabilities).sum(dim=1) / same.sum(dim=1)).mean()


def main(argv: Sequence[str] | None = None) -> list[Row]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--images', type=int, default=256)
    parser.add_argument('--classes', type=int, default=8142)
    parser.add_argument('--channels', type=int, default=1024)
    parser.add_argument('--views', type=int, default=2)
    parser.add_argument('--temperature', type=float, default=0.07)
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--device', type=torch.device, default='cpu')
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    embeddings = F.normalize(
        torch.randn(args.images, args.views, args.channels, generator=generator), dim=-1
    )
    prototypes = F.normalize(torch.randn(args.classes, args.channels, generator=generator), dim=-1)
    targets = torch.randint(args.classes, (args.images,), generator=generator)
    embeddings = embeddings.to(args.device).requires_grad_()
    prototypes, targets = prototypes.to(args.device).requires_grad_(), targets.to(args.device)

    def step(loss: Loss) -> list[Tensor]:
        value = loss(embeddings, targets, prototypes, args.temperature)
        return [value.detach(), *torch.autograd.grad(value, [embeddings, prototypes])]

    torch.testing.assert_close(
        step(balanced_contrastive_loss), step(released_formulation), rtol=1e-3, atol=1e-5
    )
    leaner = functools.partial(released_formulation, one_hot_counting=False)
    return shown(
        compare(
            'contrastive loss, forward and backward',
            f'N={args.images}, K={args.classes:,}, D={args.channels:,}',
            {
                'the released form': lambda: step(released_formulation),
                'that form with keys counted by `bincount`': lambda: step(leaner),
            },
            lambda: step(balanced_contrastive_loss),
            args.repeats,
            args.device,
        )
    )


if __name__ == '__main__':
    main()
