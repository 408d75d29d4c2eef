"""The scan of one file: what it is, whether it decodes, and two fingerprints of it.

The file is opened only after ``stat`` has said that it is a regular one, read once, and decoded
only if its header announces a size within the limit.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import mmcv
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from mmlt.functional.checks import one_line

from .kinds import Finding

__all__ = ['Decoder', 'Scanned', 'Settings', 'scan_file']

MAX_BYTES = 1 << 30  # a larger file is not read: no image of a sensible number of pixels needs it
PLAIN = {('JPEG', 'RGB'), ('JPEG', 'L'), ('PNG', 'RGB'), ('PNG', 'L')}  # which every decoder reads
FLAT = 16  # grey levels; below, an image is a plain surface, which looks like any other
ORIENTATION = 0x0112  # tag of EXIF

Decoder = tuple[str, str]  # imdecode_backend and color_type of LoadImageFromFile


@dataclass(frozen=True)
class Settings:
    """How to scan.

    Args:
        max_pixels: images with more are not decoded.
        decoders: those that the config uses.
    """

    max_pixels: int = Image.MAX_IMAGE_PIXELS or 89_478_485
    decoders: tuple[Decoder, ...] = ()


@dataclass(frozen=True)
class Scanned:
    """What is known of one file.

    Args:
        findings: nothing for a healthy one.
        digest: 16 bytes that equal files share; None if it was not read.
        looks: 16 bytes of which similar pictures share most bits; None for a plain surface, or if
            it was not decoded.
    """

    findings: tuple[Finding, ...] = ()
    digest: bytes | None = None
    looks: bytes | None = None


def scan_file(path: str, settings: Settings) -> Scanned:
    """Look at one file.

    Args:
        path: of a local file.
        settings: limit and decoders.

    Returns:
        Findings and fingerprints. Nothing is raised: a file that cannot be read is a finding.
    """
    try:
        content = _read(path)
    except (OSError, ValueError) as error:
        return Scanned((Finding('unreadable', str(error)),))
    if isinstance(content, Finding):
        return Scanned((content,))
    digest = hashlib.blake2b(content, digest_size=16).digest()
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        findings, looks = _look(content, settings)
    return Scanned(tuple(findings), digest, looks)


def _read(path: str) -> bytes | Finding:
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return Finding('missing', 'a link that leads nowhere' if os.path.islink(path) else '')
    # Should a pipe take the place of the file just now, it is not waited for.
    fault = _unfit(status)
    if fault is not None:
        return fault
    with open(os.open(path, os.O_RDONLY | getattr(os, 'O_NONBLOCK', 0)), 'rb') as file:
        status = os.fstat(file.fileno())
        return _unfit(status) or file.read(status.st_size)


def _unfit(status: os.stat_result) -> Finding | None:
    if not stat.S_ISREG(status.st_mode):
        return Finding('not_a_file', FILE_TYPES.get(stat.S_IFMT(status.st_mode), 'not a file'))
    if status.st_size == 0:
        return Finding('empty')
    if status.st_size > MAX_BYTES:
        return Finding('too_large', f'{status.st_size / 1e9:.1f} GB, not read')
    return None


FILE_TYPES = {
    stat.S_IFDIR: 'a folder',
    stat.S_IFIFO: 'a named pipe',
    stat.S_IFSOCK: 'a socket',
    stat.S_IFCHR: 'a device',
    stat.S_IFBLK: 'a device',
}


def _look(content: bytes, settings: Settings) -> tuple[list[Finding], bytes | None]:
    """Findings in the bytes of a file, and the fingerprint of the picture."""
    try:
        image = Image.open(io.BytesIO(content))
    except Image.DecompressionBombError as error:
        return [Finding('too_large', str(error).split(',')[0])], None
    except UnidentifiedImageError:
        readers = [name for name, reason in _tried(content, settings.decoders) if not reason]
        if readers:
            return [Finding('other_format', f'{", ".join(readers)} reads it')], None
        return [Finding('not_an_image', _resembles(content))], None
    except Exception as error:  # decoders raise whatever a damaged header leads them to
        return [Finding('truncated', _refusals('pillow', error, content, settings))], None
    width, height = image.size
    if width * height > settings.max_pixels:
        return [Finding('too_large', f'{width} x {height} pixels in {len(content)} bytes')], None
    plain = (image.format or '', image.mode) in PLAIN
    findings = list(_oddities(image))
    try:
        # A JPEG is read to its end, but only as many pixels are made as the fingerprint needs.
        image.draft('L', (144, 144))
        image.load()
    except Exception as error:  # decoders raise errors of every kind
        return [Finding('truncated', _refusals('pillow', error, content, settings))], None
    findings += _turned(image)
    if not plain:
        refusals = [f'{n}: {why}' for n, why in _tried(content, settings.decoders) if why]
        if refusals:
            detail = f'{image.format}, {image.mode}; pillow reads it; {"; ".join(refusals)}'
            return [Finding('decoder', detail), *findings], _fingerprint(image)
    return findings, _fingerprint(image)


def _oddities(image: Image.Image) -> Iterator[Finding]:
    """What the header says that may surprise; the image is not decoded."""
    mode, size = image.mode, f'{image.size[0]} x {image.size[1]}'
    if min(image.size) == 1:
        yield Finding('one_pixel', size)
    if mode.startswith(('I', 'F')):
        yield Finding('deep', f'mode {mode} of pillow')
    if mode in ('P', 'PA'):
        yield Finding('palette')
    if mode == 'CMYK':
        yield Finding('cmyk')
    if mode in ('RGBA', 'LA', 'PA', 'RGBa', 'La') or 'transparency' in image.info:
        yield Finding('transparent', f'mode {mode} of pillow')
    try:
        # A JPEG of a camera may hold a preview as its second picture.
        frames = image.format != 'MPO' and getattr(image, 'is_animated', False)
    except Exception:  # a damaged second frame does not matter
        frames = False
    if frames:
        yield Finding('animated', f'{image.format}')


def _turned(image: Image.Image) -> Iterator[Finding]:
    try:
        orientation = image.getexif().get(ORIENTATION, 1)
    except Exception:  # damaged EXIF is ignored by decoders too
        return
    if orientation in range(2, 9):
        yield Finding('rotated', f'orientation {orientation}')


def _fingerprint(image: Image.Image) -> bytes | None:
    """Whether a coarse picture gets brighter to the right and downwards, at 64 places each."""
    grey = image.convert('L').resize((9, 9), Image.Resampling.BOX)
    levels: NDArray[np.int16] = np.asarray(grey, dtype=np.int16)
    if int(levels.max()) - int(levels.min()) < FLAT:
        return None
    right = levels[:8, 1:] > levels[:8, :-1]
    down = levels[1:, :8] > levels[:-1, :8]
    return np.packbits([right, down]).tobytes()


def _tried(content: bytes, decoders: tuple[Decoder, ...]) -> Iterator[tuple[str, str]]:
    """Name of each decoder other than pillow, and why it refuses; empty if it does not."""
    for backend, flag in decoders:
        if backend == 'pillow':
            continue
        try:
            decoded = mmcv.imfrombytes(content, flag=flag, backend=backend)
            yield backend, '' if decoded is not None and decoded.size else 'refuses it'
        except Exception as error:  # decoders raise errors of every kind
            yield backend, one_line(error)


def _refusals(name: str, error: Exception, content: bytes, settings: Settings) -> str:
    parts = [f'{name}: {one_line(error)}']
    for backend, reason in _tried(content, settings.decoders):
        parts.append(f'{backend}: {reason or "reads it in silence and makes up what is lost"}')
    return '; '.join(parts)


# What is often saved under the name of an image. Bytes at the start of the file.
RESEMBLANCES = (
    (b'version https://git-lfs', 'a pointer of Git LFS: git lfs pull'),
    (b'<?xml', 'XML or SVG'),
    (b'<svg', 'SVG'),
    (b'<', 'a page of HTML, as a failed download leaves it'),
    (b'{', 'JSON'),
    (b'%PDF', 'PDF'),
    (b'PK\x03\x04', 'a zip archive'),
    (b'\x1f\x8b', 'a gzip file'),
    (b'\x00' * 16, 'zeros'),
)


def _resembles(content: bytes) -> str:
    start = content[:64].lstrip()
    if content[4:8] == b'ftyp':
        return 'HEIC, AVIF or a video'
    for signature, text in RESEMBLANCES:
        if content.startswith(signature) or start.startswith(signature):
            return text
    return f'begins with {content[:12]!r}'
