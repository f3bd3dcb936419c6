"""`python -m tests.fuzz`: mutated inputs of every kind, in processes that are watched; one JSON object at the end."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import click

from tests.fuzz.child import NUMBER, finding, take
from tests.fuzz.targets import LIMITS, SHARES

#: Inputs that one process takes: what a library loses meanwhile goes with it.
PER_PROCESS = 20_000
#: Findings of one target after which it is stopped: they are most likely one.
ENOUGH = 25
LOOK_S = 0.2
#: Seconds for imports and the first input, on a machine that does much else.
START_S = 180.0


@dataclass(slots=True)
class Report:
    """What became of the inputs of one target."""

    inputs: int = 0
    became: Counter[str] = field(default_factory=Counter)
    findings: list[dict[str, Any]] = field(default_factory=list)
    mib: int = 0
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """For the summary."""
        return {
            "inputs": self.inputs,
            "became": dict(self.became.most_common()),
            "findings": len(self.findings),
            "mib": self.mib,
            "seconds": self.seconds,
        }


@dataclass(slots=True)
class Campaign:
    """All targets, in stretches that may run side by side; a finding is written down when it is made."""

    seed: int
    failures: Path
    reports: dict[str, Report]

    def run(self, counts: dict[str, int], jobs: int) -> None:
        """Run so many inputs of each target."""
        stretches = ([(name, first) for first in range(0, count, PER_PROCESS)] for name, count in counts.items())
        # In turn, so that a run which is stopped has seen something of everything.
        turns = [each for turn in zip_longest(*stretches) for each in turn if each is not None]
        with ThreadPoolExecutor(jobs) as threads:
            for name, first in turns:
                threads.submit(self._stretch, name, first, min(counts[name], first + PER_PROCESS))

    def _stretch(self, name: str, first: int, end: int) -> None:
        report, began = self.reports[name], time.monotonic()
        try:
            while first < end and len(report.findings) < ENOUGH:
                first = self._process(report, name, first, end)
        except Exception as error:  # a thread's own would be lost
            report.findings.append(finding(name, self.seed, first, "fuzzer", f"{type(error).__name__} {error}"))
        report.seconds = round(report.seconds + time.monotonic() - began, 1)
        click.echo(f"{name}: {report.inputs} inputs, {len(report.findings)} findings", err=True)

    def _process(self, report: Report, name: str, first: int, end: int) -> int:
        """Run the inputs from `first` up to `end` in one process; the number with which to go on."""
        with tempfile.TemporaryDirectory(prefix="vigia-fuzz-") as folder:
            progress = Path(folder, "progress")
            progress.write_bytes(NUMBER.pack(first - 1))
            command = [sys.executable, "-m", "tests.fuzz.child", name, str(self.seed), str(first), str(end - first)]
            with Path(folder, "output").open("w+b") as output:
                child = subprocess.Popen([*command, str(progress)], stdout=output, stderr=subprocess.DEVNULL)
                try:
                    hangs = _hangs(child, progress)
                finally:
                    child.kill()
                    child.wait()
                output.seek(0)
                said = [json.loads(line) for line in output if line.endswith(b"}\n")]
            (at,) = NUMBER.unpack(progress.read_bytes())
        self._found(report, [each for each in said if "kind" in each])
        for done in (each for each in said if "became" in each):
            report.inputs += done["inputs"]
            report.became.update(done["became"])
            report.mib = max(report.mib, done["mib"])
            return end
        kind, detail = ("hang", f"{LIMITS.wall_s:.0f} s") if hangs else ("crash", f"exit code {child.returncode}")
        self._found(report, [finding(name, self.seed, max(first, at), kind, detail)])
        report.inputs += max(first, at) + 1 - first
        return max(first, at) + 1

    def _found(self, report: Report, findings: list[dict[str, Any]]) -> None:
        for each in findings:
            report.findings.append(each)
            self.failures.mkdir(parents=True, exist_ok=True)
            path = self.failures / f"{each['target']}-{each['seed']}-{each['number']}-{each['kind']}.json"
            path.write_text(json.dumps(each, indent=2, ensure_ascii=False) + "\n", "utf-8")


def _hangs(child: subprocess.Popen[bytes], progress: Path) -> bool:
    """Wait until the process ends, or stands still for too long: whether it does."""
    at, since, patience = progress.read_bytes(), time.monotonic(), START_S
    while child.poll() is None:
        time.sleep(LOOK_S)
        now = progress.read_bytes()
        if now != at:
            at, since, patience = now, time.monotonic(), LIMITS.wall_s
        elif time.monotonic() - since > patience:
            return True
    return False


@click.command()
@click.option("--inputs", default=1_000_000, show_default=True, type=click.IntRange(min=len(SHARES)), help="In all.")
@click.option("--seed", type=int, help="The same seed gives the same inputs; printed. Default: of the clock.")
@click.option("--target", "names", multiple=True, type=click.Choice(list(SHARES)), help="Only this one; repeatable.")
@click.option(
    "--failures", default=Path(".vigia/fuzz"), show_default=True, type=click.Path(path_type=Path), help="Written here."
)
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(min=1), help="Processes at the same time.")
@click.option("--replay", type=click.Path(path_type=Path, exists=True), help="Run the input of such a file again.")
def main(inputs: int, seed: int | None, names: tuple[str, ...], failures: Path, jobs: int, replay: Path | None) -> None:
    """Let mutated inputs be read by all that reads what others write. Exit code 1 where something went wrong."""
    if replay is not None:
        told = json.loads(replay.read_text("utf-8"))
        done = take(told["target"], told["seed"], range(told["number"], told["number"] + 1))
        click.echo(json.dumps(done, indent=2))
        sys.exit(1 if done["findings"] else 0)
    seed = time.time_ns() % 2**32 if seed is None else seed
    click.echo(f"seed {seed}", err=True)
    chosen = {name: SHARES[name] for name in names or SHARES}
    campaign, began = Campaign(seed, failures, {name: Report() for name in chosen}), time.monotonic()
    reports = campaign.reports
    campaign.run({name: max(1, inputs * share // sum(chosen.values())) for name, share in chosen.items()}, jobs)
    findings = [each for report in reports.values() for each in report.findings]
    kinds = Counter(each["kind"] for each in findings)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    summary = {
        "seed": seed,
        "inputs": sum(report.inputs for report in reports.values()),
        "crashes": kinds["crash"],
        "hangs": kinds["hang"],
        "undocumented": len(findings) - kinds["crash"] - kinds["hang"],
        "minutes": round((time.monotonic() - began) / 60, 1),
        "processor_minutes": round((used.ru_utime + used.ru_stime) / 60, 1),
        "nice": os.nice(0),
        "targets": {name: report.as_json() for name, report in reports.items()},
        "findings": findings,
    }
    click.echo(json.dumps(summary, indent=2, ensure_ascii=False))
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()
