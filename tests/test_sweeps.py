"""Sweeps: the same table from every executor and after every accident, and never that of another
function.
"""

from __future__ import annotations

import json
import math
import os
import pickle
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from factories import complains, rng

from molrg import provenance, sweeps
from molrg.sweeps import stores

CELLS = [{"d": d, "N": N} for d in (2, 3) for N in (4, 6)]
ROOT = Path(__file__).resolve().parents[1]


def mean(seed, d, N):
    return {
        "mean": torch.randn(N, d, generator=rng(seed), dtype=torch.float64).mean(),
        "size": N * d,
    }


def batched_mean(seed, d, N):
    raise AssertionError("the batched form is to be called")


def _batch(cells, seeds):
    return [mean(seed, **cell) for cell, seed in zip(cells, seeds, strict=True)]


setattr(batched_mean, "batched", _batch)  # noqa: B010 - as `sweeps.batched` does


@sweeps.batched
def decorated_mean(cells, seeds):
    return _batch(cells, seeds)


def two_loops(cells=CELLS, seeds=range(3)):
    rows = [{**cell, "seed": seed, **mean(seed, **cell)} for cell in cells for seed in seeds]
    return pd.DataFrame([row | {"mean": row["mean"].item()} for row in rows])


def same(table, wanted):
    pd.testing.assert_frame_equal(table, wanted, check_exact=True)
    return True


# the table


@pytest.mark.parametrize("fn", [mean, batched_mean, decorated_mean])
@pytest.mark.parametrize("chunk", [None, 1, 5, 100])
def test_the_table_is_that_of_two_loops(fn, chunk, tmp_path):
    table = sweeps.run(fn, CELLS, seeds=range(3), chunk=chunk, store=tmp_path / "s.jsonl")
    assert list(table) == ["d", "N", "seed", "mean", "size"] and same(table, two_loops())
    assert same(sweeps.run(fn, CELLS, seeds=range(3), store=tmp_path / "s.jsonl"), table)


def test_a_decorated_batch_is_a_function_of_one_cell_and_travels_by_name():
    assert decorated_mean(2, d=3, N=4) == mean(2, 3, 4) and decorated_mean.batched
    assert pickle.loads(pickle.dumps(decorated_mean)) is decorated_mean
    other = sweeps.batched(lambda cells, seeds: [{"mean": 0.0, "size": 0}] * len(cells))
    assert sweeps.fingerprint(other) != sweeps.fingerprint(decorated_mean)


def test_a_batched_function_sees_whole_cells_in_order():
    seen = []

    def fn(seed, d, N): ...

    fn.batched = lambda cells, seeds: [seen.append((cells, seeds))] and [{"x": 0}] * len(cells)
    sweeps.run(fn, CELLS, seeds=range(50))
    assert [len(seeds) for _, seeds in seen] == [100, 100], "the whole cells that fit into 128 jobs"
    jobs = [(cell, seed) for cells, seeds in seen for cell, seed in zip(cells, seeds, strict=True)]
    assert jobs == [(cell, seed) for cell in CELLS for seed in range(50)]


def test_numpy_torch_nan_and_infinity_come_back_as_they_were(tmp_path):
    def fn(seed, d):
        return {
            "third": 1 / 3,
            "nan": math.nan,
            "inf": np.float32(-math.inf),
            "many": torch.arange(2),
            "none": None,
            "word": d,
        }

    cells = [{"d": np.float64(0.1)}, {"d": "π"}, {"d": None}, {"d": np.int64(3)}]
    fresh = sweeps.run(fn, cells, seeds=[7], store=tmp_path / "s")
    assert same(sweeps.run(fn, cells, seeds=[7], store=tmp_path / "s"), fresh) and same(
        sweeps.run(fn, cells, seeds=[7]), fresh
    )
    row = fresh.iloc[0]
    assert (
        row.third == 1 / 3
        and math.isnan(row["nan"])
        and row.inf == -math.inf
        and row.many == [0, 1]
        and row.none is None
    )
    assert list(fresh["d"]) == [0.1, "π", None, 3] and type(fresh["d"][3]) is int


def test_a_cell_may_be_empty_and_a_grid_may_grow(tmp_path):
    counted = tmp_path / "calls"

    def fn(seed):
        with counted.open("a") as file:
            file.write("x")
        return {"x": seed}

    assert sweeps.run(fn, [{}], seeds=range(2), store=tmp_path / "s").to_dict("list") == {
        "seed": [0, 1],
        "x": [0, 1],
    }
    assert (
        len(sweeps.run(fn, [{}], seeds=range(5), store=tmp_path / "s"))
        == 5
        == len(counted.read_text())
    )


