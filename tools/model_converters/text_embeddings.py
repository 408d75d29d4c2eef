"""Write the names of classes as vectors by a CLIP on this machine, for a classifier to start from.

python tools/model_converters/text_embeddings.py CONFIG CLIP --out names.npz
python tools/model_converters/text_embeddings.py classes.txt CLIP --out names.npz

CONFIG names its classes by its training data; classes.txt has one name a line, in the order of the
labels. CLIP is a folder in the form of Hugging Face: config.json, model.safetensors and the files
of the tokenizer. It needs mmlt[text] and no network. OUT is for ClassifierInitHook(source=OUT),
with a network whose weights are those of the image tower of the same CLIP.

The vectors are brought to the features before CLIP's last projection, where a VisionTransformer of
MMPretrain ends, so that they are as long as its features; --joint leaves them behind it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from mmlt.apps.command_line import progress_bar
from mmlt.apps.config import read_config
from mmlt.apps.text_embeddings import (
    TEMPLATE,
    classes_of_config,
    embed_words,
    read_names,
    read_text_tower,
    write_embeddings,
)
from mmlt.functional.checks import one_line
from mmlt.functional.text_embeddings import to_features


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('source', metavar='CONFIG', type=Path, help='a config, or a text file .txt of names')
    add('clip', metavar='CLIP', type=Path, help='folder of the CLIP')
    add('--out', type=Path, required=True, metavar='FILE', help='file to write, .npz')
    add(
        '--template',
        nargs='+',
        default=[TEMPLATE],
        metavar='TEXT',
        help='what the text tower reads, with {} for the words of a class; several are averaged '
        f'(default: {TEMPLATE!r})',
    )
    add(
        '--words',
        type=Path,
        metavar='FILE',
        help='what a class is called in the text, one a line, where its name says little',
    )
    add('--joint', action='store_true', help='for a network that ends with the projection of CLIP')
    add('--force', action='store_true', help='replace the file')
    args = parser.parse_args(argv)
    try:
        print(_write(args))
    except (ValueError, OSError) as error:
        parser.error(one_line(error, 500))


def _write(args: argparse.Namespace) -> str:
    if args.out.suffix != '.npz':
        raise ValueError(f'--out: expected a file .npz, got {args.out}')
    if args.out.exists() and not args.force:
        raise ValueError(f'--out: expected a new file, got {args.out}; --force replaces it')
    if args.source.suffix == '.txt':
        classes = read_names(args.source)
    else:
        classes = classes_of_config(read_config(str(args.source), None))
    words = _words(args.words, classes)
    tower = read_text_tower(args.clip)
    if not args.joint and tower.projection is None:
        raise ValueError(
            f'{args.clip}: expected both towers, whose projection leads back to the features of '
            'images, got a text tower alone; --joint does without'
        )
    with progress_bar() as bar:
        task = bar.add_task('texts', total=len(words) * len(args.template))

        def encode(texts: Sequence[str]) -> Tensor:
            found = tower.encode(texts)
            bar.advance(task, len(texts))
            return found

        vectors = embed_words(words, args.template, encode)
    space = 'the joint space of images and texts'
    if not args.joint:
        space = 'the features before the projection'
        vectors = to_features(vectors, tower.projection)
    write_embeddings(args.out, vectors, classes)
    return (
        f'{args.out}: {len(classes):,} classes, vectors of {vectors.shape[1]:,} numbers for '
        f'{space} of {args.clip}'
    )


def _words(path: Path | None, classes: Sequence[str]) -> Sequence[str]:
    """What the text tower reads of each class."""
    words = classes if path is None else read_names(path)
    if len(words) != len(classes):
        raise ValueError(f'--words: expected {len(classes)} lines, one a class, got {len(words)}')
    if path is None and all(word.isdecimal() for word in words):
        raise ValueError(
            f'--words: expected words for classes whose names are numbers, {classes[0]!r} and so '
            'on, got none'
        )
    return words


if __name__ == '__main__':
    main()
