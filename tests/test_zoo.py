"""The zoo: training stopped and continued, what is written, quality, and what is shipped."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch
from factories import complains, normal, rng, worst
from rich.console import Console
from safetensors.torch import load_file, save_file

from molrg import claims, denoisers, images, schedules, zoo
from molrg.denoisers import checkpoints, networks, seals
from molrg.zoo import cards, classifiers, recipes, running, shipped, states

SMALL = {
    "digits": recipes.Denoising("digits", seen=80, batch=8, channels=(8, 8, 16), warmup=2),
    "digits-classifier": recipes.Classifying("digits", seen=160, batch=16),
}


@pytest.fixture(autouse=True)
def small(monkeypatch, request):
    """Recipes of the two kinds that take seconds."""
    if "full_recipes" not in request.fixturenames:
        monkeypatch.setattr(zoo, "RECIPES", SMALL)


@pytest.fixture
def full_recipes():
    return recipes.RECIPES


def quiet():
    return Console(quiet=True)


def trained(name, folder, **more):
    return zoo.train(name, build=folder, console=quiet(), **more)


def files(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in folder.rglob("*")
        if p.suffix in (".json", ".safetensors") and p.name != "record.json"
    }


def record(folder):
    """The record without its cost."""
    return {
        key: value
        for key, value in json.loads((folder / "record.json").read_text()).items()
        if key != "cpu_seconds"
    }


# stopped and continued


@pytest.mark.parametrize("name", SMALL)
def test_a_training_stopped_and_continued_is_the_uninterrupted_one_to_the_last_bit(name, tmp_path):
    whole = trained(name, tmp_path / "whole")
    part = trained(name, tmp_path / "parts", until=3)
    assert part == tmp_path / "parts" / "train" / f"{name}.safetensors" and not list(
        (tmp_path / "parts" / "zoo").iterdir()
    )
    trained(name, tmp_path / "parts", until=4)
    again = trained(name, tmp_path / "parts")
    assert (
        files(whole) == files(again) and record(whole) == record(again) and len(files(whole)) >= 2
    )


def test_another_seed_is_another_training(tmp_path, monkeypatch):
    first = trained("digits", tmp_path / "a")
    monkeypatch.setitem(SMALL, "digits", replace(SMALL["digits"], seed=1))
    assert record(first)["loss"] != record(trained("digits", tmp_path / "b"))["loss"]


KILLED = """
import sys, torch
from rich.console import Console
from molrg import zoo
from molrg.zoo import recipes, running
torch.set_num_threads(1)
recipe = recipes.Denoising("digits", seen=4000, batch=4, channels=(8, 8, 8), warmup=2)
zoo.RECIPES = {"digits": recipe}
run = running.run
running.run = lambda *a, **k: run(*a, every=0.2, **k)
zoo.train("digits", build=sys.argv[1], console=Console(quiet=True), until=900)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["SIGKILL", "SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.fault(
    "SIGKILL, SIGTERM, Ctrl-C, hang-up of a training",
    "each, between two saves",
    "a whole resume file; the next goes on to the same bits",
)
def test_a_killed_process_leaves_a_whole_file_and_the_next_goes_on(kind, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, tmp_path], stderr=subprocess.PIPE, cwd=claims.root()
    )
    file = tmp_path / "train" / "digits.safetensors"
    deadline = time.monotonic() + 120
    while not file.is_file() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(getattr(signal, kind))
    _, told = process.communicate(timeout=60)
    assert process.returncode != 0 and (kind == "SIGKILL" or b"KeyboardInterrupt" in told)
    recipe = recipes.Denoising("digits", seen=4000, batch=4, channels=(8, 8, 8), warmup=2)
    about, run = recipes.plain(recipe) | {"arithmetic": recipe.arithmetic()}, recipe.trainer()
    state, found = states.load(file)
    begun = state["trainer"]["done"]
    assert found == about
    assert 0 < begun < 900
    history, _ = running.run(run, file, about, console=quiet(), until=begun + 5)
    whole, _ = running.run(
        recipe.trainer(), tmp_path / "other", about, console=quiet(), until=begun + 5
    )
    assert torch.equal(history, whole)


