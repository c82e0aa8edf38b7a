"""Mutations: is there a test that fails when the key formula of a claim is changed?

``make mutate`` (``python tests/mutations.py [C01 ...]``) changes one operator of one function at a
time, runs the tests of its room until one fails, and keeps in ``tests/mutations.json`` which one it
was. What is there already, for a function as it is now, is not run again.
"""

from __future__ import annotations

import ast
import copy
import hashlib
import importlib
import importlib.abc
import importlib.util
import json
import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "tests" / "mutations.json"
PER_CLAIM = 6  # mutants of a claim, of as many kinds and functions as there are
SECONDS = 300  # of CPU; a mutant that has not failed by then is stopped, which counts as caught
MARKS = "not book and not browser and not gpu"
SLOW_TO_IMPORT = (
    "hypothesis.strategies",
    "matplotlib.pyplot",
    "numpy",
    "pandas",
    "pytest",
    "scipy.optimize",
    "scipy.stats",
    "sklearn.cluster",
    "sklearn.mixture",
    "torch",
    "torch.func",
)


class Target(NamedTuple):
    """Where the key formula of a claim stands, and the tests that guard it."""

    claim: str
    file: str
    functions: tuple[str, ...]
    tests: tuple[str, ...]


def _target(claim: str, file: str, functions: str, tests: str) -> Target:
    paths = []
    for name in tests.split():
        folder = "tests/properties" if name.endswith("_properties") else "tests"
        paths.append(f"{folder}/test_{name}.py")
    return Target(claim, f"molrg/{file}.py", tuple(functions.split()), tuple(paths))


TARGETS = [
    _target("C01", "mixture/components", "Components.posterior Components.average", "mixture"),
    _target("C02", "studies/identities", "affine_loss", "identities"),
    _target("C03", "denoisers/low_rank", "LowRank.forward LowRank._hard_weights", "denoisers"),
    _target("C04", "studies/hard_max", "coefficient bounds", "hard_max"),
    _target("C05", "denoisers/low_rank", "LowRank._soft_weights", "denoisers"),
    _target("C06", "studies/one_subspace", "laws offsets", "one_subspace"),
    _target("C07", "studies/tied_splits", "balanced_splits tie_ratios orthogonal", "tied_splits"),
    _target(
        "C08", "subspaces/geometry", "projector_distance energies", "subspaces subspaces_properties"
    ),
    _target("C08", "stats/success_maps", "tolerance", "stats"),
    _target("C09", "studies/ladder_measures", "samples_per_dimension exponent", "ladder"),
    _target("C09", "stats/transitions", "crossing", "stats numbers_properties"),
    _target("C10", "jacobian/ranks", "numerical_rank", "jacobian"),
    _target("C11", "studies/mixture_jacobians", "largest_fall", "jacobian_rank"),
    _target("C11", "studies/jacobian_rank", "gaussian_singular_values", "jacobian_rank"),
    _target("C12", "editing/edits", "linearity interaction leak", "editing images_properties"),
    _target(
        "C13",
        "memorization",
        "distance_ratio copy_ratio agreement",
        "memorization images_properties",
    ),
    _target("C14", "studies/intrinsic_cost", "slopes scores span_residual", "intrinsic_cost"),
    _target("C15", "studies/score_rates", "score score_error", "score_rates"),
    _target("C16", "studies/manifold_rates", "gaussian_kl endpoint_variance", "manifold_rates"),
    _target("C17", "hierarchy/mean_field", "mean_field_map fixed_point", "hierarchy"),
    _target("C17", "hierarchy/messages", "combine", "hierarchy"),
    _target("C18", "studies/forward_backward", "chance_corrected similarity", "forward_backward"),
    _target("C19", "mixture/fitting", "_maximise", "fitting"),
    _target("C19", "studies/fitted_mixture", "shares advantage measured", "fitted_mixture"),
    _target("C20", "jacobian/local_dimension", "_squared_distances trace", "local_dimension"),
    _target("C20", "studies/denoiser_dimension", "furthest spectrum_traces", "denoiser_dimension"),
    _target(
        "C21", "denoisers/patches", "Patches._estimate Patches._distances window_starts", "patches"
    ),
    _target("C21", "studies/locality", "best_windows against_gaussian growth", "locality"),
    _target("C22", "studies/copying_time", "first times slopes", "copying_time"),
    _target("C23", "denoisers/networks", "to_x0", "networks"),
    _target("C23", "studies/prediction_targets", "off_planes", "prediction_targets"),
    _target("C24", "studies/named_directions", "share changes balanced_accuracy", "faces_models"),
    _target("C24", "studies/named_edits", "matched_lengths", "faces_claims"),
    _target("C25", "studies/faces_thresholds", "marginals _table contrasts", "faces_models"),
    _target("C25", "studies/faces_forgotten", "threshold equidistant", "faces_claims"),
]
# Mutants that compute the same, by their claim and new line, and why.
_VP = "with variance-preserving noise s^2 + gamma^2 = 1"
EQUIVALENT = {
    ("C02", "a = s2 * (s2 + g2)"): _VP,
    ("C02", "a = s2"): _VP,
    ("C03", "return one_hot(latent.square().mean(-1).argmax(-1), self.K).to(latent.dtype)"): (
        "all bases have one number of columns, zeros included"
    ),
    ("C07", "summed = table.groupby(['white', 'seed'])[['true', 'expected']].mean()"): (
        "both sums are over the same rows"
    ),
    ("C19", "counts = shares.mean(0)"): "weights and noise depend on ratios of the counts alone",
}


