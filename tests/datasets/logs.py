"""Records of MMEngine's logger, which does not pass them on to the root logger."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from mmengine.logging import MMLogger


@contextmanager
def mmengine_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Let ``caplog`` see what MMEngine logs."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(caplog.handler)
    try:
        yield
    finally:
        logger.removeHandler(caplog.handler)
        logger.setLevel(level)
