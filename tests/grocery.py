"""34 classes of fruit and vegetables in shops, which the repository does not hold.

They lie in a folder of data beside it, or where MMLT_GROCERY34 says; tests skip without them.
"""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

BESIDE = Path(__file__).resolve().parents[2] / 'shared' / 'data' / 'grocery34'


def images_of(names: list[str], split: str = 'test') -> dict[str, list[NDArray[np.uint8]]]:
    """All images of some classes, BGR; skips the test where the photographs are not at hand."""
    path = Path(os.environ.get('MMLT_GROCERY34', BESIDE)) / f'{split}.npz'
    if not path.is_file():
        pytest.skip(f'the photographs are not here: {path.name} in MMLT_GROCERY34')
    packed = np.load(path)
    bytes_, ends, labels = packed['blob'], packed['offsets'], packed['labels']
    found: dict[str, list[NDArray[np.uint8]]] = {}
    for name in names:
        wanted = np.flatnonzero(labels == packed['classes'].tolist().index(name))
        found[name] = [cv2.imdecode(bytes_[ends[i] : ends[i + 1]], 1) for i in wanted]
    return found
