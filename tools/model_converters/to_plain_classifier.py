"""Keep of a contrastive checkpoint what a plain MMPretrain ImageClassifier needs.

python tools/model_converters/to_plain_classifier.py IN OUT.safetensors
python tools/model_converters/to_plain_classifier.py IN OUT.pth

The projection, the prototypes and the state of the losses are left out; backbone and classifier
stay under the names that ``GlobalAveragePooling`` with ``LinearClsHead`` (or, for a cosine
classifier, ``CosineClsHead``) expects. OUT holds weights and meta data: it can be tested and
fine-tuned, not resumed. A safetensors file holds no pickle, so that whoever loads it need not trust
it. The config of the plain model is written beside it, as OUT.py: ``mmpretrain.get_model('OUT.py',
pretrained='OUT.pth')``. It needs mmlt only for a backbone or a classifier of mmlt, and to read
safetensors.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmpretrain.registry import MODELS, TRANSFORMS
from torch import Tensor

import mmlt  # noqa: F401  registers everything

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from cli import add_trust_argument, config_file, load_checkpoint
from flags import number

from mmlt.recipe import KEY, Recipe
from mmlt.weight_files import checkpoint_bytes, write_whole

KEPT = ('backbone.', 'head.fc.')
CLASSIFIER = 'head.fc.weight'


def plain_state_dict(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of backbone and classifier, as a new dict; ``ValueError`` without a classifier."""
    if CLASSIFIER not in state_dict:
        heads = sorted(key for key in state_dict if key.startswith('head.'))
        raise ValueError(f'expected the classifier {CLASSIFIER!r}, found {heads or "no head"}')
    return {key: value for key, value in state_dict.items() if key.startswith(KEPT)}


def plain_head(state_dict: Mapping[str, Tensor], scale: float) -> dict[str, Any]:
    """Config of the head that loads these weights.

    A cosine classifier, with its ``scale``, is recognised by its missing bias.
    """
    num_classes, in_channels = state_dict[CLASSIFIER].shape
    shape = dict(num_classes=num_classes, in_channels=in_channels)
    if 'head.fc.bias' in state_dict:
        return dict(type='LinearClsHead', **shape)
    return dict(type='CosineClsHead', **shape, scale=scale)


def plain_model(recipe: Recipe, head: Mapping[str, Any], pooled: bool) -> dict[str, Any]:
    """Config of the plain classifier.

    Args:
        recipe: of the contrastive model, whose backbone and normalisation stay.
        head: see :func:`plain_head`.
        pooled: whether the backbone gives maps, which are averaged.
    """
    described = recipe.model or {}
    return dict(
        type='ImageClassifier',
        backbone=described['backbone'],
        neck=dict(type='GlobalAveragePooling') if pooled else None,
        head=dict(head),
        data_preprocessor=described.get('data_preprocessor'),
    )


def config_text(recipe: Recipe, name: str) -> str:
    """A config of MMPretrain for a plain model: the network, and how test images reach it."""
    parts: dict[str, Any] = dict(default_scope='mmpretrain')
    # mmlt also lets MMEngine read safetensors.
    needed = name.endswith('.safetensors') or _is_of_mmlt([recipe.model, recipe.pipeline])
    if needed:
        parts['custom_imports'] = dict(imports=['mmlt'])
    dataset = dict(
        type='CustomDataset', data_prefix='data/test', test_mode=True, pipeline=recipe.pipeline
    )
    parts |= dict(
        model=recipe.model,
        test_dataloader=dict(
            batch_size=32,
            num_workers=2,
            dataset=dataset,
            sampler=dict(type='DefaultSampler', shuffle=False),
        ),
        test_evaluator=dict(type='Accuracy', topk=(1,)),
        test_cfg=dict(),
    )
    return f"# mmpretrain.get_model(THIS_FILE, pretrained='{name}')\n{Config(parts).pretty_text}"


def _is_of_mmlt(config: Any) -> bool:
    """Whether a part of a config is a class of mmlt."""
    for kind in _types(config):
        found = MODELS.get(kind) or TRANSFORMS.get(kind)
        if getattr(found, '__module__', '').startswith('mmlt.'):
            return True
    return False


