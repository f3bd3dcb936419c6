"""A small program between a parent and its child process, so that the child never outlives the parent, even killed.

    python -I -S guard.py PARENT_PID GRACE_SECONDS normal|background open|blocked COMMAND…

It imports nothing of this project and is run by path. When the parent is gone, it sends the child SIGTERM and, after
the grace, SIGKILL; should the guard itself be killed, the kernel kills the child (PR_SET_PDEATHSIG).

Why a process: PR_SET_PDEATHSIG alone is bound to the *thread* that started the child, which in our programs is often
one of a pool that ends long before the process; and setting it needs code between fork and exec, which is not safe in a
program with threads. The guard has one thread and lives as long as the child, so here it is both safe and lasting.
The parent is watched by its process id: a pipe would stay open as long as any forked process held a copy of it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time

PR_SET_PDEATHSIG = 1
#: Seconds between checks that the parent lives. Larger: an orphan runs on for longer. Smaller: an idle machine is woken
#: more often.
LOOK_S = 0.25
#: The signals that wake the guard: its child ended, or somebody wants it to end.
SIGNALS = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
#: What a child that is started with its signals blocked lets through itself (ops/system/stopping.py).
LET_THROUGH_BY_CHILD = SIGNALS - {signal.SIGCHLD}


def _tie_to(guard: int, opened: set[signal.Signals]) -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # The guard may have died before the line above took effect; then nobody would send that signal.
    if os.getppid() != guard:
        os._exit(1)
    # The mask is inherited through exec, and most programs would stay deaf to SIGTERM.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, opened)


def _yield_to_others() -> None:
    """Give every other process priority over this one; the child inherits what is set here."""
    # A niceness of 10 is a tenth of the processor beside a normal process that wants all of it. Linux derives the
    # priority for the disk from it too, as long as none is set by ionice.
    # With autogroups (the kernel's default) niceness counts only among processes of one session: that is why the guard
    # is put in a process group of its own and not, as would be simpler, in a session of its own.
    os.nice(10)
    # A batch process never preempts one that just woke: a normal worker with a new event runs at once.
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    # If memory runs out, the kernel shall kill this process rather than one of normal priority.
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("300")


def _signal_group(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(child.pid, number)
    except ProcessLookupError:
        return


def _wait(seconds: float) -> int | None:
    info = signal.sigtimedwait(SIGNALS, seconds)
    return None if info is None else info.si_signo


def _end(child: subprocess.Popen[bytes], grace_s: float) -> None:
    deadline = time.monotonic() + grace_s
    _signal_group(child, signal.SIGTERM)
    # A child stopped by SIGSTOP takes its SIGTERM only once it runs again.
    _signal_group(child, signal.SIGCONT)
    while child.poll() is None and time.monotonic() < deadline:
        _wait(LOOK_S)
    _signal_group(child, signal.SIGKILL)
    child.wait()


def main(arguments: list[str]) -> int:
    """Run the child to its end; its exit code, or 128 + the number of the signal that ended it, is ours."""
    parent, grace_s = int(arguments[0]), float(arguments[1])
    priority, signals, command = arguments[2], arguments[3], arguments[4:]
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    if os.getppid() != parent:
        return 1
    if priority == "background":
        _yield_to_others()
    guard = os.getpid()
    opened = SIGNALS - LET_THROUGH_BY_CHILD if signals == "blocked" else SIGNALS
    try:
        # One thread here, so code between fork and exec is safe.
        child = subprocess.Popen(command, preexec_fn=lambda: _tie_to(guard, opened), process_group=0, stdout=sys.stderr)
    except OSError as error:
        sys.stderr.write(f"{command[0]} cannot be started: {error.strerror}\n")
        return 127
    # The parent reads one line: the process id to pause or to kill.
    os.write(1, f"{child.pid}\n".encode())
    os.close(1)
    while child.poll() is None:
        if _wait(LOOK_S) not in (None, signal.SIGCHLD) or os.getppid() != parent:
            _end(child, grace_s)
    # Kills what the child started and left behind in its process group.
    _signal_group(child, signal.SIGKILL)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