# Kinds of change


class Mutant(NamedTuple):
    claim: str
    file: str
    function: str
    kind: str
    line: int
    before: str
    after: str
    source: str  # of the whole file, changed

    def key(self) -> tuple[str, ...]:
        return (self.claim, self.file, self.function, self.before, self.after)


_ARITHMETIC = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult}
_ORDER = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}
_ORDER |= {ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}
_DROPPED = {"sqrt", "square", "log", "exp", "abs", "T", "mT", "log2", "cumsum", "flip", "norm"}
_SWAPPED = {"amax": "amin", "amin": "amax", "max": "min", "min": "max", "argmax": "argmin"}
_SWAPPED |= {"argmin": "argmax", "sum": "mean", "mean": "sum", "sin": "cos", "cos": "sin"}
_SWAPPED |= {"tanh": "sin", "lgamma": "log", "maximum": "minimum", "minimum": "maximum"}


def changes(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """All that can take the place of a node, with the kind of the change."""
    if isinstance(node, ast.BinOp):
        yield from _of_operator(node)
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in _ORDER:
        other = copy.deepcopy(node)
        other.ops[0] = _ORDER[type(node.ops[0])]()
        yield "comparison", other
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield "sign", node.operand
    elif isinstance(node, ast.Attribute) and node.attr in {"T", "mT"}:
        yield "transpose dropped", node.value
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        yield from _of_call(node, node.func)
    elif isinstance(node, ast.Subscript) and _is_whole(node.slice):
        place = ast.literal_eval(node.slice)
        element = copy.deepcopy(node)
        element.slice = ast.Constant(place - 1 if place else 1)  # not beyond the end
        yield "index off by one", element


def _is_whole(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is int


def _of_operator(node: ast.BinOp) -> Iterator[tuple[str, ast.AST]]:
    if type(node.op) in _ARITHMETIC:
        other = copy.deepcopy(node)
        other.op = _ARITHMETIC[type(node.op)]()
        yield ("+ and -" if isinstance(node.op, ast.Add | ast.Sub) else "* and /"), other
    if isinstance(node.op, ast.Mult | ast.Div):
        bare = isinstance(node.op, ast.Mult) and isinstance(node.left, ast.Constant)
        yield "factor dropped", node.right if bare else node.left
    for side in ("left", "right"):
        part = getattr(node, side)
        if isinstance(part, ast.Constant) and isinstance(part.value, int | float):
            other = copy.deepcopy(node)
            setattr(other, side, ast.Constant(part.value + 1))
            yield "constant", other


def _of_call(node: ast.Call, called: ast.Attribute) -> Iterator[tuple[str, ast.AST]]:
    module = isinstance(called.value, ast.Name) and called.value.id in {"math", "np", "torch"}
    if called.attr in _DROPPED and (node.args or not module):
        yield f"{called.attr} dropped", node.args[0] if module else called.value
    if called.attr in _SWAPPED:
        other = copy.deepcopy(node)
        other.func = ast.Attribute(called.value, _SWAPPED[called.attr], ast.Load())
        yield f"{called.attr} swapped", other


# Where they apply


def mutants(target: Target) -> list[Mutant]:
    """Every change of one node of the functions of a target."""
    source = (ROOT / target.file).read_text(encoding="utf-8")
    found = []
    for name in target.functions:
        function = _function(ast.parse(source), name)
        for node in _formula(function):
            for kind, other in changes(node):
                before, after = (_statement(function, node, new) for new in (None, other))
                text = _replaced(source, node, other)
                address = (target.claim, target.file, name, kind, node.lineno)
                found.append(Mutant(*address, before, after, text))
    return found


def _function(tree: ast.AST, name: str) -> ast.FunctionDef:
    for part in name.split("."):
        tree = next(
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == part
        )
    assert isinstance(tree, ast.FunctionDef)
    return tree


def _formula(function: ast.FunctionDef) -> Iterator[Any]:
    """The expressions of a function, without its docstring, checks, messages and shapes."""
    todo: list[ast.AST] = list(function.body)
    words = _for_checks_only(function)
    while todo:
        node = todo.pop(0)
        if _is_check(node) or isinstance(node, ast.JoinedStr) or _assigned(node) in words:
            continue
        if isinstance(node, ast.expr):
            yield node
        todo = [child for child in ast.iter_child_nodes(node) if not _is_axis(node, child)] + todo


def _for_checks_only(function: ast.FunctionDef) -> set[str]:
    """Names that are used nowhere but in the checks of arguments."""
    checks = [node for node in ast.walk(function) if _is_check(node)]
    within = Counter(name for check in checks for name in _loaded(check))
    return {name for name, count in within.items() if _loaded(function).count(name) == count}


def _loaded(node: ast.AST) -> list[str]:
    names = [inner for inner in ast.walk(node) if isinstance(inner, ast.Name)]
    return [name.id for name in names if isinstance(name.ctx, ast.Load)]


def _assigned(node: ast.AST) -> str:
    one = isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    return node.targets[0].id if one else ""  # type: ignore[attr-defined]


def _is_check(node: ast.AST) -> bool:
    """Whether a statement checks arguments, or says something."""
    if isinstance(node, ast.If):
        return isinstance(node.body[-1], ast.Raise) or all(map(_only_words, node.body))
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant | ast.Call)
    return isinstance(node, ast.Raise | ast.Assert)


def _only_words(node: ast.AST) -> bool:
    return isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant | ast.JoinedStr)


