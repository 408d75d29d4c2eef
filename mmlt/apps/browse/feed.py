"""The batches of a recipe, as a training draws, loads, normalises and mixes them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import InfiniteSampler
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from mmpretrain.structures import DataSample
from numpy.typing import NDArray
from torch import Tensor

from mmlt.datasets.labels import dataset_labels, names_of_classes, training_class_counts
from mmlt.datasets.samplers.pairs import PairSampler
from mmlt.datasets.samplers.positions import PositionedBatch, SeededItems
from mmlt.functional.checks import one_line
from mmlt.hooks.epoch_seed_hook import seed_iteration
from mmlt.hooks.runner_parts import batch_augments, hold_images
from mmlt.models.device_images import DeviceImagesDataPreprocessor
from mmlt.models.preprocessors import PairedDataPreprocessor

from .colours import Colours
from .parts import build_loader, build_preprocessor, switch_recipe

__all__ = ['Batch', 'Feed']

# Numbers that stand for images are so large that they survive a normalisation, and no larger.
_PROBE = 100.0
_SIDE = 64  # pixels of the images that only carry labels


@dataclass(frozen=True)
class Batch:
    """What the model gets in one iteration; images are ``(H, W, 3)`` uint8, RGB.

    Args:
        index: in the epoch, from 0.
        anchors: ``N`` images as they were loaded.
        partners: what each is mixed with; the anchor itself where it is mixed with nothing.
        views: V lists of ``N`` images as the model sees them; the first is the one that is mixed.
        labels: ``(N,)`` int64, of the anchors.
        partner_labels: ``(N,)`` int64.
        area: ``(N,)``, share of the anchor's pixels in the mixed image; 1 where it is not mixed.
        scores: ``(N, K)``, the labels that the model is trained with.
        mixed: whether anything in it is mixed.
        rectified: ``(N, K)``, the labels as the head changes them, None where it does not.
    """

    index: int
    anchors: Sequence[NDArray[np.uint8]]
    partners: Sequence[NDArray[np.uint8]]
    views: Sequence[Sequence[NDArray[np.uint8]]]
    labels: NDArray[np.int64]
    partner_labels: NDArray[np.int64]
    area: NDArray[np.float64]
    scores: NDArray[np.float64]
    mixed: bool
    rectified: NDArray[np.float64] | None = None


class Feed:
    """The training data of a config in one epoch, with the sampler, pipeline, preprocessor and
    batch augments that the config names, and with the draws of a run on one process.

    Args:
        cfg: not changed. Neither its network nor any weights are made.
        epoch: from 0.
        confusion: ``confusion[true, predicted]`` that the run has counted so far, ``(K, K)``; None
            before anything is counted.

    Raises:
        ValueError: if the config has no training data, a part cannot be built, or the epoch draws
            partners by a confusion that is not given.
    """

    def __init__(self, cfg: Config, epoch: int = 0, confusion: Tensor | None = None) -> None:
        # What the parts log of themselves is for a training.
        MMLogger.get_instance('mmlt browse', logger_name='mmlt browse', log_level=logging.ERROR)
        self.epoch = epoch
        self.seed = int((cfg.get('randomness') or {}).get('seed') or 0)
        self.max_epochs = int((cfg.get('train_cfg') or {}).get('max_epochs') or epoch + 1)
        try:
            with DefaultScope.overwrite_default_scope('mmpretrain'):
                self.loader = build_loader(cfg, self.seed)
                self.preprocessor = build_preprocessor(cfg)
                switch_recipe(cfg, epoch, self.loader, self.preprocessor)
        except (KeyError, TypeError, AttributeError, AssertionError, ImportError) as error:
            raise ValueError(f'the config cannot be built: {one_line(error)}') from error
        self.labels = dataset_labels(self.loader.dataset)
        head = (cfg.get('model') or {}).get('head')
        told = head.get('num_classes') if isinstance(head, dict) else None
        self.counts = training_class_counts(self.loader.dataset, told)
        expected = getattr(self.preprocessor, 'num_classes', None)
        if expected not in (None, len(self.counts)):
            raise ValueError(
                f'data_preprocessor.num_classes: expected {len(self.counts)}, the classes of the '
                f'training data, got {expected}'
            )
        names = names_of_classes(self.loader.dataset, 'train_dataloader.dataset')
        self.classes = names if len(names) == len(self.counts) else range(len(self.counts))
        holder: Any = SimpleNamespace(data_preprocessor=self.preprocessor)
        self.augments = list(batch_augments(holder))
        hold_images(self.loader.dataset, self.preprocessor)
        self._items = SeededItems(self.loader.dataset, self.seed)
        self._hand_out(confusion)
        self.plan = self._plan()

    def _plan(self) -> list[list[Any]]:
        """What the data set is asked for, batch by batch."""
        sampler, start = self.loader.batch_sampler.sampler, 0
        self._begins = self.epoch, 0  # of the positions by which images draw
        if isinstance(sampler, InfiniteSampler):  # one stream through all epochs
            start = self.epoch * len(self.loader)
            self._begins = 0, start * self.loader.batch_sampler.batch_size
        elif hasattr(sampler, 'set_epoch'):
            sampler.set_epoch(self.epoch)
        return list(islice(iter(self.loader.batch_sampler), start, start + len(self.loader)))

    def _hand_out(self, confusion: Tensor | None) -> None:
        """What ``LongTailHook`` tells the parts of a run."""
        self.waits_for_confusion = False
        paired = isinstance(self.preprocessor, PairedDataPreprocessor)
        for part in (self.loader.batch_sampler.sampler, *self.augments):
            if hasattr(part, 'set_class_counts'):
                part.set_class_counts(self.counts)
            if not getattr(part, 'wants_confusion_counts', False):
                continue
            if paired and not isinstance(part, PairSampler):
                continue  # its partners come from the sampler
            if confusion is not None:
                part.set_confusion_counts(confusion)
            elif self.epoch > part.start_epoch:
                raise ValueError(
                    f'--checkpoint: expected a checkpoint of the run, since {type(part).__name__} '
                    f'draws by what the run has confused before epoch {self.epoch}, got none'
                )
            else:  # a run has counted nothing yet
                self.waits_for_confusion = True
                places = torch.zeros((2, 0), dtype=torch.int64)
                size = (len(self.counts), len(self.counts))
                part.set_confusion_counts(torch.sparse_coo_tensor(places, torch.zeros(0), size))

    def __len__(self) -> int:
        """Batches of the epoch."""
        return len(self.plan)

    @property
    def may_mix(self) -> bool:
        """Whether there is anything that mixes."""
        return bool(self.augments)

    def image_size(self) -> tuple[int, int]:
        """Height and width of the images that are mixed."""
        inputs = self._load(0)['inputs']
        height, width = _first(inputs)[0].shape[-2:]
        return int(height), int(width)

    def fed(self) -> Iterator[tuple[NDArray[np.float64], int, bool]]:
        """Sum of the labels ``(K,)``, images, and whether they are mixed, of each batch.

        No images are read but those of the first batch; labels are mixed with blank images in
        place of real ones.
        """
        num_classes = len(self.counts)
        height, width = self.image_size() if self.may_mix else (1, 1)
        scale = min(1.0, _SIDE / max(height, width))
        size = max(1, round(scale * height)), max(1, round(scale * width))
        for index, batch in enumerate(self.plan):
            anchors, partners = _pairs(batch)
            found = self._mix(index, anchors, partners, size) if self.may_mix else None
            if found is None:
                labels = self.labels[anchors]
                yield np.bincount(labels, minlength=num_classes).astype(float), len(anchors), False
            else:
                scores, _ = found
                one_hot = (scores.max(axis=1) > 1 - 1e-6).all()
                best = scores.argmax(axis=1)
                same = bool(one_hot) and bool((best == self.labels[anchors]).all())
                yield scores.sum(axis=0), len(anchors), not same

    def batch(self, index: int, rectify: Any = None) -> Batch:
        """A batch, with its images.

        Args:
            index: in the epoch, from 0.
            rectify: views V of ``(N, C, H, W)`` and scores ``(N, K)`` to scores ``(N, K)``, or
                None.

        Raises:
            ValueError: if there is no such batch.
            RuntimeError: if an image cannot be read.
        """
        if not 0 <= index < len(self):
            raise ValueError(f'index: expected a batch in [0, {len(self)}), got {index}')
        anchors, partners = _pairs(self.plan[index])
        data = self._load(index)
        clean = _views(self.preprocessor({'inputs': data['inputs']}, training=False)['inputs'])[0]
        found = None
        if self.may_mix:
            height, width = _first(data['inputs'])[0].shape[-2:]
            found = self._mix(index, anchors, partners, (height, width))
        loaded = data.get('partner') if partners is not None else None
        if loaded is not None:
            loaded = self.preprocessor({'inputs': loaded['inputs']}, training=False)['inputs']
        self._announce(index)
        given = self.preprocessor(data, training=True)
        views = _views(given['inputs'])
        scores = _scores(given['data_samples'], len(self.counts))

        place = np.arange(len(anchors))
        area = np.ones(len(anchors))
        if found is not None:
            area, drawn = found[1]
            place = place if loaded is not None else drawn
        of_partner = self.labels[anchors[place] if loaded is None else partners]
        rectified = rectify(views, torch.from_numpy(scores).float()) if rectify else None
        colours = Colours.of(self.preprocessor, self.loader.dataset)
        shown = colours.images(clean)
        others = [shown[k] for k in place] if loaded is None else colours.images(loaded)
        return Batch(
            index=index,
            anchors=shown,
            partners=others,
            views=[colours.images(view) for view in views],
            labels=self.labels[anchors],
            partner_labels=of_partner,
            area=area,
            scores=scores,
            mixed=bool((area < 1 - 1e-4).any()),
            rectified=None if rectified is None else rectified.double().numpy(),
        )

    def _announce(self, index: int) -> None:
        """Where the run is, and the generators of its iteration, as the hooks set them."""
        iteration = self.epoch * len(self) + index
        parts = [*self.preprocessor.modules(), *self.augments]
        for part in parts:
            if hasattr(part, 'set_progress'):
                part.set_progress(self.epoch, self.max_epochs, iteration, self.seed)
        seed_iteration(self.seed, iteration, 0)

    def _load(self, index: int) -> dict[str, Any]:
        """The batch as the data loader gives it; ``EpochSeedHook`` lets images draw so."""
        batch, (epoch, start) = self.plan[index], self._begins
        start += sum(map(len, self.plan[:index]))
        placed = PositionedBatch(batch, epoch, range(start, start + len(batch)))
        data: dict[str, Any] = self.loader.collate_fn(self._items(placed))
        by_index = isinstance(self.preprocessor, DeviceImagesDataPreprocessor)
        return self.preprocessor.looked_up(data) if by_index else data

    def _mix(
        self,
        index: int,
        anchors: NDArray[np.int64],
        partners: NDArray[np.int64] | None,
        size: tuple[int, int],
    ) -> tuple[NDArray[np.float64], tuple[NDArray[np.float64], NDArray[np.int64]]] | None:
        """Labels and shares of a batch that is mixed as in training, with blank images.

        Image ``i`` is a plane of two numbers, ``x_i`` and its square. A mixture of two, by area or
        by factor, has means from which both follow: which image, and how much of it.

        Returns:
            Scores ``(N, K)``, and the share of the anchor's pixels with the place of the partner
            in the batch, ``(N,)`` each; None where the batch comes without the partners that its
            augment mixes.
        """
        choice = self.preprocessor.batch_augments
        if partners is None and getattr(choice, 'paired', False):
            return None
        images = len(anchors)
        numbers = torch.linspace(-_PROBE, _PROBE, images) if partners is None else torch.ones(1)
        planes = torch.stack([numbers, numbers**2 / _PROBE, numbers], dim=1)[..., None, None]
        data: dict[str, Any] = _blank(planes.expand(images, 3, *size).clone(), self.labels[anchors])
        if partners is not None:
            blank = torch.zeros(images, 3, *size)
            data['partner'] = _blank(blank, self.labels[partners])
        self._announce(index)
        # Views that are rendered on the device play no part in the mixing.
        paired = isinstance(self.preprocessor, PairedDataPreprocessor)
        given = (
            PairedDataPreprocessor.forward(self.preprocessor, data, training=True)
            if paired
            else self.preprocessor(data, training=True)
        )
        mixed = Colours.of(self.preprocessor, None).undone(given['inputs'])
        means = mixed[..., : size[0], : size[1]].double().mean(dim=(2, 3)).numpy()
        scores = _scores(given['data_samples'], len(self.counts))
        if partners is not None:
            return scores, (means[:, 0].clip(0, 1), np.arange(images))
        own = numbers.double().numpy()
        change, square = means[:, 0] - own, means[:, 1] - own**2 / _PROBE
        changed = np.abs(change) > 1e-3
        other = np.divide(_PROBE * square, change, out=2 * own, where=changed) - own
        step = 2 * _PROBE / max(images - 1, 1)
        place = np.rint((other + _PROBE) / step).clip(0, images - 1).astype(np.int64)
        apart = own[place] - own
        share = np.divide(change, apart, out=np.zeros(images), where=apart != 0)
        return scores, (1 - share.clip(0, 1), np.where(changed, place, np.arange(images)))


def _pairs(batch: Sequence[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
    """Anchors of a batch, and their partners where it has some."""
    pairs = [part if isinstance(part, (tuple, list)) else (part, None) for part in batch]
    anchors = np.array([int(anchor) for anchor, _ in pairs])
    if any(partner is None for _, partner in pairs):
        return anchors, None
    return anchors, np.array([int(partner) for _, partner in pairs])


def _views(inputs: Any) -> list[Tensor]:
    return [inputs] if isinstance(inputs, Tensor) else list(inputs)


def _first(inputs: Any) -> Any:
    """The batch of the first view."""
    several = not isinstance(inputs, Tensor) and getattr(inputs[0], 'ndim', 4) == 4
    return inputs[0] if several else inputs


def _blank(images: Tensor, labels: NDArray[np.int64]) -> dict[str, Any]:
    samples = [DataSample().set_gt_label(int(label)) for label in labels]
    return dict(inputs=images, data_samples=samples)


def _scores(samples: Sequence[DataSample], num_classes: int) -> NDArray[np.float64]:
    if 'gt_score' in samples[0]:
        return torch.stack([sample.gt_score for sample in samples]).double().numpy()
    labels = torch.cat([sample.gt_label for sample in samples]).numpy()
    scores = np.zeros((len(samples), num_classes))
    scores[np.arange(len(samples)), labels] = 1
    return scores
