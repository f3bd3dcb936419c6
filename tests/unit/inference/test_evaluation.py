"""An evaluation of the packaged model from rendering to report and card."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner

from inference import versions as registry
from inference.decode import decode
from inference.evaluation.card import statement
from inference.evaluation.samples import sample_crops
from ops.commands.model.commands import model as command

VOID = frozenset({"meta", "img", "line", "circle", "polyline", "br"})


class _Balanced(HTMLParser):
    """Complains of an element that is closed but was not open, or the other way round."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.pictures = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.pictures += tag == "img"
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("evaluation")
    result = CliRunner().invoke(command, ["evaluate", "--count", "70", "--processes", "1", "--out", str(out)])
    assert result.exit_code == 0, result.output
    return out


def test_the_figures_cover_every_set_and_name_the_version(written: Path) -> None:
    figures = json.loads((written / "evaluation.json").read_text(encoding="utf-8"))
    assert figures["model_version"] == registry.active()
    assert {"ordinary", "shifted", "foreign", "foreign-held-out"} <= set(figures["sets"])
    assert figures["sets"]["ordinary"]["pictures"] == 70
    assert figures["sets"]["ordinary"]["accuracy"]["value"] > 0.75


def test_the_report_is_whole_and_shows_pictures(written: Path) -> None:
    parser = _Balanced()
    text = (written / "evaluation.html").read_text(encoding="utf-8")
    parser.feed(text)
    assert parser.open == []
    assert parser.pictures >= 7
    assert "http://" not in text
    assert "https://" not in text


def test_the_card_says_first_that_no_clinical_picture_was_used(written: Path) -> None:
    card = (written / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert card.index("generated pictures only") < card.index("Accuracy")
    assert "Stage 3 or 4 called milder" in card
    assert "No clinical photograph was used" in statement(registry.load().settings)


def test_evaluating_leaves_the_version_as_it_was(written: Path) -> None:
    assert written.is_dir()
    registry.verify(registry.active())


def test_the_shipped_versions_are_what_they_say() -> None:
    assert len(registry.history()) >= 2
    for version in registry.versions():
        registry.verify(version)


def test_photographs_for_rejection_are_readable() -> None:
    pytest.importorskip("skimage")
    crops = sample_crops()
    assert len(crops) > 200
    assert decode(crops[0][1]).pixels.shape[2] == 3
