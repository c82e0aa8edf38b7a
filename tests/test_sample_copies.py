"""Copies among samples: found where they are, not where they are not, clear errors otherwise."""

from __future__ import annotations

import pytest
import torch
from factories import normal, rng
from PIL import Image

from molrg import __main__ as command, memorization
from molrg.companion import sample_copies


def pictures(count: int, seed: int) -> torch.Tensor:
    factors = normal(count, 4, seed=seed, dtype=torch.float32)
    axes = normal(4, 64, seed=99, dtype=torch.float32) / 8
    return (factors @ axes).reshape(count, 1, 8, 8).clamp(-1, 1)


def write(folder, x):
    folder.mkdir()
    for number, image in enumerate(x):
        levels = ((image[0] + 1) * 127.5).round().byte().numpy()
        Image.fromarray(levels).save(folder / f"{number:04}.png")
    return folder


def test_copies_are_found_and_new_images_are_not():
    training = pictures(200, 0)
    noise = 1e-3 * torch.randn(5, 1, 8, 8, generator=rng(3))
    samples = torch.cat([training[10:15] + noise, pictures(60, 1)])
    found = sample_copies.compare(samples, training)
    assert found.copied[:5].all()
    assert found.nearest[:5, 0].tolist() == [10, 11, 12, 13, 14]
    assert found.copied[5:].double().mean() < 0.2
    assert found.N == 200


def test_ratios_from_one_search_are_those_of_the_memorisation_room(monkeypatch):
    training = pictures(150, 0)
    samples = torch.cat([training[:2], pictures(70, 1)])
    searches = []
    real = sample_copies.search

    def counted(*args):
        searches.append(args)
        return real(*args)

    monkeypatch.setattr(sample_copies, "search", counted)
    compared = sample_copies.compare(samples, training, d=4.0)
    assert len(searches) == 1
    expected = memorization.copy_ratio(samples, training)
    torch.testing.assert_close(compared.ratio, expected, rtol=1e-5, atol=1e-6)
    first = (samples - training[compared.nearest[:, 0]]).flatten(1).norm(dim=1)
    torch.testing.assert_close(first, memorization.nearest(samples, training, 1)[:, 0])


def test_no_copy_is_not_explained_as_one():
    ratio = torch.full((250,), 0.9, device="cpu")
    found = sample_copies.Copies(ratio, torch.zeros(250, 2, device="cpu"), N=200, d=3.53)
    assert found.statements()[0] == (
        "0 of 250 samples copy a training image. (A copy is less than a third as far from its"
        " nearest image as from the second nearest; about 2.1 %, 5 samples, would be so by chance.)"
    )


def test_duplicates_in_training_do_not_hide_a_copy():
    training = pictures(100, 0)
    found = sample_copies.compare(training[:3] + 1e-3, torch.cat([training, training]))
    assert found.copied.all()
    assert found.N == 100


def test_too_few_and_mismatched_images_are_refused():
    with pytest.raises(ValueError, match="allowed is 80 or more"):
        sample_copies.compare(pictures(3, 1), pictures(20, 0))
    with pytest.raises(ValueError, match="like the training"):
        sample_copies.compare(torch.zeros(2, 1, 9, 9, device="cpu"), pictures(100, 0))


def test_command_names_the_copies(tmp_path, capsys):
    training = pictures(100, 0)
    here = write(tmp_path / "training", training)
    drawn = write(tmp_path / "samples", torch.cat([training[7:8], pictures(20, 5)]))
    assert command.main(["describe", str(here), "--samples", str(drawn), "--grey"]) == 0
    printed = capsys.readouterr().out
    assert "1 of 21 samples copies a training image, 1 of them identical to it." in printed
    assert "0000.png  0007.png  " in printed
    assert printed.split("0000.png  0007.png")[1].splitlines()[0].endswith("  identical")


def test_grey_pictures_are_read_in_grey(tmp_path, capsys):
    """As `report` reads them for a grey network; no argument is needed."""
    here = write(tmp_path / "training", pictures(100, 0))
    drawn = write(tmp_path / "samples", pictures(20, 5))
    printed = []
    for grey in ([], ["--grey"]):
        for words in ([], ["--samples", str(drawn)]):
            assert command.main(["describe", str(here), *words, *grey]) == 0
            printed.append(capsys.readouterr().out)
    assert printed[:2] == printed[2:]
    assert "100 points in 64 coordinates" in printed[0]