def test_timings_are_kept_apart(tmp_path):
    sweeps.run(mean, CELLS, seeds=range(3), store=tmp_path / "s", chunk=5)
    tasks = sweeps.lines(tmp_path / "s")
    assert [len(task["seeds"]) for task in tasks] == [5, 5, 2] and all(
        task["seconds"] >= 0 <= task["cpu_seconds"] for task in tasks
    )
    assert (
        tasks[0]["fn"] == "mean"
        and tasks[0]["cells"][4] == CELLS[1]
        and tasks[0]["seeds"] == [0, 1, 2, 0, 1]
    )


def test_where_a_notebook_keeps_its_sweeps():
    assert sweeps.kept("c06-map", "quick") is None
    assert sweeps.kept("c06-map", "paper") == ROOT / "_build" / "sweeps" / "c06-map.jsonl"
    with complains("name"):
        sweeps.kept("../c06", "paper")
    with complains("profile"):
        sweeps.kept("c06", "long")


# executors


@pytest.mark.parametrize("fn", [mean, batched_mean, decorated_mean])
def test_threads_give_the_same_table(fn, tmp_path):
    with ThreadPoolExecutor(3) as executor:
        table = sweeps.run(
            fn, CELLS, seeds=range(3), executor=executor, store=tmp_path / "s", chunk=2
        )
        assert same(table, two_loops()) and not executor._shutdown


# scripts: a function of __main__, in processes of its own

SCRIPT = """
import os, sys, time
from pathlib import Path
import torch
from molrg import provenance, stores, sweeps

def job(seed, d):
    with open(os.environ["LOG"], "a") as file:
        file.write(f"{d} {seed} {os.getpid()} {torch.get_num_threads()}\\n")
    time.sleep(float(os.environ["SLEEP"]))
    x = torch.randn(200, d, generator=torch.Generator().manual_seed(seed))
    return {"smallest": torch.linalg.svdvals(x)[-1], "mean": x.mean()}

def batched(cells, seeds):
    return [job(seed, **cell) for cell, seed in zip(cells, seeds)]

if __name__ == "__main__":
    here = Path(os.environ["LOG"]).with_suffix(f".{os.getpid()}")
    here.touch()
    while len(list(here.parent.glob(here.stem + ".*"))) < int(os.environ["TOGETHER"]):
        time.sleep(0.01)
    job.batched = batched
    cells = [{"d": d} for d in range(2, 8)]
    table = sweeps.run(job, cells, seeds=range(4), store=sys.argv[1], chunk=2)
    print(table.to_csv(index=False), end="")
"""
JOBS = 24


@contextmanager
def starter(folder):
    """Start the script on a store: seconds of sleep a job, threads, and how many wait for one
    another.
    """
    script = folder / "script.py"
    script.write_text(SCRIPT)
    started = []

    def begin(store, *, sleep=0.0, threads=1, together=0):
        told = {
            "LOG": folder / f"{store}-calls",
            "SLEEP": sleep,
            "TOGETHER": together,
            "PYTHONPATH": ROOT,
        }
        told |= dict.fromkeys(
            ("OMP_NUM_THREADS", "MKL_NUM_THREADS"), threads
        )  # both: Dask leaves the latter behind
        started.append(
            subprocess.Popen(
                [sys.executable, str(script), str(folder / store)],
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=os.environ | {name: str(value) for name, value in told.items()},
                preexec_fn=lambda: signal.signal(
                    signal.SIGINT, signal.SIG_DFL
                ),  # background jobs of a shell ignore it, and pass that on
            )
        )
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def start(tmp_path):
    with starter(tmp_path) as begin:
        yield begin


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of one thread that nothing disturbs: its table, and its store."""
    folder = tmp_path_factory.mktemp("whole")
    with starter(folder) as begin:
        yield ended(begin("store")), folder / "store"


def calls(store):
    """What the script's function was called with: (d, seed), process, threads."""
    words = [map(int, line.split()) for line in Path(f"{store}-calls").read_text().splitlines()]
    return [((d, seed), pid, threads) for d, seed, pid, threads in words]


