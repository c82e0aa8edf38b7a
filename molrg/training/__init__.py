"""Training a denoiser: the loss, a trainer that resumes, ensembles of unlike sizes."""

from molrg.training.ragged import train_cells
from molrg.training.trainer import (
    Trainer,
    Weighting,
    evaluate,
    exact_loss,
    fit,
    log_uniform_times,
    loss,
    output_weighting,
    sphere_points,
    squared_errors,
)

__all__ = [
    "Trainer",
    "Weighting",
    "evaluate",
    "exact_loss",
    "fit",
    "log_uniform_times",
    "loss",
    "output_weighting",
    "sphere_points",
    "squared_errors",
    "train_cells",
]
