"""A kernel that is a fork of the process which speaks to it, not a new interpreter.

The process forks while it has one thread and no socket. Its child waits for the address of its
kernel, and becomes that kernel: what was imported before the fork need not be imported again.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, cast

import psutil
from ipykernel.kernelapp import IPKernelApp
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning import KernelProvisionerFactory, LocalProvisioner

_NAME = "molrg-forked"


class Waiting:
    """The child that waits to become a kernel, seen from its parent."""

    def __init__(self, not_its_own: int) -> None:
        there, self.pipe = os.pipe()
        self.process = os.fork()
        if self.process == 0:
            os.close(self.pipe)
            os.close(not_its_own)
            _become_a_kernel(there)
        os.close(there)

    def launch(self, words: list[str], folder: str, environment: dict[str, str]) -> _Child:
        """Let it be the kernel that a command would start."""
        said = {"words": words, "folder": folder, "environment": environment}
        with os.fdopen(self.pipe, "w", encoding="utf-8") as pipe:
            json.dump(said, pipe)
        return _Child(self.process)


def _become_a_kernel(pipe: int) -> None:
    """Be what ``python -m ipykernel_launcher`` is; end without a word where no kernel is wanted."""
    os.setsid()
    with os.fdopen(pipe, encoding="utf-8") as there:
        said = there.read()
    if not said:
        os._exit(0)
    told = json.loads(said)
    os.chdir(told["folder"])
    os.environ.clear()
    os.environ.update(told["environment"])
    sys.path[:] = [place for place in sys.path if place]  # the kernel adds its folder by itself
    sys.argv = told["words"][told["words"].index("-m") + 1 :]
    parent = f"--IPKernelApp.parent_handle={os.getppid()}"  # else read when it was imported
    IPKernelApp.launch_instance(argv=[*sys.argv[1:], parent])
    sys.exit()


class _Child(psutil.Process):
    """A child process with what jupyter_client asks of a Popen."""

    stdin = stdout = stderr = None

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""
        with suppress(psutil.TimeoutExpired):
            return self.wait(0)
        return None


class Forked(LocalProvisioner):
    """Starts the kernel that waits; a further one as usual."""

    waiting: Waiting | None = None

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Make the waiting child the kernel of a command."""
        waiting, Forked.waiting = Forked.waiting, None
        if waiting is None:
            return await super().launch_kernel(cmd, **kwargs)
        self.cwd = kwargs.get("cwd") or Path.cwd()
        self.process = cast(Any, waiting.launch(cmd, str(self.cwd), kwargs["env"]))
        self.pid = self.pgid = waiting.process
        return self.connection_info


def prepare(not_its_own: int) -> None:
    """Fork a child for the next kernel of this process, which has one thread so far.

    Args:
        not_its_own: an open file that the child must not keep open.
    """
    Forked.waiting = Waiting(not_its_own)
    place = f"{__name__}:{Forked.__name__}"
    entry = EntryPoint(_NAME, place, KernelProvisionerFactory.GROUP_NAME)
    KernelProvisionerFactory.provisioners[_NAME] = entry
    os.environ[KernelProvisionerFactory.default_provisioner_name_env] = _NAME
