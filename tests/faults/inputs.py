"""Bad options and bad images: what is said of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmlt.apps.check.files import scan_file
from mmlt.apps.check.kinds import KINDS
from mmlt.datasets import LongTailListDataset
from mmlt.datasets.reading import UnreadableImageError
from tests.apps.test_check_files import CONTENTS, CV2
from tests.integration.test_options import fuzz

PIPELINE = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]


def options(examples: int) -> dict[str, Any]:
    """How many bad values of options are refused by name, without it, or not at all."""
    totals, rows = fuzz(examples)
    return dict(
        examples=examples,
        values=totals.total(),
        silent=totals['silent'],
        unnamed=totals['unnamed'],
        rows=[' '.join(key) for key in sorted(rows)],
    )


def images(folder: Path) -> dict[str, Any]:
    """For each kind of bad file: whether the scan names it, and what training does with it."""
    kinds: dict[str, dict[str, int]] = {}
    for number, (content, expected) in enumerate(CONTENTS):
        path = folder / f'{number}.image'
        path.write_bytes(content)
        named = [finding.kind for finding in scan_file(str(path), CV2).findings]
        for kind in expected or ['good']:
            row = kinds.setdefault(kind, dict(files=0, named=0, refused=0))
            row['files'] += 1
            row['named'] += kind in named or (kind == 'good' and not named)
            row['refused'] += _is_refused(folder, path.name)
    titles = {
        'good': 'Good files, of which nothing is said',
        **{k: v.title for k, v in KINDS.items()},
    }
    return dict(kinds=[dict(row, kind=titles[kind]) for kind, row in kinds.items()])


def _is_refused(folder: Path, name: str) -> bool:
    """Whether a training that reads the file stops with an error that names it."""
    (folder / 'list.txt').write_text(f'{name} 0\n')
    dataset = LongTailListDataset(
        ann_file='list.txt', data_root=str(folder), pipeline=PIPELINE, check_images=0
    )
    try:
        dataset[0]
    except UnreadableImageError as error:
        return name in str(error)
    return False
