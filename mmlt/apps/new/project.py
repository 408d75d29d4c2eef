"""The files of a project, and writing them without destroying anything."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill

from mmlt.weight_files import write_whole

from ..compare.plan import locked
from .methods import METHODS
from .network import Network
from .settings import Settings
from .sources import SPLITS

__all__ = ['Project', 'check_out', 'write_project']

RUNS = ('runs', 'runs_full', 'runs_frozen')
FROZEN = (
    'mmlt compare . --frozen --seeds 10        # classifiers on the network as it is, in minutes\n'
)


@dataclass(frozen=True)
class Project:
    """What a project is made of.

    Args:
        root: folder of the images.
        classes: their names.
        rows: of each split, paths relative to ``root`` and labels.
        network: with or without weights.
        settings: the single variables.
        left_out: images that are not used, and why.
        notes: a line each, about the splits.
        about: a line on the training images.
        test_images: lines on the test images, and on what figures of them say.
        advice: lines on what to try.
    """

    root: Path
    classes: Sequence[str]
    rows: dict[str, list[tuple[str, int]]]
    network: Network
    settings: Settings
    left_out: Sequence[tuple[str, str]]
    notes: Sequence[str]
    about: str
    test_images: str
    advice: Sequence[str]

    def files(self, title: str) -> dict[str, bytes]:
        """Content of each file, by its path in the project."""
        files = {
            'README.md': self._readme(title),
            'data.py': self._data(),
            'splits/classes.txt': ''.join(f'{name}\n' for name in self.classes),
        }
        for name in SPLITS:
            rows = self.rows[name]
            files[f'splits/{name}.txt'] = ''.join(f'{path} {label}\n' for path, label in rows)
        if self.left_out:
            lines = (f'{path}\t{reason}\n' for path, reason in self.left_out)
            files['splits/left_out.txt'] = ''.join(lines)
        files.update({f'configs/{name}.py': text for name, text in METHODS.items()})
        content = {name: text.encode() for name, text in files.items()}
        if self.network.weights is not None:
            content[f'weights/{self.network.weights}'] = self.network.content()
        return content

    def _data(self) -> str:
        settings, network = self.settings, self.network
        tuned = network.weights is not None
        parts = [', '.join(f'{key}={value!r}' for key, value in network.backbone.items())]
        if tuned:
            weights = repr(f'/weights/{network.weights}')
            start = (
                "            type='Pretrained',\n            prefix='backbone.',\n"
                f'            checkpoint=project + {weights},\n'
            )
            parts.append(f'init_cfg=dict(\n{start}        )')
        lines = ''.join(f'        {part},\n' for part in parts)
        return _filled(
            'data.py.in',
            images=repr(str(self.root)),
            image_size=settings.image_size,
            batch_size=settings.batch_size,
            epochs=settings.epochs,
            log_interval=settings.log_interval,
            workers=settings.workers,
            lr=0.02 if tuned else 0.1,  # what is learnt already changes slowly
            num_classes=len(self.classes),
            mean=[round(value, 3) for value in network.mean],
            std=[round(value, 3) for value in network.std],
            channels=network.channels,
            backbone=f'dict(\n{lines}    )',
        )

    def _readme(self, title: str) -> str:
        network, settings = self.network, self.settings
        weights = f'\n| `weights/` | what the network starts from: {network.source} |'
        left_out = '\n| `splits/left_out.txt` | images that are not used, and why |'
        rows = [
            f'| `{name}` | {getattr(settings, name)} | {reason} |'
            for name, reason in settings.reasons.items()
        ]
        if network.weights is None:
            told = (
                f'The network is {network.name}, from scratch. With few images, one that is\n'
                'fine-tuned is mostly far better: install `mmlt[pretrained]` and make the project\n'
                'anew, or give weights of your own by `mmlt new --weights FILE --net NAME`.'
            )
        else:
            told = (
                f'The network is {network.name}, fine-tuned from `weights/{network.weights}`\n'
                f'({network.source}), with a fifth of the learning rate of a start from scratch.'
            )
        return _filled(
            'README.md.in',
            title=_markdown(title),
            summary=self.about,
            epochs=settings.epochs,
            test_images=fill(self.test_images, 120),
            frozen=FROZEN if network.weights is not None else '',
            frozen_runs=' and `runs_frozen/`' if network.weights is not None else '',
            advice='\n'.join(f'- {line}' for line in self.advice),
            weights_row=weights if network.weights is not None else '',
            left_out_row=left_out if self.left_out else '',
            splits='\n'.join(f'- {_markdown(note)}' for note in self.notes),
            settings='\n'.join(rows),
            network=told,
        )


def _filled(file: str, **values: object) -> str:
    """A template that lies beside this module, with a value in place of each ``@name@``."""
    template = Path(__file__).with_name(file).read_text(encoding='utf-8')
    return re.sub(r'@(\w+)@', lambda found: str(values[found[1]]), template)


def _markdown(text: str) -> str:
    return ''.join(f'\\{c}' if c in '\\`*_[]<>|#' else c for c in text)


def check_out(out: Path, sources: Sequence[Path], force: bool) -> None:
    """``ValueError`` if a project cannot be written there, or something would be overwritten."""
    if out.exists() and not out.is_dir():
        raise ValueError(f'--out: expected a folder, got the file {out}')
    for source in sources:
        if source.is_dir() and out.resolve().is_relative_to(source.resolve()):
            raise ValueError(
                f'--out: expected a folder outside of {source}, whose folders are classes, got '
                f'{out}'
            )
    there = sorted(one.name for one in out.iterdir()) if out.is_dir() else []
    if there and not force:
        raise ValueError(
            f'--out: expected a new or an empty folder, got {out} with {", ".join(there[:5])}; '
            '--force replaces the files of a project and keeps all others'
        )


def write_project(project: Project, out: Path) -> list[str]:
    """Write the files of a project; those of a former one are replaced, its runs are set aside.

    Args:
        project: what to write.
        out: its folder.

    Returns:
        Lines on what happened to a former project.

    Raises:
        ValueError: if its runs would be set aside, and a comparison is at work on them.
    """
    files = project.files(out.resolve().name)
    said = []
    present = [name for name in files if (out / name).exists()]
    changed = [
        name
        for name in files
        if name != 'README.md' and (name not in present or (out / name).read_bytes() != files[name])
    ]
    former = [out / name for name in RUNS if changed and (out / name).is_dir()]
    former = [runs for runs in former if any(runs.iterdir())]
    with ExitStack() as locks:
        for runs in former:
            locks.enter_context(locked(runs))
        for runs in former:
            number = 1
            while (aside := out / f'{runs.name}_{number}').exists():
                number += 1
            runs.rename(aside)
            said.append(
                f'{runs} is now {aside}: these runs are of other settings or splits ({changed[0]} '
                'has changed)'
            )
        stale = out / 'splits' / 'left_out.txt'
        if 'splits/left_out.txt' not in files and stale.is_file():
            stale.unlink()
        for name, content in files.items():
            write_whole(out / name, content)
    if present:
        said.append(f'replaced in {out}: {", ".join(present)}')
    return said
