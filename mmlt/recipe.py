"""What a prediction needs to know of a run: stored as text in its checkpoints, read as data.

A checkpoint of MMEngine holds its config as the text of a program, which only running it turns
into a model. Whoever gets a checkpoint from somebody else should not have to. So
:class:`mmlt.hooks.LongTailHook` stores beside the weights what is needed, as JSON in
``meta['mmlt']``, and :meth:`Recipe.check` looks at every part by name before it is built.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from mmengine.config import Config

from mmlt.registry import pretrained_in

from .trained_prior import trained_prior
from .trusted_parts import LEFT_OUT, check_model_parts, check_transforms
from .version import __version__

__all__ = ['KEY', 'Recipe']

#: Entry of a checkpoint's ``meta``, and of the meta data of exported files.
KEY = 'mmlt'

_LOADER = 'LoadImageFromFile'
_PAIRED = ('PairedDataPreprocessor', 'DeviceImagesDataPreprocessor', 'DeviceViewsDataPreprocessor')
_NORMALISING = ('mean', 'std', 'to_rgb', 'pad_size_divisor', 'pad_value', 'num_classes')
# JSON has no tuples, and some parts of MMPretrain tell them from lists.
_TUPLE = '__tuple__'


@dataclass(frozen=True)
class Recipe:
    """How the model of a run is built, and how an image reaches it.

    Args:
        model: config of the classifier with its ``data_preprocessor``; None in exported files.
        pipeline: configs of the test transforms.
        image_size: ``(height, width)`` of the images of a data set in memory, such as CIFAR, whose
            pipeline does not read or resize any; else None.
        prior_power: the prediction is for a class prior ``training prior ** prior_power``: 1 for
            cross-entropy, 0 for a model that is already made for equally frequent classes.
        corrections: names of what has made it other than 1.
        classes: names of the ``K`` classes; empty if they are not known.
        class_counts: ``(K,)`` training images; empty if they are not known.
        batch_size: images at a time that an exported graph takes; None: any number.
        version: of mmlt.
        base: of a :class:`mmlt.models.TunedBackbone`, ``checkpoint`` and ``prefix`` of the
            pre-trained weights that the checkpoint lacks; else None.
    """

    model: dict[str, Any] | None
    pipeline: list[dict[str, Any]]
    image_size: tuple[int, int] | None = None
    prior_power: float = 1.0
    corrections: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    class_counts: tuple[int, ...] = ()
    batch_size: int | None = None
    version: str = __version__
    base: dict[str, Any] | None = None

    @property
    def reads_files(self) -> bool:
        """Whether the pipeline reads image files itself."""
        return any(part.get('type') == _LOADER for part in self.pipeline)

    @property
    def rgb(self) -> bool:
        """Whether the pipeline gives red first, as data sets in memory do, or blue."""
        rgb = not self.reads_files
        for part in self.pipeline:
            if part.get('type') == 'NumpyToPIL':
                rgb = rgb or bool(part.get('to_rgb'))
            elif part.get('type') == 'PILToNumpy':
                rgb = rgb and not part.get('to_bgr')
        return rgb

    @classmethod
    def of_config(cls, cfg: Config) -> Recipe:
        """From a config that is trusted.

        Raises ``ValueError`` if it has no model or no test pipeline.
        """
        cfg = _simple(cfg.to_dict() if isinstance(cfg, Config) else cfg)
        model = cfg.get('model')
        if not isinstance(model, dict) or 'type' not in model:
            raise ValueError('config: expected model = dict(type=...), got none')
        power, corrections = trained_prior(cfg)
        if cfg.get('data_preprocessor') is not None:
            model.setdefault('data_preprocessor', cfg['data_preprocessor'])
        preprocessor = model.get('data_preprocessor')
        if isinstance(preprocessor, dict) and preprocessor.get('type') in _PAIRED:
            kept = {name: preprocessor[name] for name in _NORMALISING if name in preprocessor}
            model['data_preprocessor'] = dict(type='ClsDataPreprocessor', **kept)
        for name in ('test_dataloader', 'val_dataloader'):
            pipeline = _pipeline((cfg.get(name) or {}).get('dataset'))
            if pipeline is not None:
                return cls(
                    _without(model),
                    [_without(part) for part in pipeline],
                    prior_power=power,
                    corrections=corrections,
                    base=_base_of(model),
                )
        raise ValueError('config: expected a test_dataloader with a pipeline, got none')

    @classmethod
    def from_text(cls, text: Any) -> Recipe:
        """What :meth:`to_text` gave, from an untrusted file; ``ValueError`` if it is not that."""
        try:
            values = _decoded(json.loads(text))
            recipe = cls(**values)
            known = recipe._is_well_formed()
        except (TypeError, ValueError, RecursionError, AttributeError) as error:
            raise ValueError(
                f'{KEY}: expected the description of a model, got another text'
            ) from error
        if not known:
            raise ValueError(f'{KEY}: expected the description of a model, got another text')
        return recipe

    def to_text(self) -> str:
        """JSON; ``TypeError`` or ``ValueError`` if a part is no plain value."""
        return json.dumps(_encoded(asdict(self)), allow_nan=False)

    def with_meta(self, meta: Mapping[str, Any]) -> Recipe:
        """With names, counts and later corrections of the meta data of a checkpoint."""
        told = meta.get('dataset_meta') or {}
        recipe = replace(
            self,
            classes=tuple(map(str, told.get('classes') or self.classes)),
            class_counts=tuple(map(int, told.get('class_counts') or self.class_counts)),
        )
        rebalanced = meta.get('rebalanced_classifier')
        if rebalanced:
            # tau_norm has no prior that it is made for; its aim is equally frequent classes.
            adjusted = rebalanced.get('method') == 'logit_adjustment'
            power = recipe.prior_power - float(rebalanced['tau']) if adjusted else 0.0
            corrections = (*recipe.corrections, 'rebalance_classifier.py')
            recipe = replace(recipe, prior_power=power, corrections=corrections)
        return recipe

    def check(self) -> None:
        """``ValueError`` if building it could do anything else than compute.

        MMEngine imports whatever module stands before a dot in a ``type``, or in ``_scope_``.
        """
        if self.model is not None:
            check_model_parts(self.model)
        check_transforms(self.pipeline)

    def _is_well_formed(self) -> bool:
        size = self.image_size
        return (
            (self.model is None or isinstance(self.model, dict))
            and isinstance(self.pipeline, list)
            and all(isinstance(part, dict) for part in self.pipeline)
            and (size is None or (len(size) == 2 and all(type(side) is int for side in size)))
            and math.isfinite(self.prior_power)
            and all(isinstance(name, str) for name in (*self.corrections, *self.classes))
            and all(type(count) is int for count in self.class_counts)
            and self.batch_size in (None, 1)
            and (self.base is None or _is_base(self.base))
        )


def _pipeline(dataset: Any) -> Any:
    """Of the first data set inside wrappers."""
    while isinstance(dataset, Mapping):
        if dataset.get('pipeline') is not None:
            return dataset['pipeline']
        inside = dataset.get('datasets') or [dataset.get('dataset')]
        dataset = inside[0]
    return None


def _base_of(model: dict[str, Any]) -> dict[str, Any] | None:
    """What names the pre-trained weights of a tuned backbone."""
    part = model.get('backbone')
    inside = part.get('backbone') if isinstance(part, dict) else None
    init = inside.get('init_cfg') if isinstance(inside, dict) else None
    for one in pretrained_in(init):
        return dict(checkpoint=one.get('checkpoint'), prefix=one.get('prefix'))
    return None


def _is_base(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and set(value) == {'checkpoint', 'prefix'}
        and isinstance(value['checkpoint'], str)
        and isinstance(value['prefix'], (str, type(None)))
    )


def _simple(value: Any) -> Any:
    """Configs as plain dicts, with scopes left out and classes by name."""
    if isinstance(value, Mapping):
        part = {str(key): _simple(item) for key, item in value.items() if key != '_scope_'}
        kind = part.get('type')
        if isinstance(kind, type):
            part['type'] = kind.__name__
        elif isinstance(kind, str):
            part['type'] = kind.rpartition('.')[2]
        return part
    if isinstance(value, tuple):
        return tuple(_simple(item) for item in value)
    return [_simple(item) for item in value] if isinstance(value, list) else value


def _without(value: Any) -> Any:
    """Without what only training needs, or what names a file or server to load from."""
    if isinstance(value, dict):
        return {key: _without(item) for key, item in value.items() if key not in LEFT_OUT}
    if isinstance(value, tuple):
        return tuple(_without(item) for item in value)
    return [_without(item) for item in value] if isinstance(value, list) else value


def _encoded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _encoded(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return {_TUPLE: [_encoded(item) for item in value]}
    if isinstance(value, list):
        return [_encoded(item) for item in value]
    return value


def _decoded(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {_TUPLE}:
            return tuple(_decoded(item) for item in value[_TUPLE])
        return {key: _decoded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    return value
