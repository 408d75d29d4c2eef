"""Keep what a network makes of images, so that heads train in seconds: ``mmlt features``."""

from __future__ import annotations

import sys

from mmlt.apps.features import main

if __name__ == '__main__':
    sys.exit(main())