def test_the_resume_file_of_another_recipe_is_refused(tmp_path, monkeypatch):
    trained("digits", tmp_path, until=1)
    monkeypatch.setitem(SMALL, "digits", replace(SMALL["digits"], lr=1e-4))
    with complains("recipe of"):
        trained("digits", tmp_path)


@pytest.mark.parametrize("keep", [0, 50, -1])
@pytest.mark.fault(
    "truncated or altered weights and data",
    "a resume file cut short",
    "refused, with what to delete",
)
def test_a_damaged_resume_file_is_refused(keep, tmp_path):
    file = trained("digits", tmp_path, until=1)
    file.write_bytes(file.read_bytes()[:keep])
    with complains("resume file"):
        trained("digits", tmp_path)


def test_a_safetensors_file_of_something_else_is_no_resume_file(tmp_path):
    file = tmp_path / "train" / "digits.safetensors"
    file.parent.mkdir()
    save_file({"x": torch.zeros(2)}, file)
    with complains("resume file"):
        trained("digits", tmp_path)


def test_any_nested_state_comes_back_as_it_was(tmp_path):
    state = {
        "a": {0: normal(3), 7: [1, 2.5, None, torch.tensor(3)]},
        "b": "x",
        "tensor": {"c": {}},
        "d": (True, False),
    }
    states.save(tmp_path / "f", state, {"k": 1})
    back, about = states.load(tmp_path / "f")
    assert about == {"k": 1} and (
        torch.equal(back["a"][0], state["a"][0])
        and back["a"][7][:3] == [1, 2.5, None]
        and back["a"][7][3].item() == 3
    )
    assert back["b"] == "x" and back["tensor"] == {"c": {}} and back["d"] == [True, False]
    assert not list(tmp_path.glob("*.part"))


def test_progress_says_how_long_it_takes(tmp_path, monkeypatch):
    ticks = iter(range(0, 100000, 30))
    monkeypatch.setattr(running.time, "monotonic", lambda: next(ticks))
    with Console(record=True, width=100, file=open(os.devnull, "w")) as console:
        zoo.train("digits", build=tmp_path, console=console)
    assert re.search(r"step \d+ of 10, loss \d\.\d+, \d+ min left", console.export_text())


@pytest.mark.parametrize(
    ("known", "wanted"),
    [
        ({"avx512_bf16": True, "avx2": True}, "bfloat16"),
        ({"amx_bf16": False, "avx2": True}, "float32"),
        ({}, "float32"),
    ],
)
def test_training_computes_with_what_the_processor_has_and_the_card_says_so(
    known, wanted, monkeypatch
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known, raising=False)
    recipe = SMALL["digits"]
    assert (
        recipe.arithmetic() == wanted
        and recipe.trainer().autocast == {"bfloat16": torch.bfloat16, "float32": None}[wanted]
    )
    told = {
        "name": "a",
        "recipe": {"batch": 1},
        "steps": 1,
        "cpu_seconds": 1,
        "threads": 2,
        "made_with": {},
        "arithmetic": recipe.arithmetic(),
    }
    assert f"1 CPU-seconds, threads: 2, {wanted}, on cuda" in cards._table(
        told | {"device": "cuda"}
    )
    assert f"1 CPU-seconds, threads: 2, {wanted}" in cards._table(told)


def test_training_again_takes_the_place_of_what_was_there(tmp_path, monkeypatch):
    first = trained("digits", tmp_path)
    before = files(first)
    (tmp_path / "train" / "digits.safetensors").unlink()
    monkeypatch.setitem(SMALL, "digits", replace(SMALL["digits"], seed=1))
    again = trained("digits", tmp_path)
    assert again == first and files(again) != before and seals.verify(again)
    assert [path.name for path in first.parent.iterdir()] == ["digits"], (
        "nothing half-written is left"
    )


