"""The scan of one file tells every kind of bad image apart, and waits for none of them."""

from __future__ import annotations

import io
import os
import struct
import time
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mmlt.apps.check.duplicates import BITS, MOST_BITS
from mmlt.apps.check.files import Settings, scan_file
from mmlt.apps.check.kinds import KINDS

CV2 = Settings(decoders=(('cv2', 'color'),))


def photograph(seed: int = 0, size: int = 96) -> Image.Image:
    """Smooth random colours, as unlike each other as photographs are."""
    pixels = np.random.default_rng(seed).integers(256, size=(7, 7, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def huge_png(side: int) -> bytes:
    """A PNG of a few bytes that announces ``side`` x ``side`` pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        crc = struct.pack('>I', zlib.crc32(kind + body))
        return struct.pack('>I', len(body)) + kind + body + crc

    header = struct.pack('>IIBBBBB', side, side, 8, 2, 0, 0, 0)
    parts = chunk(b'IHDR', header), chunk(b'IDAT', zlib.compress(b'\0' * 99)), chunk(b'IEND', b'')
    return b'\x89PNG\r\n\x1a\n' + b''.join(parts)


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


JPEG, PNG = saved(photograph(), 'JPEG'), saved(photograph(), 'PNG')
DEEP = Image.fromarray(np.full((9, 9), 40_000, np.uint16))
FLOAT = Image.fromarray(np.full((9, 9), 0.5, np.float32))
FRAMES = [photograph(seed) for seed in (1, 2)]
HDR = cv2.imencode('.hdr', np.ones((9, 9, 3), np.float32))[1].tobytes()


# Content of a file, and what is found in it.
CONTENTS = [
    (JPEG, []),
    (PNG, []),
    (saved(photograph().convert('L'), 'BMP'), []),
    (saved(photograph(), 'WEBP'), []),
    (saved(photograph(), 'JPEG', progressive=True, exif=exif(1)), []),
    (b'', ['empty']),
    (b'<!DOCTYPE html><html>404</html>', ['not_an_image']),
    (b'version https://git-lfs.github.com/spec/v1\n', ['not_an_image']),
    (JPEG[2:], ['not_an_image']),
    (b'\0' * 400, ['not_an_image']),
    (JPEG[:-20], ['truncated']),
    (JPEG[: len(JPEG) // 2], ['truncated']),
    (PNG[: len(PNG) // 2], ['truncated']),
    (PNG[:200] + b'damage' + PNG[206:], ['truncated']),
    (huge_png(16_000), ['too_large']),
    (huge_png(10_000), ['too_large']),
    (b'P6 16000 16000 255\n', ['too_large']),
    (saved(DEEP, 'PNG'), ['deep']),
    (saved(DEEP, 'TIFF'), ['deep']),
    (saved(FLOAT, 'TIFF'), ['decoder', 'deep']),  # cv2 has no 32 bits in colour
    (saved(photograph().quantize(), 'PNG'), ['palette']),
    (saved(photograph().convert('CMYK'), 'JPEG'), ['cmyk']),
    (saved(photograph().convert('RGBA'), 'PNG'), ['transparent']),
    (saved(photograph().convert('LA'), 'PNG'), ['transparent']),
    (saved(photograph(), 'JPEG', exif=exif(6)), ['rotated']),
    (saved(photograph(), 'PNG', exif=exif(3)), ['rotated']),
    (saved(Image.new('RGB', (1, 1)), 'PNG'), ['one_pixel']),
    (saved(Image.new('RGB', (40, 1)), 'JPEG'), ['one_pixel']),
    (saved(FRAMES[0], 'PNG', save_all=True, append_images=FRAMES[1:]), ['animated']),
    (HDR, ['other_format']),
    (saved(photograph(), 'SGI'), ['decoder']),
]


@pytest.mark.parametrize(('content', 'expected'), CONTENTS)
def test_kinds(tmp_path: Path, content: bytes, expected: list[str]) -> None:
    path = tmp_path / 'image'
    path.write_bytes(content)
    scanned = scan_file(str(path), CV2)
    assert [finding.kind for finding in scanned.findings] == expected
    assert set(expected) <= set(KINDS)
    assert (scanned.digest is None) == (content == b'')


def test_an_animated_gif_has_a_palette_too(tmp_path: Path) -> None:
    FRAMES[0].save(tmp_path / 'a.gif', save_all=True, append_images=FRAMES[1:])
    found = {finding.kind for finding in scan_file(str(tmp_path / 'a.gif'), CV2).findings}
    assert found == {'animated', 'palette'}


def test_a_healthy_format_needs_no_decoder_of_the_config(tmp_path: Path) -> None:
    (tmp_path / 'a').write_bytes(saved(photograph(), 'SGI'))
    assert scan_file(str(tmp_path / 'a'), Settings()).findings == ()
    (tmp_path / 'b').write_bytes(HDR)
    assert scan_file(str(tmp_path / 'b'), Settings()).findings[0].kind == 'not_an_image'


@pytest.mark.parametrize(
    ('decoded', 'said'),
    [
        (None, 'cv2: refuses it'),  # as OpenCV 5
        (np.zeros((2, 2, 3)), 'cv2: reads it in silence and makes up what is lost'),  # and before
    ],
)
def test_the_detail_says_which_decoder_a_fault_is_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoded: object, said: str
) -> None:
    monkeypatch.setattr('mmcv.imfrombytes', lambda content, flag, backend: decoded)
    (tmp_path / 'a').write_bytes(JPEG[:-20])
    (found,) = scan_file(str(tmp_path / 'a'), CV2).findings
    assert 'pillow: image file is truncated' in found.detail and found.detail.endswith(said)


def test_the_detail_of_a_format_that_the_decoder_does_not_know(tmp_path: Path) -> None:
    (tmp_path / 'b').write_bytes(saved(photograph(), 'SGI'))
    (found,) = scan_file(str(tmp_path / 'b'), CV2).findings
    assert found.detail == 'SGI, RGB; pillow reads it; cv2: refuses it'


def test_what_is_no_regular_file_is_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / 'pipe')
    (tmp_path / 'folder').mkdir()
    (tmp_path / 'link').symlink_to(tmp_path / 'gone')
    (tmp_path / 'loop').symlink_to(tmp_path / 'loop')
    start = time.monotonic()
    found = {
        name: scan_file(str(tmp_path / name), CV2).findings[0]
        for name in ('pipe', 'folder', 'link', 'loop', 'absent', 'a\0b', 'n' * 5000)
    }
    assert time.monotonic() - start < 1
    assert {name[:6]: finding.kind for name, finding in found.items()} == {
        'pipe': 'not_a_file',
        'folder': 'not_a_file',
        'link': 'missing',
        'loop': 'unreadable',
        'absent': 'missing',
        'a\0b': 'unreadable',
        'nnnnnn': 'unreadable',
    }
    assert found['pipe'].detail == 'a named pipe'
    assert found['link'].detail == 'a link that leads nowhere'


def test_a_bomb_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(image: Image.Image) -> None:
        raise AssertionError('decoded')

    monkeypatch.setattr('PIL.ImageFile.ImageFile.load', decode)
    (tmp_path / 'a').write_bytes(huge_png(10_000))
    (found,) = scan_file(str(tmp_path / 'a'), CV2).findings
    assert found.detail.startswith('10000 x 10000 pixels in ')
    (tmp_path / 'b').write_bytes(PNG)
    assert scan_file(str(tmp_path / 'b'), Settings(96 * 96 - 1)).findings[0].kind == 'too_large'


@pytest.mark.parametrize('change', ['quality', 'size', 'format'])
def test_pictures_that_look_alike_share_bits(tmp_path: Path, change: str) -> None:
    def looks(content: bytes) -> np.ndarray:
        (tmp_path / 'a').write_bytes(content)
        return np.frombuffer(scan_file(str(tmp_path / 'a'), CV2).looks, np.uint16)

    for seed in range(8):
        image = photograph(seed, 300)
        changed = {
            'quality': saved(image, 'JPEG', quality=40),
            'size': saved(image.resize((224, 224)), 'JPEG'),
            'format': saved(image, 'PNG'),
        }[change]
        kept, other = looks(saved(image, 'JPEG')), looks(saved(photograph(seed + 100), 'JPEG'))
        assert BITS[kept ^ looks(changed)].sum() <= MOST_BITS
        assert BITS[kept ^ other].sum() > 3 * MOST_BITS


def test_a_plain_surface_looks_like_nothing(tmp_path: Path) -> None:
    (tmp_path / 'a').write_bytes(saved(Image.new('RGB', (64, 64), 'white'), 'PNG'))
    assert scan_file(str(tmp_path / 'a'), CV2).looks is None
