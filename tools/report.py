"""Show what runs are worth, class by class, in one HTML file: the same as ``mmlt report``."""

from __future__ import annotations

import sys

from mmlt.apps.report import main

if __name__ == '__main__':
    sys.exit(main())
