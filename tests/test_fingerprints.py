"""Fingerprints: changed by what changes a result, and by nothing else; every change here has to
bite.
"""

from __future__ import annotations

import functools
import inspect
import os
import re
import subprocess
import sys
import types
from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest
import torch
from factories import complains, rng

import molrg
from molrg import denoisers, training
from molrg.sweeps.fingerprints import _Walk, fingerprint

ROOT = Path(__file__).resolve().parents[1]
SOURCE = '''
import functools, math
import torch
from dataclasses import dataclass
from molrg import training
from molrg.subspaces import pca

SIZE = 3
UNUSED = 1
TABLE = {"a": [1.0, 2.0]}
WEIGHTS = torch.tensor([1.0, 2.0])
CHOICES = {"plain": lambda x: x + 1}

def helper(x, power=2):
    return x ** power

def never_called(x):
    return x

@dataclass
class Model:
    width: int = 4

    def double(self):
        """Twice."""
        return 2 * self.width

class Base:
    def one(self):
        return 1

class Derived(Base):
    scale = 10
    _private = 1

    @property
    def two(self):
        return self.one() + 1

    @functools.cached_property
    def three(self):
        return 3

    @staticmethod
    def four():
        return 4

derived = Derived()

@functools.lru_cache
def cached(x):
    return x * 7

@torch.no_grad()
def ungraded(x):
    return x * 11

def close(over):
    def inner(x):
        return over + x
    return inner

closed = close(5)
fixed = functools.partial(helper, power=3)

def fn(seed, d):
    """Say."""
    # a comment
    numbers = [helper(x) for x in TABLE["a"]] + [SIZE]
    model = Model()
    more = cached(1) + ungraded(2) + closed(3) + fixed(2) + CHOICES["plain"](1) + derived.three
    if seed in {1, 2, "a", "b"}:
        more = more + 0.1
    x = sum(numbers) + model.double() + WEIGHTS.sum() + math.pi + more
    return {"x": x, "f": training.evaluate and pca}

def batched(cells, seeds):
    return [{"x": SIZE + 100}]

fn.batched = batched
'''


def of(source, name="fn"):
    """The fingerprint of a function of a notebook with this source."""
    return fingerprint(_scope(source)[name])


