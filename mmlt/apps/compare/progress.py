"""What is shown while runs train: a bar below the table on a terminal, else a line for each run."""

from __future__ import annotations

from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from .processes import Task

__all__ = ['Shown']


class Shown:
    """The state of all runs, on stderr where that is a terminal.

    Nothing is drawn by a thread of its own, which a fork could catch holding a lock.

    Args:
        total: runs in all.
        done: runs that need no work.
    """

    def __init__(self, total: int, done: int) -> None:
        self.total, self.done = total, done
        self.shares: dict[Task, float] = {}
        columns = (
            TextColumn('{task.description}'),
            BarColumn(),
            TextColumn('{task.percentage:.0f} %'),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        console = Console(stderr=True, highlight=False)
        self._bar = Progress(*columns, auto_refresh=False, console=console)
        self._task = self._bar.add_task('', total=total, completed=done)
        self._table = ''
        self._live: Live | None = None
        if console.is_terminal:
            self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> Shown:
        if self._live is not None:
            self._live.start()
            self.refresh()
        return self

    def __exit__(self, *_: Any) -> None:
        if self._live is not None:
            self._live.stop()

    def line(self, text: str) -> None:
        """Print a line above what is shown."""
        if self._live is not None:
            self._live.console.print(text, markup=False, soft_wrap=True)
        else:
            print(text, flush=True)

    def table(self, text: str) -> None:
        """Show this table from now on."""
        self._table = text

    def share(self, task: Task, share: float) -> None:
        """A run has done this share of its training."""
        self.shares[task] = share

    def end(self, task: Task) -> None:
        """A run is over."""
        self.shares.pop(task, None)
        self.done += 1

    def refresh(self) -> None:
        """Draw."""
        if self._live is not None:
            part = sum(self.shares.values())
            names = ', '.join(task.name for task in self.shares)
            text = f'{self.done}/{self.total} runs; {names}'[:60]
            self._bar.update(self._task, completed=self.done + part, description=text)
            shown = [Text(self._table, no_wrap=True), Text('')] if self._table else []
            self._live.update(Group(*shown, self._bar), refresh=True)
