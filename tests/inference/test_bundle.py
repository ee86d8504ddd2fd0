"""A bundle segments as the training does, and says when it is not whole."""

import dataclasses
import hashlib
import json
import shutil

import numpy as np
import pytest

from noise2mask.cli import main
from noise2mask.errors import UserError
from noise2mask.inference.bundle import load_model
from noise2mask.inference.export import export
from noise2mask.inference.predict import predict

IMAGE = np.random.default_rng(3).integers(0, 256, (20, 28, 3)).astype(np.uint8)


@pytest.mark.parametrize("sampler", ["ddim2", "tempered"])
def test_it_segments_as_the_training_does(bundle, trained_folder, tmp_path, sampler):
    moved = tmp_path / "elsewhere"
    shutil.copytree(bundle, moved)
    model, other = load_model(trained_folder), load_model(moved)
    assert model.digest == other.digest
    ours, theirs = (predict(each, IMAGE, sampler=sampler) for each in (model, other))
    assert np.array_equal(ours.probability, theirs.probability)


def test_its_card_tells_data_scores_and_warnings(bundle, trained_folder):
    card = (bundle / "docs/README.md").read_text()
    content = json.loads((bundle / "bundle.json").read_text())
    assert "licence of the data: CC0-1.0" in card
    assert "Trained on computer-made pictures" in card
    (dice,) = [
        row for row in content["scores"] if (row["sampler"], row["metric"]) == ("ddim2", "dice")
    ]
    lines = (trained_folder / "ddim2/metrics.csv").read_text().splitlines()
    own = [float(line.split(",")[-1]) for line in lines if ",dice," in line]
    assert dice["mean"] == pytest.approx(np.mean(own))
    assert dice["n"] == len(own)
    assert dice["low"] is dice["high"] is None  # three units are too few for an interval
    assert f"| ddim2 | dice | {dice['mean']:.4g} | too few units | {dice['n']} |" in card
    assert "Dice is not beyond that of a prediction that does not look at the image" in card
    assert f"| ddim2 | dice | {dice['mean']:.4g} |" in card
    assert any("independent test units" in text for text in content["warnings"])
    assert content["ways"]["tempered"]["temperature"] > 0
    for warning in content["warnings"]:
        assert warning in card


def test_scores_have_intervals_over_patients_where_there_are_enough(finished_study, tmp_path):
    """Forty cases of twenty patients, whose two are equal, count as twenty."""
    import pandas as pd

    from noise2mask.data.prepared import Case, read_manifest
    from noise2mask.files import write_text
    from noise2mask.inference.card import scores_of
    from noise2mask.study.load import load_study

    folder = tmp_path / "blind-less" / "a" / "b" / "seed0"
    study = load_study(finished_study / "config/test.yaml")
    dice = np.random.default_rng(0).uniform(0.5, 0.9, 20).repeat(2)
    table = pd.DataFrame({"case": [f"c{n}" for n in range(40)], "metric": "dice", "value": dice})
    for name in ("ddim2", "tempered"):
        write_text(folder / name / "metrics.csv", table.to_csv(index=False), record=True)
    own = read_manifest(finished_study / "data/prepared/test/lesion_phantom")
    cases = tuple(
        Case(f"c{n}", "test", f"p{n // 2}", 1, 1, "", "", 0.5, f"c{n}", 0, 0) for n in range(40)
    )
    manifest = dataclasses.replace(own, cases=cases, units={"test": 20})
    model = load_model(finished_study / "results/test/lesion_phantom/ensemdiff/diffusion/seed0")
    rows, warnings = scores_of(study, folder, model, manifest)
    assert warnings == ()
    assert rows[0]["mean"] == pytest.approx(dice.mean())
    half = (rows[0]["high"] - rows[0]["low"]) / 2
    expected = 2.09 * dice[::2].std(ddof=1) / np.sqrt(20)  # Student's t, 19 degrees of freedom
    assert half == pytest.approx(expected, rel=0.2)


def test_no_path_of_this_machine_is_in_it(bundle, finished_study):
    for path in bundle.rglob("*.*"):
        assert str(finished_study).encode() not in path.read_bytes()


def test_its_checksums_are_those_of_its_files(bundle):
    lines = (bundle / "SHA256SUMS").read_text().splitlines()
    told = {line[66:]: line[:64] for line in lines}
    found = {path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file()}
    there = {
        "bundle.json", "configs/inference.json", "configs/metadata.json", "docs/README.md",
        "docs/data_license.txt", "models/model.pt", "models/model.pt2",
        "models/model.safetensors",
    }  # fmt: skip
    assert set(told) == there == found - {"SHA256SUMS"}
    for name, digest in told.items():
        assert hashlib.sha256((bundle / name).read_bytes()).hexdigest() == digest


@pytest.mark.parametrize("name", ["bundle.json", "models/model.safetensors"])
def test_a_changed_or_missing_file_is_told(bundle, tmp_path, name):
    shutil.copytree(bundle, tmp_path / "b")
    path = tmp_path / "b" / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=f"{name} was changed or damaged"):
        load_model(tmp_path / "b")
    if name != "bundle.json":  # by which a bundle is known
        path.unlink()
        with pytest.raises(UserError, match=f"{name} is missing"):
            load_model(tmp_path / "b")


def test_another_format_is_refused(bundle, tmp_path):
    shutil.copytree(bundle, tmp_path / "b")
    path = tmp_path / "b/bundle.json"
    path.write_text(path.read_text().replace('"format": 2', '"format": 9'))
    sums = tmp_path / "b/SHA256SUMS"
    own = hashlib.sha256(path.read_bytes()).hexdigest()
    lines = [
        own + line[64:] if "bundle.json" in line else line for line in sums.read_text().splitlines()
    ]
    sums.write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError, match="format 9"):
        load_model(tmp_path / "b")


def test_a_training_needs_its_study_and_its_data(trained_folder, finished_study, tmp_path):
    with pytest.raises(UserError, match="neither a finished training"):
        load_model(tmp_path)
    shutil.copytree(trained_folder, tmp_path / "seed0")
    with pytest.raises(UserError, match="does not lie in results/"):
        load_model(tmp_path / "seed0")
    place = tmp_path / trained_folder.relative_to(finished_study)
    shutil.copytree(trained_folder, place)
    shutil.copytree(finished_study / "config", tmp_path / "config")
    with pytest.raises(UserError, match="no prepared dataset"):
        load_model(place)
    data = finished_study / "data/prepared/test/lesion_phantom"
    assert load_model(place, prepared=data).digest == load_model(trained_folder).digest


def test_a_bundle_is_not_written_over_something(bundle, trained_folder):
    with pytest.raises(UserError, match="not an empty folder"):
        export(trained_folder, bundle)


def test_the_commands(trained_folder, tmp_path, capsys):
    from PIL import Image

    Image.fromarray(IMAGE).save(tmp_path / "one.png")
    bundle, out = str(tmp_path / "bundle"), tmp_path / "out"
    assert main(["export", str(trained_folder), "--output", bundle]) == 0
    given = ["predict", bundle, str(tmp_path / "one.png"), "--output", str(out), "--threads", "1"]
    assert main(given) == 0
    assert (out / "one_mask.png").exists()
    assert main([*given, "--sampler", "nothing"]) == 2
    assert "unknown sampler 'nothing'" in capsys.readouterr().err
