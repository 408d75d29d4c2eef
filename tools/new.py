"""Make a project out of a folder of images: the same as ``mmlt new``."""

from __future__ import annotations

import sys

from mmlt.apps.new import main

if __name__ == '__main__':
    sys.exit(main())