def _is_axis(node: ast.AST, child: ast.AST) -> bool:
    """Whether a child is an annotation, or an axis: a plain number among arguments of a call."""
    if isinstance(node, ast.keyword):
        return _is_number(child)
    if isinstance(node, ast.AnnAssign):
        return child is node.annotation
    return isinstance(node, ast.Call) and child in node.args and _is_number(child)


def _is_number(node: ast.AST) -> bool:
    if isinstance(node, ast.Tuple):
        return all(map(_is_number, node.elts))
    inner = node.operand if isinstance(node, ast.UnaryOp) else node
    return isinstance(inner, ast.Constant)


def _replaced(source: str, node: Any, other: ast.AST) -> str:
    """The file with the text of one node replaced."""
    lines = source.splitlines(keepends=True)
    begin = sum(len(line.encode()) for line in lines[: node.lineno - 1]) + node.col_offset
    end = sum(len(line.encode()) for line in lines[: node.end_lineno - 1]) + node.end_col_offset
    text = source.encode()
    return (text[:begin] + f"({ast.unparse(other)})".encode() + text[end:]).decode()


def _statement(function: ast.FunctionDef, node: Any, other: ast.AST | None) -> str:
    """The smallest statement around a node, on one line; with the other node in its place."""
    tree = copy.deepcopy(function)
    place = (node.lineno, node.col_offset, node.end_lineno, node.end_col_offset)

    class Swap(ast.NodeTransformer):
        def visit(self, here: Any) -> Any:
            at = getattr(here, "lineno", None)
            same = type(here) is type(node) and at is not None
            if same and (at, here.col_offset, here.end_lineno, here.end_col_offset) == place:
                return copy.deepcopy(other) if other is not None else here
            return self.generic_visit(here)

    statements = [
        statement
        for statement in ast.walk(tree)
        if isinstance(statement, ast.stmt)
        and not isinstance(statement, ast.FunctionDef)
        and statement.lineno <= node.lineno
        and (statement.end_lineno or 0) >= node.end_lineno
    ]
    smallest = min(statements, key=lambda s: (s.end_lineno or 0) - s.lineno)
    return ast.unparse(Swap().visit(smallest)).split("\n")[0]