def test_a_failure_at_the_end_leaves_what_was_there(tmp_path, monkeypatch):
    whole = files(trained("digits", tmp_path))

    def fail(*args, **more):
        raise OSError("no space left")

    monkeypatch.setattr(zoo.cards, "write", fail)
    with pytest.raises(OSError, match="no space"):
        trained("digits", tmp_path)
    assert files(tmp_path / "zoo" / "digits") == whole


def test_a_training_goes_on_in_the_arithmetic_that_it_was_begun_in(tmp_path, monkeypatch):
    """On a processor, or a device, that would have begun it in another one: the same curve."""
    whole = trained("digits", tmp_path / "whole")
    trained("digits", tmp_path / "parts", until=3)
    other = {"float32": {"avx512_bf16": True}, "bfloat16": {}}[SMALL["digits"].arithmetic()]
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: other, raising=False)
    assert SMALL["digits"].arithmetic() != record(whole)["arithmetic"]
    assert record(trained("digits", tmp_path / "parts")) == record(whole)
    with complains("recipe of"):  # but nobody takes one for another
        file = tmp_path / "parts" / "train" / "digits.safetensors"
        about = recipes.plain(SMALL["digits"]) | {"arithmetic": SMALL["digits"].arithmetic()}
        running.run(SMALL["digits"].trainer(), file, about, console=quiet())


