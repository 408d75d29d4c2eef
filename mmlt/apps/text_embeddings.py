"""Names of classes as vectors, by the text tower of CLIP: a start for a classifier.

CLIP compares images and texts in a joint space, which a linear projection of each tower leads to.
A network that is fine-tuned ends before that projection, so the vectors of the names are brought
back through it; see :func:`mmlt.functional.text_embeddings.to_features`.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpretrain.registry import DATASETS
from torch import Tensor

from mmlt.datasets.labels import names_of_classes
from mmlt.functional.text_embeddings import mean_directions
from mmlt.weight_files import write_whole

__all__ = [
    'TEMPLATE',
    'TextTower',
    'classes_of_config',
    'embed_words',
    'read_names',
    'read_text_tower',
    'write_embeddings',
]

TEMPLATE = 'a photo of a {}.'
_LIBRARY = 'transformers'
_BATCH = 256  # texts at a time

Encoder = Callable[[Sequence[str]], Tensor]


@dataclass(frozen=True)
class TextTower:
    """What reads names, and how images come to the same space.

    Args:
        encode: ``B`` texts to ``(B, E)``.
        projection: ``(E, D)`` matrix from features of images to the joint space; None where the
            image tower is not at hand.
    """

    encode: Encoder
    projection: Tensor | None


def embed_words(words: Sequence[str], templates: Sequence[str], encode: Encoder) -> Tensor:
    """One vector for each class, the mean direction over templates.

    Args:
        words: of ``K`` classes; an underscore stands for a blank.
        templates: texts with one ``{}``, where the words go.
        encode: ``B`` texts to ``(B, E)``.

    Returns:
        ``(K, E)`` in the joint space of images and texts.

    Raises:
        ValueError: if there is no template, or one without a single ``{}``.

    Example:
        >>> def lengths(texts):
        ...     return torch.tensor([[3.0, len(text)] for text in texts])
        >>> embed_words(['ox_'], ['{}'], lengths)
        tensor([[0.7071, 0.7071]])
    """
    if not templates:
        raise ValueError('template: expected at least one, got none')
    for template in templates:
        if template.count('{}') != 1:
            raise ValueError(f'template: expected a text with one {{}}, got {template!r}')
    spoken = [one.replace('_', ' ') for one in words]
    vectors = []
    for template in templates:
        before, after = template.split('{}')
        texts = [f'{before}{one}{after}' for one in spoken]
        rows = [encode(texts[i : i + _BATCH]) for i in range(0, len(texts), _BATCH)]
        vectors.append(torch.cat(rows).float())
    return mean_directions(torch.stack(vectors))


def read_text_tower(folder: Path) -> TextTower:
    """The text tower of a CLIP in the form of Hugging Face's ``transformers``.

    Args:
        folder: what ``save_pretrained`` of ``CLIPModel`` or ``CLIPTextModelWithProjection`` and of
            their tokenizer wrote: ``config.json``, weights, vocabulary. Nothing is downloaded.

    Raises:
        ValueError: one line, if the library is missing, or the folder is of something else or
            lacks weights.
    """
    try:
        import transformers
    except ImportError as error:
        raise ValueError(
            f"clip: expected the package {_LIBRARY}, got none: pip install 'mmlt[text]'"
        ) from error
    kinds = {
        'clip': transformers.CLIPModel,
        'clip_text_model': transformers.CLIPTextModelWithProjection,
    }
    kind = _kind_of(folder)
    if kind not in kinds:
        raise ValueError(f'{folder}: expected model_type {" or ".join(kinds)}, got {kind!r}')
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        tokenizer = transformers.CLIPTokenizer.from_pretrained(folder, local_files_only=True)
        model, report = kinds[kind].from_pretrained(
            folder, local_files_only=True, output_loading_info=True
        )
    except Exception as error:  # the library raises errors of every kind
        raise ValueError(
            f'{folder}: expected weights and tokenizer of a CLIP, got '
            f'{" ".join(str(error).split())[:300]}'
        ) from error
    lost = sorted(report['missing_keys'])
    if lost:
        raise ValueError(f'{folder}: expected all weights of {kind}, got none for {lost[0]}')
    projection = getattr(model, 'visual_projection', None)
    return TextTower(
        _encoder(model.float().eval(), tokenizer),
        None if projection is None else projection.weight.detach(),
    )


def _kind_of(folder: Path) -> str:
    path = folder / 'config.json'
    if not path.is_file():
        raise ValueError(f'clip: expected the folder of a CLIP with config.json, got {folder}')
    try:
        return str(json.loads(path.read_text(encoding='utf-8')).get('model_type'))
    except (ValueError, AttributeError) as error:
        raise ValueError(f'{path}: expected settings in JSON, got another file') from error


def _encoder(model: Any, tokenizer: Any) -> Encoder:
    settings = getattr(model.config, 'text_config', model.config)
    most = settings.max_position_embeddings

    @torch.no_grad()
    def encode(texts: Sequence[str]) -> Tensor:
        tokens = tokenizer(list(texts), padding=True, return_tensors='pt')
        lengths = tokens['attention_mask'].sum(dim=1)
        if int(lengths.max()) > most:
            longest = int(lengths.argmax())
            raise ValueError(
                f'template: expected texts of at most {most} tokens, which the text tower reads, '
                f'got {int(lengths[longest])} for {texts[longest][:200]!r}'
            )
        inputs = dict(input_ids=tokens['input_ids'], attention_mask=tokens['attention_mask'])
        vectors: Tensor = model.text_projection(model.text_model(**inputs).pooler_output)
        return vectors

    return encode


def classes_of_config(cfg: Config) -> tuple[str, ...]:
    """Names of the classes of the training data, in its order.

    Raises ``ValueError`` with one line if the data set cannot be built, or names none.
    """
    name = 'train_dataloader.dataset'
    loader = cfg.get('train_dataloader')
    if loader is None:
        raise ValueError(f'{name}: expected the training data, got none')
    try:
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            dataset = DATASETS.build(deepcopy(loader.dataset))
            dataset.full_init()
    except Exception as error:  # whatever data sets say to wrong paths
        raise ValueError(f'{name}: {" ".join(str(error).split())[:300]}') from error
    classes = names_of_classes(dataset, name)
    if not classes:
        raise ValueError(f'{name}: expected names of classes, got none')
    return classes


def read_names(path: Path) -> tuple[str, ...]:
    """Names from a text file, one a line; blank lines at its end do not count.

    Raises ``ValueError`` if there is no such file, or no name in one of its lines.
    """
    if not path.is_file():
        raise ValueError(f'names: expected a text file with one name a line, got no file {path}')
    try:
        lines = path.read_text(encoding='utf-8-sig').rstrip().split('\n')
    except UnicodeDecodeError as error:
        raise ValueError(
            f'{path}: expected text (utf-8) with one name a line, got {error}'
        ) from error
    names = tuple(line.strip() for line in lines)
    for number, name in enumerate(names, start=1):
        if not name:
            raise ValueError(f'{path}, line {number}: expected the name of a class, got none')
    return names


def write_embeddings(out: Path, embeddings: Tensor, classes: Sequence[str]) -> None:
    """Write what :class:`mmlt.hooks.ClassifierInitHook` reads: vectors ``(K, D)`` and names."""
    buffer = io.BytesIO()
    np.savez(buffer, embeddings=embeddings.numpy(), classes=np.array(list(classes)))
    write_whole(out, buffer.getvalue())
