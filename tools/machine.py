"""What the launcher and the preflight share; nothing big is imported, as both start with it."""

from __future__ import annotations

import os

__all__ = ['FAULTY', 'cpu_cores']

FAULTY = 2
"""Exit status of a rank that has said itself what is wrong."""


def cpu_cores() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
