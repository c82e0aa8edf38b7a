"""Training that may be stopped at any step: the same command goes on from there, to the same curve.

The state is a safetensors file: the tensors, and in its header what is no tensor. It is written to a
temporary name and renamed, so a kill leaves the last whole one.
"""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor

from molrg import checks


class Steps(Protocol):
    """What is run: steps that can be counted, saved and taken up again."""

    steps: int
    done: int

    def step(self) -> Tensor:
        """Take one step; returns the loss before it."""

    def state_dict(self) -> dict[str, Any]:
        """Everything that the rest of the run depends on."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""


def save(file: Path, state: dict[str, Any], about: dict[str, Any]) -> None:
    """Write a nested state and what it belongs to; complete, or not at all."""
    from safetensors.torch import save_file

    tensors: dict[str, Tensor] = {}
    tree = _without(state, tensors)
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(file.name + ".part")
    save_file(
        tensors, partial, {"tree": json.dumps(tree), "about": json.dumps(about, sort_keys=True)}
    )
    partial.replace(file)


def load(file: Path, about: dict[str, Any]) -> dict[str, Any]:
    """Read a state that was saved with the same `about`.

    Raises:
        ValueError: where the file is damaged, or belongs to something else.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "pt") as opened:
            header = opened.metadata()
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}
        tree, found = json.loads(header["tree"]), header["about"]
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"resume file = {file}: allowed is a whole one, as written here ({error}); delete it to start again"
        ) from error
    wanted = json.dumps(about, sort_keys=True)
    checks.require(
        found == wanted, f"recipe of {file}", found, f"{wanted}; delete the file to start again"
    )
    return _with(tree, tensors)


def _without(node: Any, tensors: dict[str, Tensor]) -> Any:
    """The tree with its tensors taken out; a dict becomes pairs, because its keys may be numbers."""
    if isinstance(node, Tensor):
        tensors[str(len(tensors))] = node.contiguous()
        return {"tensor": str(len(tensors) - 1)}
    if isinstance(node, dict):
        return {"pairs": [[key, _without(value, tensors)] for key, value in node.items()]}
    return [_without(value, tensors) for value in node] if isinstance(node, (list, tuple)) else node


def _with(node: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(node, list):
        return [_with(value, tensors) for value in node]
    if not isinstance(node, dict):
        return node
    return (
        tensors[node["tensor"]]
        if "tensor" in node
        else {key: _with(value, tensors) for key, value in node["pairs"]}
    )


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """An event that Ctrl-C and a polite kill set, so that a step is finished and saved first."""
    stop = threading.Event()
    if (
        threading.current_thread() is not threading.main_thread()
    ):  # signals reach the main thread only
        yield stop
        return
    kept = {
        number: signal.signal(number, lambda *_: stop.set())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield stop
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def run(
    trainer: Steps,
    file: Path,
    about: dict[str, Any],
    *,
    console: Console,
    every: float = 60.0,
    until: int | None = None,
) -> tuple[Tensor, float]:
    """Take all the steps that are left, saving as it goes.

    Args:
        trainer: what to run, before its first step.
        file: the resume file; continued where it is there, and left there at the end.
        about: what the state belongs to; another recipe's file is refused.
        console: where progress goes.
        every: seconds between two saves.
        until: stop (and save) after this many steps in all; the end where omitted.

    Returns:
        The loss at every step so far, and the CPU seconds of all sessions together.

    Raises:
        ValueError: where the file is damaged or of another recipe.
        KeyboardInterrupt: on Ctrl-C or SIGTERM, once the state is saved.
    """
    history, spent = torch.empty(trainer.steps), 0.0
    if file.is_file():
        state = load(file, about)
        trainer.load_state_dict(state["trainer"])
        spent = state["cpu_seconds"]
        history[: trainer.done] = state["history"]
        console.print(
            f"going on from step {trainer.done} of {trainer.steps}, saved in {file}",
            soft_wrap=True,
            highlight=False,
        )
    start, last = time.process_time(), time.monotonic()
    end = min(trainer.steps, trainer.steps if until is None else until)

    def keep() -> None:
        seconds = spent + time.process_time() - start
        save(
            file,
            {
                "trainer": trainer.state_dict(),
                "history": history[: trainer.done],
                "cpu_seconds": seconds,
            },
            about,
        )

    with _stop_signals() as stop, _progress(console, trainer, history) as tick:
        while trainer.done < end and not stop.is_set():
            loss = trainer.step()
            history[trainer.done - 1] = loss
            tick()
            if time.monotonic() - last > every:
                keep()
                last = time.monotonic()
        keep()
    if stop.is_set() and trainer.done < end:
        raise KeyboardInterrupt
    return history[: trainer.done], spent + time.process_time() - start


@contextmanager
def _progress(console: Console, trainer: Steps, history: Tensor) -> Iterator[Any]:
    """A bar with the time left; a line a minute where there is no terminal."""
    columns = (
        TextColumn("{task.completed}/{task.total} steps"),
        BarColumn(),
        TextColumn("loss {task.fields[loss]:.4f}"),
    )
    first, told = (time.monotonic(), trainer.done), [time.monotonic()]
    with Progress(
        *columns,
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task("", total=trainer.steps, completed=trainer.done, loss=float("nan"))

        def tick() -> None:
            loss = history[max(0, trainer.done - 100) : trainer.done].mean().item()
            bar.update(task, completed=trainer.done, loss=loss)
            if not console.is_terminal and time.monotonic() - told[0] > 60:
                told[0] = time.monotonic()
                left = (
                    (told[0] - first[0])
                    / (trainer.done - first[1])
                    * (trainer.steps - trainer.done)
                )
                console.print(
                    f"step {trainer.done} of {trainer.steps}, loss {loss:.4f}, {left / 60:.0f} min left",
                    highlight=False,
                )

        yield tick
