"""What the checks of the pen-and-paper problems share."""

from __future__ import annotations

import torch

from molrg.schedules import EDM

SCHEDULE = EDM()


def time(sigma: float) -> float:
    return SCHEDULE.t_of_sigma(sigma).item()


def rows(*values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def axes(n: int, *columns: int) -> torch.Tensor:
    return torch.eye(n, dtype=torch.float64)[:, list(columns)]
