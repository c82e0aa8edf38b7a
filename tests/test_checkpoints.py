"""Checkpoints: folders in the formats in use, against plain diffusers; and what is refused."""

from __future__ import annotations

import json
import os
import pickle
import shutil

import pytest
import torch
from factories import complains, normal, worst
from safetensors.torch import load_file, save_file

from molrg import denoisers, schedules
from molrg.denoisers import checkpoints, folders, seals
from molrg.denoisers.networks import UNet

INDEX = folders.weights_of(None)[1]
SAME = 1e-5  # float32, and diffusers' table of alphas in float32

# what stands in the configurations of google/ddpm-cifar10-32 and google/ddpm-celebahq-256, with
# fewer channels and pixels
OLD_UNET = {
    "_class_name": "UNet2DModel",
    "_diffusers_version": "0.0.4",
    "act_fn": "silu",
    "attention_head_dim": None,
    "center_input_sample": False,
    "downsample_padding": 0,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
    "in_channels": 3,
    "layers_per_block": 2,
    "mid_block_scale_factor": 1,
    "norm_eps": 1e-6,
    "norm_num_groups": 4,
    "out_channels": 3,
    "time_embedding_type": "positional",
}
CIFAR = OLD_UNET | {
    "block_out_channels": [8, 16, 16, 16],
    "sample_size": 32,
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
}
CELEBA = OLD_UNET | {
    "block_out_channels": [4, 4, 8, 8, 16, 16],
    "sample_size": 64,
    "down_block_types": ["DownBlock2D"] * 4 + ["AttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "AttnUpBlock2D"] + ["UpBlock2D"] * 4,
}
OLD_SCHEDULER = {
    "_class_name": "DDPMScheduler",
    "_diffusers_version": "0.1.1",
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "beta_start": 0.0001,
    "clip_sample": True,
    "num_train_timesteps": 1000,
    "trained_betas": None,
    "variance_type": "fixed_large",
}
PIPELINE = {
    "_class_name": "DDPMPipeline",
    "_diffusers_version": "0.1.1",
    "scheduler": ["diffusers", "DDPMScheduler"],
    "unet": ["diffusers", "UNet2DModel"],
}
FIRST_NAMES = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


def network(config, seed=0):
    from diffusers import UNet2DModel

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return UNet2DModel(
            **{key: value for key, value in config.items() if not key.startswith("_")}
        )


def old_folder(path, config):
    """All files at the top, and attention weights under the names of diffusers 0.1."""
    path.mkdir()
    tensors = {}
    for name, value in network(config).state_dict().items():
        for now, then in FIRST_NAMES.items():
            name = name.replace(f".{now}.", f".{then}.") if ".attentions." in name else name
        tensors[name] = value.contiguous()
    save_file(tensors, path / "diffusion_pytorch_model.safetensors", {"format": "pt"})
    for name, content in (
        ("config", config),
        ("scheduler_config", OLD_SCHEDULER),
        ("model_index", PIPELINE),
    ):
        (path / f"{name}.json").write_text(json.dumps(content))
    return path


SMALL = {
    "sample_size": 8,
    "in_channels": 1,
    "out_channels": 1,
    "layers_per_block": 1,
    "block_out_channels": (8, 8),
    "norm_num_groups": 4,
    "down_block_types": ("DownBlock2D",) * 2,
    "up_block_types": ("UpBlock2D",) * 2,
    "attention_head_dim": 4,
}


def new_folder(path, scheduler, **changes):
    from diffusers import DDPMPipeline

    DDPMPipeline(network(SMALL | changes), scheduler).save_pretrained(path)
    return path


def v_scheduler(**changes):
    from diffusers import DDIMScheduler

    return DDIMScheduler(
        **{"prediction_type": "v_prediction", "beta_schedule": "squaredcos_cap_v2"} | changes
    )


def as_diffusers_has_it(folder, x, step, *, flat):
    """The clean image that a plain diffusers scheduler makes of what the plain network says."""
    from diffusers import DDIMScheduler, UNet2DModel

    plain = UNet2DModel.from_pretrained(
        folder, subfolder=None if flat else "unet", low_cpu_mem_usage=False
    )
    settings = DDIMScheduler.load_config(folder, subfolder=None if flat else "scheduler") | {
        "clip_sample": False
    }
    scheduler = DDIMScheduler.from_config(settings)
    scheduler.set_timesteps(scheduler.config.num_train_timesteps)
    with torch.no_grad():
        return scheduler.step(plain(x, step).sample[:, : x.shape[1]], step, x).pred_original_sample


def images(config, B=2):
    return normal(
        B, config["in_channels"], config["sample_size"], config["sample_size"], dtype=torch.float32
    )


# loading


@pytest.mark.parametrize("config", [CIFAR, CELEBA], ids=["ddpm-cifar10-32", "ddpm-celebahq-256"])
def test_old_flat_folders_load_as_diffusers_reads_them(config, tmp_path):
    folder = old_folder(tmp_path / "old", config)
    denoiser, x = denoisers.from_pretrained(folder), images(config)
    assert (
        denoiser.prediction == "eps"
        and denoiser.schedule == schedules.DDPM()
        and denoiser.event == (3, *x.shape[2:])
    )
    for step in (20, 500):
        assert (
            worst(denoiser(x, step / 999), as_diffusers_has_it(folder, x, step, flat=True))
            < SAME * 999 / step
        )
    assert not any(p.requires_grad for p in denoiser.parameters()) and not denoiser.training


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
def test_an_unconditional_pipeline_loads_whatever_it_predicts(prediction, tmp_path):
    folder = new_folder(tmp_path / "new", v_scheduler(prediction_type=prediction))
    denoiser, x = denoisers.from_pretrained(str(folder)), images(SMALL)
    assert (
        denoiser.prediction == {"epsilon": "eps", "sample": "x0", "v_prediction": "v"}[prediction]
    )
    for step in (20, 500, 900):
        expected = as_diffusers_has_it(folder, x, step, flat=False)
        assert worst(denoiser(x, step / 999), expected) < SAME * max(
            1.0, expected.abs().max().item()
        )


def test_the_times_of_a_batch_are_its_own(tmp_path):
    denoiser, x = (
        denoisers.from_pretrained(new_folder(tmp_path / "new", v_scheduler())),
        images(SMALL),
    )
    both = denoiser(x, torch.tensor([0.2, 0.8]))
    assert (
        worst(both[:1], denoiser(x[:1], 0.2)) < SAME
        and worst(both[1:], denoiser(x[1:], 0.8)) < SAME
    )


@pytest.mark.parametrize(
    "name",
    ["DDPMScheduler", "PNDMScheduler", "EulerDiscreteScheduler", "DPMSolverMultistepScheduler"],
)
def test_any_scheduler_with_a_table_will_do(name, tmp_path):
    import diffusers

    folder = new_folder(
        tmp_path / "new",
        getattr(diffusers, name)(beta_schedule="scaled_linear", beta_start=1e-3, beta_end=0.015),
    )
    betas = torch.linspace(1e-3**0.5, 0.015**0.5, 1000, dtype=torch.float64) ** 2
    schedule = denoisers.from_pretrained(folder).schedule
    t = torch.tensor([0.0, 0.3, 1.0])
    assert worst(schedule.s(t).square(), (1 - betas).cumprod(0)[[0, 300, 999]]) < SAME


def test_what_was_said_of_the_prediction_before_it_had_a_type(tmp_path):
    folder = old_folder(tmp_path / "old", CIFAR)
    for said, prediction in ((True, "eps"), (False, "x0")):
        (folder / "scheduler_config.json").write_text(
            json.dumps(OLD_SCHEDULER | {"predict_epsilon": said})
        )
        assert denoisers.from_pretrained(folder).prediction == prediction


def test_a_schedule_that_ends_nearly_without_a_signal_is_kept_as_it_is(tmp_path):
    from diffusers import DDPMScheduler

    scheduler = DDPMScheduler(1000, beta_schedule="squaredcos_cap_v2")
    found = denoisers.from_pretrained(new_folder(tmp_path / "cosine", scheduler)).schedule
    assert found.s(1.0).item() ** 2 == pytest.approx(float(scheduler.alphas_cumprod[-1]), rel=1e-5)


def test_a_schedule_that_ends_without_a_signal_keeps_a_finite_noise_level(tmp_path):
    schedule = denoisers.from_pretrained(
        new_folder(tmp_path / "new", v_scheduler(rescale_betas_zero_snr=True))
    ).schedule
    assert schedule.sigma(1.0).isfinite() and schedule.sigma(1.0) > 1e3


def test_learned_variances_are_left_out(tmp_path):
    folder = new_folder(tmp_path / "new", v_scheduler(), out_channels=2)
    x = images(SMALL)
    assert (
        worst(
            denoisers.from_pretrained(folder)(x, 500 / 999),
            as_diffusers_has_it(folder, x, 500, flat=False),
        )
        < SAME
    )


def test_other_sizes_and_channels(tmp_path):
    folder = new_folder(
        tmp_path / "new", v_scheduler(), sample_size=(8, 12), in_channels=2, out_channels=2
    )
    denoiser = denoisers.from_pretrained(folder)
    assert (
        denoiser.event == (2, 8, 12) and denoiser(normal(3, 2, 8, 12), 0.5).dtype == torch.float64
    )
    with complains("x_t.shape"):
        denoiser(normal(3, 2, 12, 8), 0.5)
    folder = new_folder(tmp_path / "open", v_scheduler(), sample_size=None)
    assert denoisers.from_pretrained(folder)(normal(1, 1, 16, 8), 0.5).shape == (1, 1, 16, 8)


# saving


@pytest.mark.parametrize("prediction", ["eps", "x0", "v"])
def test_what_is_saved_is_plain_diffusers_and_comes_back(prediction, tmp_path):
    from diffusers import DDPMPipeline

    schedule = schedules.DDPM(steps=500, beta_end=0.03)
    denoiser = UNet(network(SMALL), schedule, prediction=prediction).eval()
    denoiser.requires_grad_(False)  # as what comes back: kernels of some processors differ
    (tmp_path / "README.md").write_text("stays")
    folder = checkpoints.save(denoiser, tmp_path)
    back, x = denoisers.from_pretrained(folder), images(SMALL)
    assert torch.equal(back(x, 0.4), denoiser(x, 0.4)) and back.schedule == denoiser.schedule
    step = int(denoiser.schedule.step(0.4))
    assert worst(back(x, 0.4), as_diffusers_has_it(folder, x, step, flat=False)) < SAME
    pipeline = DDPMPipeline.from_pretrained(folder, low_cpu_mem_usage=False)
    assert all(
        torch.equal(a, b)
        for a, b in zip(
            pipeline.unet.state_dict().values(), denoiser.network.state_dict().values(), strict=True
        )
    )
    assert (folder / "README.md").read_text() == "stays" and not list(
        tmp_path.parent.glob("*.part")
    )


def test_half_precision_halves_the_file_and_loads_as_single(tmp_path):
    from diffusers import DDPMPipeline

    denoiser = UNet(network(SMALL), schedules.DDPM()).eval()
    whole, half = (
        checkpoints.save(denoiser, tmp_path / "whole"),
        checkpoints.save(denoiser, tmp_path / "half", half=True),
    )
    assert weights(half).stat().st_size < 0.6 * weights(whole).stat().st_size
    assert {p.dtype for p in denoiser.parameters()} == {torch.float32}
    back, x = denoisers.from_pretrained(half), images(SMALL)
    pipeline = DDPMPipeline.from_pretrained(half, low_cpu_mem_usage=False)
    for loaded in (back.network, pipeline.unet):
        for a, b in zip(loaded.parameters(), denoiser.network.parameters(), strict=True):
            assert a.dtype == torch.float32 and torch.equal(a, b.half().float())
    assert worst(back(x, 0.4), denoiser(x, 0.4)) < 5e-3


def test_no_place_of_this_machine_is_saved(tmp_path):
    denoiser = denoisers.from_pretrained(
        new_folder(tmp_path / "a", v_scheduler(beta_schedule="linear"))
    )
    checkpoints.save(denoiser, tmp_path / "b")
    assert not [
        path for path in (tmp_path / "b").rglob("*.json") if str(tmp_path) in path.read_text()
    ]


def test_only_what_diffusers_has_a_name_for_is_saved(tmp_path):
    with complains("denoiser"):
        checkpoints.save(UNet(network(SMALL), schedules.VP()), tmp_path / "a")
    with complains("denoiser"):
        checkpoints.save(UNet(network(SMALL), schedules.DDPM(), data_scale=0.5), tmp_path / "a")


# what must be refused


@pytest.fixture
def folder(tmp_path):
    return new_folder(tmp_path / "model", v_scheduler())


def weights(folder):
    return folder / "unet" / "diffusion_pytorch_model.safetensors"


def change(folder, edit):
    tensors = load_file(weights(folder))
    edit(tensors)
    save_file(tensors, weights(folder), {"format": "pt"})


@pytest.mark.parametrize("keep", [0, 4, 1000, -1])
@pytest.mark.fault(
    "truncated or altered weights and data",
    "weights cut to nothing, a few bytes, or by one",
    "refused by name",
)
def test_truncated_weights(folder, keep):
    whole = weights(folder).read_bytes()
    weights(folder).write_bytes(whole[:keep])
    with complains(f"weights of {folder}"):
        denoisers.from_pretrained(folder)


@pytest.mark.parametrize(
    "edit",
    [
        lambda w: w.pop("conv_in.bias"),
        lambda w: w.update(surplus=torch.zeros(3)),
        lambda w: w.update({"conv_in.bias": torch.zeros(3)}),
        lambda w: w["conv_in.bias"].__setitem__(0, float("nan")),
        lambda w: w["conv_out.weight"].fill_(float("inf")),
    ],
    ids=["missing", "surplus", "another shape", "NaN", "infinity"],
)
def test_altered_weights(folder, edit):
    change(folder, edit)
    with complains(f"weights of {folder}"):
        denoisers.from_pretrained(folder)


def test_a_sealed_folder_shows_any_change(folder):
    assert not seals.verify(folder)
    seals.seal(folder)
    assert seals.verify(folder) and denoisers.from_pretrained(folder).event == (1, 8, 8)
    change(folder, lambda w: w["conv_in.bias"].add_(1e-3))
    with complains(f"sha256 of {weights(folder)}"):
        denoisers.from_pretrained(folder)
    weights(folder).unlink()
    with complains(f"sha256 of {weights(folder)}"):
        denoisers.from_pretrained(folder)


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was read",))


@pytest.mark.fault(
    "hostile files",
    "weights that are a pickle",
    "refused unread",
)
def test_pickles_are_refused_unread(folder, tmp_path):
    weights(folder).unlink()
    bomb = folder / "unet" / "diffusion_pytorch_model.bin"
    bomb.write_bytes(pickle.dumps(Bomb()))
    with complains("path_or_repo_id"):
        denoisers.from_pretrained(folder)
    for suffix in (".pkl", ".pt"):
        shutil.copy(bomb, tmp_path / f"network{suffix}")
        with pytest.raises(ValueError, match=r"pickled.*safe_serialization"):
            denoisers.from_pretrained(tmp_path / f"network{suffix}")


@pytest.mark.parametrize("sealed", [False, True])
def test_a_pickle_that_an_index_of_shards_names_is_refused_unread(folder, sealed):
    if sealed:  # whoever adds files to a sealed folder is not believed either
        seals.seal(folder)
    (folder / "unet" / "shard.bin").write_bytes(pickle.dumps(Bomb()))
    index = {"metadata": {}, "weight_map": dict.fromkeys(load_file(weights(folder)), "shard.bin")}
    (folder / "unet" / INDEX).write_text(json.dumps(index))
    with complains(f"files of {folder}" if sealed else f"weights of {folder}"):
        denoisers.from_pretrained(folder)
    (folder / "unet" / INDEX).write_text("[]")
    with complains(f"files of {folder}" if sealed else f"weights of {folder}"):
        denoisers.from_pretrained(folder)


def test_shards_of_the_hub_are_looked_at_first(monkeypatch):
    from diffusers import ConfigMixin

    parts, asked = folders.Parts("owner/name", "unet", "scheduler"), []

    def load_config(cls, pretrained_model_name_or_path, **more):
        asked.append((cls.config_name, pretrained_model_name_or_path, more["subfolder"]))
        return {"weight_map": {"a": "one.safetensors", "b": "two.bin"}}

    monkeypatch.setattr(ConfigMixin, "load_config", classmethod(load_config))
    assert checkpoints._shards(parts) == ["one.safetensors", "two.bin"] and asked == [
        (INDEX, "owner/name", "unet")
    ]

    def absent(cls, source, **more):
        raise OSError("no index")

    monkeypatch.setattr(ConfigMixin, "load_config", classmethod(absent))
    assert checkpoints._shards(parts) == []


def test_saving_over_a_sealed_folder_breaks_the_seal_and_no_more(folder):
    seals.seal(folder)
    checkpoints.save(UNet(network(SMALL, seed=3), schedules.DDPM(), prediction="x0"), folder)
    assert not seals.verify(folder) and denoisers.from_pretrained(folder).prediction == "x0"


def test_a_pickle_called_safetensors_is_refused_unread(folder):
    weights(folder).write_bytes(pickle.dumps(Bomb()))
    with complains(f"weights of {folder}"):
        denoisers.from_pretrained(folder)


def rewrite(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("spoil", "name"),
    [
        (lambda f: shutil.rmtree(f / "unet"), "path_or_repo_id"),
        (lambda f: shutil.rmtree(f / "scheduler"), "path_or_repo_id"),
        (lambda f: (f / "unet" / "config.json").write_text("{"), "path_or_repo_id"),
        (
            lambda f: rewrite(f / "unet" / "config.json", _class_name="UNet2DConditionModel"),
            "network",
        ),
        (lambda f: rewrite(f / "unet" / "config.json", num_class_embeds=10), "network"),
        (lambda f: rewrite(f / "unet" / "config.json", out_channels=3), "out_channels"),
        (lambda f: rewrite(f / "unet" / "config.json", block_out_channels=[8, 12]), "weights"),
        (
            lambda f: rewrite(
                f / "scheduler" / "scheduler_config.json", _class_name="ScoreSdeVeScheduler"
            ),
            "scheduler",
        ),
        (
            lambda f: rewrite(f / "scheduler" / "scheduler_config.json", _class_name="Nonsense"),
            "scheduler",
        ),
        (
            lambda f: rewrite(
                f / "scheduler" / "scheduler_config.json", prediction_type="flow_prediction"
            ),
            "prediction_type",
        ),
        (
            lambda f: rewrite(f / "scheduler" / "scheduler_config.json", beta_schedule="nonsense"),
            "scheduler",
        ),
        (
            lambda f: rewrite(
                f / "scheduler" / "scheduler_config.json", _class_name="LCMScheduler"
            ),
            "scheduler",
        ),
        (
            lambda f: rewrite(
                f / "scheduler" / "scheduler_config.json",
                _class_name="EulerDiscreteScheduler",
                timestep_type="continuous",
            ),
            "scheduler",
        ),
        (lambda f: (f / "scheduler" / "scheduler_config.json").write_text("[]"), "path_or_repo_id"),
    ],
    ids=[
        "no network",
        "no scheduler",
        "no JSON",
        "conditional",
        "classes",
        "channels",
        "other blocks",
        "no table",
        "unknown",
        "flow",
        "unknown noise",
        "consistency",
        "continuous time",
        "a list",
    ],
)
def test_folders_of_another_kind(folder, spoil, name):
    spoil(folder)
    with complains(name):
        denoisers.from_pretrained(folder)


def test_an_empty_folder(tmp_path):
    with complains("path_or_repo_id"):
        denoisers.from_pretrained(tmp_path)


def test_images_of_the_wrong_size(folder):
    denoiser = denoisers.from_pretrained(folder)
    for shape in ((2, 1, 9, 8), (2, 3, 8, 8), (1, 8, 8), (2, 64)):
        with complains("x_t.shape"):
            denoiser(normal(*shape), 0.5)


@pytest.mark.parametrize("name", ["google/ddpm-cifar10-32", "no/such/thing at all"])
def test_without_a_network_the_error_says_what_to_do(name, monkeypatch, tmp_path):
    """The hub's client says the same of a network that is off and of one that does not answer."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(
        FileNotFoundError, match=r"no such folder.*local folder.*molrg\.zoo.*molrg fetch"
    ):
        denoisers.from_pretrained(name)


# folders that lack a part, or are of latent diffusion: one sentence that says what to do


def test_latent_diffusion_is_refused_and_says_of_what_its_network_is(tmp_path):
    from diffusers import DDIMScheduler, LDMPipeline, VQModel

    autoencoder = VQModel(
        block_out_channels=(8,), latent_channels=3, num_vq_embeddings=8, norm_num_groups=4
    )
    folder = tmp_path / "latent"
    latents = network(SMALL | {"in_channels": 3, "out_channels": 3})
    LDMPipeline(autoencoder, latents, DDIMScheduler()).save_pretrained(folder)
    with complains("path_or_repo_id"):
        denoisers.from_pretrained(folder)
    with pytest.raises(ValueError, match="codes of its vqvae"):
        denoisers.from_pretrained(folder)


def test_latent_diffusion_on_the_hub_is_refused(monkeypatch):
    from diffusers import ConfigMixin

    def load_config(cls, source, **more):
        return {"vae": ["diffusers", "AutoencoderKL"]}

    monkeypatch.setattr("diffusers.utils.hub_utils.model_info", lambda name, **more: None)
    monkeypatch.setattr(ConfigMixin, "load_config", classmethod(load_config))
    with complains("path_or_repo_id"):
        denoisers.from_pretrained("owner/name")


@pytest.mark.parametrize("revision", [None, "1" * 40])
def test_a_hub_that_does_not_answer_is_asked_once_and_its_cache_read(
    folder, tmp_path, monkeypatch, revision
):
    """The cache as it lies on a disk after a first download; no loader is sent to the hub."""
    place, commit = tmp_path / "hub" / "models--owner--tiny", revision or "0" * 40
    shutil.copytree(folder, place / "snapshots" / commit)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("0" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    asked_for = []

    def nobody(name, **more):
        asked_for.append((name, more["revision"]))
        raise OSError("no network")

    monkeypatch.setattr("diffusers.utils.hub_utils.model_info", nobody)
    monkeypatch.setattr("molrg.denoisers.folders.on_hub", None)
    read, x = denoisers.from_pretrained("owner/tiny", revision=revision), images(SMALL)
    assert torch.equal(read(x, 0.5), denoisers.from_pretrained(folder)(x, 0.5))
    with pytest.raises(FileNotFoundError, match=r"owner/other: .*the hub cannot be reached"):
        denoisers.from_pretrained("owner/other")
    assert asked_for == [("owner/tiny", revision), ("owner/other", None)]


def test_a_pipeline_without_its_autoencoder_is_none_of_latents(folder):
    rewrite(folder / "model_index.json", vae=[None, None])
    assert denoisers.from_pretrained(folder).event == (1, 8, 8)


def test_a_folder_with_one_variant_of_its_weights_asks_for_its_name(folder):
    whole, x = denoisers.from_pretrained(folder), images(SMALL)
    weights(folder).rename(weights(folder).with_suffix(".fp16.safetensors"))
    with complains("variant"):
        denoisers.from_pretrained(folder)
    with pytest.raises(ValueError, match="variant = None: allowed is 'fp16', as"):
        denoisers.from_pretrained(folder)
    assert torch.equal(denoisers.from_pretrained(folder, variant="fp16")(x, 0.5), whole(x, 0.5))


def test_a_variant_that_is_not_there_is_told_from_those_that_are(folder):
    with pytest.raises(ValueError, match="variant = 'fp16': allowed is None, as"):
        denoisers.from_pretrained(folder, variant="fp16")


def test_a_folder_with_its_network_elsewhere_asks_for_the_subfolder(folder):
    whole, x = denoisers.from_pretrained(folder), images(SMALL)
    (folder / "unet").rename(folder / "unet_ema")
    with complains("subfolder"):
        denoisers.from_pretrained(folder)
    with pytest.raises(ValueError, match="unet_ema"):
        denoisers.from_pretrained(folder, subfolder="unet")
    found = denoisers.from_pretrained(folder, subfolder="unet_ema")
    assert torch.equal(found(x, 0.5), whole(x, 0.5))


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda f: shutil.rmtree(f / "scheduler"), "no scheduler_config.json, which says"),
        (lambda f: shutil.rmtree(f / "unet"), "no config.json of a network"),
        (lambda f: (f / "unet" / "config.json").unlink(), "no config.json of a network"),
        (lambda f: weights(f).unlink(), "a configuration and no weights"),
    ],
    ids=["scheduler", "network", "configuration", "weights"],
)
def test_what_a_folder_lacks_is_named(folder, spoil, sentence):
    spoil(folder)
    with complains("path_or_repo_id"):
        denoisers.from_pretrained(folder)
    with pytest.raises(ValueError, match=sentence):
        denoisers.from_pretrained(folder)


@pytest.mark.parametrize("name", ["variant", "subfolder", "revision"])
def test_names_that_are_none_are_refused(folder, name):
    with complains(name):
        denoisers.from_pretrained(folder, **{name: 3})


# schedules as they are


def test_noise_as_target_where_nothing_but_noise_is_left_is_refused(tmp_path):
    """At zero signal the noise says nothing of x_0; the division gave 8e4."""
    for prediction in ("epsilon", "v_prediction", "sample"):
        scheduler = v_scheduler(prediction_type=prediction, rescale_betas_zero_snr=True)
        folder = new_folder(tmp_path / prediction, scheduler)
        if prediction == "epsilon":
            with complains("prediction_type"):
                denoisers.from_pretrained(folder)
        else:
            x0_hat = denoisers.from_pretrained(folder)(images(SMALL), 1.0)
            assert x0_hat.abs().max() < 10


def test_a_linear_scheduler_with_a_table_of_its_own_keeps_it(tmp_path):
    from diffusers import CogVideoXDDIMScheduler

    scheduler = CogVideoXDDIMScheduler(
        beta_schedule="linear",
        beta_start=1e-4,
        beta_end=0.02,
        snr_shift_scale=3.0,
        rescale_betas_zero_snr=False,
    )
    found = denoisers.from_pretrained(new_folder(tmp_path / "shifted", scheduler)).schedule
    assert found.alpha_bar[500].item() == pytest.approx(float(scheduler.alphas_cumprod[500]))


def test_constant_betas_are_accepted(tmp_path):
    from diffusers import DDPMScheduler

    scheduler = DDPMScheduler(beta_start=0.01, beta_end=0.01)
    found = denoisers.from_pretrained(new_folder(tmp_path / "constant", scheduler)).schedule
    assert found.alpha_bar[500].item() == pytest.approx(0.99**501, rel=1e-4)


def test_the_bound_of_a_pipeline_is_kept_and_not_applied(tmp_path):
    bounds = {"a": (True, 1.5), "b": (False, 1.5)}
    for name, (clip, bound) in bounds.items():
        scheduler = v_scheduler(clip_sample=clip, clip_sample_range=bound)
        denoiser = denoisers.from_pretrained(new_folder(tmp_path / name, scheduler))
        assert denoiser.clip == (bound if clip else None)
    assert denoiser(50 * images(SMALL), 0.5).abs().max() > 1.5


# sizes, precision, devices


def three_levels(size):
    blocks = {"block_out_channels": (8, 8, 8), "sample_size": size}
    return network(
        SMALL
        | blocks
        | {"down_block_types": ("DownBlock2D",) * 3, "up_block_types": ("UpBlock2D",) * 3}
    )


def test_a_size_that_the_network_cannot_halve_is_refused_before_it_runs():
    """Every size from 1 to 33: what diffusers can run is run, and nothing else."""
    denoiser = UNet(three_levels(None), schedules.DDPM()).eval()
    for side in range(1, 34):
        x = normal(1, 1, side, 8, dtype=torch.float32)
        if side % 4 == 0:
            assert denoiser(x, 0.5).shape == x.shape
            continue
        with complains("x_t.shape"):
            denoiser(x, 0.5)
        with pytest.raises(RuntimeError):
            denoiser.network(x, 500)
    with complains("x_t.shape"):
        UNet(three_levels(9), schedules.DDPM())(normal(1, 1, 9, 9, dtype=torch.float32), 0.5)


@pytest.mark.parametrize("prediction", ["eps", "x0", "v"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_network_in_half_precision_is_the_one_in_single_to_its_rounding(dtype, prediction):
    """x0_hat is put together in single: the rounding is the output's, amplified by sigma_t."""
    whole = UNet(network(SMALL), schedules.DDPM(), prediction=prediction).eval()
    half = UNet(network(SMALL).to(dtype), schedules.DDPM(), prediction=prediction).eval()
    x = images(SMALL)
    for t in (0.1, 0.5, 0.9):
        expected = whole(x, t)
        sigma = float(whole.schedule.sigma(t))
        allowed = 8 * torch.finfo(dtype).eps * (1 + sigma)
        for points in (x, x.to(dtype), x.double()):
            x0_hat = half(points, t)
            assert x0_hat.dtype == points.dtype
            rounding = torch.finfo(points.dtype).eps * expected.abs().max()
            assert worst(x0_hat.float(), expected) < allowed + rounding


def test_devices_by_name(folder):
    assert denoisers.from_pretrained(folder, device="cpu").network.device.type == "cpu"
    auto = "cuda" if torch.cuda.is_available() else "cpu"
    assert denoisers.from_pretrained(folder, device="auto").network.device.type == auto
    assert denoisers.from_pretrained(folder, device="meta").network.device.type == "meta"
    for name in ("nonsense", "cuda:99", 3.5):
        with complains("device"):
            denoisers.from_pretrained(folder, device=name)


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_what_is_written_has_the_mode_that_the_user_wants(umask, mode, tmp_path):
    before = os.umask(umask)
    try:
        folder = checkpoints.save(UNet(network(SMALL), schedules.DDPM()), tmp_path / "model")
        seals.seal(folder)
    finally:
        os.umask(before)
    modes = {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()}
    assert modes == {mode}
