"""What a diffusers scheduler says of a network: its forward process, its target, its clipping."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from molrg import checks
from molrg.denoisers.folders import LAYOUT, Parts
from molrg.schedules import DDPM, Discrete, Schedule

_MOST_STEPS = 10**6  # a thousand times the usual number
PREDICTIONS = {"epsilon": "eps", "sample": "x0", "v_prediction": "v"}


@dataclass(frozen=True)
class Training:
    """How a network was trained, and how its pipeline samples."""

    schedule: Schedule
    prediction: str  # "x0", "eps" or "v"
    clip: float | None  # bound that the pipeline puts on x0_hat in each step


def read(parts: Parts) -> Training:
    """What the scheduler's configuration stands for.

    Args:
        parts: of a model.

    Raises:
        ValueError: where it is damaged, has no table of ``alphas_cumprod``, or stands for a network
            that predicts none of the three targets, or the noise where there is nothing else.
    """
    try:
        config = parts.load_config("scheduler_config.json", parts.scheduler)
    except FileNotFoundError as error:
        raise ValueError(
            f"path_or_repo_id = {parts.source}: allowed is {LAYOUT} ({error})"
        ) from error
    scheduler = _made(parts, config)
    prediction = _prediction(parts, config, scheduler.config)
    table = scheduler.alphas_cumprod.double()
    if prediction == "eps" and bool(table[-1] == 0 or _rescaled(scheduler)):
        raise ValueError(
            f"prediction_type of {parts.source} = epsilon: allowed is v_prediction or sample where"
            " the schedule ends without a signal (rescale_betas_zero_snr), for there the noise says"
            " nothing of the image"
        )
    settings = scheduler.config
    clip = float(settings.get("clip_sample_range", 1.0)) if settings.get("clip_sample") else None
    return Training(_schedule(parts, settings, table), prediction, clip)


def _rescaled(scheduler: Any) -> bool:
    return bool(scheduler.config.get("rescale_betas_zero_snr"))


def _made(parts: Parts, config: dict[str, Any]) -> Any:
    """The scheduler, by diffusers, where it has a table and its network sees steps of it."""
    import diffusers  # noqa: PLC0415 - an extra, and slow

    name = str(config.get("_class_name", ""))
    argument = f"scheduler of {parts.source}"
    kind = getattr(diffusers, name, None) if name.endswith("Scheduler") else None
    steps = config.get("num_train_timesteps", 1000)
    if not isinstance(steps, int) or not 1 <= steps <= _MOST_STEPS:
        allowed = f"a whole number from 1 to {_MOST_STEPS:,}"
        raise ValueError(f"num_train_timesteps of {parts.source} = {steps!r}: allowed is {allowed}")
    try:
        scheduler = None if kind is None else kind.from_config(config)
    except (NotImplementedError, ImportError, ValueError, TypeError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"{argument} = {name}: allowed is one that diffusers can make ({reason})"
        ) from error
    if scheduler is None or getattr(scheduler, "alphas_cumprod", None) is None:
        raise ValueError(
            f"{argument} = {name or None}: allowed is one with a table of alphas_cumprod, such as"
            " DDPMScheduler"
        )
    # networks of these see another time, or put out no estimate of x_0, noise or v
    if name == "LCMScheduler" or scheduler.config.get("timestep_type") == "continuous":
        raise ValueError(
            f"{argument} = {name}: allowed is one whose network sees discrete steps and predicts"
            f" one of {', '.join(PREDICTIONS)}"
        )
    return scheduler


def _prediction(parts: Parts, config: dict[str, Any], settings: dict[str, Any]) -> str:
    """Our name of the target; before there were types, ``predict_epsilon`` said which."""
    if "predict_epsilon" in config:
        usual = "epsilon" if config["predict_epsilon"] else "sample"
    else:
        usual = settings.get("prediction_type", "epsilon")
    prediction = config.get("prediction_type", usual)
    return PREDICTIONS[
        checks.one_of(f"prediction_type of {parts.source}", prediction, tuple(PREDICTIONS))
    ]


def _schedule(parts: Parts, settings: dict[str, Any], table: Tensor) -> Schedule:
    """The schedule by its name where the table is the one of that name, else by its table."""
    start = float(settings.get("beta_start") or 0)
    end = float(settings.get("beta_end") or 0)
    if settings.get("beta_schedule") == "linear" and 0 < start < end < 1:
        named = DDPM(len(table), start, end)  # the same numbers, in double precision
        if torch.allclose(named.alpha_bar, table, rtol=1e-3, atol=0):
            return named
    # a last signal of zero has no noise level
    smallest = (table[table > 0].min() / 4).clamp_max(2.0**-24)
    try:
        return Discrete(torch.where(table > 0, table, smallest))
    except ValueError as error:
        raise ValueError(
            f"scheduler of {parts.source} = one with a table that is no noise schedule: allowed is"
            f" one whose signal falls from step to step ({error})"
        ) from error