def ended(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0 and err == "", err
    return out


def until(condition):
    for _ in range(1200):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("waited a minute in vain")


def finished(store):
    """The jobs in a store, as (d, seed)."""
    tasks = sweeps.lines(store) if store.exists() else []
    return [
        (cell["d"], seed)
        for task in tasks
        for cell, seed in zip(task["cells"], task["seeds"], strict=True)
    ]


def without_timings(store):
    return sorted(
        json.dumps([task[key] for key in ("code", "cells", "seeds", "results")])
        for task in sweeps.lines(store)
    )


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.fault(
    "SIGKILL of a sweep",
    "kill -9 in the middle, with one and two workers",
    "workers end; the rest is done, nothing twice, the table is the same",
)
def test_a_killed_run_goes_on_and_ends_the_same(start, whole, tmp_path, threads):
    """With two threads, in two processes of one thread each, to which a function of __main__ is
    sent.
    """
    store = tmp_path / "store"
    killed = start("store", sleep=0.1, threads=threads)
    until(lambda: len(finished(store)) >= 6)
    workers = psutil.Process(killed.pid).children(recursive=True)
    killed.kill()
    killed.wait()
    assert not psutil.wait_procs(workers, timeout=30)[1], "workers end by themselves"
    done, begun = finished(store), len(calls(store))
    assert ({pid for _, pid, _ in calls(store)} == {killed.pid}) == (threads == 1), "where it ran"
    assert len(done) < JOBS, "killed in the middle"
    resumed = ended(start("store", threads=threads))
    again = calls(store)[begun:]
    assert sorted(job for job, _, _ in again) == sorted(
        {(d, seed) for d in range(2, 8) for seed in range(4)} - set(done)
    )
    assert {used for _, _, used in again} == {1} and len({pid for _, pid, _ in again}) <= threads
    table, undisturbed = whole
    assert resumed == table and resumed.count("\n") == JOBS + 1
    assert without_timings(store) == without_timings(undisturbed)


@pytest.mark.fault(
    "two runs at once",
    "two sweeps on one store",
    "they share the work; both tables are whole",
)
def test_two_runs_on_one_store_share_the_work(start, whole, tmp_path):
    runs = [start("store", sleep=0.05, together=2) for _ in range(2)]
    first, second = map(ended, runs)
    assert first == second == whole[0]
    computed = calls(tmp_path / "store")
    assert {pid for _, pid, _ in computed} == {run.pid for run in runs}
    assert len(computed) <= JOBS + 2, "only the last task may be done twice, where they meet"
    assert set(finished(tmp_path / "store")) == {job for job, _, _ in computed}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.fault(
    "Ctrl-C of a sweep",
    "in the middle, with one and two workers",
    "what is done stays, no worker is left",
)
def test_ctrl_c_keeps_what_is_done_and_leaves_no_worker(start, tmp_path, threads):
    run = start("store", sleep=0.3, threads=threads)
    until(lambda: len(finished(tmp_path / "store")) >= 2)
    workers = psutil.Process(run.pid).children(recursive=True)
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=60)
    assert "KeyboardInterrupt" in err and run.returncode != 0
    assert not psutil.wait_procs(workers, timeout=20)[1] and bool(workers) == (threads > 1)
    assert 2 <= len(finished(tmp_path / "store")) <= len(calls(tmp_path / "store")) < JOBS


def test_the_cost_of_a_run_counts_workers_that_are_still_there():
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as child:
        until(lambda: sum(psutil.Process(child.pid).cpu_times()[:2]) > 0.3)
        with_it = provenance.cost()["cpu_seconds"]
        child.kill()
    ended_with_it = provenance.cost()["cpu_seconds"]
    assert with_it >= 0.3 and ended_with_it >= with_it - 0.05, (
        "0.05: the clock ticks a hundred times a second"
    )


# stores


def test_what_earlier_runs_have_spent_counts_once(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "_EARLIER", [0.0])
    store = tmp_path / "s.jsonl"
    sweeps.run(mean, CELLS, seeds=range(3), store=store)
    assert provenance._EARLIER == [0.0], "it is this process that has paid"
    monkeypatch.setattr(stores, "_COUNTED", {})  # as in another process
    paid = [line | {"cpu_seconds": 10.0} for line in sweeps.lines(store)]
    store.write_text("".join(json.dumps(line) + "\n" for line in paid))
    before = provenance.cost()["cpu_seconds"]
    for _ in range(2):  # asked for twice, paid for once
        sweeps.run(mean, CELLS[:2], seeds=range(4), store=store)
        assert provenance._EARLIER == [60.0], "two cells, three of their four seeds"
    assert 60.0 <= provenance.cost()["cpu_seconds"] - before < 120.0


