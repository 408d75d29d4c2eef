"""Show what a recipe feeds to its model: the same as ``mmlt browse``."""

from __future__ import annotations

import sys

from mmlt.apps.browse import main

if __name__ == '__main__':
    sys.exit(main())
