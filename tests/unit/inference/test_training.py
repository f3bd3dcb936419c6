"""A small training from start to a promoted version: what it learns, that it repeats, and that it resumes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from inference import versions as registry
from inference.findings import Finding
from inference.predictor import Predictor
from inference.synthetic import corpus as rendering
from inference.synthetic.corpus import FOREIGN, Corpus, Series, join, render
from inference.synthetic.dataset import write
from inference.synthetic.generator import picture
from ops.cli import cli
from ops.commands.model.commands import model as command


def corpus(seed: int, count: int) -> Corpus:
    wounds = render(Series(kind="ordinary", seed=seed, count=count), 144)
    return join([wounds, render(Series(kind="foreign", seed=seed, count=count // 5), 144)])


@pytest.fixture
def plain_graphs() -> Iterator[None]:
    """TensorFlow runs a graph as it is written: to make it faster takes longer than the few steps that are run here."""
    import tensorflow as tf

    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    yield
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False})


def test_rendering_does_not_depend_on_the_number_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "_CHUNK", 4)
    series = Series(kind="ordinary", seed=8, count=14)
    one, two = render(series, 64), render(series, 64, processes=2)
    assert np.array_equal(one.pixels, two.pixels)
    assert one.tags == two.tags


def test_a_corpus_survives_its_file(tmp_path: Path) -> None:
    made = corpus(9, 14)
    made.save(tmp_path / "c.npz")
    again = Corpus.read(tmp_path / "c.npz")
    assert np.array_equal(made.pixels, again.pixels)
    assert made.tags == again.tags
    assert (again.labels == FOREIGN).sum() == 2


@pytest.mark.no_cover
@pytest.mark.usefixtures("plain_graphs")
def test_the_same_seed_gives_the_same_weights() -> None:
    from inference.training.fit import SMALL, fit

    train, validation = corpus(10, 14), corpus(11, 7)
    first, second = (fit(train, validation, replace(SMALL, epochs=1, batch=8)).get_weights() for _ in range(2))
    assert all(np.allclose(a, b, atol=1e-6) for a, b in zip(first, second, strict=True))


def test_augmentation_keeps_shape_and_type_and_depends_on_its_seed_alone() -> None:
    import tensorflow as tf

    from inference.training.augment import augment

    pixels = corpus(12, 14).pixels
    one, same, other = (augment(pixels, tf.constant([5, n], tf.int64), 128).numpy() for n in (1, 1, 2))
    assert one.shape == (16, 128, 128, 3)
    assert one.dtype == np.uint8
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.usefixtures("plain_graphs")
def test_a_folder_of_own_pictures_becomes_a_promoted_model(tmp_path: Path) -> None:
    """The walk of docs/model.md with 7 × 15 pictures: fine-tuned from the shipped version, it keeps what that knew."""
    pictures, models = tmp_path / "pictures", tmp_path / "models"
    write(pictures, count=105, seed=77, size=160)
    runner = CliRunner()
    shipped = registry.active()
    arguments = [
        "train",
        "--pictures",
        str(pictures / "metadata.csv"),
        "--start",
        shipped,
        "--epochs",
        "1",
        "--name",
        "ward",
    ]
    result = runner.invoke(command, [*arguments, "--model-dir", str(models), "--workdir", str(tmp_path / "work")])
    assert result.exit_code == 0, result.output
    (version,) = registry.versions(models)
    assert version.startswith("ward-")

    card = (models / version / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "pictures supplied by the operator" in card
    assert "CD-" not in card
    settings = json.loads((models / version / "model.json").read_text(encoding="utf-8"))
    assert settings["training"]["origin"]["patients"] == 105
    assert settings["training"]["started_from"] == shipped
    measured = json.loads((models / version / "evaluation.json").read_text(encoding="utf-8"))["sets"]["ordinary"]
    assert measured["pictures"] == 21
    assert measured["accuracy"]["value"] > 0.8

    assert runner.invoke(command, ["promote", version, "--model-dir", str(models)]).exit_code == 0
    shown = json.loads(runner.invoke(command, ["list", "--json", "--model-dir", str(models)]).output)
    assert shown == [{"version": version, "active": True, "state": "good"}]
    (finding,) = Predictor.load(directory=models).predict([picture(78, 2).jpeg()])
    assert isinstance(finding, Finding)
    assert finding.model_version == version


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["promote", "lpp-9-0123456789"], "is not in"),
        (["rollback"], "no earlier model"),
        (["show"], "no active model"),
        (["train"], "give either"),
    ],
)
def test_what_cannot_be_done_is_one_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    directory = [] if arguments == ["train"] else ["--model-dir", str(tmp_path)]
    result = CliRunner().invoke(cli, ["model", *arguments, *directory])
    assert result.exit_code != 0
    assert message in result.output
    assert "Traceback" not in result.output


def test_a_folder_without_pictures_is_one_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["model", "train", "--pictures", str(tmp_path), "--model-dir", str(tmp_path)])
    assert result.exit_code == 1
    assert "no pictures" in result.output
