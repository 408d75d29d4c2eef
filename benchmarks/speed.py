"""Every figure of docs/results/speed.md: the other benchmarks, each a few times.

python benchmarks/speed.py [--runs 3]

One thread on a CPU, 12 minutes. Each run of a script gives medians of its own repeats; the page has
the medians of the runs, and how far their ratios lie apart. The rows go to
docs/results/logs/speed.json, and tools/results.py makes the page of them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import car
import contrastive
import data_path
import device_views
import metric
import passes
import sampling
import semantic_labels
import torch
import training_step
from side_by_side import Row, commit

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / 'docs' / 'results' / 'logs' / 'speed.json'
# Script, options.
PARTS: tuple[tuple[Any, str], ...] = (
    (car, '--classes 1000 8142 --released-at 1000'),
    (semantic_labels, ''),
    (contrastive, ''),
    (data_path, ''),
    (data_path, '--prob 1'),
    (device_views, ''),
    (passes, ''),
    (training_step, ''),
    (sampling, ''),
    (metric, ''),
)


def processor() -> str:
    """Name of the CPU, as far as the system tells it."""
    known = Path('/proc/cpuinfo')
    lines = known.read_text(encoding='utf-8').splitlines() if known.is_file() else []
    names = [line.split(':', 1)[1].strip() for line in lines if line.startswith('model name')]
    return names[0] if names else platform.processor()


def gathered(runs: Sequence[Sequence[Row]], command: str) -> list[dict[str, Any]]:
    """Medians over the runs of one script.

    Args:
        runs: the rows of each run, in the same order.
        command: what printed them.
    """
    made = []
    for same in zip(*runs, strict=True):
        row, ratios = same[0], [row.ratio for row in same]
        plain = None if row.plain is None else statistics.median(row.plain for row in same)
        mmlt = statistics.median(row.mmlt for row in same)
        middle = None if None in ratios else statistics.median(ratios)
        spread = None if None in ratios else [min(ratios), max(ratios)]
        made.append(
            dict(
                what=row.what,
                size=row.size,
                plain=plain,
                mmlt=mmlt,
                unit=row.unit,
                ratio=middle,
                spread=spread,
                command=command,
            )
        )
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run all of them, write the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--runs', type=int, default=3)
    parser.add_argument('--out', type=Path, default=OUT)
    args = parser.parse_args(argv)
    rows = []
    for script, options in PARTS:
        command = f'{Path(script.__file__).name} {options}'.strip()
        runs = [script.main(options.split()) for _ in range(args.runs)]
        rows += gathered(runs, command)
    about = dict(
        processor=processor(),
        cores=os.cpu_count(),
        load=round(os.getloadavg()[0], 1),
        torch=torch.__version__,
        date=date.today().isoformat(),
        commit=commit(ROOT),
        runs=args.runs,
    )
    args.out.write_text(json.dumps({**about, 'rows': rows}, indent=1) + '\n', encoding='utf-8')
    print(f'{args.out}: written; python tools/results.py makes the page of it')
    return 0


if __name__ == '__main__':
    sys.exit(main())
