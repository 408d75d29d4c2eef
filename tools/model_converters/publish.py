"""Make a file to give away of a checkpoint: weights and meta data, with a hash in its name.

python tools/model_converters/publish.py IN OUT.safetensors
python tools/model_converters/publish.py IN OUT.pth

The optimiser, the schedule and the log are left out, so that OUT can be tested and fine-tuned, not
resumed. With EMAHook these are the averaged weights. The first eight digits of the file's SHA-256
go into its name: OUT-1a2b3c4d.safetensors. A safetensors file holds no pickle, so that whoever
loads it need not trust it. The meta data keeps the names of the classes and the config as text; the
latter names folders of the machine that it was trained on.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from cli import add_trust_argument, load_checkpoint

from mmlt.weight_files import checkpoint_bytes, write_whole

SUFFIXES = ('.safetensors', '.pth')
# Names of files on the machine of the training.
LEFT_OUT = ('hook_msgs', 'config')


def published(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """What is given away of a checkpoint."""
    meta = {
        name: value
        for name, value in (checkpoint.get('meta') or {}).items()
        if name not in LEFT_OUT
    }
    return dict(meta=meta, state_dict=checkpoint['state_dict'])


def publish(source: Path, target: Path) -> Path:
    """Write the published file; returns its path, which has the hash in its name.

    Raises ``ValueError`` if the source is no checkpoint, or the suffix of the target is unknown.
    """
    if target.suffix not in SUFFIXES:
        raise ValueError(f'OUT: expected a name that ends in {" or ".join(SUFFIXES)}, got {target}')
    content = checkpoint_bytes(published(load_checkpoint(source)), target)
    named = target.with_name(
        f'{target.stem}-{hashlib.sha256(content).hexdigest()[:8]}{target.suffix}'
    )
    write_whole(named, content)
    return named


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('source', metavar='IN', type=Path, help='checkpoint to read')
    parser.add_argument(
        'target', metavar='OUT', type=Path, help='name without hash, .safetensors or .pth'
    )
    add_trust_argument(parser)
    args = parser.parse_args(argv)
    try:
        print(publish(args.source, args.target))
    except ValueError as error:
        parser.error(str(error))


if __name__ == '__main__':
    main()
