"""Which images to predict: files, folders with all that is inside, lists."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..text import printable

__all__ = ['SUFFIXES', 'find_images', 'images_inside', 'other_files']

# What cv2 and pillow both read; an older cv2 lacks .avif and .gif, which is told of each image.
SUFFIXES = (
    '.avif', '.bmp', '.gif', '.jfif', '.jp2', '.jpe', '.jpeg', '.jpg', '.pbm', '.pgm', '.png',
    '.pnm', '.ppm', '.tif', '.tiff', '.webp',
)  # fmt: skip
LISTS = ('.txt', '.lst')
NOTES = (*LISTS, '.csv', '.json', '.md')  # lie beside images, and nobody takes them for images


def find_images(sources: Iterable[str | Path], root: str | Path | None = None) -> list[str]:
    """Paths of all images, each once, in the order of the sources; folders are sorted.

    Args:
        sources: images, folders, or lists (``.txt``) of one path per line. A label behind the
            path, as training lists have it, is passed over.
        root: what the paths of lists are relative to; the folder of the list by default.

    Raises:
        ValueError: if a source is not there, or nothing is found.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     for name in ('b.png', 'a.JPG', 'notes.md'):
        ...         Path(folder, name).touch()
        ...     [Path(path).name for path in find_images([folder])]
        ['a.JPG', 'b.png']
    """
    found: dict[str, None] = {}
    for source in sources:
        path = Path(source)
        if path.is_dir():
            inside = list(images_inside(path))
            if not inside:
                raise ValueError(
                    f'images: expected images ({", ".join(SUFFIXES)}), got none in the folder '
                    f'{path}'
                )
            found.update(dict.fromkeys(inside))
        elif not path.is_file():
            raise ValueError(f'images: expected an image, a folder or a list, got no {path}')
        elif path.suffix.lower() in LISTS:
            found.update(dict.fromkeys(_listed(path, Path(root or path.parent))))
        else:
            found[str(source)] = None
    if not found:
        raise ValueError('images: expected at least one image, got none')
    return list(found)


def images_inside(folder: Path) -> Iterator[str]:
    """Images of a folder and of those in it, sorted; links are followed, but not in circles."""
    return (path for path in _files(folder) if path.lower().endswith(SUFFIXES))


def other_files(folders: Iterable[Path]) -> str:
    """A line on the files in folders that are passed over; empty if there are none."""
    suffixes = Counter(
        os.path.splitext(path)[1].lower() or 'no suffix'
        for folder in folders
        for path in _files(folder)
        if not path.lower().endswith((*SUFFIXES, *NOTES))
    )
    if not suffixes:
        return ''
    shown = ', '.join(f'{suffix} {count}' for suffix, count in suffixes.most_common(10))
    return printable(f'{suffixes.total()} files of other kinds ({shown}), not used')


def _files(folder: Path) -> Iterator[str]:
    """All files that are not hidden."""
    seen = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith('.'))
        for name in sorted(names):
            if not name.startswith('.'):
                yield os.path.join(place, name)


def _listed(path: Path, root: Path) -> Iterator[str]:
    try:
        lines = path.read_text(encoding='utf-8-sig').split('\n')
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f'images: expected a list of paths, got {path}: {error}') from error
    for line in map(str.strip, lines):
        if not line:
            continue
        whole, (name, *label) = root / line, line.rsplit(None, 1)
        labelled = bool(label) and label[0].isdecimal() and not whole.exists()
        yield str(root / name if labelled else whole)
