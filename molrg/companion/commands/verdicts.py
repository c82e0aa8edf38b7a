"""Commands of the claims: run them, move them, show their verdicts, begin another."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from rich.console import Console

from molrg import claims
from molrg.companion.commands import Commands


def add(commands: Commands) -> None:
    """Add their arguments and functions to the command line."""
    _run_arguments(commands)
    _robustness_arguments(commands)
    _elsewhere_arguments(commands)
    _claims_arguments(commands)
    _new_arguments(commands)


def _run_arguments(commands: Commands) -> None:
    run = commands.add_parser("run", help="execute notebooks and check their claims")
    run.add_argument(
        "notebooks",
        nargs="*",
        metavar="NN",
        help="numbers, claims or names; all where none is given",
    )
    run.add_argument(
        "--profile", default="quick", help="quick (minutes, default) or paper (the papers' sizes)"
    )
    run.add_argument("--jobs", type=int, help="notebooks at once")
    run.add_argument("--seed", type=int, default=0, metavar="OFFSET", help="added to every seed")
    run.add_argument(
        "-p",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="another value for a parameter",
    )
    run.add_argument(
        "--keep",
        action="store_true",
        help="keep records and figures under book/results (a recorded run)",
    )
    run.set_defaults(do=_run)


def _run(args: argparse.Namespace, console: Console) -> int:
    from molrg.companion import runner
    from molrg.companion.notebooks import parse_parameters

    parameters = parse_parameters(args.p)
    runner.run(
        tuple(args.notebooks),
        profile=args.profile,
        seed=args.seed,
        parameters=parameters,
        jobs=args.jobs,
        keep=args.keep,
        console=console,
    )
    return 0


def _robustness_arguments(commands: Commands) -> None:
    moved = commands.add_parser(
        "robustness",
        help="rerun claims with other seeds, and with parameters halved and doubled; goes on"
        " where it was stopped",
    )
    moved.add_argument("notebooks", nargs="*", metavar="NN", help="as for `run`")
    moved.add_argument("--jobs", type=int, default=1, help="trials at once, of one thread each")
    moved.add_argument(
        "--limit",
        type=float,
        default=1800,
        metavar="SECONDS",
        help="end a trial that takes longer (half an hour)",
    )
    moved.add_argument("--anew", action="store_true", help="forget what is kept of these claims")
    moved.set_defaults(do=_robustness)


def _robustness(args: argparse.Namespace, console: Console) -> int:
    from molrg.companion import robustness

    records = robustness.run(
        tuple(args.notebooks),
        jobs=args.jobs,
        limit=args.limit,
        anew=args.anew,
        console=console,
    )
    console.print(robustness.pages.terminal_table(records))
    console.print("kept: book/results/robustness", highlight=False, soft_wrap=True)
    return 0


def _elsewhere_arguments(commands: Commands) -> None:
    away = commands.add_parser(
        "elsewhere", help="run claims into a folder of records; compare the folders of two places"
    )
    away.add_argument("folder", type=Path, help="of the records of this place")
    away.add_argument("notebooks", nargs="*", metavar="NN", help="as for `run`")
    away.add_argument("--threads", type=int, default=1, help="of torch")
    away.add_argument("--limit", type=float, default=1800, metavar="SECONDS", help="for a claim")
    away.add_argument(
        "--against", type=Path, metavar="FOLDER", help="run nothing, and compare with this folder"
    )
    away.add_argument("--keep", metavar="NAME", help="show the comparison in the book, as NAME")
    away.set_defaults(do=_elsewhere)


def _elsewhere(args: argparse.Namespace, console: Console) -> int:
    from molrg.companion import settings

    for name, value in settings.WAITING.items():  # before torch is imported, which reads it
        os.environ.setdefault(name, value)
    from molrg.companion import elsewhere, elsewhere_tables

    if args.against is None:
        how = {"threads": args.threads, "limit": args.limit, "console": console}
        elsewhere.record(args.notebooks, args.folder.resolve(), **how)
        return 0
    compared = elsewhere.compare(args.against, args.folder)
    console.print(elsewhere_tables.terminal_table(compared))
    if args.keep:
        console.print(os.path.relpath(elsewhere.keep(args.keep, compared)), highlight=False)
    same = all(len(set(c["verdicts"])) == 1 for c in compared["claims"].values())
    return 0 if same else 1


def _claims_arguments(commands: Commands) -> None:
    show = commands.add_parser("claims", help="the verdicts of the last run")
    show.add_argument("--json", action="store_true", help="print the records")
    show.add_argument(
        "--write-readme", action="store_true", help="put the verdict table into README.md"
    )
    show.add_argument(
        "--write-history",
        action="store_true",
        help="write book/criteria_history.yml, the history of every criterion, from git",
    )
    show.set_defaults(do=_claims)


def _claims(args: argparse.Namespace, console: Console) -> int:
    from molrg.companion import history, layout, runner, scorecard

    records, stale = claims.records(), layout.stale()
    if args.write_readme and stale:
        raise runner.RunStopped(
            f"not run as they are now: {', '.join(stale)}. First: python -m molrg run"
        )
    if args.write_readme:
        from molrg.companion import readme

        readme.write_readme(records)
        readme.write_pictures(claims.root())
    if args.write_history:
        history.write(claims.root())
    if args.json:
        unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
        print(json.dumps(records, indent=2, ensure_ascii=not unicode), flush=True)
        return 0
    console.print(scorecard.terminal_table(records))
    console.print(scorecard.sentence(records), highlight=False, soft_wrap=True)
    if stale:
        console.print(
            f"Not run as they are now: {', '.join(stale)}.", highlight=False, soft_wrap=True
        )
    return 0


def _new_arguments(commands: Commands) -> None:
    new = commands.add_parser(
        "new", help="begin a claim: its notebook, and its entry in the ledger"
    )
    new.add_argument("id", help="the next free one, such as C26")
    new.add_argument("title", help="the claim as a sentence")
    new.set_defaults(do=_new)


def _new(args: argparse.Namespace, console: Console) -> int:
    from molrg.companion import drafts

    for path in drafts.begin(args.id, args.title):
        console.print(os.path.relpath(path), highlight=False, soft_wrap=True)
    return 0
