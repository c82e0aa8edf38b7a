"""Contract: what a user has set for Python, IPython, Jupyter, matplotlib reaches no run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from projects import forge, stopped, write

from molrg.__main__ import main
from molrg.companion import settings

SEEN = """\
import matplotlib, sys
names = [name for name in globals() if name.startswith("planted")]
told = {"names": names, "width": matplotlib.rcParams["lines.linewidth"],
        "python": sys.executable, "user site": sys.flags.no_user_site,
        "asserts": __debug__, "data": os.environ.get("MOLRG_DATA")}
print(json.dumps(told))"""


def plant(home: Path, project: Path) -> dict[str, str]:
    """Settings in every place where they are looked for; returns the environment for some."""

    def put(path: str, text: str) -> Path:
        place = home / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        return place

    put(".ipython/profile_default/startup/00.py", "planted_at_home = 1")
    put("ipython/profile_default/startup/00.py", "planted_by_variable = 1")
    config = "c.InteractiveShellApp.exec_lines = ['planted_by_config = 1']"
    for folder in (".ipython", "ipython"):
        put(f"{folder}/profile_default/ipython_kernel_config.py", config)
    for number, place in enumerate((".config/matplotlib", "mpl", "rc")):
        put(f"{place}/matplotlibrc", f"lines.linewidth: {40 + number}")
    other = json.dumps({"argv": ["false"], "display_name": "other", "language": "python"})
    for place in (".local/share/jupyter", "jupyter", "data"):
        put(f"{place}/kernels/python3/kernel.json", other)
    return {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "IPYTHONDIR": str(home / "ipython"),
        "PYTHONSTARTUP": str(put("startup.py", "planted_by_python = 1")),
        "PYTHONOPTIMIZE": "1",
        "MPLCONFIGDIR": str(home / "mpl"),
        "MATPLOTLIBRC": str(home / "rc" / "matplotlibrc"),
        "JUPYTER_PATH": str(home / "jupyter"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "MOLRG_DATA": str(home / "images"),
    }


@pytest.fixture
def planted(project, tmp_path, monkeypatch):
    """A project whose first notebook shows what it sees, in a shell full of settings."""
    write(project, "01_holds", [*forge(), SEEN])
    for name, value in plant(tmp_path / "home", project).items():
        monkeypatch.setenv(name, value)
    return project


def shown(path: Path) -> dict:
    return json.loads(nbformat.read(path, as_version=4).cells[-1].outputs[-1].text)


@pytest.mark.fault(
    "somebody's own settings",
    "start-up files, matplotlibrc, kernels of other names, PYTHONOPTIMIZE",
    "no run sees any of them",
)
def test_a_run_sees_none_of_them_and_keeps_the_data(planted, tmp_path):
    assert main(["run", "01"]) == 0
    assert shown(planted / "_build" / "src" / "notebooks" / "01_holds.ipynb") == {
        "names": [],
        "width": 1.5,
        "python": sys.executable,
        "user site": 1,
        "asserts": True,
        "data": str(tmp_path / "home" / "images"),
    }


def test_without_the_neutral_settings_they_are_seen(planted, tmp_path, monkeypatch):
    """The plants bite: the same notebook, run as a user would run it by hand."""
    monkeypatch.setenv("MOLRG_RECORDS", str(tmp_path))
    for name in ("JUPYTER_PATH", "JUPYTER_DATA_DIR"):  # their kernel would not even start
        monkeypatch.delenv(name)
    out = tmp_path / "out.ipynb"
    words = [sys.executable, "-m", "papermill", "notebooks/01_holds.ipynb", str(out)]
    words += ["--cwd", "notebooks", "--kernel", "python3", "--no-progress-bar"]
    environment = os.environ | {"HOME": str(tmp_path)}  # the kernel of the interpreter
    subprocess.run(words, cwd=planted, env=environment, check=True, capture_output=True)
    seen = shown(out)
    assert {"planted_by_variable", "planted_by_config", "planted_by_python"} == set(seen["names"])
    assert seen["width"] == 42
    assert not seen["asserts"]


def test_settings_of_figures_beside_the_notebooks_are_refused(project, capsys):
    """Matplotlib looks in the working folder before anywhere else, and cannot be told not to."""
    (project / "notebooks" / "matplotlibrc").write_text("lines.linewidth: 40")
    error = stopped(capsys, "run", code=2)
    assert error.startswith("error: notebooks/matplotlibrc = ")
    assert "allowed is no such file" in error
    assert error.count("\n") == 1


def test_the_users_own_packages_are_seen_only_where_ours_are_among_them(tmp_path, monkeypatch):
    assert settings.neutral(tmp_path / "a")["PYTHONNOUSERSITE"] == "1"
    mine = Path(settings.find_spec("ipykernel").origin).parents[1]
    monkeypatch.setattr(settings.site, "getusersitepackages", lambda: str(mine))
    assert "PYTHONNOUSERSITE" not in settings.neutral(tmp_path / "b")


def test_threads_that_wait_sleep_unless_the_shell_says_otherwise(tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    assert settings.neutral(tmp_path / "one")["OMP_WAIT_POLICY"] == "PASSIVE"
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    assert settings.neutral(tmp_path / "two")["OMP_WAIT_POLICY"] == "ACTIVE"
