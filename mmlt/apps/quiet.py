"""Silence for notes that nobody asked for."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.logging import MMLogger

__all__ = ['quiet_logs']


@contextmanager
def quiet_logs(*names: str) -> Iterator[None]:
    """Only errors of MMEngine's logger, and of those with these names, are printed.

    Networks log their layers while they are built, and exporters what they skip.
    """
    loggers = [MMLogger.get_current_instance(), *map(logging.getLogger, names)]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
