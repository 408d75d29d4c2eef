"""Put a head that was trained on features, and the network that made them, into one checkpoint.

python tools/model_converters/join_head.py CONFIG HEAD OUT.pth

What ``mmlt compare --frozen`` trains is the head alone. OUT (.pth or .safetensors) holds the whole
classifier with its description: ``mmlt predict OUT.pth photos``, ``mmlt export``, ``mmlt evaluate
CONFIG OUT.pth`` and ``tools/test.py CONFIG OUT.pth`` take it. The checkpoint of the head says what
it was trained with, so that another method's CONFIG or another network is refused.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from cli import add_trust_argument, config_file, load_checkpoint, out_file

from mmlt.apps.config import read_config
from mmlt.apps.features.frozen import check_frozen
from mmlt.apps.features.network import build_network, describe_network, network_of
from mmlt.functional.checks import one_line
from mmlt.hooks.resume_check_hook import NAME as TRAINED_WITH
from mmlt.hooks.settings import changes, settings_of
from mmlt.recipe import KEY, Recipe
from mmlt.registry import type_name
from mmlt.weight_files import checkpoint_bytes, write_whole

KEPT = ('dataset_meta', 'rebalanced_classifier')  # of the meta data of the head
# Differ between a head on features and that of the whole network: its schedule is scaled.
SCALED = re.compile(r'epochs?\b|\bin_channels')


def joined(cfg: Config, head: Path, checkpoint: Path | None) -> dict[str, Any]:
    """The checkpoint of the whole classifier.

    Args:
        cfg: of the method, with the network.
        head: checkpoint of its run on features.
        checkpoint: weights of the network; None: those that ``cfg`` names.

    Returns:
        ``state_dict``, and ``meta`` with the description of the model.

    Raises:
        ValueError: one line, if they do not belong together.
    """
    model = network_of(cfg, checkpoint is not None)
    check_frozen(cfg)
    if type_name(cfg.model.backbone) == 'TunedBackbone':
        raise ValueError(
            'CONFIG: expected a network by itself, got TunedBackbone; name the backbone that is '
            'inside of it'
        )
    trained = load_checkpoint(head)
    weights, meta = trained['state_dict'], trained.get('meta') or {}
    others = sorted(name for name in weights if not name.startswith('head.'))
    if others or not weights or TRAINED_WITH not in trained:
        found = others[0] if others else 'no description of its training'
        raise ValueError(
            f'HEAD: expected a head that was trained on features, got {head} with {found}'
        )
    network = build_network(cfg, checkpoint, 'cpu')
    made_by = describe_network(cfg, network, checkpoint)
    _check_trained_with(
        cfg, json.loads(trained[TRAINED_WITH]), f'{made_by["name"]} ({made_by["sha256"][:8]})', head
    )
    described = Config(dict(cfg.to_dict(), model=model))
    kept = {name: meta[name] for name in KEPT if name in meta}
    recipe = Recipe.of_config(described).with_meta(kept)
    if not recipe.reads_files:
        raise ValueError('CONFIG: expected test images that are read from files, got others')
    whole = {**network.state_dict(), **weights}
    return dict(meta={**kept, KEY: recipe.to_text()}, state_dict=whole)


def _check_trained_with(cfg: Config, before: Mapping[str, Any], network: str, head: Path) -> None:
    """``ValueError`` if the head is of another method or of the features of another network."""

    def of_head(settings: Mapping[str, Any]) -> dict[str, Any]:
        parts = settings.get('model') or {}, settings.get('train_dataloader') or {}
        return dict(
            model=dict(head=parts[0].get('head'), train_cfg=parts[0].get('train_cfg')),
            train_dataloader=dict(sampler=parts[1].get('sampler')),
        )

    found = changes(of_head(before), of_head(settings_of(cfg, None)), 0, False)
    others = [change.text for change in found if not SCALED.search(change.text.split(':')[0])]
    if others:
        raise ValueError(f'HEAD: expected one of the method of CONFIG, got {head}: {others[0]}')
    dataset = (before.get('train_dataloader') or {}).get('dataset') or {}
    while isinstance(dataset.get('dataset'), dict):
        dataset = dataset['dataset']
    if dataset.get('network') != network:
        raise ValueError(
            f'HEAD: expected one on features of the network of CONFIG, {network}, got one on those '
            f'of {dataset.get("network")}; --checkpoint names other weights'
        )


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', metavar='CONFIG', type=config_file, help='config of the method')
    parser.add_argument('head', metavar='HEAD', type=Path, help='checkpoint of its run on features')
    parser.add_argument(
        'target', metavar='OUT', type=out_file('.pth', '.safetensors'), help='file to write'
    )
    parser.add_argument(
        '--checkpoint',
        type=Path,
        metavar='FILE',
        help='weights of the network, as given to mmlt compare (default: those of the config)',
    )
    parser.add_argument('--force', action='store_true', help='replace OUT')
    add_trust_argument(parser)
    args = parser.parse_args(argv)
    if args.target.exists() and not args.force:
        parser.error(f'OUT: expected a new file, got {args.target}; --force replaces it')
    if args.target.resolve() in {path.resolve() for path in (args.head, args.checkpoint) if path}:
        parser.error(f'OUT: expected another file than HEAD and --checkpoint, got {args.target}')
    try:
        whole = joined(read_config(args.config), args.head, args.checkpoint)
        write_whole(args.target, checkpoint_bytes(whole, args.target))
    except (ValueError, OSError) as error:
        parser.error(one_line(error, 400))
    print(f'{args.target}: the network, and the head of {args.head}')


if __name__ == '__main__':
    main()
