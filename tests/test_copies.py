"""Copies of the notebooks: no syntax of the site is left, nothing of the reader's is lost."""

from __future__ import annotations

import re

import nbformat
import pytest

from molrg import claims
from molrg.__main__ import main
from molrg.companion import copies, plain_text
from molrg.companion.notebooks import Notebook, sources

SYNTAX = re.compile(r"\{[a-z:]+\}`|^```\{|^:(class|label):", re.MULTILINE)


@pytest.fixture(scope="module")
def site() -> plain_text.Site:
    return plain_text.Site.of(claims.root())


def texts(notebook, kind="markdown") -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == kind]


@pytest.mark.parametrize("notebook", sources(), ids=lambda notebook: notebook.name)
def test_a_copy_has_the_code_of_the_source_and_none_of_the_sites_syntax(notebook, site):
    copied = copies.copy(notebook, site, "..")
    nbformat.validate(copied)
    checks = [c for c in copied.cells if copies.SELF_CHECK in c.metadata.get("tags", [])]
    added = {copies.SELF_CHECK, copies.ON_COLAB}
    own = [c for c in copied.cells if not added & set(c.metadata.get("tags", []))]
    code = [c.source for c in own if c.cell_type == "code"]
    assert code == [c.source for c in notebook.cells if c.cell_type == "code"]
    assert len(checks) == sum(cell.source.count(", answer)`") for cell in notebook.cells)
    left = [found[0] for text in texts(copied) for found in SYNTAX.finditer(text)]
    assert not left
    own = [name for name in site.macros if site.macros[name] != f"\\{name}"]
    assert not [n for n in own if re.search(rf"\\{n}(?![A-Za-z])", "".join(texts(copied)))]


def test_text_is_rewritten_as_the_site_shows_it(site):
    rewrite = plain_text.Rewrite(
        site,
        values={"c00_rate": 0.25, "c00_count": 3, "c00_word": "half"},
        figures={"fig-a": "Figure 1"},
        equations={"eq-a": "(1)"},
        root="..",
        solutions=True,
    )
    (text,) = rewrite(
        "{glue:text}`c00_rate:.2f` {glue:text}`c00_count` {glue:text}`c00_word`"
        " {glue:text}`c00_none:.1f`; {numref}`fig-a`, {eq}`eq-a`, {prf:ref}`lem-denoiser`,"
        " {cite:t}`sclocchi2025phase`, {py:func}`molrg.training.fit`,"
        " {ref}`that exercise <ex-a>`, {doc}`02_training_is_pca`,"
        " {doc}`the model <../book/part1>`; $\\R^n$, $\\Rightarrow$"
    )
    assert text.startswith("0.25 3 half …; Figure 1, (1), “The posterior mean in closed form”")
    assert "Sclocchi et al. (2025), `molrg.training.fit`" in text
    title = site.titles["notebooks/02_training_is_pca"]
    assert (
        f"that exercise, [{title}](02_training_is_pca.ipynb), [the model](../book/part1.md)" in text
    )
    assert text.endswith("$\\mathbb{R}^n$, $\\Rightarrow$")


EXERCISE = """\
## Exercises

```{exercise}
:label: ex-a
*Change.* Why?
```

```{solution} ex-a
:class: dropdown
Because.
```
"""


@pytest.mark.parametrize("solutions", [True, False])
def test_solutions_open_on_a_click_or_are_left_to_the_student(site, solutions):
    rewrite = plain_text.Rewrite(site, {}, {}, {}, "..", solutions)
    cells = rewrite(EXERCISE)
    whole = "\n".join(cells)
    assert "**Exercise.** *Change.* Why?" in whole
    assert ("Because." in whole) == ("<details>" in whole) == solutions
    assert ("*Your answer:*" in cells) != solutions


def test_an_unknown_directive_or_role_is_refused_by_name(site):
    rewrite = plain_text.Rewrite(site, {}, {}, {}, "..", True)
    with pytest.raises(ValueError, match=r"^directive tabs: allowed are admonition"):
        rewrite("```{tabs} A\nB\n```")
    with pytest.raises(ValueError, match=r"^role term: allowed are glue:text"):
        rewrite("{term}`posterior`")
    with pytest.raises(ValueError, match=r"^role ref `ex-a`: allowed is `text <label>`"):
        rewrite("{ref}`ex-a`")


def test_a_copy_that_was_changed_is_left_and_one_that_was_only_run_is_renewed(tmp_path, capsys):
    words = ["copies", "01", "02", "--to", str(tmp_path)]
    assert main(words) == 0
    changed, run = sorted(tmp_path.glob("*.ipynb"))
    for path, add in ((changed, "# mine\n"), (run, "")):
        notebook = nbformat.read(path, as_version=4)
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        code[0].source = add + code[0].source
        code[0].outputs = [nbformat.v4.new_output("stream", text="hello")]
        nbformat.write(notebook, path)
    capsys.readouterr()
    assert main(words) == 0
    assert f"{changed.name}: changed by you, left as it is" in capsys.readouterr().out
    assert "# mine" in changed.read_text() and "hello" not in run.read_text()


def test_a_file_that_is_no_copy_is_never_overwritten(tmp_path):
    (notebook,) = [n for n in sources() if n.name.startswith("01")]
    stranger = tmp_path / notebook.path.name
    stranger.write_text("my notes")
    assert copies.write([notebook], tmp_path) == ([], [stranger])
    assert stranger.read_text() == "my notes"


def test_numbers_are_those_of_the_executed_notebook(tmp_path):
    v4 = nbformat.v4
    kept = {"scrapbook": {"name": "c00_a", "mime_prefix": "application/papermill.record/"}}
    value = {"application/papermill.record/text/plain": "1.5"}
    outputs = [
        v4.new_output("display_data", data=value, metadata=kept),
        v4.new_output("stream", text="not glued"),
    ]
    executed = v4.new_notebook(cells=[v4.new_code_cell("", outputs=outputs)])
    nbformat.write(executed, tmp_path / "a.ipynb")
    assert copies.glued(tmp_path / "a.ipynb") == {"c00_a": 1.5}
    assert copies.glued(tmp_path / "b.ipynb") == {}


def test_a_notebook_that_was_not_run_says_so(tmp_path, site, monkeypatch):
    monkeypatch.setattr(copies, "glued", lambda executed: {})
    notebook = Notebook(next((claims.root() / "notebooks").glob("01_*.ipynb")))
    copied = copies.copy(notebook, site, "..")
    assert "was not run here" in copied.cells[1].source
    assert any(plain_text.MISSING in text for text in texts(copied)[2:])
