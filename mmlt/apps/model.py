"""A model from its checkpoint alone, or from an exported file, ready for images."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from mmpretrain.models import ImageClassifier
from mmpretrain.registry import MODELS, TRANSFORMS
from numpy.typing import NDArray
from torch import Tensor, nn

from mmlt.functional.checks import OptionError, one_line, refuse
from mmlt.recipe import KEY, Recipe
from mmlt.weight_files import read_checkpoint

from .config import read_config
from .quiet import quiet_logs
from .tuned import merge, on_base

__all__ = ['EXTRA_FILE', 'Model', 'choose_device', 'load_model']

#: Inside of a TorchScript file.
EXTRA_FILE = 'mmlt.json'

_READ = dict(type='LoadImageFromFile')
# How files end that are whole, by how they begin.
_ENDS = {b'\xff\xd8\xff': b'\xff\xd9', b'\x89PNG': b'IEND'}
_TAIL = 4096


class Model:
    """A classifier and the way of an image to it.

    Args:
        name: of the file that it comes from.
        recipe: how images are prepared, what the classes are called.
        run: batch of the pipeline ``(N, C, H, W)`` -> probabilities ``(N, K)``, on ``device``.
        device: where it runs.
        network: the classifier in PyTorch; None for an exported file.

    Example:
        >>> recipe = Recipe(None, [dict(type='PackInputs')], classes=('cat', 'dog'))
        >>> model = Model('mean', recipe, lambda images: torch.rand(len(images), 2))
        >>> model([torch.zeros(3, 8, 8)]).shape
        (1, 2)
    """

    def __init__(
        self,
        name: str,
        recipe: Recipe,
        run: Callable[[Tensor], Tensor],
        device: str = 'cpu',
        network: nn.Module | None = None,
    ) -> None:
        self.name, self.recipe, self.device, self.network = name, recipe, device, network
        self._run = run
        transforms = recipe.pipeline if recipe.reads_files else [_READ, *recipe.pipeline]
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            built = [TRANSFORMS.build(part) for part in transforms]
        if not recipe.reads_files:
            built.insert(1, _AsInMemory(recipe.image_size))
        self._pipeline = Compose(built)

    def class_names(self, num_classes: int) -> tuple[str, ...]:
        """Names of the classes, or their numbers where they are not known."""
        names = self.recipe.classes
        return names if len(names) == num_classes else tuple(map(str, range(num_classes)))

    def prepare(self, path: str) -> Tensor:
        """An image file as the pipeline leaves it, ``(C, H, W)``.

        Raises ``ValueError`` with the reason if it cannot be read.
        """
        try:
            _check_whole(Path(path))
            sample = self._pipeline(dict(img_path=path))
            if sample is None:
                raise ValueError('the pipeline gave no image')
            image: Tensor = sample['inputs']
        except Exception as error:  # decoders raise errors of every kind
            raise ValueError(one_line(error, 200)) from error
        return image

    @torch.no_grad()
    def __call__(self, images: Sequence[Tensor]) -> NDArray[np.float32]:
        """Probabilities ``(N, K)`` of prepared images, which may have several sizes."""
        found: list[Any] = [None] * len(images)
        for shape in {image.shape for image in images}:
            chosen = [i for i, image in enumerate(images) if image.shape == shape]
            batch = torch.stack([images[i] for i in chosen]).to(self.device)
            parts = batch.split(self.recipe.batch_size or len(batch))
            rows = torch.cat([self._run(part) for part in parts]).float().cpu().numpy()
            for i, row in zip(chosen, rows, strict=True):
                found[i] = row
        return np.stack(found)


class _AsInMemory:
    """What the data sets in memory hold: RGB, of one size."""

    def __init__(self, size: tuple[int, int] | None) -> None:
        self.size = size

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        image = sample['img'][..., ::-1]
        if self.size is not None and image.shape[:2] != self.size:
            image = cv2.resize(
                np.ascontiguousarray(image), self.size[::-1], interpolation=cv2.INTER_AREA
            )
        sample['img'] = np.ascontiguousarray(image)
        sample['img_shape'] = image.shape[:2]
        return sample


def _check_whole(path: Path) -> None:
    """``ValueError`` for a file that ends too early, of which OpenCV would show the first part."""
    with path.open('rb') as file:
        start = file.read(4)
        size = file.seek(0, 2)
        file.seek(max(0, size - _TAIL))
        tail = file.read()
    if not size:
        raise ValueError('the file is empty')
    for begin, end in _ENDS.items():
        if start.startswith(begin) and end not in tail:
            from PIL import Image

            with Image.open(path) as image:
                image.load()  # decides, since anything may follow the end of an image


def choose_device(device: str | None) -> str:
    """``device``, or the first GPU where there is one; ``OptionError`` if PyTorch lacks it."""
    if device is None:
        return 'cuda' if torch.cuda.is_available() else 'cpu'
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise refuse('device', 'a device that PyTorch has here, such as cpu', device) from error
    return device


def load_model(
    path: str | Path,
    config: str | Path | None = None,
    device: str | None = None,
    base: str | Path | None = None,
) -> Model:
    """The model of a checkpoint or of an exported file.

    Nothing in the file is executed: a checkpoint is loaded safely, and the description of the
    model in it is read as data. A ``config`` is a program, which is run.

    Args:
        path: a checkpoint that a run with ``LongTailHook`` saved, with or without EMA; any other
            together with ``config``; or what ``mmlt export`` wrote.
        config: the config of the run, in place of the description in the checkpoint.
        device: ``'cpu'``, ``'cuda'``, ``'cuda:1'``; None: a GPU where there is one.
        base: the pre-trained weights that a small checkpoint of
            :class:`~mmlt.models.TunedBackbone` was trained on; None: where the run had them, or
            beside the checkpoint. Their hash has to be right.

    Raises:
        ValueError: one line that names the file or option.
    """
    path, device = Path(path), choose_device(device)
    if not path.is_file():
        raise ValueError(f'model: expected a checkpoint or an exported file, got no file {path}')
    if path.suffix == '.onnx':
        return _from_onnx(path, device)
    if _is_torchscript(path):
        return _from_torchscript(path, device)
    checkpoint = read_checkpoint(path, 'model')
    recipe = _recipe(path, checkpoint, config)
    weights = checkpoint['state_dict']
    network = _build(path, on_base(path, recipe, weights, base), weights)
    recipe = merge(network, recipe)
    network = network.to(device).eval()

    def run(images: Tensor) -> Tensor:
        samples = network.test_step(dict(inputs=images, data_samples=None))
        return torch.stack([sample.pred_score for sample in samples])

    return Model(path.name, recipe, run, device, network)


def _recipe(path: Path, checkpoint: dict[str, Any], config: str | Path | None) -> Recipe:
    """The recipe of a checkpoint, checked where it is not from a config."""
    meta = checkpoint.get('meta') or {}
    try:
        if config is not None:
            cfg = read_config(config)
            recipe = Recipe.of_config(cfg)
            if meta.get(KEY) is not None:  # what no config tells
                size = Recipe.from_text(meta[KEY]).image_size
                recipe = replace(recipe, image_size=size)
        elif meta.get(KEY) is None:
            raise ValueError(
                'expected a checkpoint that a run with LongTailHook has saved, got one that does '
                'not describe its model: give --config CONFIG'
            )
        else:
            recipe = Recipe.from_text(meta[KEY])
            recipe.check()
        recipe = recipe.with_meta(meta)
    except (TypeError, AttributeError, KeyError, ValueError) as error:
        where = '' if config is not None else f'{path}: '
        raise ValueError(f'{where}{one_line(error)}') from error
    if recipe.model is None:
        raise ValueError(f'{path}: expected a checkpoint with its model, got none in its meta data')
    return recipe


def _build(path: Path, config: Any, weights: dict[str, Any]) -> Any:
    try:
        with DefaultScope.overwrite_default_scope('mmpretrain'), quiet_logs():
            network = MODELS.build(config)
    except Exception as error:  # whatever the constructors say to wrong options
        raise ValueError(
            f'{path}: expected the description of a model, got one that cannot be built: '
            f'{one_line(error)}'
        ) from error
    if not isinstance(network, ImageClassifier):
        raise ValueError(
            f'{path}: expected an ImageClassifier, got {type(network).__name__}, which mmlt does '
            'not predict with'
        )
    try:
        missing, _ = network.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise ValueError(
            f'{path}: expected the weights of its model, got others: {one_line(error)}'
        ) from error
    # State of losses is for training.
    lacking = [name for name in missing if not any(p.startswith('loss') for p in name.split('.'))]
    if lacking:
        raise ValueError(
            f'{path}: expected the weights of its model, got none for {len(lacking)} parts of it, '
            f'such as {lacking[0]}'
        )
    return network


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any('/code/' in name for name in archive.namelist())


def _exported_recipe(path: Path, text: str) -> Recipe:
    try:
        recipe = Recipe.from_text(text)
        recipe.check()
    except ValueError as error:
        raise ValueError(
            f'{path}: expected a file that mmlt export wrote, got another: {error}'
        ) from error
    return recipe


def _from_torchscript(path: Path, device: str) -> Model:
    extra: dict[str, Any] = {EXTRA_FILE: ''}
    try:
        network = torch.jit.load(path, map_location=device, _extra_files=extra)
    except (RuntimeError, ValueError) as error:
        raise ValueError(f'{path}: expected a TorchScript file, got {one_line(error)}') from error
    text = extra[EXTRA_FILE]
    recipe = _exported_recipe(path, text.decode() if isinstance(text, bytes) else text)

    def run(images: Tensor) -> Tensor:
        return network(_as_exported(images, recipe))

    return Model(path.name, recipe, run, device)


def _from_onnx(path: Path, device: str) -> Model:
    try:
        import onnxruntime
    except ImportError as error:
        raise ValueError(
            f"{path}: expected the packages of ONNX, got none: pip install 'mmlt[export]'"
        ) from error
    wanted = 'CUDAExecutionProvider' if device.startswith('cuda') else 'CPUExecutionProvider'
    if wanted not in onnxruntime.get_available_providers():
        raise OptionError('device: expected cpu, or the package onnxruntime-gpu, got cuda')
    try:
        session = onnxruntime.InferenceSession(path, providers=[wanted])
    except Exception as error:  # it has its own kinds, which derive from Exception
        raise ValueError(f'{path}: expected an ONNX file, got {one_line(error)}') from error
    recipe = _exported_recipe(path, session.get_modelmeta().custom_metadata_map.get(KEY, ''))

    def run(images: Tensor) -> Tensor:
        given = _as_exported(images, recipe).cpu().numpy()
        return torch.from_numpy(session.run(None, {session.get_inputs()[0].name: given})[0])

    return Model(path.name, recipe, run, device)


def _as_exported(images: Tensor, recipe: Recipe) -> Tensor:
    """Float images with red first, from what a pipeline gives."""
    turned = images if recipe.rgb or images.shape[1] != 3 else images.flip(1)
    return turned.float()
