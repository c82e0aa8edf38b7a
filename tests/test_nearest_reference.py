"""Which reference a model is nearest to: known distances, and images by name."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from factories import complains, normal, worst

from molrg import sweeps
from molrg.companion import reference_drawing
from molrg.denoisers import Patches
from molrg.schedules import EDM
from molrg.studies import nearest_reference as study

IMAGES = 8


def table(distances):
    """One model with these distances at every level, (images, references), and unit scale."""
    distances = np.asarray(distances, dtype=float)
    row = {
        "model": "made",
        "distance": [distances.tolist()] * len(study.LEVELS),
        "scale": [[1.0] * len(distances)] * len(study.LEVELS),
    }
    return pd.DataFrame([row])


def test_the_least_distance_is_nearest_and_clear_where_no_image_disagrees():
    distances = np.tile([0.4, 0.1, 0.2, 0.9], (IMAGES, 1))
    rows = study.nearest(table(distances))
    assert len(rows) == len(study.LEVELS) * len(study.REFERENCES)
    assert set(rows.loc[rows["nearest"], "reference"]) == {study.REFERENCES[1]}
    assert rows["clear"].all()
    assert rows["distance"].tolist() == pytest.approx([0.4, 0.1, 0.2, 0.9] * len(study.LEVELS))
    assert rows["lead low"].tolist() == pytest.approx([0.3, 0, 0.1, 0.8] * len(study.LEVELS))


def test_where_images_disagree_nothing_is_clear():
    distances = np.tile([0.4, 0.1, 0.2, 0.9], (IMAGES, 1))
    distances[: IMAGES // 2, 2] = 0.05  # half of the images are nearer to another
    rows = study.nearest(table(distances))
    assert rows["nearest"].sum() == len(study.LEVELS)
    assert not rows["clear"].any()


def test_a_patch_has_the_width_of_its_level():
    schedule = EDM()
    x, x_t = normal(6, 1, 24, 24).float(), normal(2, 1, 24, 24, seed=1).float()
    by_level = study.PatchesByLevel(x, schedule)
    for sigma, width in zip(study.LEVELS, study.WIDTHS, strict=True):
        t = schedule.t_of_sigma(sigma).item()
        assert worst(by_level(x_t, t), Patches(x, schedule, width)(x_t, t)) == 0


@pytest.mark.parametrize("data", ["fashion-mnist", "faces", "white-noise"])
def test_images_of_a_split_are_its_own_and_the_same_each_time(data):
    train, test = (study.pictures(data, split, 3) for split in ("train", "test"))
    assert len(train) == len(test) == 3 and train.shape == test.shape
    assert torch.equal(train, study.pictures(data, "train", 3))
    assert worst(train, test) > 0.1


def test_a_set_without_images_in_the_package_is_refused():
    with complains("data"):
        study.pictures("cifar10", "train", 3)


def test_models_are_denoisers_with_images():
    names = study.models()
    assert {"fashion-mnist", "mnist", "faces", "white-noise"} <= set(names)
    assert not {"cifar10", "mnist-classifier", "faces-readers"} & set(names)


def test_a_trial_has_a_distance_for_every_level_image_and_reference():
    measured = study.trial(0, "white-noise", 60, 2, 3, 2, 0.0)
    distance, scale = np.array(measured["distance"]), np.array(measured["scale"])
    assert distance.shape == (len(study.LEVELS), 2, len(study.REFERENCES))
    assert scale.shape == (len(study.LEVELS), 2)
    assert (distance > 0).all() and (scale > 0).all()
    copies = distance[0, :, study.REFERENCES.index("training set")] / scale[0]
    assert copies.min() > 1  # other noise images: farther than the mean


def test_models_are_drawn_once_each_in_plain_words(monkeypatch):
    names = ["faces-pose", "fashion-mnist-short-v-seed-1", "mnist", "fashion-mnist"]
    table = pd.DataFrame({"model": names * 2})
    monkeypatch.setattr(reference_drawing, "distances", lambda: table)
    drawn = [reference_drawing.words(name) for name in reference_drawing.names()]
    assert drawn == ["garments, short, v, seed 1", "garments", "digits", "faces in poses"]


def test_each_cell_of_the_closing_figure_is_the_nearest_reference(monkeypatch):
    """Two models with another nearest reference at each level, one clear and one not."""
    rows = [
        {"model": model, "sigma": sigma, "reference": name, "clear": model == "mnist"}
        | {"nearest": name == study.REFERENCES[(level + shift) % 4]}
        for shift, model in enumerate(["mnist", "faces"])
        for level, sigma in enumerate(study.LEVELS)
        for name in study.REFERENCES
    ]
    monkeypatch.setattr(reference_drawing, "distances", lambda: pd.DataFrame(rows))
    (ax,) = reference_drawing.nearest().axes
    cells = {text.get_position(): text.get_text() for text in ax.texts}
    first = [cells[level, 0] for level in range(len(study.LEVELS))]
    second = [cells[level, 1] for level in range(len(study.LEVELS))]
    assert "".join(first) == "GMPTGM" and "".join(second) == "MPTGMP"
    filled = [box.get_facecolor()[3] > 0 for box in ax.patches]
    assert sum(filled) == len(study.LEVELS)


def test_the_trial_can_be_kept_in_a_store():
    """All code it reaches, that of files and weights included, has a fingerprint."""
    assert sweeps.fingerprint(study.trial)
