"""The formats of exported models, each with class names and preprocessing inside."""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from mmpretrain.models.utils import ClsDataPreprocessor
from torch import Tensor, nn

from mmlt.apps.model import EXTRA_FILE, Model
from mmlt.apps.quiet import quiet_logs
from mmlt.functional.checks import OptionError
from mmlt.recipe import KEY
from mmlt.weight_files import checkpoint_bytes

__all__ = ['FORMATS', 'NOTE', 'Exported']

#: What every exported graph takes and gives, in its own meta data.
NOTE = (
    'input: float32 (N, C, H, W), 0 to 255, red first, resized and cropped as the test pipeline in '
    'mmlt says; normalisation is inside. output: probabilities (N, K)'
)


class Exported(nn.Module):
    """Normalisation, classifier and softmax as one module of tensors.

    Args:
        model: with its network in PyTorch.

    Raises:
        OptionError: if the preprocessor does more than to normalise images of one size.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: Model) -> None:
        super().__init__()
        if model.network is None:
            raise OptionError('model: expected a checkpoint, got an exported file')
        network: Any = model.network
        preprocessor = network.data_preprocessor
        if type(preprocessor) is not ClsDataPreprocessor or preprocessor.pad_size_divisor > 1:
            raise OptionError(
                'data_preprocessor: expected a ClsDataPreprocessor without padding, got '
                f'{type(preprocessor).__name__}'
            )
        # The network takes red first if its preprocessor turns what the pipeline gives.
        self.turn = preprocessor.to_rgb == model.recipe.rgb
        normalises = preprocessor._enable_normalize
        mean = preprocessor.mean if normalises else torch.zeros(1, 1, 1)
        std = preprocessor.std if normalises else torch.ones(1, 1, 1)
        self.register_buffer('mean', mean.clone())
        self.register_buffer('std', std.clone())
        self.backbone, self.neck = network.backbone, network.neck
        self.head = copy.deepcopy(network.head)
        for name, part in list(self.head.named_children()):
            if name.startswith('loss') or hasattr(part, 'set_progress'):  # only for training
                setattr(self.head, name, nn.Identity())

    def forward(self, images: Tensor) -> Tensor:
        """Images ``(N, C, H, W)`` -> probabilities ``(N, K)``."""
        if self.turn and images.shape[1] == 3:
            images = images.flip(1)
        feats = self.backbone((images - self.mean) / self.std)
        if self.neck is not None:
            feats = self.neck(feats)
        return torch.softmax(self.head(feats), dim=1)


def _description(model: Model, batch_size: int | None) -> str:
    return replace(model.recipe, model=None, batch_size=batch_size).to_text()


def to_onnx(model: Model, example: Tensor, batch_size: int | None) -> bytes:
    """An ONNX file; ``OptionError`` if a package is missing."""
    try:
        import onnx
        import onnxscript  # noqa: F401  torch needs it
    except ImportError as error:
        raise OptionError(
            "format: expected the packages of ONNX, got none: pip install 'mmlt[export]'"
        ) from error
    module = Exported(model).eval()
    buffer = BytesIO()
    with _quiet():
        program: Any = torch.onnx.export(
            module,
            (example.repeat(batch_size or 2, 1, 1, 1),),
            input_names=['images'],
            output_names=['probabilities'],
            dynamic_shapes=None if batch_size else {'images': {0: torch.export.Dim('batch')}},
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    program.save(buffer)
    graph = onnx.load_from_string(buffer.getvalue())
    names = json.dumps(model.recipe.classes)
    for key, text in ((KEY, _description(model, batch_size)), ('classes', names), ('note', NOTE)):
        graph.metadata_props.add(key=key, value=text)
    return graph.SerializeToString()


def to_torchscript(model: Model, example: Tensor, batch_size: int | None) -> bytes:
    """A TorchScript file."""
    module = Exported(model).eval()
    buffer = BytesIO()
    with _quiet(), torch.no_grad():
        traced = torch.jit.trace(module, example.repeat(batch_size or 2, 1, 1, 1))
        texts = {EXTRA_FILE: _description(model, batch_size), 'note.txt': NOTE}
        torch.jit.save(traced, buffer, _extra_files=texts)
    return buffer.getvalue()


def to_safetensors(model: Model, example: Tensor, batch_size: int | None) -> bytes:
    """Weights and the description of the model, which ``mmlt predict`` builds again."""
    del example, batch_size
    network: Any = model.network
    if network is None:
        raise OptionError('model: expected a checkpoint, got an exported file')
    recipe = model.recipe
    meta = {
        KEY: recipe.to_text(),
        'dataset_meta': dict(classes=recipe.classes, class_counts=recipe.class_counts),
    }
    weights = dict(network.state_dict())
    return checkpoint_bytes(dict(meta=meta, state_dict=weights), Path('x.safetensors'))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the many notes of the exporters about what they skip."""
    with quiet_logs('torch.onnx', 'onnxscript', 'onnx_ir'), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        yield


#: Name -> suffix of the file, and what makes its bytes of a model, one image ``(1, C, H, W)``, and
#: the images at a time (None: any number).
FORMATS: dict[str, tuple[str, Callable[[Model, Tensor, int | None], bytes]]] = {
    'onnx': ('.onnx', to_onnx),
    'safetensors': ('.safetensors', to_safetensors),
    'torchscript': ('.pt', to_torchscript),
}
