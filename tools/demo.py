"""Compare methods on long-tailed handwritten digits, on a CPU: one table and a report.

python tools/demo.py

It is ``mmlt compare tools/studies/demo.py``, and then ``mmlt report``.
Nothing is downloaded. Everything goes to work_dirs/demo, anew each time.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from flags import integer

STUDY = Path(__file__).resolve().parent / 'studies' / 'demo.py'
QUICK_EPOCHS = 2


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--seeds', type=integer(1), default=3, help='runs of each method')
    parser.add_argument('--jobs', type=integer(1), default=2, help='runs at a time')
    parser.add_argument(
        '--work-dir', type=Path, default=Path('work_dirs/demo'), help='folder for everything'
    )
    parser.add_argument(
        '--quick',
        action='store_true',
        help=f'only {QUICK_EPOCHS} epochs: does it run, not what does it reach',
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Train, print the table, write the report; returns the exit status."""
    args = parse_args(argv)
    start = time.monotonic()
    # The networks are too small for a GPU, or for several threads, to help.
    os.environ['CUDA_VISIBLE_DEVICES'] = ''
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    print('Importing MMPretrain ...', flush=True)
    from mmlt.apps import compare, report
    from mmlt.apps.compare.methods import find_methods

    options = ['--seeds', str(args.seeds), '--jobs', str(args.jobs), '--out', str(args.work_dir)]
    options += ['--epochs', str(QUICK_EPOCHS)] if args.quick else []
    status = compare.main([str(STUDY), *options, '--force'])
    if status == 0:
        methods = find_methods([STUDY])
        runs = [f'{one.label}={args.work_dir / one.name}' for one in methods]
        page = str(args.work_dir / 'report.html')
        if report.main([*runs, '--out', page, '--title', 'Long-tailed digits', '--force']) != 0:
            print('The table stands; only its page of charts is missing.')
        print(f'{time.monotonic() - start:.0f} s in all')
    return status


if __name__ == '__main__':
    sys.exit(main())