@pytest.mark.parametrize("place", ["begin", "middle", "end", "header"])
@pytest.mark.fault(
    "truncated or altered weights and data",
    "one bit of a resume file",
    "refused, with what to delete",
)
def test_a_flipped_bit_in_a_resume_file_is_seen(place, tmp_path):
    """It went on, and the loss became NaN, or worse, did not."""
    file = trained("digits", tmp_path, until=1)
    raw = bytearray(file.read_bytes())
    start = 8 + int.from_bytes(raw[:8], "little")
    at = {"begin": start, "middle": (start + len(raw)) // 2, "end": len(raw) - 1, "header": 200}
    raw[at[place]] ^= 0x10
    file.write_bytes(raw)
    with complains("resume file"):
        trained("digits", tmp_path)


@pytest.mark.fault(
    "two runs at once",
    "two trainings of one model",
    "the second is refused before its first step",
)
def test_two_trainings_of_one_model_are_refused(tmp_path):
    with running.alone(tmp_path / "train" / "digits.safetensors"), complains("resume file"):
        trained("digits", tmp_path)
    assert trained("digits", tmp_path, until=1).is_file()  # the lock is gone with its holder


@pytest.mark.parametrize("folder", ["train", "zoo"])
@pytest.mark.fault(
    "folder that cannot be written",
    "a training whose folder is a file",
    "said before the first step",
)
def test_a_folder_that_cannot_be_written_is_known_before_the_first_step(
    folder, tmp_path, monkeypatch
):
    (tmp_path / folder).write_text("a file where a folder has to be")
    monkeypatch.setattr(recipes.Denoising, "trainer", lambda *a: pytest.fail("a step was taken"))
    with pytest.raises(OSError, match="exists"):
        trained("digits", tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
def test_what_is_trained_has_the_mode_that_the_user_wants(tmp_path):
    before = os.umask(0o022)
    try:
        folders = [trained(name, tmp_path) for name in SMALL]
    finally:
        os.umask(before)
    paths = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o777 for path in paths} == {0o644} and len(paths) > 8


def test_a_device_that_is_not_there_is_refused(tmp_path, folder):
    with complains("device"):
        trained("digits", tmp_path, device="nonsense")
    for name in SMALL:
        assert isinstance(zoo.load(name, folder=folder, device="auto"), torch.nn.Module)
        with complains("device"):
            zoo.load(name, folder=folder, device="cuda:99")


def test_models_are_loaded_onto_their_device(folder):
    for name in SMALL:
        model = zoo.load(name, folder=folder, device="meta")
        assert {p.device.type for p in model.parameters()} == {"meta"}


def test_an_unknown_recipe(tmp_path):
    with complains("name"):
        trained("nonsense", tmp_path)


def test_missing_data_say_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(SMALL, "digits", replace(SMALL["digits"], data="fashion-mnist"))
    monkeypatch.setenv("MOLRG_DATA", str(tmp_path / "nothing"))
    with pytest.raises(FileNotFoundError, match="MOLRG_DATA"):
        trained("digits", tmp_path)


def test_the_command_trains_and_refuses(tmp_path, monkeypatch, capsys):
    from molrg import __main__ as command

    monkeypatch.setattr(command.claims, "root", lambda: tmp_path)
    assert command.main(["train", "digits-classifier"]) == 0
    assert (tmp_path / "_build" / "zoo" / "digits-classifier" / "model.safetensors").is_file()
    assert "digits-classifier" in capsys.readouterr().out
    assert command.main(["train", "nonsense"]) == 2 and "digits" in capsys.readouterr().err


def test_fetch_of_a_model_tries_it(monkeypatch, capsys):
    from molrg import __main__ as command
    from molrg.denoisers import checkpoints

    asked = []
    monkeypatch.setattr(checkpoints, "from_pretrained", asked.append)
    assert command.main(["fetch", "google/ddpm-cifar10-32"]) == 0 and asked == [
        "google/ddpm-cifar10-32"
    ]


def test_white_noise_is_white():
    noise = recipes.pictures("white-noise")[:2000].flatten(1)
    correlation = torch.corrcoef(noise[:, :20].T) - torch.eye(20)
    assert correlation.abs().max() < 5 / 2000**0.5 and abs(noise.std().item() - 0.5) < 0.01
    assert not torch.equal(
        recipes.pictures("white-noise", "test")[0], recipes.pictures("white-noise")[0]
    )


# what is written


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model of digits with its classifier beside it, trained for a moment."""
    place = tmp_path_factory.mktemp("zoo")
    for name, recipe in reversed(SMALL.items()):
        trainer = recipe.trainer()
        history, seconds = running.run(
            trainer, place / "resume" / name, recipes.plain(recipe), console=quiet()
        )
        recipe.export(trainer, place / name)
        cards.write(
            name,
            recipe,
            place / name,
            history,
            seconds,
            arithmetic=recipe.arithmetic(),
            models=place,
        )
    return place


def test_a_trained_folder_is_plain_diffusers_and_ours_with_equal_outputs(folder):
    from diffusers import DDPMPipeline, UNet2DModel

    place, x = folder / "digits", normal(2, 1, 8, 8, dtype=torch.float32)
    pipeline = DDPMPipeline.from_pretrained(place, low_cpu_mem_usage=False)
    network = UNet2DModel.from_pretrained(place, subfolder="unet", low_cpu_mem_usage=False)
    denoiser, step = shipped.load("digits", folder=folder), 400
    with torch.no_grad():
        v = network(x, step).sample
        assert torch.equal(v, pipeline.unet(x, step).sample)
    alpha = pipeline.scheduler.alphas_cumprod[step]
    assert pipeline.scheduler.config.prediction_type == "v_prediction"
    assert worst(denoiser(x, step / 999), alpha.sqrt() * x - (1 - alpha).sqrt() * v) < 1e-5
    drawn = pipeline(batch_size=1, num_inference_steps=3, output_type="np", generator=rng()).images
    assert drawn.shape == (1, 8, 8, 1)


def test_the_weights_that_are_kept_are_the_average(folder):
    recipe = SMALL["digits"]
    trainer = recipe.trainer()
    for _ in range(recipe.steps):
        trainer.step()
    kept = load_file(folder / "digits" / "unet" / "diffusion_pytorch_model.safetensors")
    assert all(
        torch.equal(kept[name], value.half())
        for name, value in trainer.average.network.state_dict().items()
    )
    assert not all(
        torch.equal(kept[name], value.half())
        for name, value in trainer.denoiser.network.state_dict().items()
    )


def test_cards_say_what_was_recorded(folder):
    for name in SMALL:
        text, found = (
            (folder / name / "README.md").read_text(),
            json.loads((folder / name / "record.json").read_text()),
        )
        assert (
            f"python -m molrg train {name}" in text
            and "sha256" in text
            and "CC BY 4.0" in text
            and "loss.png" in text
        )
        for line in (folder / name / seals.SUMS).read_text().splitlines():
            assert line in text
        assert (
            f"{found['cpu_seconds']} CPU-seconds" in text
            and (folder / name / "loss.png").stat().st_size > 1000
        )
    found = json.loads((folder / "digits" / "record.json").read_text())["quality"]["frechet"]
    text = (folder / "digits" / "README.md").read_text()
    assert f"| samples | {found['samples']:.2f} |" in text and f"= {found['excess']:.3f}" in text


def test_without_a_classifier_the_card_says_so(folder, tmp_path):
    recipe = SMALL["digits"]
    checkpoints.save(denoisers.from_pretrained(folder / "digits"), tmp_path / "digits")
    cards.write(
        "digits",
        recipe,
        tmp_path / "digits",
        torch.ones(5),
        1.0,
        arithmetic="float32",
        models=tmp_path,
    )
    assert "not measured" in (tmp_path / "digits" / "README.md").read_text()


def test_a_model_of_no_training_is_worse_than_noisy_images_by_far(folder):
    """The measure must be able to fail."""
    found = json.loads((folder / "digits" / "record.json").read_text())["quality"]["frechet"]
    assert found["floor"] < found["noisy"] < found["noise"] and found["excess"] > 1


# loading what is shipped


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.fault(
    "truncated or altered weights and data",
    "a shipped model with an altered file",
    "refused by its sha256",
)
def test_altered_models_are_refused(name, folder, tmp_path):
    import shutil

    shutil.copytree(folder / name, tmp_path / name)
    zoo.load(name, folder=tmp_path)
    (weights,) = tmp_path.rglob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    with complains(f"sha256 of {weights}"):
        zoo.load(name, folder=tmp_path)
    (tmp_path / name / seals.SUMS).unlink()
    with complains(f"sha256 of {tmp_path / name}"):
        zoo.load(name, folder=tmp_path)


def test_a_readers_own_folder_loads_by_its_path(tmp_path):
    denoiser = networks.UNet(recipes.unet((1, 8, 8), (8, 8, 8), seed=0), schedules.DDPM())
    folder = checkpoints.save(denoiser, tmp_path / "mine")
    assert zoo.load(str(folder)).event == (1, 8, 8)
    with pytest.raises(FileNotFoundError):
        zoo.load(str(tmp_path / "nothing"))


def test_first_weights_leave_the_source_of_a_gpu_alone(monkeypatch):
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: pytest.fail("reseeded a GPU"))
    before = torch.get_rng_state()
    classifiers.Classifier((1, 8, 8), seed=3)
    recipes.unet((1, 8, 8), (8, 8, 8), seed=3)
    assert torch.equal(torch.get_rng_state(), before)


def test_damaged_classifiers_are_refused(folder, tmp_path):
    model = shipped.load_classifier(folder / "digits-classifier")
    shipped.save_classifier(model, tmp_path)
    config = tmp_path / "config.json"
    whole = config.read_text()
    config.write_text(whole[:5])
    with complains(f"weights of {tmp_path}"):
        shipped.load_classifier(tmp_path)
    config.write_text(whole)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    with complains("weights of"):
        shipped.load_classifier(tmp_path)
    save_file({"head.bias": torch.zeros(10)}, weights)
    with complains("weights of"):
        shipped.load_classifier(tmp_path)


def test_a_name_may_be_a_folder_and_an_unknown_one_is_told(folder):
    x = normal(1, 1, 8, 8, dtype=torch.float32)
    assert torch.equal(
        zoo.load(str(folder / "digits"))(x, 0.5), zoo.load("digits", folder=folder)(x, 0.5)
    )
    with pytest.raises(FileNotFoundError, match="nonsense: no such model; shipped are"):
        zoo.load("nonsense")


def test_every_shipped_model_is_whole_small_and_has_its_card(full_recipes):
    sizes = zoo.verify()
    assert set(sizes) == set(zoo.names()) <= set(full_recipes)
    for name, size in sizes.items():
        place = shipped.MODELS / name
        text, found = (
            (place / "README.md").read_text(),
            json.loads((place / "record.json").read_text()),
        )
        assert size < 8_000_000 and found["recipe"] == recipes.plain(full_recipes[name]), (
            f"{name} is what the command makes"
        )
        assert found["steps"] == full_recipes[name].steps
        assert text == cards.card(found, place), f"{name}: the card is made from the record"
        assert (
            not list(place.rglob("*.bin"))
            and not list(place.rglob("*.pt"))
            and isinstance(zoo.load(name), torch.nn.Module)
        )


def test_a_record_says_what_the_card_says(full_recipes):
    found = zoo.record("fashion-mnist")
    assert (
        found["recipe"] == recipes.plain(full_recipes["fashion-mnist"])
        and found["kind"] == "denoising"
    )
    text = (shipped.MODELS / "fashion-mnist" / "README.md").read_text()
    assert (
        f"= {found['quality']['frechet']['excess']:.3f}." in text
        and f"{found['cpu_seconds']} CPU-seconds" in text
    )
    with pytest.raises(ValueError, match="name = 'nonsense': allowed is"):
        zoo.record("nonsense")


ACCURACY = {"fashion-mnist": 0.91, "mnist": 0.985}


def test_shipped_classifiers_see_well():
    """On the shipped slice; false fail: four standard errors of a share of 1,000."""
    for data, least in ACCURACY.items():
        name = f"{data}-classifier"
        found = json.loads((shipped.MODELS / name / "record.json").read_text())["accuracy"]["test"]
        assert found >= least
        share = classifiers.accuracy(zoo.load(name), *images.load(f"{data}-slice", "test"))
        assert share > found - 4 * (found * (1 - found) / 1000) ** 0.5


# the classifier


def test_a_classifier_learns_digits():
    recipe = recipes.Classifying("digits", seen=25_600, batch=64)
    trainer = recipe.trainer()
    for _ in range(recipe.steps):
        trainer.step()
    assert classifiers.accuracy(trainer.model, *images.load("digits", "test")) > 0.85


def test_logits_are_a_linear_layer_on_the_features():
    model, x = classifiers.Classifier((1, 8, 8), 4).eval(), normal(3, 1, 8, 8, dtype=torch.float32)
    features = model.features(x)
    assert (
        features.shape == (3, classifiers.FEATURES)
        and worst(model(x), features @ model.head.weight.T + model.head.bias) < 1e-5
    )


def test_the_layers_of_a_classifier_end_in_its_features_and_logits():
    model, x = classifiers.Classifier((1, 8, 8), 4).eval(), normal(3, 1, 8, 8, dtype=torch.float32)
    found = model.layers(x)
    assert [tuple(h.shape[1:]) for h in found] == [(16, 8, 8)] * 2 + [(32, 4, 4)] * 2 + [
        (64, 2, 2)
    ] * 2 + [(classifiers.FEATURES,), (4,)]
    assert worst(found[-2], model.features(x)) == 0 and worst(found[-1], model(x)) == 0
    assert all((h >= 0).all() for h in found[:6]) and worst(found[5].mean((2, 3)), found[6]) == 0


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: classifiers.Classifier((1, 8, 4)), "shape"),
        (lambda: classifiers.Classifier((1, 8, 8), 1), "classes"),
        (lambda: classifiers.Classifier((1, 8, 8))(torch.zeros(2, 1, 9, 8)), "x.shape"),
        (
            lambda: classifiers.Training(
                classifiers.Classifier((1, 8, 8)),
                torch.zeros(4, 1, 8, 8),
                torch.zeros(3),
                steps=1,
                generator=rng(),
            ),
            "len(labels)",
        ),
        (
            lambda: classifiers.Training(
                classifiers.Classifier((1, 8, 8)),
                torch.full((4, 1, 8, 8), float("nan")),
                torch.zeros(4),
                steps=1,
                generator=rng(),
            ),
            "images",
        ),
        (lambda: recipes.unet((1, 10, 8), (8, 8, 8), seed=0), "shape"),
        (lambda: recipes.unet((1, 8, 8), (8, 8, 12), seed=0), "channels"),
    ],
)
def test_bad_input(call, name):
    with complains(name):
        call()
