"""Keep of a contrastive checkpoint what a plain MMPretrain ImageClassifier needs.

python tools/model_converters/to_plain_classifier.py IN OUT.safetensors
python tools/model_converters/to_plain_classifier.py IN OUT.pth

The projection, the prototypes and the state of the losses are left out; backbone and classifier
stay under the names that ``GlobalAveragePooling`` with ``LinearClsHead`` (or, for a cosine
classifier, ``CosineClsHead``) expects, and the config of that head is printed. OUT holds weights
and meta data: it can be tested and fine-tuned, not resumed. A safetensors file holds no pickle, so
that whoever loads it need not trust it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from cli import add_trust_argument, load_checkpoint
from flags import number

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


def convert(source: Path, target: Path, scale: float = 30.0) -> dict[str, Any]:
    """Write the plain checkpoint; returns the config of its head.

    Raises ``ValueError`` if the source cannot be converted, or would be overwritten.
    """
    if target.resolve() == source.resolve():
        raise ValueError(f'OUT is IN ({source}); the original is kept, choose another name')
    checkpoint = load_checkpoint(source)
    weights = plain_state_dict(checkpoint['state_dict'])
    plain = dict(meta=checkpoint.get('meta') or {}, state_dict=weights)
    write_whole(target, checkpoint_bytes(plain, target))
    return plain_head(weights, scale)


def _has_class_token(path: Path) -> bool:
    """Whether the backbone is a transformer, which gives one vector per image and needs no neck."""
    names = load_checkpoint(path)['state_dict']
    return any(name in names for name in ('backbone.cls_token', 'backbone.pos_embed'))


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('source', metavar='IN', type=Path, help='checkpoint to read')
    parser.add_argument(
        'target', metavar='OUT', type=Path, help='file to write, .safetensors or .pth'
    )
    parser.add_argument(
        '--scale',
        type=number(1e-6),
        default=30.0,
        help='of a cosine classifier, for the printed config',
    )
    add_trust_argument(parser)
    args = parser.parse_args(argv)
    try:
        head = convert(args.source, args.target, args.scale)
    except ValueError as error:
        parser.error(str(error))
    pooling = 'None' if _has_class_token(args.target) else "dict(type='GlobalAveragePooling')"
    print(
        f'{args.target}: load with\n    neck={pooling},\n'
        f'    head=dict({", ".join(f"{key}={value!r}" for key, value in head.items())}),'
    )


if __name__ == '__main__':
    main()