@pytest.mark.fault(
    "torn or altered results",
    "a store cut in its last line",
    "that line does not count, and is done again",
)
def test_a_torn_last_line_is_dropped_and_mended(tmp_path):
    store = tmp_path / "s"
    whole = sweeps.run(mean, CELLS, seeds=range(3), store=store, chunk=2)
    text = store.read_bytes()
    for cut in (len(text) - 1, len(text) - 40, text.rindex(b"\n", 0, -1) + 2):
        store.write_bytes(text[:cut])
        assert len(sweeps.lines(store)) == 5
        assert same(sweeps.run(mean, CELLS, seeds=range(3), store=store, chunk=2), whole)
        assert len(sweeps.lines(store)) == 6 and store.read_bytes().endswith(b"}\n")


def test_a_store_that_vanishes_meanwhile_is_begun_anew(tmp_path):
    store = tmp_path / "s"

    def fn(seed):
        if seed == 2:
            store.unlink()
        return {"x": seed}

    assert list(sweeps.run(fn, [{}], seeds=range(4), store=store)["x"]) == [0, 1, 2, 3]
    assert [task["seeds"] for task in sweeps.lines(store)] == [[2], [3]]


@pytest.mark.parametrize(
    "text", ["d,N,seed\n2,3,0\n", "[1, 2]\n", '{"results": 1}\n', "\x00\x00\n"]
)
@pytest.mark.fault(
    "torn or altered results",
    "a store that is another kind of file",
    "refused with its line, and left as it is",
)
def test_a_file_of_another_kind_is_refused_and_left_alone(tmp_path, text):
    (tmp_path / "s").write_text(text)
    with complains(f"store {tmp_path / 's'}, line 1"):
        sweeps.run(mean, CELLS, seeds=range(3), store=tmp_path / "s")
    assert (tmp_path / "s").read_text() == text


def test_a_place_that_cannot_be_written_is_refused_before_anything_runs(tmp_path):
    def fn(seed):
        raise AssertionError("ran")

    with complains("store"):
        sweeps.run(fn, [{}], seeds=[0], store=tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        sweeps.run(fn, [{}], seeds=[0], store=tmp_path / "file" / "s")


def test_a_store_holds_several_functions(tmp_path):
    def other(seed, d, N):
        return {"mean": 0}

    for _ in range(2):
        assert same(sweeps.run(mean, CELLS, seeds=range(3), store=tmp_path / "s"), two_loops())
        assert set(sweeps.run(other, CELLS, seeds=range(3), store=tmp_path / "s")["mean"]) == {0}
    assert len(sweeps.lines(tmp_path / "s")) == 24


# errors


def fails_at_five(seed, d):
    if (seed, d) == (5, 1):
        raise ZeroDivisionError("by nought")
    time.sleep(0.2 if seed == 4 else 0)
    return {"x": seed}


@pytest.mark.parametrize("threads", [0, 2])
def test_an_error_names_cell_and_seed_and_the_others_are_kept(tmp_path, threads):
    executor = ThreadPoolExecutor(threads) if threads else None
    with pytest.raises(
        sweeps.JobFailed, match=r"fails_at_five at \{'d': 1\}, seed 5: ZeroDivisionError: by nought"
    ) as caught:
        sweeps.run(
            fails_at_five, [{"d": 1}], seeds=range(100), executor=executor, store=tmp_path / "s"
        )
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    kept = sorted(seed for task in sweeps.lines(tmp_path / "s") for seed in task["seeds"])
    assert kept[:5] == [0, 1, 2, 3, 4] and 5 not in kept and len(kept) < 100


def returns(what):
    def fn(seed, d, N):
        return what

    return fn


def returns_batched(what):
    def fn(seed, d, N): ...

    fn.batched = lambda cells, seeds: what
    return fn


@pytest.mark.parametrize("executor", [None, ThreadPoolExecutor(2)], ids=["here", "threads"])
@pytest.mark.parametrize(
    ("fn", "name"),
    [
        (returns(3.0), "what fn returned at {'d': 2, 'N': 4}, seed"),
        (returns({1: 2}), "what fn returned"),
        (returns({"seed": 2}), "what fn returned"),
        (returns({"N": 2, "x": 1}), "what fn returned"),
        (returns({"x": Path("a"), "y": torch.ones(50, 2)}), "what fn returned"),
        (returns({"x": np.datetime64("2020")}), "what fn returned"),
        (returns_batched([{"x": 1}]), "what fn.batched returned from"),
        (returns_batched(None), "what fn.batched returned from"),
        (returns_batched([1] * 12), "what fn returned"),
    ],
)
def test_what_cannot_be_a_row_is_refused(fn, name, executor, tmp_path):
    with complains(name):
        sweeps.run(fn, CELLS, seeds=range(3), store=tmp_path / "s", executor=executor)
    assert not (tmp_path / "s").read_bytes()


def test_all_jobs_return_the_same_keys():
    def fn(seed):
        return {"x": 1} if seed else {"x": 1, "y": 2}

    with complains("what fn returned at {}, seed 1"):
        sweeps.run(fn, [{}], seeds=range(2))


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"cells": []}, "cells"),
        ({"cells": [3]}, "cells"),
        ({"cells": [{"seed": 1}]}, "keys of cells"),
        ({"cells": [{1: 1}]}, "keys of cells"),
        ({"cells": [{"d": 1, "N": 1}, {"d": 1}]}, "cells[1]"),
        ({"cells": [{"d": 1, "N": 1}] * 2}, "cells[1]"),
        ({"cells": [{"d": 1, "N": [1]}]}, "cells[0]['N']"),
        ({"cells": [{"d": math.nan, "N": 1}]}, "cells[0]['d']"),
        ({"cells": [{"d": torch.ones(2), "N": 1}]}, "cells[0]['d']"),
        ({"cells": [{"d": np.datetime64("2020"), "N": 1}]}, "cells[0]['d']"),
        ({"seeds": []}, "seeds"),
        ({"seeds": [1, 1]}, "seeds"),
        ({"seeds": [0.5]}, "seeds[0]"),
        ({"seeds": [-1]}, "seeds[0]"),
        ({"chunk": 0}, "chunk"),
        ({"fn": lambda seed, d, N: {}}, "fn"),
        ({"fn": "mean"}, "fn"),
        ({"executor": "dask"}, "executor"),
        ({"executor": 4}, "executor"),
    ],
)
def test_arguments_are_checked_first(changed, name):
    given = {"fn": mean, "cells": CELLS, "seeds": range(3)} | changed
    with complains(name):
        sweeps.run(given.pop("fn"), given.pop("cells"), **given)


