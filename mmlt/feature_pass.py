"""One pass of images through a network, up to what its classifier gets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from mmengine.dataset import Compose, pseudo_collate
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from mmlt.datasets.features import FeaturesLT
from mmlt.datasets.labels import leaves
from mmlt.datasets.long_tail import read_sample
from mmlt.datasets.paired_dataset import pipelines_of
from mmlt.datasets.reading import UnreadableImageError

__all__ = ['features_of', 'penultimate', 'pipeline_of']


@torch.no_grad()
def penultimate(model: Any, batch: dict[str, Any]) -> Tensor:
    """What the classifier of an MMPretrain model gets of a batch, ``(N, D)`` float32.

    That is behind the hidden layers of its head; of a model without a head, and where all experts
    get the same, it is what backbone and neck give.

    Raises ``ValueError`` if it is something else than one vector for each image.
    """
    prepared = model.data_preprocessor(batch, training=False)
    features: Any = model.extract_feat(prepared['inputs'], stage='neck')
    experts = getattr(model.head, 'experts', ())
    shared = experts and all(isinstance(expert, nn.Identity) for expert in experts)
    if model.head is not None and not shared:
        features = model.head.pre_logits(features)
    while isinstance(features, (list, tuple)):
        features = features[-1]
    if features.ndim == 4:  # a feature map, which heads average
        features = features.mean(dim=(2, 3))
    if features.ndim != 2:
        raise ValueError(
            f'model.head: expected a head that gets one vector (N, D) for each image, got '
            f'{type(model.head).__name__} with {tuple(features.shape)}'
        )
    vectors: Tensor = features.float()
    return vectors


def pipeline_of(dataset: Any) -> Compose | None:
    """The transforms of a data set inside wrappers, for images of another; None of features."""
    if any(isinstance(leaf, FeaturesLT) for leaf in leaves(dataset)):
        return None
    return Compose(next(pipelines_of(dataset)))


def features_of(
    model: nn.Module,
    dataset: Any,
    positions: Sequence[int],
    pipeline: Compose | None = None,
    batch_size: int = 64,
    num_workers: int = 0,
) -> Iterator[Tensor]:
    """Features of images of a data set, batch by batch, in the order of ``positions``.

    Args:
        model: an MMPretrain classifier, which is put into evaluation mode.
        dataset: with or without wrappers.
        positions: ``M`` images in it.
        pipeline: transforms in place of those of the data set.
        batch_size: images at a time.
        num_workers: processes that load images.

    Yields:
        ``(B, D)`` float32 on the CPU; ``M`` rows in all.

    Raises:
        ValueError: if an image cannot be read; the message names it.
    """
    loader: DataLoader[Any] = DataLoader(
        _Chosen(dataset, positions, pipeline),
        batch_size=batch_size,
        num_workers=num_workers,
        collate_fn=pseudo_collate,
    )
    model.eval()
    try:
        for batch in loader:
            yield penultimate(model, batch).cpu()
    except UnreadableImageError as error:
        raise error.alone() from error


class _Chosen(Dataset[Any]):
    """Some images of a data set, perhaps through another pipeline."""

    def __init__(self, dataset: Any, positions: Sequence[int], pipeline: Compose | None) -> None:
        self.dataset, self.positions, self.pipeline = dataset, positions, pipeline

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, index: int) -> Any:
        return read_sample(self.dataset, int(self.positions[index]), self.pipeline)
