"""The code shown on the front pages runs as it stands, and prints what stands beside it."""

import contextlib
import io
import re

import pytest

from molrg.claims import root


def printed(code: str) -> list[str]:
    """The lines that a piece of code prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "shown", "exec"), {})
    return out.getvalue().splitlines()


def blocks(page: str, language: str) -> list[str]:
    text = (root() / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def test_readme_prints_what_its_comments_say():
    (code,) = blocks("README.md", "python")
    expected = re.findall(r"print\(.*?\)\s+# ([\d.]+)", code)
    found = printed(code)
    assert len(expected) == len(found) == 2
    assert [f"{float(value):.2f}" for value in found] == expected


def test_introduction_prints_the_output_below_it():
    (code,) = blocks("book/intro.md", "python")
    (shown,) = blocks("book/intro.md", "text")
    assert printed(code) == shown.splitlines()


def test_introduction_quotes_its_own_output():
    """The differences in its prose are those of the printed numbers."""
    (shown,) = blocks("book/intro.md", "text")
    numbers = [[float(x) for x in re.findall(r"-?\d+\.\d+", line)] for line in shown.splitlines()]
    (loss, energy), (loss_pca, energy_pca) = numbers
    text = (root() / "book/intro.md").read_text(encoding="utf-8")
    assert f"{loss - loss_pca:.4f}" in text
    assert f"{energy_pca - energy:.4f}" in text
    assert (loss - loss_pca) / (energy_pca - energy) == pytest.approx(0.75, abs=1e-4)
