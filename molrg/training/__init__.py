"""Training a denoiser: the loss, a trainer that resumes, ensembles of unlike sizes."""

from molrg.training.batches import Batches
from molrg.training.loss import (
    Assignment,
    Weighting,
    evaluate,
    exact_loss,
    log_uniform_times,
    loss,
    output_weighting,
    sphere_points,
    squared_errors,
)
from molrg.training.ragged import train_cells
from molrg.training.trainer import Trainer, clip_gradients_, fit

__all__ = [
    "Assignment",
    "Batches",
    "Trainer",
    "Weighting",
    "clip_gradients_",
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
