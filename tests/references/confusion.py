"""CAR by loops over images and classes and a full singular value decomposition."""

import torch


def soft_confusion(
    logits, targets, margin=0.0, temperature=1.0, detach_gate=False, detach_baseline=False
):
    """``(K, K)``, row = true class; hard ``(N,)`` or soft ``(N, K)`` targets.

    The released code subtracts the true logit before the softmax, and detaches it there.
    """
    count, classes = logits.shape
    if targets.ndim == 1:
        scores = torch.zeros(count, classes, dtype=logits.dtype)
        scores[torch.arange(count), targets] = 1
    else:
        scores = targets
    confusion = [
        [torch.zeros((), dtype=logits.dtype) for _ in range(classes)] for _ in range(classes)
    ]
    for true in range(classes):
        images = max(float(scores[:, true].sum()), 1.0)
        for image in range(count):
            if scores[image, true] == 0:
                continue
            baseline = logits[image, true]
            subtracted = baseline.detach() if detach_baseline else baseline
            probability = torch.softmax((logits[image] - subtracted) / temperature, dim=0)
            for predicted in range(classes):
                if predicted == true:
                    continue
                gate = torch.sigmoid(margin + logits[image, predicted] - baseline)
                if detach_gate:
                    gate = gate.detach()
                part = scores[image, true] / images * gate * probability[predicted]
                confusion[true][predicted] = confusion[true][predicted] + part
    return torch.stack([torch.stack(row) for row in confusion])


def blend(previous, batch, scores_per_class, beta, absent_classes):
    """One EMA step, row by row."""
    rows = []
    for true in range(len(batch)):
        if absent_classes == 'hold':
            part = (1 - beta) * min(float(scores_per_class[true]), 1.0)
            rows.append((1 - part) * previous[true] + (1 - beta) * batch[true])
        else:
            rows.append(beta * previous[true] + (1 - beta) * batch[true])
    return torch.stack(rows)


def spectral_norm(matrix, row_weights):
    """Largest singular value of ``diag(row_weights) @ matrix``; autograd differentiates it."""
    return torch.linalg.matrix_norm(row_weights[:, None] * matrix, 2)


def car_trajectory(batches, row_weights, beta=0.5, absent_classes='decay', **options):
    """Norms, gradients and final estimate over batches of (logits, targets), from zero."""
    classes = len(row_weights)
    estimate = torch.zeros(classes, classes, dtype=row_weights.dtype)
    norms, gradients = [], []
    for logits, targets in batches:
        logits = logits.detach().clone().requires_grad_()
        per_class = (
            torch.bincount(targets, minlength=classes) if targets.ndim == 1 else targets.sum(dim=0)
        )
        estimate = blend(
            estimate.detach(),
            soft_confusion(logits, targets, **options),
            per_class,
            beta,
            absent_classes,
        )
        norm = spectral_norm(estimate, row_weights)
        norm.backward()
        norms.append(norm.detach())
        gradients.append(logits.grad)
    return torch.stack(norms), gradients, estimate.detach()
