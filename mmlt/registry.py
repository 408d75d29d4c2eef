"""The scope ``mmlt``, with which a config inherits from a recipe of this package.

``_base_ = 'mmlt::imagenet_lt/resnext50_concutmix_car.py'`` needs two things. MMEngine must know
the package before it parses the config: importing mmlt tells it. And what such a base builds is
looked up in registries of the scope ``mmlt``, which MMEngine expects in a module of this name. All
parts of mmlt are in MMPretrain's registries; those of the scope are their empty children, which
pass every question on.

The tools of mmlt import it first. A launcher that does not, such as MMPretrain's own, still
evaluates the name of a base before it looks for the file, and so can be made to:
``_base_ = __import__('mmlt').__name__ + '::imagenet_lt/resnext50_concutmix_car.py'``.
"""

import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mmengine.config.utils import MODULE2PACKAGE
from mmengine.registry import Registry, build_functions
from mmpretrain import registry as registries_of_mmpretrain
from torch import nn

from mmlt.functional.checks import one_line, refuse

__all__ = [
    'build_module',
    'build_part',
    'build_transforms',
    'check_config',
    'check_init_cfg',
    'dicts_in',
    'pretrained_in',
    'said_by',
    'type_name',
    'wrong_part',
]

# This module, not the installed distribution: MMEngine then looks for recipes beside the code that
# was imported, from a wheel, an editable install or a checkout on PYTHONPATH.
MODULE2PACKAGE['mmlt'] = __name__

# Imported when one of these registries is asked for the first time.
_PARTS = ('datasets', 'engine', 'evaluation', 'models', 'visualization')
_LOCATIONS = ['mmlt', *(f'mmpretrain.{part}' for part in _PARTS)]

for _name in registries_of_mmpretrain.__all__:
    _parent = getattr(registries_of_mmpretrain, _name)
    Registry(_parent.name, parent=_parent, scope='mmlt', locations=_LOCATIONS)


def check_config(registry: Any, name: str, value: Any) -> None:
    """``OptionError`` naming the option ``name`` if a value is no config of a registered part."""
    kind = value.get('type') if isinstance(value, dict) else None
    known = callable(kind) or (isinstance(kind, str) and bool(kind))
    if known and isinstance(kind, str) and '_scope_' not in value:
        known = registry.get(kind) is not None
    if not known:
        raise refuse(name, f"dict(type=...) with a type of the registry '{registry.name}'", value)


def build_part(registry: Any, name: str, value: Any, is_part: Callable[[Any], bool]) -> Any:
    """A part from its config, or as it is; ``OptionError`` naming the option if it is neither."""
    if isinstance(value, dict) or not is_part(value):
        check_config(registry, name, value)
        return registry.build(value)
    return value


def build_module(name: str, value: Any) -> nn.Module:
    """A module from its config, or as it is; ``OptionError`` naming the option if it is neither."""
    models = registries_of_mmpretrain.MODELS
    module: nn.Module = build_part(models, name, value, lambda one: isinstance(one, nn.Module))
    return module


def build_transforms(name: str, value: Any) -> list[Any]:
    """The transforms of a pipeline, from their configs or as they are."""
    if not isinstance(value, (list, tuple)):
        raise refuse(name, 'a list of transforms', value)
    transforms = registries_of_mmpretrain.TRANSFORMS
    return [build_part(transforms, name, one, callable) for one in value]


def check_init_cfg(value: Any) -> None:
    """``OptionError`` if ``init_cfg`` is neither None nor one config or several."""
    if value is None:
        return
    for one in value if isinstance(value, list) else [value]:
        check_config(registries_of_mmpretrain.WEIGHT_INITIALIZERS, 'init_cfg', one)


def type_name(part: Mapping[str, Any]) -> str:
    """The class that a config names, with or without scope, or by class; ``'None'`` for none."""
    kind = part.get('type')
    return str(getattr(kind, '__name__', kind)).rpartition('.')[2]


def pretrained_in(init_cfg: Any) -> list[dict[str, Any]]:
    """The parts of an ``init_cfg`` that read a file, named with or without scope, or by class."""
    parts = init_cfg if isinstance(init_cfg, (list, tuple)) else [init_cfg]
    found = []
    for part in parts:
        if isinstance(part, dict) and type_name(part) in ('Pretrained', 'PretrainedInit'):
            found.append(part)
    return found


def dicts_in(config: Any) -> Iterator[dict[str, Any]]:
    """A config and every dict inside it, whatever lists and dicts are between."""
    if isinstance(config, dict):
        yield config
        config = list(config.values())
    for part in config if isinstance(config, (list, tuple)) else ():
        yield from dicts_in(part)


def said_by(error: BaseException) -> str:
    """What an error says, in one line, without the place of a class that MMEngine puts before."""
    text = one_line(error, 3000)
    head, colon, tail = text.partition(': ')
    return tail if colon and head.startswith('class `') else text


def wrong_part(error: BaseException) -> str | None:
    """What a registry of MMEngine met where it builds a part that does not exist or fit.

    None for an error of the part's own code.
    """
    while error.__context__ is not None:
        error = error.__context__
    files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    of_arguments = isinstance(error, TypeError) and 'argument' in str(error)
    if build_functions.__file__ not in (files if of_arguments else files[-1:]):
        return None
    said = said_by(error).partition('. Please check')[0]
    return f'config: expected parts that exist, with arguments of theirs, got an error: {said}'
