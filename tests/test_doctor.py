"""Fault: the doctor names what is damaged, data set by data set and model by model, and goes on."""

from __future__ import annotations

import io
import shutil

import pytest
from rich.console import Console

from molrg.companion import doctor
from molrg.images import downloads, slices
from molrg.zoo import shipped


@pytest.fixture
def place(monkeypatch, tmp_path):
    """Copies of what is shipped, which a test may damage; packages and notebooks as they should."""
    data = shutil.copytree(slices.SHIPPED, tmp_path / "images")
    models = tmp_path / "models"
    for name in ("mnist-classifier", "fashion-mnist-classifier", "cifar10-classifier"):
        shutil.copytree(shipped.MODELS / name, models / name)
    monkeypatch.setattr(slices, "SHIPPED", data)
    monkeypatch.setattr(shipped, "MODELS", models)
    monkeypatch.setattr(downloads, "cache", lambda name: tmp_path / "cache" / name)
    monkeypatch.setattr(doctor, "locked", dict)
    monkeypatch.setattr(doctor, "sources", dict)
    monkeypatch.setattr(doctor, "stale", list)
    monkeypatch.delenv("MOLRG_DATA", raising=False)
    return tmp_path


def shown():
    console = Console(width=400, record=True, file=io.StringIO())
    good = doctor.report(console)
    lines = console.export_text().splitlines()
    return good, {line.split()[0].rstrip(":"): line for line in lines if line.strip()}


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def test_all_is_well(place):
    good, lines = shown()
    assert good
    for name in ("digits", "mnist-slice", "faces"):
        assert lines[name].split()[1] == "yes"
    assert lines["mnist"].split()[1] == "no"
    assert "12 MB" in lines["mnist"]
    assert "fashion-mnist-classifier" in lines["Weights"]


def test_an_altered_slice_is_named_and_the_others_are_still_shown(place):
    flip(place / "images" / "mnist-slice.npz")
    (place / "images" / "fashion-mnist-slice.npz").unlink()
    good, lines = shown()
    assert not good
    assert lines["mnist-slice"].split()[1] == "no"
    assert "sha256 of" in lines["mnist-slice"]
    assert "missing" in lines["fashion-mnist-slice"]
    assert lines["digits"].split()[1] == "yes"
    assert lines["cifar10"]
    assert lines["Weights"]


@pytest.mark.fault(
    "truncated or altered weights and data",
    "a model altered, another without its checksums",
    "`doctor` names both, and goes on",
)
def test_every_damaged_model_is_named(place):
    models = place / "models"
    flip(models / "cifar10-classifier" / "model.safetensors")
    (models / "fashion-mnist-classifier" / "SHA256SUMS").unlink()
    good, lines = shown()
    assert not good
    assert "sha256" in lines["cifar10-classifier"]
    assert "no SHA256SUMS" in lines["fashion-mnist-classifier"]
    assert "mnist-classifier (" in lines["Weights"]
    assert "cifar10" not in lines["Weights"]


def test_a_folder_of_data_that_is_missing_or_incomplete_stops_nothing(place, monkeypatch):
    monkeypatch.setenv("MOLRG_DATA", str(place / "nowhere"))
    good, lines = shown()
    assert good, "the book needs none of it"
    assert "MOLRG_DATA" in lines["mnist"]
    (place / "nowhere" / "mnist").mkdir(parents=True)
    _, lines = shown()
    assert "train-images-idx3-ubyte" in lines["mnist"]
    assert "MOLRG_DATA" not in lines["cifar10"]


def test_an_altered_download_is_named(place):
    folder = place / "cache" / "mnist"
    folder.mkdir(parents=True)
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(b"altered")
    _, lines = shown()
    assert "altered in the cache" in lines["mnist"]
