"""Training that may be stopped at any step: the same command goes on from there, to the same curve.

Its state is written aside and renamed, so a kill leaves the last whole one. It holds nothing of the
device: a training may go on on another.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from filelock import FileLock, Timeout
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from torch import Tensor

from molrg import interrupts
from molrg.zoo import states

_SHOWN_EVERY = 0.2  # seconds between two looks at the loss: each waits for the device
_SMOOTHED = 100  # steps over which the loss that is shown is averaged


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


def require_writable(folder: Path) -> None:
    """Try a folder before the work whose result it is to hold.

    Args:
        folder: made where it is missing.

    Raises:
        OSError: where nothing can be written there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"tried")


@contextmanager
def alone(file: Path) -> Iterator[None]:
    """Hold a resume file for this process.

    Args:
        file: the resume file; a lock lies beside it, which ends with the process.

    Raises:
        ValueError: where another process trains the same.
        OSError: where nothing can be written there.
    """
    require_writable(file.parent)
    lock = FileLock(file.with_name(file.name + ".lock"), timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise ValueError(
            f"resume file = {file}, in which another process trains: allowed is one at a time; stop"
            " that one, or wait for it"
        ) from None
    try:
        yield
    finally:
        lock.release()


class _History:
    """The loss at every step: kept on its device, and brought here when somebody looks."""

    def __init__(self, steps: int) -> None:
        self.values = torch.empty(steps, device="cpu")
        self.known = 0
        self.latest: list[Tensor] = []

    def append(self, loss: Tensor) -> None:
        """Add the loss of a step, without waiting for it."""
        self.latest.append(loss.detach())

    def extend(self, values: Tensor) -> None:
        """Add the losses of an earlier session."""
        self.values[self.known : self.known + len(values)] = values
        self.known += len(values)

    def so_far(self) -> Tensor:
        """All of them, (done,)."""
        if self.latest:
            values = torch.stack(self.latest).to("cpu", self.values.dtype)
            self.latest.clear()
            self.extend(values)
        return self.values[: self.known]


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
        OSError: where nothing can be written there, before the first step.
        KeyboardInterrupt: on Ctrl-C, SIGTERM or SIGHUP, once the state is saved.
    """
    require_writable(file.parent)
    history = _History(trainer.steps)
    spent = _take_up(trainer, file, about, history, console)
    start = time.process_time()

    def keep() -> None:
        seconds = spent + time.process_time() - start
        state = {
            "trainer": trainer.state_dict(),
            "history": history.so_far(),
            "cpu_seconds": seconds,
        }
        states.save(file, state, about)

    end = trainer.steps if until is None else min(trainer.steps, until)
    _take_steps(trainer, end, history, keep, every, console)
    return history.so_far(), spent + time.process_time() - start


def begun_in(file: Path) -> str | None:
    """The arithmetic in which a training was begun; None where there is no resume file.

    Args:
        file: the resume file.

    Raises:
        ValueError: where it is damaged.
    """
    if not file.is_file():
        return None
    _, about = states.load(file)
    return about.get("arithmetic")


def _take_up(
    trainer: Steps, file: Path, about: dict[str, Any], history: _History, console: Console
) -> float:
    """Go on from a file, where there is one; the CPU seconds that were spent before."""
    if not file.is_file():
        return 0.0
    state, begun = states.load(file)
    if begun != about:
        raise ValueError(
            f"recipe of {file} = {json.dumps(begun, sort_keys=True)}: allowed is"
            f" {json.dumps(about, sort_keys=True)}; delete the file to start again"
        )
    trainer.load_state_dict(state["trainer"])
    history.extend(state["history"])
    console.print(
        f"going on from step {trainer.done} of {trainer.steps}, saved in {file}",
        soft_wrap=True,
        highlight=False,
    )
    return float(state["cpu_seconds"])


def _take_steps(
    trainer: Steps,
    end: int,
    history: _History,
    keep: Callable[[], None],
    every: float,
    console: Console,
) -> None:
    """Steps up to the end or a signal, kept now and then, and at last."""
    saved = time.monotonic()
    with interrupts.held_back() as stop, _Progress(console, trainer, history) as progress:
        while trainer.done < end and not stop.is_set():
            history.append(trainer.step())
            progress.show()
            if time.monotonic() - saved > every:
                keep()
                saved = time.monotonic()
        keep()
    if stop.is_set() and trainer.done < end:
        raise KeyboardInterrupt


class _Progress:
    """A bar with the time left; a line per minute where there is no terminal."""

    def __init__(self, console: Console, trainer: Steps, history: _History) -> None:
        self.console = console
        self.trainer = trainer
        self.history = history
        self.begun = trainer.done
        self.start = self.shown = time.monotonic()
        self.interval = _SHOWN_EVERY if console.is_terminal else 60.0
        self.bar = Progress(
            TextColumn("{task.completed}/{task.total} steps"),
            BarColumn(),
            TextColumn("loss {task.fields[loss]:.4f}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self.task: TaskID = self.bar.add_task(
            "", total=trainer.steps, completed=trainer.done, loss=float("nan")
        )

    def __enter__(self) -> _Progress:
        self.bar.start()
        return self

    def __exit__(self, *reason: object) -> None:
        self.bar.stop()

    def show(self) -> None:
        """Say how far it is, unless that was said a moment ago."""
        now = time.monotonic()
        if now - self.shown < self.interval:
            return
        self.shown = now
        done = self.trainer.done
        loss = self.history.so_far()[-_SMOOTHED:].mean().item()
        self.bar.update(self.task, completed=done, loss=loss)
        if not self.console.is_terminal:
            pace = (now - self.start) / (done - self.begun)
            left = pace * (self.trainer.steps - done) / 60
            self.console.print(
                f"step {done} of {self.trainer.steps}, loss {loss:.4f}, {left:.0f} min left",
                highlight=False,
            )