def _types(config: Any) -> Iterator[str]:
    if isinstance(config, Mapping):
        if isinstance(config.get('type'), str):
            yield config['type']
        config = list(config.values())
    if isinstance(config, (list, tuple)):
        for part in config:
            yield from _types(part)


def _recipe_of(checkpoint: Mapping[str, Any], config: Path | None) -> Recipe | None:
    """The description of the model, None where nothing tells it."""
    told = (checkpoint.get('meta') or {}).get(KEY)
    if config is not None:
        return Recipe.of_config(Config.fromfile(config))
    if told is None:
        return None
    recipe = Recipe.from_text(told)
    recipe.check()
    return recipe


def convert(
    source: Path, target: Path, scale: float | None = None, config: Path | None = None
) -> tuple[dict[str, Any], Path | None]:
    """Write the plain checkpoint, and beside it the config of the plain model.

    Args:
        source: checkpoint to read.
        target: checkpoint to write.
        scale: of a cosine classifier; None: as the model is described, or 30.
        config: of the run, where the checkpoint does not describe its model.

    Returns:
        The config of the head, and the path of the config; None where nothing describes the model.

    Raises:
        ValueError: if the source cannot be converted, or would be overwritten.
    """
    if target.resolve() == source.resolve():
        raise ValueError(f'OUT is IN ({source}); the original is kept, choose another name')
    checkpoint = load_checkpoint(source)
    weights = plain_state_dict(checkpoint['state_dict'])
    recipe = _recipe_of(checkpoint, config)
    if scale is None:
        described = (recipe.model or {}).get('head') if recipe else None
        scale = float((described or {}).get('scale', 30.0))
    head = plain_head(weights, scale)
    meta, written = dict(checkpoint.get('meta') or {}), None
    meta.pop('cfg', None)  # of the contrastive model
    if recipe is not None:
        pooled = not _has_class_token(weights)
        recipe = replace(recipe, model=plain_model(recipe, head, pooled))
        meta[KEY] = recipe.to_text()
        written = target.with_suffix('.py')
    write_whole(target, checkpoint_bytes(dict(meta=meta, state_dict=weights), target))
    if recipe is not None and written is not None:
        write_whole(written, config_text(recipe, target.name).encode())
    return head, written


def _has_class_token(weights: Mapping[str, Tensor]) -> bool:
    """Whether the backbone is a transformer, which gives one vector per image and needs no neck."""
    return any(name in weights for name in ('backbone.cls_token', 'backbone.pos_embed'))


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('source', metavar='IN', type=Path, help='checkpoint to read')
    parser.add_argument(
        'target', metavar='OUT', type=Path, help='file to write, .safetensors or .pth'
    )
    parser.add_argument(
        '--scale',
        type=number(1e-6),
        help='of a cosine classifier (default: as IN describes it, or 30)',
    )
    parser.add_argument(
        '--config',
        type=config_file,
        help='of the run, where IN does not describe its model; it is run',
    )
    parser.add_argument('--force', action='store_true', help='replace OUT and its config')
    add_trust_argument(parser)
    args = parser.parse_args(argv)
    try:
        for path in (args.target, args.target.with_suffix('.py')):
            if path.exists() and path.resolve() != args.source.resolve() and not args.force:
                raise ValueError(f'OUT: expected a new file, got {path}; --force replaces it')
        head, config = convert(args.source, args.target, args.scale, args.config)
    except ValueError as error:
        parser.error(str(error))
    if config is not None:
        print(f'{args.target}: load with {config}')
        return
    weights = load_checkpoint(args.target)['state_dict']
    pooling = 'None' if _has_class_token(weights) else "dict(type='GlobalAveragePooling')"
    print(
        f'{args.target}: load with\n    neck={pooling},\n'
        f'    head=dict({", ".join(f"{key}={value!r}" for key, value in head.items())}),\n'
        '(IN does not describe its model; --config CONFIG writes a whole config)'
    )


if __name__ == '__main__':
    main()
