"""The command line: ``python -m molrg run | book | claims | describe | draw | train | ...``."""

from __future__ import annotations

import argparse
import io
import os
import sys

import yaml

from molrg import claims
from molrg.companion import chromium, lean, machine, yaml_files
from molrg.companion.commands import own, pages, supplies, verdicts
from molrg.companion.stopped import Stopped
from molrg.companion.terminal import Terminal


def parser() -> argparse.ArgumentParser:
    """The arguments of every command."""
    top = argparse.ArgumentParser(
        prog="python -m molrg", description="Rerun the claims and build the book."
    )
    commands = top.add_subparsers(dest="command", required=True)
    for group in (verdicts, pages, supplies, own):
        group.add(commands)
    return top


def main(words: list[str] | None = None) -> int:
    """Run a command; returns 0, 1 where a claim or the build is not right, 2 if misused."""
    args = parser().parse_args(words)
    lean.leave_out()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal or file without these letters
            stream.reconfigure(errors="replace")
    told = Terminal(stderr=True, soft_wrap=True)
    try:
        return args.do(args, Terminal())
    except Stopped as error:
        told.print(f"stopped: {error}", style="red")
        return 1
    except BrokenPipeError:  # whoever read the output has had enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except yaml.YAMLError as error:
        for line in yaml_files.damaged(claims.root()) or [f"YAML cannot be read: {error}"]:
            told.print(f"error: {line}", style="red")
        return 2
    except MemoryError as error:
        told.print(f"error: memory ran out ({error}); {machine.AGAIN}", style="red")
        return 2
    except (ValueError, OSError, ModuleNotFoundError, chromium.NoChromium) as error:
        full = isinstance(error, OSError) and machine.is_full(error)
        then = f": make room; {machine.AGAIN}" if full else ""
        told.print(f"error: {error}{then}", style="red")
        return 2
    except KeyboardInterrupt:
        told.print("interrupted; what was done is kept, and the same command goes on from there")
        return 130


if __name__ == "__main__":
    sys.exit(main())
