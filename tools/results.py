"""Write the tables of figures in README.md and docs from the logs in docs/results/logs.

python tools/results.py
python tools/results.py --check

Pages hold ``<!-- table: NAME -->`` and ``<!-- end -->``; what stands between is replaced. A table
of docs/results without a log stands between ``<!-- typed: WHAT -->`` and ``<!-- end -->`` and is
left as it is; index.md lists it. docs/results/logs/book.yml says what the logs are of.
"""

from __future__ import annotations

import argparse
import itertools
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from book.gpu import gpu_tables
from book.logs import ROOT, Book, read_book
from book.recipes import not_run
from book.rehearsal import rehearsal_tables
from book.speed import speed_table
from book.tables import book_tables, markdown, page_table, unfinished

PAGES = ROOT / 'docs' / 'results'
METHODS = ROOT / 'docs' / 'methods'
OTHERS = (ROOT / 'README.md', ROOT / 'docs' / 'which_method.md')
BLOCK = re.compile(r'<!-- (table|typed): ([^\n]+?) -->\n(.*?)<!-- end -->', re.DOTALL)


def filled(text: str, book: Book, typed: Mapping[str, Sequence[str]]) -> str:
    """The page with its tables.

    Args:
        text: the page.
        book: what the tables are made of.
        typed: page to names of its tables that have no log.

    Raises:
        ValueError: if a marker names no table.
    """
    special = {
        'book': lambda: book_tables(book),
        'not run': not_run,
        'unfinished': lambda: unfinished(book),
        'gpu': gpu_tables,
        'speed': speed_table,
        **rehearsal_tables(),
        'typed': lambda: _typed_tables(typed),
    }

    def replace(found: re.Match[str]) -> str:
        kind, name, content = found.groups()
        if kind == 'table':
            table = special[name]() if name in special else page_table(book, name)
            content = f'\n{table}\n\n'
        return f'<!-- {kind}: {name} -->\n{content}<!-- end -->'

    return BLOCK.sub(replace, text)


def bare_tables(text: str) -> list[str]:
    """First lines of tables that stand between no markers."""
    lines = BLOCK.sub('', text).split('\n')
    return [line for line, after in itertools.pairwise(lines) if after.startswith('| ---')]


def _typed_tables(typed: Mapping[str, Sequence[str]]) -> str:
    rows = [[f'[{page}]({page})', '; '.join(names)] for page, names in typed.items() if names]
    return markdown(['page', 'tables'], rows, [])


def pages() -> Iterator[tuple[Path, str, str]]:
    """Each page: its file, what it says and what it should say."""
    book = read_book()
    paths = [*sorted(PAGES.glob('*.md')), *sorted(METHODS.glob('*.md')), *OTHERS]
    texts = {path: path.read_text(encoding='utf-8') for path in paths}
    typed = {
        path.name: [name for kind, name, _ in BLOCK.findall(text) if kind == 'typed']
        for path, text in texts.items()
        if path.parent == PAGES
    }
    for path, text in texts.items():
        yield path, text, filled(text, book, typed)


def main(argv: Sequence[str] | None = None) -> int:
    """Write what has changed, or with ``--check`` say it; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--check', action='store_true', help='write nothing, fail on a difference')
    args = parser.parse_args(argv)
    try:
        changed = [(path, after) for path, before, after in pages() if after != before]
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    for path, text in changed:
        print(f'{path.relative_to(ROOT)}: {"differs from its logs" if args.check else "written"}')
        if not args.check:
            path.write_text(text, encoding='utf-8')
    return int(args.check and bool(changed))


if __name__ == '__main__':
    sys.exit(main())
