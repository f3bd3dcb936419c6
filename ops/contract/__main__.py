"""`python -m ops.contract`: write again what other files repeat of the pipeline."""

from __future__ import annotations

from ops.contract.repeated import ROOT, renewed

for path, text in renewed().items():
    if path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path.relative_to(ROOT)}")  # noqa: T201
