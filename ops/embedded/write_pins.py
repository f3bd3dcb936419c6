"""Writes `*.pins.txt` again after a version below was changed: `python -m ops.embedded.write_pins`.

Roots are resolved one by one: jgo applies every root's dependency management to all of them, and log4j's would put
kafka-clients 3.9 under Kafka 4.2.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

from ops.embedded.fetch import maven_context
from ops.embedded.pins import PinnedFile

#: Programs as class paths: their root artifacts, whose dependencies are resolved. The first root's version is the
#: program's.
CLASS_PATHS: Mapping[str, Sequence[str]] = {
    # Without the log4j binding Kafka logs nothing at all.
    "kafka": ("org.apache.kafka:kafka_2.13:4.2.2", "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4"),
}
#: Other releases of Kafka that `vigia chaos --kafka` can start: one of each line since 4.0.
OTHER_KAFKAS = ("4.0.1", "4.1.2", "4.3.1", "4.4.0")
#: Programs that come as one archive: (group, artifact, version, classifier, packaging).
ARCHIVES: Mapping[str, tuple[str, str, str, str, str]] = {
    "registry": ("io.apicurio", "apicurio-registry-app", "3.3.3", "all", "tar.gz"),
}
HEADER = (
    "# Written by `python -m ops.embedded.write_pins`.  group:artifact:version:classifier:packaging  bytes  sha256\n"
)


def main() -> None:
    """Resolve, download to a scratch folder, hash, and write `*.pins.txt` beside this module."""
    here = Path(__file__).parent
    with tempfile.TemporaryDirectory() as scratch:
        context = maven_context(Path(scratch))
        for name, roots in CLASS_PATHS.items():
            _write(here / f"{name}.pins.txt", _class_path(context, roots))
        for version in OTHER_KAFKAS:
            roots = (f"org.apache.kafka:kafka_2.13:{version}", *CLASS_PATHS["kafka"][1:])
            _write(here / f"kafka-{version}.pins.txt", _class_path(context, roots))
        for name, (group, artifact, version, classifier, packaging) in ARCHIVES.items():
            archive = context.project(group, artifact).at_version(version).artifact(classifier, packaging)
            _write(here / f"{name}.pins.txt", [archive])


def _class_path(context: Any, roots: Sequence[str]) -> list[Any]:
    found: dict[tuple[str, str], Any] = {}
    for root in roots:
        inputs, transitive = context.resolver.resolve([context.create_dependency(root)])
        for dependency in (*inputs, *transitive):
            artifact = dependency.artifact
            # The first root wins: the version that the program itself asks for, not that of an addition.
            found.setdefault((artifact.groupId, artifact.artifactId), artifact)
    head, *rest = found.values()
    return [head, *sorted(rest, key=lambda artifact: (artifact.groupId, artifact.artifactId))]


def _write(path: Path, artifacts: Sequence[Any]) -> None:
    with ThreadPoolExecutor(max_workers=4) as pool:
        pins = list(pool.map(_pin, artifacts))
    path.write_text(HEADER + "".join(f"{pin.line()}\n" for pin in pins))
    sys.stdout.write(f"{path.name}: {len(pins)} files, {sum(pin.size_bytes for pin in pins) / 1e6:.0f} MB\n")


def _pin(artifact: Any) -> PinnedFile:
    content = artifact.resolve().read_bytes()
    return PinnedFile(
        group=artifact.groupId,
        artifact=artifact.artifactId,
        version=artifact.version,
        classifier=artifact.classifier,
        packaging=artifact.packaging,
        size_bytes=len(content),
        sha256=sha256(content).hexdigest(),
    )


if __name__ == "__main__":
    main()