def _scope(source):
    scope = {"__name__": "__main__"}
    exec(source, scope)
    return scope


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("SIZE = 3", "SIZE = 4"),
        ("[1.0, 2.0]}", "[1.0, 2.5]}"),
        ("tensor([1.0, 2.0])", "tensor([1.0, 3.0])"),
        ("lambda x: x + 1", "lambda x: x + 2"),
        ("x ** power", "x ** power + 1"),
        ("power=2", "power=4"),
        ("width: int = 4", "width: int = 5"),
        ("2 * self.width", "3 * self.width"),
        ("return 1\n", "return 2\n"),
        ("scale = 10", "scale = 11"),
        ("_private = 1", "_private = 2"),
        ("self.one() + 1", "self.one() + 3"),
        ("return 3", "return 4"),
        ("return 4", "return 5"),
        ("x * 7", "x * 8"),
        ("x * 11", "x * 12"),
        ("over + x", "over - x"),
        ("close(5)", "close(6)"),
        ("power=3)", "power=5)"),
        ("model.double() +", "model.double() -"),
        ("math.pi", "math.e"),
        ('"a", "b"}', '"a", "c"}'),
        ("0.1", "0.2"),
        ("SIZE + 100", "SIZE + 101"),
        ("derived = Derived()", "derived = Derived(); derived.k = 1"),
        ("training.evaluate", "training.loss"),
        ("import pca", "import k_subspaces as pca"),
        ("fn.batched = batched", ""),
        ("seed, d):", "seed, d=1):"),
        ("tensor([1.0, 2.0])", "tensor([1.0, 2.0], dtype=torch.float64)"),
    ],
)
def test_what_changes_a_result_changes_the_fingerprint(old, new):
    assert SOURCE.count(old) == 1 or old.startswith(("0.1", "return", "tensor"))
    assert of(SOURCE.replace(old, new, 1)) != of(SOURCE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""Say."""', '"""Say more."""'),
        ('    """Say."""\n', ""),
        ('"""Twice."""', '"""Two times."""'),
        ("# a comment", "# another\n\n"),
        ("UNUSED = 1", "UNUSED = 2"),
        ("    return x\n", "    return x + 1\n"),
        ("SIZE = 3\n", "\n\nSIZE = 3  # three\n"),
        ("seed in {1", "(seed) in {1"),
        ("def helper(x, power=2)", "def helper(x, power = 2)"),
        ("def close(over):", "def close(over):  # opens"),
    ],
)
def test_what_changes_no_result_does_not(old, new):
    changed = SOURCE.replace(old, new, 1)
    assert changed != SOURCE and of(changed) == of(SOURCE)


def test_a_local_name_is_not_a_global_one():
    body = "    generator = seed\n    return {'x': generator.real}"
    source = f"generator = object()\ndef fn(seed):\n{body}"
    assert of(source) == of(source.replace("object()", "3"))


def test_an_import_inside_is_followed():
    """As `from`; a bare `import molrg` hides what is used, and is refused."""
    source = "def fn(seed):\n    from molrg.training import loss\n    return loss"
    assert of(source) != of(source.replace("import loss", "import evaluate as loss"))
    with complains("import molrg"):
        of("def fn(seed):\n    import molrg\n    return molrg.training.loss")


@pytest.mark.parametrize("chain", ["molrg.training.loss", "molrg.MoLRG.random"])
def test_lazy_names_of_the_package_are_followed(chain):
    source = f"import molrg\ndef fn(seed):\n    return {chain}"
    told = "\n".join(_lines(source))
    assert "squared_errors" in told or "random_bases" in told


def _lines(source):
    walk = _Walk()
    walk.add("fn", _scope(source)["fn"])
    return walk.lines


def test_a_change_in_the_package_is_seen_where_it_is_used(monkeypatch):
    """Three calls down; and an unrelated change is not."""

    def fn(seed):
        return {"x": training.evaluate}

    before = fingerprint(fn)
    monkeypatch.setattr(training, "unrelated", lambda: 1, raising=False)
    monkeypatch.setattr(denoisers, "Gaussian", object)
    assert fingerprint(fn) == before

    def log_uniform_times(schedule, sigma, u):
        return u

    monkeypatch.setattr(
        import_module("molrg.training.loss"), "log_uniform_times", log_uniform_times
    )
    assert fingerprint(fn) != before


def test_it_is_the_same_in_another_process_with_another_hash_seed(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        SOURCE + "\nfrom molrg.sweeps.fingerprints import fingerprint\nprint(fingerprint(fn))\n"
    )
    told = {
        subprocess.run(
            [sys.executable, script],
            text=True,
            check=True,
            capture_output=True,
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(told) == 1 and told.pop().strip() == of(SOURCE)


@pytest.mark.parametrize(
    "value",
    [rng(), object(), iter([1]), pd.DataFrame({"x": [1]})],
    ids=["generator", "object", "iterator", "frame"],
)
def test_what_has_no_content_to_compare_is_refused(value):
    def fn(seed):
        return value

    with complains("fn.value"):
        fingerprint(fn)


def test_models_count_by_their_weights():
    def fn(seed):
        return network

    network = torch.nn.Linear(2, 1)
    before = fingerprint(fn)
    assert fingerprint(fn) == before
    with torch.no_grad():
        network.weight += 1
    assert fingerprint(fn) != before


def test_cycles_come_to_an_end():
    def fn(seed):
        return fn(seed - 1) if seed else node

    node = types.SimpleNamespace()
    node.self = node
    assert fingerprint(fn) == fingerprint(fn)


@pytest.mark.parametrize(
    "name", sorted({*dir(molrg)} - {"MoLRG", "claims", "companion", "plots", "sweeps", "zoo"})
)
def test_all_that_a_sweep_may_use_can_be_told(name):
    module = import_module(f"molrg.{name}")
    for key, value in vars(module).items():
        if (
            not key.startswith("_")
            and callable(value)
            and (getattr(value, "__module__", None) or "").startswith(module.__name__)
        ):
            assert len(fingerprint(value)) == 16, key


def test_a_signature_counts_by_what_it_says():
    def of(signature):
        def fn(seed):
            return signature

        return fingerprint(fn)

    one, two = (inspect.Signature.from_callable(f) for f in (lambda a: a, lambda a, b=1: a))
    assert of(one) == of(one)
    assert of(one) != of(two)


def test_a_partial_is_its_function_and_its_arguments():
    def fn(seed, d):
        return {"x": d}

    assert len({fingerprint(functools.partial(fn, d=d)) for d in (1, 2, 2)}) == 2


def test_a_compiled_pattern_is_what_it_matches():
    def told(*given):
        pattern = re.compile(*given)
        return fingerprint(lambda text: pattern.search(text))

    assert told("a+") == told("a+")
    assert len({told("a+"), told("a*"), told("a+", re.IGNORECASE)}) == 3
