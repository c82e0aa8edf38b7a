"""Where the parts of a diffusers model are, in a folder or on the hub; and what a folder lacks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from molrg import files
from molrg.denoisers import hub, seals

NAME = "diffusion_pytorch_model"
LAYOUT = (
    f"a diffusers folder: unet/ (or its files at the top) with config.json and {NAME}.safetensors,"
    " and a scheduler_config.json"
)
AUTOENCODERS = ("vae", "vqvae", "movq", "vqgan")  # as pipelines of latent diffusion name them


@dataclass(frozen=True)
class Parts:
    """Where diffusers finds the two parts of a model: a subfolder for each, None for the top."""

    source: str  # a folder, or an id of the hub
    network: str | None
    scheduler: str | None
    variant: str | None = None
    revision: str | None = None

    def load_config(self, name: str, subfolder: str | None) -> dict[str, Any]:
        """The settings in a JSON file of the model, by diffusers' own loader.

        Args:
            name: of the file.
            subfolder: where it is.

        Raises:
            FileNotFoundError: where there is none, or the hub does not answer.
            ValueError: where the file is damaged.
        """
        from diffusers import ConfigMixin  # noqa: PLC0415 - an extra, and slow

        kind: Any = type("Named", (ConfigMixin,), {"config_name": name})
        place = "/".join(filter(None, (self.source, subfolder, name)))
        try:
            config = kind.load_config(self.source, subfolder=subfolder, revision=self.revision)
        except (OSError, ValueError, AttributeError, RecursionError) as error:
            reason = " ".join(str(error).split())[:200]
            if "is not a valid JSON file" in reason or isinstance(error, RecursionError):
                raise ValueError(
                    f"path_or_repo_id = {self.source}: allowed is {LAYOUT} ({place}: no JSON)"
                ) from error
            raise FileNotFoundError(f"{place}: {reason}") from error
        if not isinstance(config, dict):
            raise ValueError(
                f"path_or_repo_id = {self.source}: allowed is {LAYOUT} ({place}: not an object)"
            )
        return config


def found(
    path_or_repo_id: str | Path, *, variant: str | None, subfolder: str | None, revision: str | None
) -> Parts:
    """The parts of a model: of a folder, of the hub, or of its cache where it does not answer.

    Args:
        path_or_repo_id: a folder, or owner/name.
        variant: of the weights.
        subfolder: of the network, where that is not unet.
        revision: branch, tag or commit on the hub.

    Raises:
        FileNotFoundError: as `on_hub`.
        ValueError: as `local` and `on_hub`.
    """
    folder: Path | None = Path(path_or_repo_id)
    name = str(path_or_repo_id)
    if files.is_hub_id(name):
        try:
            folder = hub.cached(name, revision)
        except FileNotFoundError as error:
            raise _nowhere(name, error) from error
    elif not Path(name).exists():
        folder = None
    if folder is None:
        return on_hub(name, variant=variant, subfolder=subfolder, revision=revision)
    return local(folder, variant=variant, subfolder=subfolder)


def local(folder: Path, *, variant: str | None, subfolder: str | None) -> Parts:
    """The parts of a folder, once all that can be seen without loading is as it should be.

    Args:
        folder: the folder.
        variant: of the weights, such as "fp16".
        subfolder: of the network, where that is not unet.

    Raises:
        ValueError: in one sentence, what the folder is or lacks, and what to do.
    """
    if not folder.is_dir():
        allowed = _unpickled(folder) if folder.suffix in seals.PICKLES else LAYOUT
        raise _refusal(folder, allowed)
    seals.verify(folder)
    if (folder / "model_index.json").is_file():
        _require_pixels(folder, _json(folder / "model_index.json"))
    network = _network_of(folder, subfolder)
    _require_weights(folder, network, variant)
    scheduler = "scheduler" if (folder / "scheduler").is_dir() else None
    if not (folder / (scheduler or "") / "scheduler_config.json").is_file():
        raise _refusal(
            folder,
            f"{LAYOUT}; it has no scheduler_config.json, which says what noise the network has"
            " seen and what it predicts: take it from where the weights are from",
        )
    return Parts(str(folder), network, scheduler, variant)


def on_hub(
    repo_id: str, *, variant: str | None, subfolder: str | None, revision: str | None
) -> Parts:
    """The parts of a repository of the hub; nothing but configurations is fetched.

    Args:
        repo_id: as owner/name.
        variant: of the weights.
        subfolder: of the network, where that is not unet.
        revision: branch, tag or commit.

    Raises:
        FileNotFoundError: where there is no such model, or the hub does not answer.
        ValueError: where the model is none of pixels.
    """
    whole = Parts(repo_id, None, None, variant, revision)
    network = _first(whole, "config.json", [subfolder] if subfolder else ["unet", None])
    scheduler = _first(whole, "scheduler_config.json", ["scheduler", None])
    try:
        index = whole.load_config("model_index.json", None)
    except FileNotFoundError:  # parts without a pipeline around them
        index = {}
    _require_pixels(repo_id, index)
    return Parts(repo_id, network, scheduler, variant, revision)


def _first(whole: Parts, name: str, subfolders: list[str | None]) -> str | None:
    """The first of the subfolders that has a file."""
    for subfolder in subfolders:
        try:
            whole.load_config(name, subfolder)
        except FileNotFoundError as error:
            reason = error
        else:
            return subfolder
    raise _nowhere(whole.source, reason) from reason


def _nowhere(name: str, reason: Exception) -> FileNotFoundError:
    return FileNotFoundError(
        f"{name}: no such folder here, and not found on the hub or in its cache ({reason})."
        f" Name a local folder ({LAYOUT}), or a model that is shipped (`molrg.zoo.names()` with"
        f" `molrg.zoo.load`), or run `python -m molrg fetch {name}` once where there is a network"
    )


def _refusal(source: Path | str, allowed: str) -> ValueError:
    return ValueError(f"path_or_repo_id = {source}: allowed is {allowed}")


def _unpickled(name: str | Path) -> str:
    return (
        f"safetensors only, and {name} is pickled, which can run any code when read; where you"
        " trust it, load it with diffusers and write it again with save_pretrained(...,"
        " safe_serialization=True)"
    )


def _json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; empty where it is none, which diffusers will say better."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):  # no JSON, or nested without end
        return {}
    return content if isinstance(content, dict) else {}


def _require_pixels(source: Path | str, index: dict[str, Any]) -> None:
    """The pipeline is none of latent diffusion, whose network sees codes of images."""
    latent = sorted(name for name in AUTOENCODERS if (index.get(name) or [None])[0] is not None)
    if latent:
        raise _refusal(
            source,
            "a network of pixels; this is latent diffusion, whose network denoises the codes of its"
            f" {latent[0]}: a Jacobian or a sample would be one of codes; to be one of images it"
            " takes a denoiser that encodes and decodes around the network",
        )


def _network_of(folder: Path, subfolder: str | None) -> str | None:
    """The subfolder of the network: what is asked for, unet, or the top."""
    if subfolder is not None:
        if not (folder / subfolder / "config.json").is_file():
            others = _networks(folder)
            raise ValueError(
                f"subfolder = {subfolder!r}: allowed is one of {folder} with the config.json of a"
                f" network{_list(others)}"
            )
        return subfolder
    usual = "unet" if (folder / "unet").is_dir() else None
    if (folder / (usual or "") / "config.json").is_file():
        return usual
    others = _networks(folder)
    if others:
        raise ValueError(
            f"subfolder = None: allowed is one of {others}, for {folder} has its network in none of"
            " the usual places"
        )
    raise _refusal(folder, f"{LAYOUT}; it has no config.json of a network")


def _networks(folder: Path) -> list[str]:
    """The subfolders that hold a U-Net."""
    configs = sorted(folder.glob("*/config.json"))
    kinds = {path.parent.name: str(_json(path).get("_class_name")) for path in configs}
    return [name for name, kind in kinds.items() if kind.startswith("UNet")]


def _list(names: list[str]) -> str:
    return f", such as {', '.join(map(repr, names))}" if names else ""


def weights_of(variant: str | None) -> tuple[str, str]:
    """The names that a file of weights, or an index of several, may have."""
    middle = "" if variant is None else f".{variant}"
    return f"{NAME}{middle}.safetensors", f"{NAME}.safetensors.index{middle}.json"


def _require_weights(folder: Path, network: str | None, variant: str | None) -> None:
    """There are weights of the variant, as safetensors."""
    place = folder / (network or "")
    names = sorted(path.name for path in place.iterdir())
    if set(weights_of(variant)) & set(names):
        return
    variants = [
        name.removeprefix(f"{NAME}.").removesuffix(".safetensors")
        for name in names
        if name.startswith(f"{NAME}.") and name.endswith(".safetensors")
    ]
    variants = [name for name in variants if name != "safetensors" and "-of-" not in name]
    if variants or (variant is not None and set(weights_of(None)) & set(names)):
        allowed = [*map(repr, variants), *(["None"] if weights_of(None)[0] in names else [])]
        raise ValueError(
            f"variant = {variant!r}: allowed is {' or '.join(allowed)}, as weights of {place} are"
        )
    pickles = [name for name in names if Path(name).suffix in seals.PICKLES]
    if pickles:
        raise _refusal(folder, _unpickled(pickles[0]))
    raise _refusal(folder, f"{LAYOUT}; {place} has a configuration and no weights")
