"""Tools are scripts, not a package: import one by its path below ``tools/``."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
TOOLS, BENCHMARKS = REPOSITORY / 'tools', REPOSITORY / 'benchmarks'


def load_tool(path):
    """Module of ``tools/<path>``, or of ``benchmarks/...``."""
    name = f'mmlt_tool_{Path(path).stem}'
    if path.startswith('benchmarks/') and str(BENCHMARKS) not in sys.path:
        sys.path.append(str(BENCHMARKS))  # the benchmarks import each other
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(
        name, (REPOSITORY if path.startswith('benchmarks/') else TOOLS) / path
    )
    module = importlib.util.module_from_spec(spec)
    # Data classes look their module up by name.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
