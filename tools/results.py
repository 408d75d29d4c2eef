"""Write the tables of figures in README.md and docs from the logs in docs/results/logs.

python tools/results.py
python tools/results.py --check

Pages hold ``<!-- table: NAME -->`` and ``<!-- end -->``; what stands between is replaced.
docs/results/logs/book.yml says what the logs are of.
"""

from __future__ import annotations

import argparse
import itertools
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from book.gpu import gpu_tables
from book.logs import ROOT, Book, read_book
from book.pairs import pair_tables
from book.recipes import not_run
from book.rehearsal import rehearsal_tables
from book.speed import speed_table
from book.tables import book_tables, page_table, unfinished

PAGES = ROOT / 'docs' / 'results'
METHODS = ROOT / 'docs' / 'methods'
OTHERS = (ROOT / 'README.md', ROOT / 'docs' / 'which_method.md')
BLOCK = re.compile(r'<!-- table: ([^\n]+?) -->\n.*?<!-- end -->', re.DOTALL)


def filled(text: str, book: Book) -> str:
    """The page with its tables.

    Args:
        text: the page.
        book: what the tables are made of.

    Raises:
        ValueError: if a marker names no table.
    """
    special = {
        'book': lambda: book_tables(book),
        'not run': not_run,
        'unfinished': lambda: unfinished(book),
        'gpu': gpu_tables,
        'speed': speed_table,
        **pair_tables(),
        **rehearsal_tables(),
    }

    def replace(found: re.Match[str]) -> str:
        name = found[1]
        table = special[name]() if name in special else page_table(book, name)
        return f'<!-- table: {name} -->\n\n{table}\n\n<!-- end -->'

    return BLOCK.sub(replace, text)


def bare_tables(text: str) -> list[str]:
    """First lines of tables that stand between no markers."""
    lines = BLOCK.sub('', text).split('\n')
    return [line for line, after in itertools.pairwise(lines) if after.startswith('| ---')]


def pages() -> Iterator[tuple[Path, str, str]]:
    """Each page: its file, what it says and what it should say."""
    book = read_book()
    paths = [*sorted(PAGES.glob('*.md')), *sorted(METHODS.glob('*.md')), *OTHERS]
    for path in paths:
        text = path.read_text(encoding='utf-8')
        yield path, text, filled(text, book)


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
