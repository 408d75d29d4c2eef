"""Small pictures inside the HTML file."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from PIL import Image, ImageOps

__all__ = ['thumbnail']

SIDE = 84  # pixels
_LARGEST = 64 * 1024 * 1024  # bytes of a file that is opened


def thumbnail(path: str) -> str | None:
    """An image as a data URI (JPEG), or None where it cannot be read.

    Args:
        path: of an image file; '' is None.
    """
    if not path:
        return None
    try:
        if Path(path).stat().st_size > _LARGEST:
            return None
        with Image.open(path) as opened:
            opened.draft('RGB', (2 * SIDE, 2 * SIDE))
            # As it is looked at: cameras note how they were held.
            image = ImageOps.exif_transpose(opened).convert('RGB')
    except Exception:  # decoders raise errors of every kind
        return None
    scale = SIDE / max(image.size)
    size = max(round(image.width * scale), 1), max(round(image.height * scale), 1)
    small = image.resize(size, Image.Resampling.NEAREST if scale > 2 else Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, 'JPEG', quality=80)
    return 'data:image/jpeg;base64,' + base64.b64encode(buffer.getvalue()).decode('ascii')
