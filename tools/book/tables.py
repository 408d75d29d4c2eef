"""Tables of figures in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .logs import Book, Method, Study

__all__ = ['book_tables', 'markdown', 'page_table', 'unfinished']

FIGURES = {
    'top1': 'all',
    'many_shot': 'many',
    'medium_shot': 'medium',
    'few_shot': 'few',
    'worst_class': 'worst class',
    'harmonic_mean': 'harmonic mean',
    'seconds': 'seconds',
}
ALL = tuple(FIGURES)[:-1]
SCORES = (
    'last epoch',
    'best epoch on the test images',
    'published',
    'published, best epoch on the test images',
)
ABOUT = ('net', 'epochs', 'seeds', 'hardware', 'commit', 'command')
LEAGUES = {
    'A': 'league A: one ResNet-32 of 0.46 M parameters',
    'B': 'league B: a wide ResNet-32 or a ResNet-34',
    'C': 'league C: several experts',
    'none': 'outside the leagues',
}


def markdown(
    header: Sequence[str], rows: Iterable[Sequence[str]], figures: Sequence[str] | None = None
) -> str:
    """A table whose ``figures`` are aligned to the right; default: all columns but the first."""
    right = header[1:] if figures is None else figures
    rules = ['---:' if column in right else '---' for column in header]
    return '\n'.join(f'| {" | ".join(line)} |' for line in [header, rules, *rows])


def page_table(book: Book, name: str) -> str:
    """The table that the list describes under ``name``."""
    if name not in book.tables:
        raise ValueError(f'table: expected one of {", ".join(book.tables)}, got {name}')
    what = book.tables[name]
    if 'study' not in what:
        return _across(book, what)
    study = book.studies[what['study']]
    columns = what.get('columns', ALL)
    if 'pairs' in what:
        rows = [
            [label, *(study.methods[one].minus(study.methods[other], figure) for figure in columns)]
            for label, (one, other) in what['pairs'].items()
        ]
        return markdown(['', *(FIGURES[figure] for figure in columns)], rows)
    labels = what.get('rows') or {label: label for label in study.methods}
    header = ['method', *(_heading(study, column) for column in columns), *what.get('beside', {})]
    rows = []
    for shown, label in labels.items():
        method = study.methods[label]
        cells = [_cell(method, column, what.get('spread', 'deviation')) for column in columns]
        others = (beside.get(shown) for beside in what.get('beside', {}).values())
        cells += [study.methods[other].cell('top1') if other else '' for other in others]
        rows.append([shown, *cells])
    return markdown(header, rows)


def _across(book: Book, what: Mapping[str, Any]) -> str:
    """Methods that several studies have; for a pair of names, the first minus the second.

    A row of no name keeps its place without figures.
    """
    header = what['header'] + [heading for heading, *_ in what['columns']]
    rows = []
    for shown, names in what['rows'].items():
        names = names if isinstance(names, list) else [names]
        row = [shown]
        for _, data, *figures in what['columns']:
            methods = [book.method(name, data) for name in names]
            row.append(
                ', '.join(_cell_of(methods, figure, what['spread']) for figure in figures)
                if all(methods)
                else ''
            )
        rows.append(row)
    return markdown(header, rows, [heading for heading, *_ in what['columns']])


def _cell_of(methods: Sequence[Any], figure: str, spread: str) -> str:
    first, *second = methods
    return first.minus(*second, figure) if second else _cell(first, figure, spread)


def _heading(study: Study, column: str) -> str:
    if column == 'evaluations':
        courses = [method.evaluations() for method in study.methods.values()]
        return f'epochs {", ".join(map(str, next(filter(None, courses), {})))}'
    return FIGURES.get(column, column)


def _cell(method: Method, column: str, spread: str) -> str:
    if column == 'commit':
        return f'`{method.about["commit"]}`'
    if column == 'epochs':
        return str(method.about['epochs'])
    if column == 'seeds':
        return str(len(method.last))
    if column == 'evaluations':
        return ', '.join(f'{top:.1f}' for top in method.evaluations().values())
    return method.cell(column, spread)


def book_tables(book: Book) -> str:
    """A table for each study, under a heading for its data and league."""
    parts: dict[tuple[str, str], list[str]] = {}
    for study in book.studies.values():
        rows = [_book_row(label, method) for label, method in study.methods.items() if method.last]
        if rows:
            key = study.about['data'], study.about['league']
            parts.setdefault(key, []).append(_book_table(rows))
    return '\n\n'.join(
        '\n\n'.join([f'### {data}; {LEAGUES[league]}', *tables])
        for (data, league), tables in parts.items()
    )


def _book_table(rows: Sequence[Mapping[str, str]]) -> str:
    """Methods and their scores, below a line with what is the same for all of them."""
    same = [name for name in ABOUT if len({row[name] for row in rows}) == 1]
    header = [name for name in rows[0] if name not in same and any(row[name] for row in rows)]
    line = '; '.join(f'{name}: {rows[0][name]}' for name in same)
    table = markdown(header, [[row[name] for name in header] for row in rows], (*SCORES, 'seeds'))
    return f'{line[:1].upper()}{line[1:]}.\n\n{table}'


def _book_row(label: str, method: Method) -> dict[str, str]:
    about: Mapping[str, Any] = method.about
    published = [
        f'{about[key]} ({about["published_epochs"]} epochs)' if key in about else ''
        for key in ('published', 'published_best')
    ]
    scores = [method.cell('top1'), method.best(), *published]
    facts = [about['net'], str(about['epochs']), method.seeds(), about['hardware']]
    facts += [f'`{about[name]}`' for name in ('commit', 'command')]
    return {
        'method': label,
        **dict(zip(SCORES, scores, strict=True)),
        **dict(zip(ABOUT, facts, strict=True)),
    }


def unfinished(book: Book) -> str:
    """Runs that have begun, with their epoch and no figure."""
    rows = [
        [label, study.about['data'], study.about['net'], str(seed), f'{epoch} of {about["epochs"]}']
        + [f'`{about["commit"]}`', f'`{about["command"]}`']
        for study in book.studies.values()
        for label, method in study.methods.items()
        for about in [method.about]
        for seed, epoch in method.reached.items()
    ]
    if not rows:
        return 'None.'
    header = ['method', 'data', 'net', 'seed', 'epoch', 'commit', 'command']
    return markdown(header, rows, ['seed', 'epoch'])
