"""`python -m ops.sbom [FILE]`: write the bill of materials of this checkout (`make sbom`)."""

from __future__ import annotations

import sys
from collections import Counter
from importlib.metadata import version
from pathlib import Path

from ops.sbom.components import components
from ops.sbom.document import document
from ops.terminal.plain import echo

ROOT = Path(__file__).parents[2]


def main(file: Path) -> None:
    """Write it to `file`, and say what it holds."""
    parts = components(ROOT)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(document("vigia-streams", version("vigia-streams"), parts) + "\n", encoding="utf-8")
    kinds = Counter(part.kind for part in parts)
    running = sum(part.runtime for part in parts)
    echo(
        f"{file}: {kinds['python']} Python packages, {kinds['maven']} files from Maven, {kinds['image']} images; "
        f"{running} of them in a running system, {sum(part.licence is None for part in parts)} without a known licence"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "sbom.cdx.json")
