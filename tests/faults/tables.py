"""The tables of docs/reliability.md, from the JSON files that the harness wrote."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FIGURES = ROOT / 'docs' / 'results' / 'logs' / 'faults'
PAGE = ROOT / 'docs' / 'reliability.md'
Figures = dict[str, Any]


def write(figures: Path = FIGURES, page: Path = PAGE) -> None:
    """Fill in what stands between ``<!-- NAME -->`` and ``<!-- end of NAME -->``."""
    text = page.read_text(encoding='utf-8')
    for name, table in TABLES.items():
        begin, end = f'<!-- {name} -->', f'<!-- end of {name} -->'
        if begin not in text or end not in text:
            raise ValueError(f'{page}: expected {begin} and {end}, got a page without')
        head, rest = text.split(begin)
        file = figures / f'{name}.json'
        content = 'Not measured yet.'
        if file.is_file():
            found = json.loads(file.read_text(encoding='utf-8'))
            content = f'{table(found)}\n\n{_origin(found)}'
        text = f'{head}{begin}\n{content}\n{end}{rest.split(end)[1]}'
    page.write_text(text, encoding='utf-8')


def _origin(found: Figures) -> str:
    state = ' with uncommitted changes' if found['changed_files'] else ''
    return f'Measured on {found["date"]} at commit `{found["commit"]}`{state}.'


def _rows(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    header = list(header)
    lines = [header, ['---'] * len(header), *rows]
    return '\n'.join('| ' + ' | '.join(str(cell) for cell in line) + ' |' for line in lines)


def _kills(found: Figures) -> str:
    groups = defaultdict(list)
    for chain in found['chains']:
        groups[chain['recipe'], chain['ranks']].append(chain)
    rows = [
        [
            recipe,
            ranks,
            sum(chain['kills'] for chain in chains),
            f'{sum(chain["end"] == "done" for chain in chains)} of {len(chains)}',
            f'{sum(not chain["differences"] for chain in chains)} of {len(chains)}',
        ]
        for (recipe, ranks), chains in groups.items()
    ]
    total = found['chains']
    rows.append(
        [
            'all',
            '',
            sum(chain['kills'] for chain in total),
            f'{sum(chain["end"] == "done" for chain in total)} of {len(total)}',
            f'{sum(not chain["differences"] for chain in total)} of {len(total)}',
        ]
    )
    return _rows(
        ['recipe', 'processes', 'kills', 'runs that ended', 'runs without a difference'], rows
    )


WRITES = {
    'open': 'within its bytes',
    'os.rename': 'before it is renamed',
    'os.remove': 'before it is removed',
}
FILES = {
    'epoch': 'checkpoint of an epoch',
    'best': 'best checkpoint',
    'last_checkpoint': '`last_checkpoint`',
}


def _writes(found: Figures) -> str:
    groups = defaultdict(list)
    for kill in found['kills']:
        groups[kill['file'], kill['change']].append(kill)
    groups['all', ''] = found['kills']
    return _rows(
        ['file', 'killed', 'kills', 'went on and ended', 'without a difference'],
        [
            [
                FILES.get(file, file),
                WRITES.get(change, change),
                len(kills),
                sum(kill['end'] == 'done' for kill in kills),
                sum(kill['end'] == 'done' and not kill['differences'] for kill in kills),
            ]
            for (file, change), kills in groups.items()
        ],
    )


def _attacks(found: Figures) -> str:
    rows = []
    for stack in found['stacks']:
        code = [attempt for attempt in stack['attempts'] if not attempt['name'].startswith('text')]
        text = [attempt for attempt in stack['attempts'] if attempt['name'].startswith('text')]
        rows.append(
            [
                stack['stack'],
                f'{sum(attempt["ran"] for attempt in code)} of {len(code)}',
                f'{sum(attempt["end"] == "refused" for attempt in code)} of {len(code)}',
                f'{sum(attempt["ran"] for attempt in text)} of {len(text)}',
                f'{stack["files_kept"].count(False)} of {len(stack["files_kept"])}',
            ]
        )
    return _rows(
        [
            'stack',
            'code that ran',
            'files refused',
            'texts that ran',
            'runs that lost a foreign file',
        ],
        rows,
    )


def _changes(found: Figures) -> str:
    return _rows(
        ['changed', 'a resume'], [[row['change'], row['verdict']] for row in found['changes']]
    )


def _soak(found: Figures) -> str:
    rows = [
        [
            rank,
            f'{found["minutes"]:.0f}',
            f'{memory[0]:.0f} to {memory[1]:.0f}',
            f'{found["memory_mb_per_hour"][rank]:+.1f}',
            f'{files[0]} to {files[1]}',
            f'{found["files_per_hour"][rank]:+.1f}',
        ]
        for rank, (memory, files) in enumerate(zip(found['memory_mb'], found['files'], strict=True))
    ]
    return _rows(
        ['process', 'minutes', 'own memory, MB', 'MB per hour', 'open files', 'files per hour'],
        rows,
    )


def _options(found: Figures) -> str:
    header = ['bad values', 'passed in silence', 'refused without the name of the option']
    return _rows(header, [[found['values'], found['silent'], found['unnamed']]])


def _images(found: Figures) -> str:
    header = ['files', 'tried', 'named by `mmlt check`', 'stop a training, by name']
    rows = [[row['kind'], row['files'], row['named'], row['refused']] for row in found['kinds']]
    return _rows(header, rows)


TABLES: dict[str, Callable[[Figures], str]] = {
    'kills': _kills,
    'writes': _writes,
    'attacks': _attacks,
    'changes': _changes,
    'soak': _soak,
    'options': _options,
    'images': _images,
}