def equivalent(mutant: Mutant) -> str:
    """Why a mutant computes the same; "" where it does not."""
    return EQUIVALENT.get((mutant.claim, mutant.after), "")


def chosen(claim: str) -> list[Mutant]:
    """The mutants of a claim: of its functions in turn, each time of the next kind."""
    heaps = []
    for target in TARGETS:
        if target.claim == claim:
            every = mutants(target)
            heaps += [[m for m in every if m.function == name] for name in target.functions]
    picked: list[Mutant] = []

    def enough() -> bool:
        return sum(not equivalent(mutant) for mutant in picked) >= PER_CLAIM

    while any(heaps) and not enough():
        for heap in heaps:
            kinds = [m.kind for m in picked]
            lines = [m.line for m in picked]
            fresh = sorted(heap, key=lambda m: (kinds.count(m.kind), lines.count(m.line), m.line))
            if fresh and not enough():
                picked.append(fresh[0])
                heap.remove(fresh[0])
    return picked


def claims() -> list[str]:
    return sorted({target.claim for target in TARGETS})


def fingerprint(mutant: Mutant) -> str:
    """Changes with the function."""
    function = _function(ast.parse((ROOT / mutant.file).read_text()), mutant.function)
    return hashlib.sha256(ast.unparse(function).encode()).hexdigest()[:12]


# Running them


class Changed(importlib.abc.SourceLoader):
    """Loads a module from another text than that of its file."""

    def __init__(self, mutant: Mutant) -> None:
        self.file = ROOT / mutant.file
        self.source = mutant.source

    def get_filename(self, fullname: str) -> str:
        return str(self.file)

    def get_data(self, path: Any) -> bytes:
        return self.source.encode() if str(path) == str(self.file) else Path(path).read_bytes()


class Planted(importlib.abc.MetaPathFinder):
    """Imports one module of the package from another text."""

    def __init__(self, mutant: Mutant) -> None:
        self.name = mutant.file.removesuffix(".py").replace("/", ".")
        self.loader = Changed(mutant)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != self.name:
            return None
        return importlib.util.spec_from_file_location(name, self.loader.file, loader=self.loader)


class FirstFailure:
    """A plugin of pytest that remembers which test failed first."""

    test = ""

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed and not self.test:
            self.test = report.nodeid

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed and not self.test:
            self.test = report.nodeid


