"""Contract: every tensor that the package makes says on which device, or is like another tensor."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "molrg"
MODULES = sorted(PACKAGE.rglob("*.py"))

FACTORIES = {
    *("zeros", "ones", "full", "empty", "eye", "arange", "range", "linspace", "logspace"),
    *("tensor", "as_tensor", "asarray", "scalar_tensor", "tril_indices", "triu_indices"),
    *("rand", "randn", "randint", "randperm"),
}
# They draw where their argument is, from a generator that is on the CPU: molrg.draws is for that.
DRAWN_IN_PLACE = {"multinomial", "bernoulli", "poisson", "normal"}
LOADERS: set[str] = set()  # read files into tensors of the CPU, by numpy or PIL: none needs it

# Files that still make tensors without saying where.
NOT_YET: set[str] = set()


def unplaced(code: str) -> list[str]:
    """Calls of a torch factory that name no device, and draws that only work on one."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        owner, name = ast.unparse(node.func.value), node.func.attr
        named = {keyword.arg for keyword in node.keywords} & {"device", None}
        if owner == "torch" and name in FACTORIES and not named:
            found.append(f"line {node.lineno}: {ast.unparse(node)[:70]}")
        on_cpu = bool(node.args) and ast.unparse(node.args[0]).endswith(".cpu()")
        if owner == "torch" and name in DRAWN_IN_PLACE and not on_cpu:
            found.append(f"line {node.lineno}: {ast.unparse(node)[:70]}")
    return found


def imported_factories(code: str) -> list[str]:
    """Factories that are imported by name, which the search above would not see."""
    nodes = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ImportFrom)]
    names = [alias.name for node in nodes if node.module == "torch" for alias in node.names]
    return sorted(set(names) & (FACTORIES | DRAWN_IN_PLACE))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_every_new_tensor_says_where_it_is(path):
    code = path.read_text(encoding="utf-8")
    assert not imported_factories(code)
    if path.relative_to(PACKAGE).as_posix() in LOADERS | NOT_YET | {"draws.py"}:
        pytest.skip("a loader, the place of draws, or not yet clean")
    assert not unplaced(code)


def test_exceptions_are_files_that_need_them():
    for name in LOADERS:
        assert unplaced((PACKAGE / name).read_text(encoding="utf-8")), f"{name} needs no exception"


@pytest.mark.parametrize(
    "code",
    [
        "torch.zeros(3)",
        "x = f(torch.eye(n, dtype=x.dtype))",
        "torch.tensor([1.0])",
        "torch.as_tensor(0.5, dtype=x.dtype)",
        "torch.randn(3, generator=g)",
        "torch.arange(n)[None].to(x)",
        "torch.multinomial(p, 3, generator=g)",
    ],
)
def test_tensors_without_a_place_are_found(code):
    assert unplaced(code)


@pytest.mark.parametrize(
    "code",
    [
        "torch.zeros(3, device=x.device)",
        "torch.zeros_like(x)",
        "x.new_zeros(3)",
        "torch.tensor([1.0], **like)",
        "torch.randint(5, (3,), generator=g, device='cpu')",
        "np.zeros(3)",
        "torch.from_numpy(a).to(device)",
        "draws.normal((3,), generator=g)",
        "torch.multinomial(p.cpu(), 3, generator=g).to(device)",
    ],
)
def test_tensors_with_a_place_are_not(code):
    assert not unplaced(code)


def test_factories_imported_by_name_are_found():
    assert imported_factories("from torch import Tensor, zeros") == ["zeros"]
