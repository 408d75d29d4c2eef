"""What was not measured: recipes whose head says so, with the command of each."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from .logs import ROOT
from .tables import markdown

__all__ = ['not_run']


def not_run() -> str:
    """A row for each method, data set and form of command."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for file in yaml.safe_load((ROOT / 'model-index.yml').read_text(encoding='utf-8'))['Import']:
        for model in yaml.safe_load((ROOT / file).read_text(encoding='utf-8'))['Models']:
            path = Path(model['Config'])
            head = _head(ROOT / path)
            if not re.search(r'\bnot (yet )?run\b', head, re.IGNORECASE):
                continue
            command = re.search(rf'^\S.*{re.escape(path.as_posix())}.*$', head, re.MULTILINE)
            if command is None:
                raise ValueError(f'{path}: expected its command in the first lines, got none')
            general = command[0].replace(path.name, 'RECIPE.py')
            data = model['Metadata']['Training Data'].split(' (')[0]
            groups.setdefault((model['In Collection'], data, general), []).append(path.stem)
    rows = [
        [method, data, str(len(names)), f'`{command}`', ', '.join(sorted(names))]
        for (method, data, command), names in groups.items()
    ]
    total = sum(map(len, groups.values()))
    table = markdown(['method', 'data', 'recipes', 'command', 'RECIPE is'], rows, ['recipes'])
    return f'{total} recipes.\n\n{table}'


def _head(path: Path) -> str:
    """The comment at the beginning, without its marks."""
    lines = []
    for line in path.read_text(encoding='utf-8').splitlines():
        if not line.startswith('#'):
            break
        lines.append(line.removeprefix('#').strip())
    return '\n'.join(lines)