def _in_child(mutant: Mutant | None, tests: Sequence[str], write: int) -> None:
    import pytest

    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    if mutant is not None:
        sys.meta_path.insert(0, Planted(mutant))
    first = FirstFailure()
    words = ["-x", "-q", "-p", "no:cacheprovider", "-m", MARKS, *tests]
    code = pytest.main(words, plugins=[first])
    os.write(write, json.dumps([int(code), first.test]).encode())
    os._exit(0)


def run(mutant: Mutant | None, tests: Sequence[str]) -> str:
    """The first test that fails, "" where none does; in a process of its own."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        _in_child(mutant, tests, write)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        outcome = pipe.read()
    os.waitpid(child, 0)
    if not outcome:
        return f"stopped after {SECONDS} CPU seconds"
    code, test = json.loads(outcome)
    return test if code else ""


def caught_by(mutant: Mutant) -> str:
    """The test that fails: first of those that name the function, then of all of its room."""
    tests = tests_of(mutant)
    near = [test for path in tests for test in naming(path, mutant.function.split(".")[-1])]
    return (run(mutant, near) if near else "") or run(mutant, tests)


def naming(path: str, function: str) -> list[str]:
    """The tests of a file that name a function."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    tests = [node for node in functions if node.name.startswith("test_")]
    return [f"{path}::{test.name}" for test in tests if function in _named(test)]


def _named(node: ast.AST) -> set[str]:
    attributes = {inner.attr for inner in ast.walk(node) if isinstance(inner, ast.Attribute)}
    return attributes | {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}


def tests_of(mutant: Mutant) -> list[str]:
    targets = [t for t in TARGETS if t.claim == mutant.claim and t.file == mutant.file]
    return [name for target in targets for name in target.tests]


def read_results() -> list[dict[str, Any]]:
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else []


def _key(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(row[name] for name in ("claim", "file", "function", "before", "after"))


def _write(rows: list[dict[str, Any]]) -> None:
    aside = RESULTS.with_suffix(".part")
    aside.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    aside.replace(RESULTS)


def _prepare() -> None:
    """Import once what is slow to import, for all the processes to come."""
    for name in SLOW_TO_IMPORT:
        importlib.import_module(name)
    sys.modules["torch"].set_num_threads(1)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.chdir(ROOT)
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]


def judged(mutant: Mutant, sound: dict[tuple[str, ...], str]) -> dict[str, Any]:
    """A row of the results; `sound` remembers what fails without a change."""
    tests = tuple(tests_of(mutant))
    same = equivalent(mutant)
    begin = time.monotonic()
    caught = "" if same else caught_by(mutant)
    if caught and tests not in sound:
        sound[tests] = run(None, [caught])
    if sound.get(tests):
        raise SystemExit(f"fails without a change: {sound[tests]}")
    said = caught or same or "SURVIVED"
    print(
        f"{mutant.claim} {time.monotonic() - begin:4.0f} s  {mutant.after}  ->  {said}", flush=True
    )
    row = mutant._asdict() | {"caught": caught, "equivalent": same}
    del row["source"]
    return row | {"fingerprint": fingerprint(mutant)}


def main(wanted: Sequence[str]) -> None:
    """Run what is missing of some claims or of all, and keep the results in their order."""
    _prepare()
    sound: dict[tuple[str, ...], str] = {}
    known = {(*_key(row), row["fingerprint"]): row for row in read_results()}
    for mutant in [m for claim in wanted or claims() for m in chosen(claim)]:
        row = known.get((*mutant.key(), fingerprint(mutant)))
        if row is None or not (row["caught"] or row["equivalent"]):
            row = judged(mutant, sound)
        others = [other for other in read_results() if _key(other) != mutant.key()]
        _write([*others, row | {"line": mutant.line}])
    order = {m.key(): place for place, m in enumerate(m for c in claims() for m in chosen(c))}
    rows = [row for row in read_results() if _key(row) in order]
    _write(sorted(rows, key=lambda row: order[_key(row)]))


if __name__ == "__main__":
    main(sys.argv[1:])
