"""Badges: what they lead to is in the repository, and named in one place."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from molrg import claims
from molrg.companion import copies, launch
from molrg.companion.notebooks import sources

ROOT = claims.root()
sys.path.insert(0, str(ROOT / "book" / "_ext"))
URL, BRANCH = launch.repository(ROOT)


@pytest.mark.parametrize("notebook", sources(), ids=lambda notebook: notebook.name)
def test_binder_opens_a_notebook_that_is_there_in_the_environment_that_is_there(notebook):
    address = urlsplit(launch.binder(URL, BRANCH, notebook.name))
    assert address.path.split("/")[2:] == ["gh", *urlsplit(URL).path.split("/")[1:], BRANCH]
    (place,) = parse_qs(address.query)["urlpath"]
    assert ROOT / place.removeprefix("lab/tree/") == notebook.path
    assert (ROOT / "environment.yml").is_file()
    told = (ROOT / "environment.yml").read_text()
    assert "-r requirements.lock" in told and (ROOT / "requirements.lock").is_file()


def test_colab_opens_a_copy_that_the_workflow_puts_there(tmp_path):
    (first, *_) = sources()
    (written, *_), _ = copies.write([first], tmp_path)
    address = urlsplit(launch.colab(URL, first.name)).path
    place = f"/github{urlsplit(URL).path}/blob/{launch.COPIES}/"
    assert address == place + written.relative_to(tmp_path).as_posix()
    workflow = yaml.safe_load((ROOT / ".github/workflows/copies.yml").read_text())
    steps = [step.get("run", "") for step in workflow["jobs"]["copies"]["steps"]]
    assert any("molrg copies --to _build/copies" in step for step in steps)
    assert f"--initial-branch={launch.COPIES}" in steps[-1] and steps[-1].strip().endswith(
        f" {launch.COPIES}"
    )


def test_the_colab_cell_installs_the_lock_there_and_does_nothing_elsewhere(tmp_path):
    code = launch.colab_cell(URL)
    assert URL in code and '"requirements.lock"' in code
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False)
    assert done.returncode == 0 and not list(tmp_path.iterdir())
    fake = "import sys, os, subprocess; sys.modules['google.colab'] = os; os.chdir = print\n"
    fake += "subprocess.run = lambda words, check: print(' '.join(words))\n"
    done = subprocess.run(
        [sys.executable, "-c", fake + code], capture_output=True, text=True, check=True
    )
    commands = done.stdout.splitlines()
    assert commands[0] == f"git clone --quiet --depth=1 {URL} molrg" and commands[1] == "molrg"
    assert commands[2].endswith("-m pip install --quiet -r requirements.lock")


def test_badges_stand_below_the_title_of_a_notebook_and_nowhere_else():
    import molrg_site

    options = {"repository_url": URL, "repository_branch": BRANCH, "launch_buttons": {"a": "b"}}
    app = SimpleNamespace(config=SimpleNamespace(html_theme_options=options))
    for page, there in (("notebooks/01_a", True), ("book/part1", False)):
        context = {"body": "<h1>Title</h1>\n<p>Text</p>"}
        molrg_site._badges(app, page, "page.html", context, None)
        assert (launch.colab(URL, "01_a") in context["body"]) == there
    options["launch_buttons"] = {}  # as on the site for students
    context = {"body": "<h1>Title</h1>"}
    molrg_site._badges(app, "notebooks/01_a", "page.html", context, None)
    assert context["body"] == "<h1>Title</h1>"
    assert molrg_site.REPOSITORY == URL
