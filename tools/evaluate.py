"""Judge a checkpoint on its rare classes: the same as ``mmlt evaluate``."""

from __future__ import annotations

import sys

from mmlt.apps.evaluate import main

if __name__ == '__main__':
    sys.exit(main())
