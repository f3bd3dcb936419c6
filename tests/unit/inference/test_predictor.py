"""The packaged model through the door that the pipeline uses: bytes in, findings out."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inference import versions as registry
from inference.findings import CLASSES, Finding, ImageProblem, ModelError
from inference.predictor import Predictor
from inference.runtimes import Outputs, pieces, sizes
from inference.synthetic.foreign import foreign_picture
from inference.synthetic.generator import picture


def findings(results: list[Finding | ImageProblem]) -> list[Finding]:
    assert all(isinstance(result, Finding) for result in results)
    return [result for result in results if isinstance(result, Finding)]


def encoded(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def test_a_finding_is_complete(predictor: Predictor, wounds: list[bytes]) -> None:
    for finding in findings(predictor.predict(wounds)):
        assert finding.model_version == predictor.model_version
        if finding.abstained is None:
            assert finding.stage in CLASSES
            assert tuple(finding.probabilities) == CLASSES
            assert sum(finding.probabilities.values()) == pytest.approx(1)
            assert finding.confidence == max(finding.probabilities.values())
            assert finding.heat is not None
            assert (finding.region is None) == (finding.stage == "none" or not (finding.heat.values > 0).any())


def test_most_generated_pictures_are_recognised(predictor: Predictor) -> None:
    made = [picture(37, index) for index in range(70)]
    results = findings(predictor.predict([each.jpeg() for each in made]))
    right = [result.stage == each.stage for result, each in zip(results, made, strict=True) if result.stage]
    assert len(right) > 55
    assert np.mean(right) > 0.75


def test_most_foreign_pictures_are_declined(predictor: Predictor) -> None:
    results = findings(predictor.predict([foreign_picture(38, index, held_out=True)[1] for index in range(40)]))
    assert np.mean([result.abstained is not None for result in results]) > 0.8


def test_a_bad_picture_never_spoils_its_batch(predictor: Predictor, wounds: list[bytes]) -> None:
    mixed = [wounds[1], b"", wounds[2], wounds[3][:400], b"text", wounds[4]]
    results = predictor.predict(mixed)
    codes = [result.code.value if isinstance(result, ImageProblem) else None for result in results]
    assert codes == [None, "empty", None, "truncated", "not_an_image", None]
    alone = predictor.predict([wounds[4]])[0]
    assert results[5] == alone


def test_the_result_does_not_depend_on_the_batch(wounds: list[bytes]) -> None:
    whole, single = Predictor.load(batch_size=32), Predictor.load(batch_size=1)
    assert whole.predict(wounds) == single.predict(wounds)


def test_decoding_in_threads_changes_nothing(predictor: Predictor, wounds: list[bytes]) -> None:
    threaded = Predictor.load(threads=2)
    first, second = findings(predictor.predict(wounds)), findings(threaded.predict(wounds))
    threaded.close()
    assert [each.stage for each in first] == [each.stage for each in second]
    for a, b in zip(first, second, strict=True):
        assert a.probabilities == pytest.approx(b.probabilities, abs=1e-4)


@pytest.mark.parametrize(("value", "reason"), [(0, "too_dark"), (255, "too_bright"), (128, "blurred")])
def test_a_picture_of_nothing_is_an_abstention_not_a_class(predictor: Predictor, value: int, reason: str) -> None:
    (finding,) = findings(predictor.predict([encoded(np.full((300, 300, 3), value, np.uint8))]))
    assert finding.abstained == reason
    assert finding.stage is None
    assert not finding.probabilities


def test_no_pictures_give_no_findings(predictor: Predictor) -> None:
    assert predictor.predict([]) == []


def test_warming_up_runs_every_size(predictor: Predictor) -> None:
    predictor.warm_up()


class _Broken:
    """A network whose weights went bad."""

    def run(self, pixels: np.ndarray) -> Outputs:
        n = len(pixels)
        return Outputs(
            logits=np.full((n, 7), np.nan, np.float32),
            foreign=np.zeros(n, np.float32),
            features=np.zeros((n, 96), np.float32),
            evidence=np.zeros((n, 16, 16, 7), np.float32),
        )


def test_a_network_that_returns_no_numbers_is_an_error_never_a_class(wounds: list[bytes]) -> None:
    loaded = Predictor.load()
    loaded._network = _Broken()
    with pytest.raises(ModelError, match="not finite"):
        loaded.predict(wounds[:1])
    with pytest.raises(ModelError):
        loaded.warm_up()


def _copy(tmp_path: Path) -> Path:
    bundle = registry.load()
    folder = tmp_path / "edited"
    folder.mkdir()
    for name in registry.DECIDING:
        (folder / name).write_bytes((bundle.path / name).read_bytes())
    return folder


@pytest.mark.parametrize("name", ["model.tflite", "rejection.npz", "model.json"])
def test_a_version_whose_files_are_sealed_but_useless_is_one_line(tmp_path: Path, name: str) -> None:
    folder = _copy(tmp_path)
    if name == "model.json":
        settings = json.loads((folder / name).read_text(encoding="utf-8"))
        del settings["temperature"]
        (folder / name).write_text(json.dumps(settings), encoding="utf-8")
    else:
        (folder / name).write_bytes(b"useless")
    version = registry.seal(folder, "broken", tmp_path / "models")
    with pytest.raises(ModelError) as caught:
        Predictor.load(version, tmp_path / "models")
    assert "\n" not in str(caught.value)


def test_the_default_runtime_does_not_import_tensorflow() -> None:
    program = (
        "import sys; from inference.predictor import Predictor; Predictor.load().warm_up();"
        "sys.exit(any(name.split('.')[0] in ('tensorflow', 'keras') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_tensorflow_and_litert_agree(predictor: Predictor, wounds: list[bytes]) -> None:
    reference = Predictor.load(batch_size=8, runtime="tensorflow")
    reference.warm_up()
    for a, b in zip(findings(predictor.predict(wounds)), findings(reference.predict(wounds)), strict=True):
        assert a.stage == b.stage
        assert a.abstained == b.abstained
        assert a.probabilities == pytest.approx(b.probabilities, abs=2e-3)


def test_pieces_cover_a_batch_with_prepared_sizes_only() -> None:
    for batch in (1, 5, 8, 32):
        for count in range(1, 70):
            cut = list(pieces(count, sizes(batch)))
            assert sum(filled for _, filled, _ in cut) == count
            assert [start for start, _, _ in cut] == list(np.cumsum([0, *(filled for _, filled, _ in cut)])[:-1])
            assert all(filled <= size and size in sizes(batch) for _, filled, size in cut)
