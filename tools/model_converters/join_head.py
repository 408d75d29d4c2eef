"""Put a head that was trained on features, and the network that made them, into one checkpoint.

python tools/model_converters/join_head.py CONFIG HEAD OUT.pth

What ``mmlt compare --frozen`` trains is the head alone. OUT (.pth or .safetensors) holds the whole
classifier with its description: ``mmlt predict OUT.pth photos``, ``mmlt export``, ``mmlt evaluate
CONFIG OUT.pth`` and ``tools/test.py CONFIG OUT.pth`` take it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from cli import add_trust_argument, checkpoint_file, config_file, load_checkpoint, out_file

from mmlt.apps.compare.frozen import FEATURES
from mmlt.apps.config import read_config
from mmlt.apps.features.frozen import check_frozen
from mmlt.apps.features.network import build_network, describe_network, network_of
from mmlt.apps.quiet import quiet_logs
from mmlt.datasets.feature_files import read_features
from mmlt.recipe import KEY, Recipe
from mmlt.weight_files import checkpoint_bytes, write_whole


def joined(cfg: Config, head: Path, checkpoint: Path | None) -> dict[str, Any]:
    """The checkpoint of the whole classifier.

    Args:
        cfg: of the method, with the network.
        head: checkpoint of a run on features.
        checkpoint: weights of the network; None: those that ``cfg`` names.

    Returns:
        ``state_dict``, and ``meta`` with the description of the model.

    Raises:
        ValueError: one line, if they do not belong together.
    """
    check_frozen(cfg)
    trained = load_checkpoint(head)
    weights = trained['state_dict']
    others = sorted(name for name in weights if not name.startswith('head.'))
    if others or not weights:
        raise ValueError(
            f'HEAD: expected a head that was trained on features, got {head} with '
            f'{others[0] if others else "no weights"}'
        )
    network = build_network(cfg, checkpoint, 'cpu')
    features = head.resolve().parents[2] / FEATURES
    if features.is_file():
        made_by = read_features(features).network['sha256']
        own = describe_network(cfg, network, checkpoint)['sha256']
        if made_by != own:
            raise ValueError(
                f'network: expected the one of {features} ({made_by[:8]}), got another '
                f'({own[:8]}); --checkpoint names its weights'
            )
    whole = {**network.state_dict(), **weights}
    described = Config(dict(cfg.to_dict(), model=network_of(cfg, checkpoint is not None)))
    described.pop('data_preprocessor', None)
    meta = {name: trained['meta'][name] for name in ('dataset_meta',) if name in trained['meta']}
    recipe = Recipe.of_config(described).with_meta(meta)
    _check_fits(recipe.model, whole, head)
    return dict(meta={**meta, KEY: recipe.to_text()}, state_dict=whole)


def _check_fits(model: Any, weights: dict[str, Any], head: Path) -> None:
    with DefaultScope.overwrite_default_scope('mmpretrain'), quiet_logs():
        built = MODELS.build(model)
    own = built.head.state_dict(prefix='head.')
    found = {name: value for name, value in weights.items() if name.startswith('head.')}
    # State of losses is for training.
    own = {name: value for name, value in own.items() if 'loss' not in name}
    wrong = [n for n in own if n not in found or found[n].shape != own[n].shape]
    if wrong:
        raise ValueError(
            f'HEAD: expected {wrong[0]} of shape {tuple(own[wrong[0]].shape)}, as in the config, '
            f'got {tuple(found[wrong[0]].shape) if wrong[0] in found else "none"} in {head}'
        )


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', metavar='CONFIG', type=config_file, help='config of the method')
    parser.add_argument(
        'head', metavar='HEAD', type=checkpoint_file, help='checkpoint of its run on features'
    )
    parser.add_argument(
        'target', metavar='OUT', type=out_file('.pth', '.safetensors'), help='file to write'
    )
    parser.add_argument(
        '--checkpoint',
        type=Path,
        metavar='FILE',
        help='weights of the network, as given to mmlt compare (default: those of the config)',
    )
    add_trust_argument(parser)
    args = parser.parse_args(argv)
    try:
        whole = joined(read_config(args.config), Path(args.head), args.checkpoint)
        write_whole(args.target, checkpoint_bytes(whole, args.target))
    except ValueError as error:
        parser.error(str(error))
    print(f'{args.target}: the network, and the head of {args.head}')


if __name__ == '__main__':
    main()
