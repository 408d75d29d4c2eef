"""Code as README and the documentation show it."""

from __future__ import annotations

import re

from tests.conftest import REPOSITORY

PAGES = ['README.md', *sorted(str(p.relative_to(REPOSITORY)) for p in REPOSITORY.glob('docs/*.md'))]
PAGES += sorted(str(p.relative_to(REPOSITORY)) for p in REPOSITORY.glob('docs/methods/*.md'))


def python_blocks(page):
    """The Python blocks of a page, in their order."""
    text = (REPOSITORY / page).read_text(encoding='utf-8')
    return re.findall(r'^```python\n(.*?)^```', text, re.DOTALL | re.MULTILINE)
