"""A training run without a network: logits of a long-tailed stream whose classes drift."""

import math

import torch


def drifting_batches(num_classes, batch_size, steps, seed=0, dim=64, imbalance_ratio=100):
    """Yields ``(logits, targets, prior)``: class means move, the classifier follows late.

    Early steps are flat and biased towards the head; later ones are sharper.
    """
    generator = torch.Generator().manual_seed(seed)
    ramp = torch.arange(num_classes) / max(num_classes - 1, 1)
    prior = torch.exp(-math.log(imbalance_ratio) * ramp)
    prior = prior / prior.sum()
    means = torch.randn(num_classes, dim, generator=generator)
    classifier = 0.3 * torch.randn(num_classes, dim, generator=generator)
    for step in range(steps):
        means = means + 0.02 * torch.randn(num_classes, dim, generator=generator)
        classifier = classifier + 0.02 * (means - classifier)
        targets = torch.multinomial(prior, batch_size, replacement=True, generator=generator)
        features = means[targets] + torch.randn(batch_size, dim, generator=generator)
        scale = 4 * (1 + step / steps) / math.sqrt(dim)
        yield scale * features @ classifier.t() + 0.5 * (prior * num_classes).log(), targets, prior
