"""Look through the images of a config before training: the same as ``mmlt check``."""

from __future__ import annotations

import sys

from mmlt.apps.check import main

if __name__ == '__main__':
    sys.exit(main())
