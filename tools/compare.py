"""Train methods with several seeds and compare them: the same as ``mmlt compare``."""

from __future__ import annotations

import sys

from mmlt.apps.compare import main

if __name__ == '__main__':
    sys.exit(main())
