"""Predict the classes of images with a trained model: the same as ``mmlt predict``."""

from __future__ import annotations

import sys

from mmlt.apps.predict import main

if __name__ == '__main__':
    sys.exit(main())
