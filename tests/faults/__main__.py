"""Faults on purpose, and what became of the runs: the figures of docs/reliability.md.

python -m tests.faults kills --count 100        random SIGKILLs, one and two processes
python -m tests.faults writes --count 60        kills inside of a write of checkpoints
python -m tests.faults attacks --python A B     hostile checkpoints, on each environment
python -m tests.faults changes                  resumes with something changed
python -m tests.faults soak --minutes 60        memory and open files of a long run
python -m tests.faults options --count 8        bad values of every option
python -m tests.faults images                   bad files of every kind
python -m tests.faults tables                   the tables of the page, from all of these

Run it in the root of the repository, with ``tools`` on PYTHONPATH. Each writes
``docs/results/logs/faults/NAME.json``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.faults import tables

ROOT = Path(__file__).resolve().parents[2]
MEASURES = ('kills', 'writes', 'attacks', 'changes', 'soak', 'options', 'images')


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('what', choices=[*MEASURES, 'tables'])
    parser.add_argument(
        '--count', type=int, help='kills: 100, or 60 inside of a write; values of an option: 8'
    )
    parser.add_argument('--ranks', type=int, nargs='+', default=[1, 2], help='of random kills')
    parser.add_argument('--seed', type=int, default=0, help='of the moments and the bytes')
    parser.add_argument('--minutes', type=float, default=60, help='of the soak')
    parser.add_argument(
        '--python', nargs='+', default=[sys.executable], help='an interpreter of each environment'
    )
    parser.add_argument('--out', type=Path, default=tables.FIGURES, help='folder of the figures')
    args = parser.parse_args(argv)
    if args.what == 'tables':
        tables.write(args.out)
        return
    began = time.time()
    with tempfile.TemporaryDirectory() as name:
        figures = _measure(args, Path(name))
    figures.update(
        commit=_git('rev-parse', '--short', 'HEAD'),
        changed_files=bool(_git('status', '--porcelain', '--', 'mmlt', 'tools', 'configs')),
        date=time.strftime('%Y-%m-%d', time.gmtime(began)),
        seconds=round(time.time() - began),
    )
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / f'{args.what}.json'
    path.write_text(json.dumps(figures, indent=1) + '\n', encoding='utf-8')
    print(path)


def _measure(args: argparse.Namespace, folder: Path) -> dict:
    # Imported here, since each imports the whole stack.
    if args.what == 'attacks':
        from tests.faults import attacks

        return attacks.measure(args.python)
    if args.what in ('options', 'images'):
        from tests.faults import inputs

        return inputs.options(args.count or 8) if args.what == 'options' else inputs.images(folder)
    from tests.faults import processes

    processes.warm_up()
    if args.what == 'kills':
        from tests.faults import kills

        return kills.measure(folder, args.count or 100, args.seed, tuple(args.ranks))
    if args.what == 'writes':
        from tests.faults import writes

        return writes.measure(folder, args.count or 60, args.seed)
    if args.what == 'changes':
        from tests.faults import changes

        return changes.measure(folder)
    from tests.faults import soak

    return soak.measure(folder, args.minutes)


def _git(*arguments: str) -> str:
    done = subprocess.run(['git', *arguments], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip()


if __name__ == '__main__':
    main()
