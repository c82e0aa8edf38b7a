"""Contract: what is pinned, installed, imported and said about versions is one thing."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions, version
from pathlib import Path

import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name as canonical

import molrg

ROOT = Path(__file__).resolve().parents[1]
# Not in the lock, and what they bring that is imported: `faces`, for drawing the faces again, is an
# environment of its own, and so is `bench`; `slides` is installed by `make slides`.
OTHER_EXTRAS: dict[str, set[str]] = {
    "bench": {"denoising_diffusion_pytorch"},
    "faces": {"dicebear", "resvg_py"},
    "slides": set(),
}
UNPINNED = {"pip", "setuptools", "molrg"}  # said in the header of requirements.lock
PYTHONS = ("3.11", "3.12", "3.13")
PLATFORMS = {"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}


def requirements(name: str) -> list[Requirement]:
    lines = (line.split("#")[0].strip() for line in (ROOT / name).read_text().splitlines())
    return [Requirement(line) for line in lines if line]


LOCK = {canonical(r.name): r for r in requirements("requirements.lock")}
DIRECT = {canonical(r.name): r for r in requirements("requirements.in")}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pinned(name: str) -> str:
    (only,) = LOCK[canonical(name)].specifier
    return only.version


def tracked() -> list[Path]:
    """Files under version control; in an unpacked archive, every file of the source folders."""
    try:
        names = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
        return [path for name in names.split("\0") if name and (path := ROOT / name).is_file()]
    except (OSError, subprocess.CalledProcessError):
        folders = ("molrg", "tests", "notebooks", "book", "benchmarks", ".github")
        return [p for folder in folders for p in (ROOT / folder).rglob("*") if p.is_file()]


def test_lock_is_plain_pins():
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        if line.startswith("#"):
            continue
        # A name, one exact version, at most a marker: no local tag, hash, index or path.
        assert re.fullmatch(
            r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+( ; [a-z_]+ [=!<>]+ \"[a-z0-9.]+\")?", line
        ), line


def test_installed_versions_are_the_pinned_ones():
    here = default_environment()
    wrong = {}
    for name, requirement in LOCK.items():
        if requirement.marker is None or requirement.marker.evaluate(here):
            try:
                have = version(name).split("+")[0]
            except PackageNotFoundError:
                have = "missing"
            if have != pinned(name):
                wrong[name] = f"{have} installed, {pinned(name)} pinned"
    assert not wrong, f"run `make env`: {wrong}"


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("python", PYTHONS)
def test_lock_holds_everything_that_is_required(python, platform):
    """Follows the requirements of what is installed here, with the markers of another Python and
    system.
    """
    there = default_environment() | {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": platform,
        "platform_system": PLATFORMS[platform],
        "os_name": "nt" if platform == "win32" else "posix",
    }
    todo, seen = list(DIRECT.values()), set()
    while todo:
        wanted = todo.pop()
        name = canonical(wanted.name)
        if (
            name in UNPINNED
            or (name, frozenset(wanted.extras)) in seen
            or wanted.name.startswith(("nvidia", "cuda", "triton"))
        ):
            continue
        seen.add((name, frozenset(wanted.extras)))
        assert name in LOCK, f"requirements.lock lacks {wanted} for Python {python} on {platform}"
        assert wanted.specifier.contains(pinned(name), prereleases=True), (
            f"{wanted} against the pin {pinned(name)}"
        )
        marker = LOCK[name].marker
        assert marker is None or marker.evaluate(there), (
            f"the marker of {name} leaves it out on {python}, {platform}"
        )
        try:
            needs = [Requirement(text) for text in distribution(name).requires or []]
        except PackageNotFoundError:
            continue  # needed on the other platform only: its own needs cannot be read here
        extras = ["", *wanted.extras]
        todo += [
            n
            for n in needs
            if n.marker is None or any(n.marker.evaluate(there | {"extra": e}) for e in extras)
        ]


def test_pyproject_asks_for_what_requirements_ask_for():
    asked = [Requirement(text) for text in PROJECT["dependencies"]]
    extras = PROJECT["optional-dependencies"]
    asked += [Requirement(t) for name in extras.keys() - OTHER_EXTRAS for t in extras[name]]
    for requirement in asked:
        name = canonical(requirement.name)
        if name == "molrg":
            continue
        assert name in DIRECT, f"{requirement} is in pyproject.toml but not in requirements.in"
        assert requirement.specifier.contains(pinned(name)), (
            f"{requirement} against the pin {pinned(name)}"
        )


def test_conda_environment_says_the_same_versions():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    packages = dict(
        p.split("=") for p in environment["dependencies"] if isinstance(p, str) and "=" in p
    )
    (by_pip,) = (d["pip"] for d in environment["dependencies"] if isinstance(d, dict))
    assert "-r requirements.lock" in by_pip
    assert packages.pop("pytorch-cpu") == pinned("torch")
    assert Requirement(f"python{PROJECT['requires-python']}").specifier.contains(
        packages.pop("python")
    )
    for name, stated in packages.items():
        assert stated == pinned(name)


def test_one_version_of_the_project():
    assert json.loads((ROOT / "codemeta.json").read_text())["version"] == molrg.__version__
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == molrg.__version__
    assert version("molrg") == molrg.__version__, "run `make env`"


def python_cells(notebook: Path) -> str:
    cells = json.loads(notebook.read_text())["cells"]
    text = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")
    return re.sub(r"^\s*[%!].*$", "", text, flags=re.MULTILINE)


def imported(code: str) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(str(node.module).split(".")[0])
    return names


def test_every_import_is_a_direct_requirement():
    provides = packages_distributions()
    folders = ("tests", "tests/properties", "benchmarks", "book/_ext")
    scripts = {path.stem for folder in folders for path in (ROOT / folder).glob("*.py")}
    own = {"molrg", "tests", "__future__", *scripts}.union(*OTHER_EXTRAS.values())
    missing = {}
    for path in tracked():
        if path.suffix not in (".py", ".ipynb"):
            continue
        code = path.read_text() if path.suffix == ".py" else python_cells(path)
        for name in imported(code) - own - sys.stdlib_module_names:
            if not {canonical(d) for d in provides.get(name, [name])} & DIRECT.keys():
                missing.setdefault(name, str(path.relative_to(ROOT)))
    assert not missing, f"imported but not in requirements.in: {missing}"


PLACES = re.compile(  # folders of one machine, and hosts of package indexes
    r"(?<![\w.~])/(?:home|Users|root|work)/[\w.-]+|py"
    r"pi\.org|python"
    r"hosted\.org|download\.py"
    r"torch\.org"
)


def test_sources_name_no_machine_and_no_index():
    found = {}
    for path in tracked():
        if {"mathjax", "vendor"} & set(path.parts) or path == Path(__file__).resolve():
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        if (match := PLACES.search(text)) or str(ROOT) in text:
            found[str(path.relative_to(ROOT))] = match and match[0]
    assert not found


@pytest.mark.parametrize("bad", ["see /home/ann/data", "cd /work/x", "https://pypi.org/simple"])
def test_the_search_for_machine_paths_bites(bad):
    assert PLACES.search(bad)
