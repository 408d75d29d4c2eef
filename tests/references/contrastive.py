"""The balanced contrastive loss as its equation reads, one anchor and one key at a time."""

from __future__ import annotations

import torch


def balanced_contrastive_loss(embeddings, targets, prototypes, temperature):
    num_images, num_views, _ = embeddings.shape
    keys = [
        (embeddings[n, v], int(targets[n])) for n in range(num_images) for v in range(num_views)
    ]
    num_anchors = len(keys)
    keys += [(prototype, k) for k, prototype in enumerate(prototypes)]
    losses = []
    for a in range(num_anchors):
        anchor, own = keys[a]
        denominator = 0
        for j, (key, label) in enumerate(keys):
            if j == a:
                continue
            weight = sum(other == label for _, other in keys) - (label == own)
            denominator = denominator + torch.exp(anchor @ key / temperature) / weight
        positives = [key for j, (key, label) in enumerate(keys) if label == own and j != a]
        losses.append(
            -sum(anchor @ key / temperature - torch.log(denominator) for key in positives)
            / len(positives)
        )
    return sum(losses) / len(losses)
