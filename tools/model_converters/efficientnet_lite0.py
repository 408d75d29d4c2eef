"""Write the ImageNet weights of EfficientNet-Lite0, which come as a package, for MMPretrain.

python tools/model_converters/efficientnet_lite0.py OUT.safetensors

It needs mmlt[pretrained] and no network. The weights have the names that they have in a classifier
with backbone=dict(type='TIMMBackbone', model_name='tf_efficientnet_lite0'). They were trained on
RGB images with mean 127 and standard deviation 128 for each channel.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmlt.apps.pretrained import efficientnet_lite0


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('out', metavar='OUT', type=Path, help='file to write, .safetensors')
    parser.add_argument('--force', action='store_true', help='replace the file')
    args = parser.parse_args(argv)
    if args.out.exists() and not args.force:
        parser.error(f'OUT: expected a new file, got {args.out}; --force replaces it')
    try:
        efficientnet_lite0(args.out)
    except ValueError as error:
        parser.error(str(error))
    print(f'{args.out}: {args.out.stat().st_size / 2**20:.1f} MB')


if __name__ == '__main__':
    main()
