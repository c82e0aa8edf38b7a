"""Where a notebook can be run without installing anything: addresses at Colab and at Binder."""

from __future__ import annotations

from pathlib import Path

import yaml

COPIES = "copies"  # the branch to which the workflow of the same name puts the copies

_ON_COLAB = """\
import os
import subprocess
import sys

if "google.colab" in sys.modules:  # the project, and its pinned environment: minutes
    subprocess.run(["git", "clone", "--quiet", "--depth=1", "{url}", "molrg"], check=True)
    os.chdir("molrg")
    pip = [sys.executable, "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "-r", "requirements.lock"], check=True)
    sys.path.insert(0, os.getcwd())"""


def repository(root: Path) -> tuple[str, str]:
    """Address and branch of the repository, as the site's configuration has them.

    Args:
        root: of the project.
    """
    configured = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))["repository"]
    return configured["url"], configured["branch"]


def colab(url: str, name: str) -> str:
    """Address at Colab of the copy of a notebook.

    Args:
        url: of the repository, at GitHub.
        name: of the notebook, without ending.
    """
    place = url.removeprefix("https://github.com/")
    return f"https://colab.research.google.com/github/{place}/blob/{COPIES}/{name}.ipynb"


def binder(url: str, branch: str, name: str) -> str:
    """Address at Binder of a notebook, which builds the project's environment file.

    Args:
        url: of the repository, at GitHub.
        branch: of the repository.
        name: of the notebook, without ending.
    """
    place = url.removeprefix("https://github.com/")
    file = f"notebooks/{name}.ipynb"
    return f"https://mybinder.org/v2/gh/{place}/{branch}?urlpath=lab/tree/{file}"


def colab_cell(url: str) -> str:
    """Code that installs project and lock where it runs on Colab, and does nothing elsewhere.

    Args:
        url: of the repository.
    """
    return _ON_COLAB.format(url=url)
