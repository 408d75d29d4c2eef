"""Write a trained model for other programs: the same as ``mmlt export``."""

from __future__ import annotations

import sys

from mmlt.apps.export import main

if __name__ == '__main__':
    sys.exit(main())
