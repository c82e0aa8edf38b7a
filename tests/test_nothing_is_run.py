"""Contract: no code that unpickles, evaluates, or hands a text to a shell; no page that could."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from projects import ROOT

_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "joblib", "commands"}
_NAMES = {"eval", "exec", "compile", "__import__"}
_CALLS = {
    "os.system",
    "os.popen",
    "torch.load",
    "torch.save",
    "pd.read_pickle",
    "pandas.read_pickle",
    "yaml.load",
    "yaml.full_load",
    "yaml.unsafe_load",
    "tempfile.mktemp",
    "subprocess.getoutput",
    "subprocess.getstatusoutput",
    "asyncio.create_subprocess_shell",
    "builtins.eval",
    "builtins.exec",
}
# Trials run the cells of the clone's own notebooks, which are code and trusted as such.
_RUNS_NOTEBOOKS = {"molrg/companion/robustness/trials.py": ["compile", "exec"]}
_METHODS = {"to_pickle", "read_pickle", "extractall", "extract"}


def faults(code: str) -> Iterator[str]:
    """What in a code could run what it reads, line by line."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call):
            found = list(_of_call(node))
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found = [f"import of {name}" for name in _imported(node) if name in _MODULES]
        else:
            continue
        yield from (f"line {node.lineno}: {what}" for what in found)


def _imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    """The packages that a statement imports from."""
    if isinstance(node, ast.ImportFrom):
        return [(node.module or "").split(".")[0]]
    return [alias.name.split(".")[0] for alias in node.names]


def _of_call(call: ast.Call) -> Iterator[str]:
    name = ast.unparse(call.func)
    words = {word.arg: word.value for word in call.keywords}
    method = name.rsplit(".", 1)[-1]
    if name in _NAMES | _CALLS or (method in _METHODS and "filter" not in words):
        yield name
    # of pandas, not of torch: with what a reader has written, it would be code
    if method in ("eval", "query") and any(not isinstance(a, ast.Constant) for a in call.args):
        yield f"{name} of what is no literal"
    if "shell" in words and ast.unparse(words["shell"]) != "False":
        yield f"{name} with a shell"
    if name in ("np.load", "numpy.load"):
        allowed = words.get("allow_pickle")
        if allowed is None or ast.unparse(allowed) != "False":
            yield f"{name} without allow_pickle=False"
    trusts = words.get("trust_remote_code")
    if trusts is not None and ast.unparse(trusts) != "False":
        yield f"{name} that trusts code of others"


def sources() -> list[Path]:
    folders = ("molrg", ".ci", "book/_ext", "benchmarks")
    return [path for name in folders for path in sorted((ROOT / name).rglob("*.py"))]


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_code_runs_what_it_reads(path):
    found = [what.split(": ")[1] for what in faults(path.read_text(encoding="utf-8"))]
    assert sorted(found) == _RUNS_NOTEBOOKS.get(str(path.relative_to(ROOT)), [])


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda p: p.stem)
def test_no_notebook_runs_what_it_reads(path):
    cells = nbformat.read(path, as_version=4).cells
    code = "\n\n".join(cell.source for cell in cells if cell.cell_type == "code")
    assert not list(faults(code))


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from pickle import loads",
        "import joblib.numpy_pickle",
        "eval(x)",
        "exec(x)",
        "compile(x, '', 'exec')",
        "__import__(x)",
        "os.system('ls')",
        "torch.load(x, weights_only=True)",
        "yaml.load(x)",
        "yaml.load(x, Loader=yaml.Loader)",
        "subprocess.run(x, shell=True)",
        "subprocess.run(x, shell=flag)",
        "np.load(x)",
        "np.load(x, allow_pickle=True)",
        "pd.read_pickle(x)",
        "frame.to_pickle(x)",
        "frame.eval(x)",
        "frame.query(f'a > {x}')",
        "tar.extractall(place)",
        "tempfile.mktemp()",
        "load(x, trust_remote_code=True)",
    ],
)
def test_what_would_is_seen(code):
    assert list(faults(code))


@pytest.mark.parametrize(
    "code",
    [
        "model.eval()",
        "frame.eval('a = b / c')",
        "yaml.safe_load(x)",
        "np.load(x, allow_pickle=False)",
        "tar.extractall(place, filter='data')",
        "subprocess.run([x, y])",
        "ast.literal_eval(x)",
        "re.compile(x)",
    ],
)
def test_what_would_not_is_left_alone(code):
    assert not list(faults(code))


def test_no_script_of_the_book_runs_what_it_reads():
    """Scripts of the book's own; those of others are in folders of their own."""
    places = [ROOT / "molrg", ROOT / "book" / "_static" / "molrg-live", ROOT / "book" / "_static"]
    found = {path for place in places for path in place.glob("**/*.js")}
    ours = [path for path in found if not {"vendor", "mathjax"} & set(path.parts)]
    assert ours
    for path in ours:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\beval\(|new Function|document\.write|setTimeout\(['\"]", text), path
