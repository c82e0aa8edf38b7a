"""Sweeps: the same table from every executor, after every accident, and never from another function."""

from __future__ import annotations

import json

import pandas as pd
import pytest
import torch
from factories import complains, rng

from molrg import sweeps

CELLS = [{"d": d, "N": N} for d in (2, 3) for N in (4, 6)]


def mean(seed, d, N):
    return {"mean": torch.randn(N, d, generator=rng(seed)).mean(), "size": N * d}


def batched_mean(seed, d, N):
    return mean(seed, d, N)


batched_mean.batched = lambda cells, seeds: [mean(seed, **cell) for cell, seed in zip(cells, seeds, strict=True)]


def expected(fn=mean, cells=CELLS, seeds=range(3)):
    rows = [{**cell, "seed": seed, **fn(seed=seed, **cell)} for cell in cells for seed in seeds]
    return pd.DataFrame([{key: getattr(v, "item", lambda v=v: v)() for key, v in row.items()} for row in rows])


@pytest.mark.parametrize("fn", [mean, batched_mean])
@pytest.mark.parametrize("chunk", [None, 1, 5, 100])
def test_the_table_is_that_of_two_loops(fn, chunk, tmp_path):
    table = sweeps.run(fn, CELLS, seeds=range(3), chunk=chunk, store=tmp_path / "s.jsonl")
    pd.testing.assert_frame_equal(table, expected(), check_exact=True)
    assert list(table) == ["d", "N", "seed", "mean", "size"]
