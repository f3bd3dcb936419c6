"""How a program is stopped by a signal: safely, from its first instruction on.

Python itself dies of SIGTERM until somebody handles it, and the imports of our programs take one to three seconds. So
`ops/__main__.py` calls `listen` before it imports anything else; a command puts its own handlers in place once it holds
something that must be closed.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType

#: What asks a program to stop.
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
#: Exit code of a command that ctrl-C ended before it was done, as shells have it.
INTERRUPTED = 130
#: Verb → exit codes when it is stopped before it has begun: by SIGTERM or SIGHUP, by ctrl-C. For what runs until it is
#: stopped, that is success; what has an end of its own has not reached it. Verbs that are not here die of the signal,
#: as any program does.
EXIT_CODES: Mapping[str, tuple[int, int]] = {
    "worker": (0, 0),
    "notify": (0, 0),
    "lag-exporter": (0, 0),
    "canary": (0, 0),
    "watch": (0, 0),
    "consume": (0, 0),
    "up": (0, INTERRUPTED),
    "demo": (INTERRUPTED, INTERRUPTED),
    "chaos": (1, 1),
    "bench": (1, 1),
}
#: With it, a verb that runs until it is stopped has an end of its own.
ONCE = "--once"


def listen(arguments: Sequence[str]) -> None:
    """Handle every signal that stops the program which this command line (without the program's name) starts.

    Until the command replaces the handlers, a signal ends the process at once: nothing has begun. Whoever starts us
    with these signals blocked (`ops.embedded.guard`) can send them at any moment: from here on they are let through.
    """
    verb = arguments[0] if arguments else ""
    if verb in EXIT_CODES and ONCE not in arguments:
        by_term, by_int = EXIT_CODES[verb]

        def end(number: int, _frame: FrameType | None) -> None:
            # No exception: one that is raised amid an import may be caught by it, or leave a module half made.
            code = by_int if number == signal.SIGINT else by_term
            if code:
                os.write(2, b"interrupted; nothing is left running\n")
            os._exit(code)

        for number in stopping_signals():
            signal.signal(number, end)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def stopping_signals() -> Sequence[signal.Signals]:
    """`SIGNALS`, without SIGHUP where it is ignored: `nohup` started us, to outlive the terminal.

    SIGINT counts also where it is ignored: a shell starts whatever it runs in the background so.
    """
    return [each for each in SIGNALS if each != signal.SIGHUP or signal.getsignal(each) != signal.SIG_IGN]


@contextmanager
def calling(stop: Callable[[], object]) -> Iterator[None]:
    """In this block, SIGTERM and ctrl-C call `stop` and do nothing else: for a program that looks whether to go on.

    An exception from a signal handler is no way to end a program that reads Kafka: librdkafka's client loses one that
    is raised while it calls back.
    """
    with _handling((signal.SIGTERM, signal.SIGINT), lambda *_: stop()):
        yield


class Interrupt:
    """Interrupts a program that has no loop to look into, wherever its main thread is.

    Later signals call `again`, so that they do not interrupt what closes things; without it, they raise too.
    """

    def __init__(self, again: Callable[[], None] | None = None) -> None:
        #: The first signal. Set also where its exception got lost: Python drops one that is raised in a destructor.
        self.number: int | None = None
        self._again = again

    @contextmanager
    def raising(self) -> Iterator[None]:
        """In this block, a signal raises KeyboardInterrupt."""
        try:
            with _handling(stopping_signals(), self._handle):
                yield
        except SystemError:
            # What librdkafka's client raises for an exception that it has lost.
            if self.number is None:
                raise
            raise KeyboardInterrupt from None

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        first = self.number is None
        if first:
            self.number = number
        if first or self._again is None:
            raise KeyboardInterrupt
        self._again()


@contextmanager
def _handling(numbers: Sequence[signal.Signals], handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        for number in numbers:
            signal.signal(number, handler)
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)
