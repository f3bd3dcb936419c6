"""Progress of long steps: a bar on a terminal; elsewhere (a CI log) one line at the beginning and one at the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn, TransferSpeedColumn

#: Progress goes to stderr, so that `--json` on stdout stays readable by a program.
STDERR = Console(stderr=True)


@contextmanager
def bytes_progress(title: str, total_bytes: int, console: Console = STDERR) -> Iterator[Callable[[int], None]]:
    """Yield a function that takes the number of bytes just done; it may be called from several threads."""
    if not console.is_terminal:
        started = time.monotonic()
        console.print(f"{title}: fetching {total_bytes / 1e6:.0f} MB", highlight=False)
        yield lambda _: None
        console.print(f"{title}: fetched in {time.monotonic() - started:.0f} s", highlight=False)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    lock = threading.Lock()
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(title, total=total_bytes)

        def advance(count: int) -> None:
            with lock:
                progress.update(task, advance=count)

        yield advance


@contextmanager
def step(title: str, console: Console = STDERR) -> Iterator[None]:
    """Show a step that takes a few seconds, and afterwards how long it took."""
    started = time.monotonic()
    if not console.is_terminal:
        yield
        console.print(f"{title}: {time.monotonic() - started:.1f} s", highlight=False)
        return
    with Progress(SpinnerColumn(), TextColumn("{task.description}"), console=console, transient=True) as progress:
        progress.add_task(title, total=None)
        yield
    console.print(f"{title} [dim]({time.monotonic() - started:.1f} s)[/dim]", highlight=False)
