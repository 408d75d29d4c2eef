"""The command ``mmlt NAME ...``, also ``python -m mmlt NAME ...``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

__all__ = ['COMMANDS', 'main']

# Name of the folder in mmlt/apps, and what a user reads about it.
COMMANDS: dict[str, str] = {
    'new': 'from a folder of photographs to a project: splits, one config per method, README',
    'browse': 'show the batches and the classes that a recipe feeds to its model',
    'check': 'look through the images of a config before training on them',
    'compare': 'train methods with several seeds, and say which are better than noise',
    'evaluate': 'judge a checkpoint, or saved predictions, on rare classes',
    'report': 'one HTML file that shows what runs are worth, class by class',
    'export': 'write a trained model for other programs, as ONNX, TorchScript or safetensors',
    'features': 'pass all images through a network once, so that heads train in seconds',
    'predict': 'predict the classes of images with a trained model',
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: the name of the command and its own arguments; of the command line by default.

    Returns:
        0 where all went well; what the command says otherwise, and 2 for an unknown name.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] in ('-h', '--help'):
        print(_overview())
        return 0
    name, *rest = arguments
    if name not in COMMANDS:
        print(f'mmlt: expected one of {", ".join(COMMANDS)}, got {name!r}', file=sys.stderr)
        return 2
    command = importlib.import_module(f'mmlt.apps.{name}')
    return int(command.main(rest) or 0)


def _overview() -> str:
    width = max((len(name) for name in COMMANDS), default=0)
    lines = [f'  mmlt {name:<{width}}  {text}' for name, text in COMMANDS.items()]
    return '\n'.join(['mmlt: long-tailed recognition for MMPretrain', '', *lines, '', HINT])


HINT = 'Each has --help. Training and testing: tools/train.py and tools/test.py.'