def test_progress_is_shown_on_a_terminal_only(capsys):
    sweeps.run(mean, CELLS, seeds=range(3))
    assert capsys.readouterr() == ("", "")
    sweeps.run(mean, CELLS, seeds=range(3), progress=True)
    out, err = capsys.readouterr()
    assert out == "" and "12/12" in err and "left" in err


# Dask


@pytest.fixture(scope="module")
def dask():
    """An executor on a scheduler with two worker processes, over TCP on loopback.

    They work even when idle, so that the tests with them are the last of the file.
    """
    distributed = pytest.importorskip("distributed", reason="the extra `dask` is not installed")
    options = {
        "n_workers": 2,
        "threads_per_worker": 1,
        "processes": True,
        "dashboard_address": None,
    }
    with (
        distributed.LocalCluster(host="127.0.0.1", **options) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client.get_executor()


@pytest.mark.parametrize("fn", [mean, batched_mean, decorated_mean])
def test_dask_gives_the_same_table(dask, fn, tmp_path):
    table = sweeps.run(fn, CELLS, seeds=range(3), executor=dask, store=tmp_path / "s", chunk=2)
    assert same(table, two_loops())


def kills_its_worker_once(seed, flag):
    if seed == 2 and not Path(flag).exists():
        Path(flag).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return {"square": seed**2}


def test_a_killed_dask_worker_loses_nothing(dask, tmp_path):
    flag = tmp_path / "killed"
    table = sweeps.run(
        kills_its_worker_once,
        [{"flag": str(flag)}],
        seeds=range(6),
        executor=dask,
        store=tmp_path / "s",
    )
    assert flag.exists() and list(table["square"]) == [0, 1, 4, 9, 16, 25]


def raises_at_three(seed, flag):
    if seed == 3:
        raise KeyError("no such thing")
    return {"square": seed**2}


def test_an_error_on_dask_names_the_job(dask, tmp_path):
    with pytest.raises(
        sweeps.JobFailed, match=r"raises_at_three at \{'flag': 0\}, seed 3: KeyError"
    ):
        sweeps.run(
            raises_at_three, [{"flag": 0}], seeds=range(6), executor=dask, store=tmp_path / "s"
        )
