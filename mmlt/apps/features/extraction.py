"""All splits of a config through its network, in shards, so that a stopped pass goes on."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpretrain.registry import DATASETS
from numpy.typing import NDArray

from mmlt.apps.command_line import progress_bar
from mmlt.apps.evaluate.inference import same_images
from mmlt.apps.model import choose_device
from mmlt.checkpoints import write_text_whole, written_whole
from mmlt.datasets.feature_files import (
    FEATURE_SUFFIXES,
    FeatureFile,
    FeatureSplit,
    read_features,
    write_features,
)
from mmlt.datasets.labels import check_class_names, dataset_labels, names_of_classes
from mmlt.datasets.reading import unwrapped
from mmlt.feature_pass import features_of, pipeline_of
from mmlt.functional.checks import one_line

from .network import build_network, describe_network
from .settings import SPLITS, inside_wrappers, settings_of_features

__all__ = ['SHARD', 'extract_features']

#: Images of a shard, which is what a stopped pass loses at most.
SHARD = 512


def extract_features(
    cfg: Config,
    out: Path,
    checkpoint: Path | None = None,
    device: str | None = None,
    batch_size: int | None = None,
    force: bool = False,
    reuse: bool = False,
    tell: Callable[[float], None] = lambda share: None,
) -> FeatureFile:
    """Write the features of all splits of a config, as its test pipeline prepares the images.

    Shards of finished images lie in ``OUT.parts`` until all are done. A pass that was stopped goes
    on with them, if network and images are the same.

    Args:
        cfg: not changed; its training data without pairs, as it is before any sampler.
        out: ``.npz`` or ``.safetensors``.
        checkpoint: see :func:`~mmlt.apps.features.network.build_network`.
        device: see :func:`~mmlt.apps.model.choose_device`.
        batch_size: images at a time; that of the test loader by default.
        force: replace ``out``, and do not go on with shards.
        reuse: take ``out`` as it is where it is of the same network and images; ``force`` then
            replaces only another one.
        tell: called now and then with the share of the images that is done, from 0 to 1.

    Returns:
        What was written or taken.

    Raises:
        ValueError: one line.
    """
    if out.suffix not in FEATURE_SUFFIXES:
        raise ValueError(f'--out: expected a file {" or ".join(FEATURE_SUFFIXES)}, got {out}')
    if out.exists() and not (force or reuse):
        raise ValueError(f'--out: expected a new file, got {out}; --force replaces it')
    model = build_network(cfg, checkpoint, choose_device(device))
    model.to(memory_format=torch.channels_last)  # a third faster
    network = describe_network(cfg, model, checkpoint)
    network['settings'] = json.dumps(settings_of_features(cfg, checkpoint is not None))
    datasets, same = _datasets(cfg)
    classes = _classes(datasets)
    splits = _splits(datasets, [network['sha256'], repr(model.data_preprocessor), _buffers(model)])
    digests = {name: split.digest for name, split in splits.items()}
    network['images'] = hashlib.sha256(repr((digests, same, classes)).encode()).hexdigest()
    folder = out.with_name(f'{out.name}.parts')
    if force:
        shutil.rmtree(folder, ignore_errors=True)
    if reuse and out.exists():
        known = _reused(out, network, force)
        if known is not None:
            return known
    loader = cfg.get('test_dataloader') or cfg.get('val_dataloader') or cfg.train_dataloader
    batch_size, workers = batch_size or loader.get('batch_size') or 64, loader.get('num_workers')
    done, total = 0, sum(len(split.labels) for split in splits.values())
    found = {}
    with progress_bar() as bar:
        for name, split in splits.items():
            task = bar.add_task(name, total=len(split.labels))

            def advance(images: int, task: Any = task) -> None:
                nonlocal done
                done += images
                bar.advance(task, images)
                tell(done / total)

            make = partial(
                features_of,
                model,
                split.dataset,
                pipeline=split.pipeline,
                batch_size=batch_size,
                num_workers=workers or 0,
            )
            rows = _features(split, _Parts(folder / name, split.digest), make, advance)
            found[name] = FeatureSplit(rows, split.labels, split.paths)
    content = FeatureFile(found, classes, network, same)
    write_features(out, content)
    shutil.rmtree(folder, ignore_errors=True)
    return content


@dataclass(frozen=True)
class _Split:
    """Images of one data set, how they are prepared, and what tells them from others."""

    dataset: Any
    pipeline: Any
    labels: NDArray[np.int64]
    paths: tuple[str, ...]
    digest: str


def _splits(datasets: dict[str, Any], preparation: Sequence[str]) -> dict[str, _Split]:
    """``preparation`` is what the features depend on beside the pipeline and the images."""
    pipelines = {name: pipeline_of(dataset) for name, dataset in datasets.items()}
    # Training images are prepared as those of the test: nothing is drawn at random.
    if 'train' in datasets:
        pipelines['train'] = pipelines.get('test', pipelines.get('val'))
    splits = {}
    for name, dataset in datasets.items():
        labels = dataset_labels(dataset)
        paths, images = _paths_and_digest(dataset, len(labels))
        said = [*preparation, repr(pipelines[name]), images, labels.tobytes().hex()]
        digest = hashlib.sha256('\n'.join(said).encode()).hexdigest()
        splits[name] = _Split(dataset, pipelines[name], labels, paths, digest)
    return splits


def _reused(out: Path, network: dict[str, str], force: bool) -> FeatureFile | None:
    """The file, if it is of this network and these images; None where ``force`` replaces it."""
    try:
        content = read_features(out)
    except ValueError:
        content = None
    if content is not None and content.network.get('images') == network['images']:
        if content.network.get('settings') != network['settings']:  # other names of the same
            content = replace(content, network=network)
            write_features(out, content)
        return content
    if not force:
        raise ValueError(
            f'{out}: expected features of the network and images of the config, got those of '
            'others; --force replaces it, --out FOLDER keeps both'
        )
    return None


def _features(
    split: _Split,
    parts: _Parts,
    make: Callable[[range], Iterable[torch.Tensor]],
    advance: Callable[[int], None],
) -> NDArray[np.float16]:
    """Of all images of a split: the shards that are there, and the others, which are kept."""
    rows = []
    for start in range(0, len(split.labels), SHARD):
        shard = parts.read(start)
        if shard is None:
            batches = []
            for batch in make(range(start, min(start + SHARD, len(split.labels)))):
                batches.append(batch.numpy())
                advance(len(batch))
            shard = _half(np.concatenate(batches))
            parts.write(start, shard)
        else:
            advance(len(shard))
        rows.append(shard)
    return np.concatenate(rows)


class _Parts:
    """Shards of one split in a folder, with a note of which network and images they are of."""

    def __init__(self, folder: Path, digest: str) -> None:
        self.folder = folder
        note = folder / 'of.json'
        text = json.dumps(digest)
        if note.is_file() and note.read_text(encoding='utf-8') != text:
            raise ValueError(
                f'--out: expected parts of the same network and images in {folder}, where a '
                'stopped pass left them, got others; --force begins anew'
            )
        folder.mkdir(parents=True, exist_ok=True)
        write_text_whole(text, note)

    def _path(self, start: int) -> Path:
        return self.folder / f'{start:09d}.npy'

    def read(self, start: int) -> NDArray[np.float16] | None:
        """A shard that is there in full."""
        path = self._path(start)
        shard: NDArray[np.float16] | None = np.load(path) if path.is_file() else None
        return shard

    def write(self, start: int, shard: NDArray[np.float16]) -> None:
        """Keep a shard."""
        with written_whole(self._path(start)) as aside, aside.open('wb') as file:
            np.save(file, shard)


def _alike(cfg: Config) -> bool:
    """Whether validation and test have the same images, prepared in the same way."""
    pipelines = [
        inside_wrappers(cfg[f'{name}_dataloader'].dataset).get('pipeline')
        for name in ('val', 'test')
    ]
    return pipelines[0] == pipelines[1] and same_images(cfg)


def _datasets(cfg: Config) -> tuple[dict[str, Any], dict[str, str]]:
    """The data sets of a config without pairs, and which splits are the same images."""
    found: dict[str, Any] = {}
    same: dict[str, str] = {}
    for name in SPLITS:
        loader = cfg.get(f'{name}_dataloader')
        if loader is None:
            continue
        if name == 'test' and 'val' in found and _alike(cfg):
            same['test'] = 'val'
            continue
        part = deepcopy(inside_wrappers(loader.dataset))
        try:
            with DefaultScope.overwrite_default_scope('mmpretrain'):
                found[name] = DATASETS.build(part)
                found[name].full_init()
        except Exception as error:  # whatever data sets say to wrong paths
            said = one_line(error)
            if said == 'need at least one array to concatenate':  # MMEngine, where there is none
                said = 'expected images, got none'
            raise ValueError(f'{name}_dataloader.dataset: {said}') from error
    if not set(found) - {'train'}:
        raise ValueError(
            'config: expected a val_dataloader or test_dataloader, whose transforms prepare all '
            'images, got none'
        )
    return found, same


def _classes(datasets: dict[str, Any]) -> tuple[str, ...]:
    named = {
        name: names_of_classes(dataset, f'{name}_dataloader.dataset')
        for name, dataset in datasets.items()
    }
    first = next(iter(named))
    for name, names in named.items():
        check_class_names(named[first], names, f'{name}_dataloader.dataset', f'the {first} data')
    if named[first]:
        return named[first]
    most = max(int(dataset_labels(dataset).max(initial=0)) for dataset in datasets.values())
    return tuple(str(label) for label in range(most + 1))


def _paths_and_digest(dataset: Any, count: int) -> tuple[tuple[str, ...], str]:
    """Paths of the images, and a hash: of each file its place below the folder of images, which
    may move, and its size; of an image in memory all bytes."""
    digest, paths = hashlib.sha256(), []
    for index in range(count):
        leaf, position = unwrapped(dataset, index)
        info = leaf.get_data_info(position)
        path, image = str(info.get('img_path') or ''), info.get('img')
        paths.append(path)
        if path:
            folder = (getattr(leaf, 'data_prefix', None) or {}).get('img_path') or '.'
            size = os.stat(path).st_size if os.path.isfile(path) else None
            digest.update(f'{os.path.relpath(path, folder)}\n{size}\n'.encode(errors='replace'))
        elif image is not None:
            digest.update(np.ascontiguousarray(image).tobytes())
    return tuple(paths), digest.hexdigest()


def _buffers(model: Any) -> str:
    """Mean and standard deviation of the preprocessor, which are no part of its text."""
    return repr([part.flatten().tolist() for part in model.data_preprocessor.buffers()])


def _half(features: NDArray[np.float32]) -> NDArray[np.float16]:
    """In half the memory; ``ValueError`` if a feature does not fit."""
    with np.errstate(over='ignore'):
        half = features.astype(np.float16)
    if not np.isfinite(half).all():
        raise ValueError(
            f'features: expected finite numbers within {np.finfo(np.float16).max:g}, got '
            f'{np.abs(features).max():g}'
        )
    return half
