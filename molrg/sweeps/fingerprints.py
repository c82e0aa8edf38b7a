"""Fingerprints: whether a function is still the one that computed a result.

A function is followed by name through all that it reaches: the functions and classes it calls,
their defaults, and the values of the globals and closures they read. What is compared is what
Python compiles, so comments, docstrings and layout do not count, nor does code that is not reached.
"""

from __future__ import annotations

import dis
import functools
import inspect
import itertools
import re
import sys
from collections.abc import Callable, Iterator
from hashlib import sha256
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch

from molrg.provenance import versions

_VALUES = (
    type(None),
    bool,
    int,
    float,
    complex,
    str,
    bytes,
    type(...),
    range,
    Path,
    torch.dtype,
    torch.device,
    np.dtype,
    inspect.Signature,
)
_FOLLOWED = (
    *_VALUES,
    list,
    tuple,
    dict,
    set,
    frozenset,
    np.generic,
    np.ndarray,
    torch.Tensor,
    FunctionType,
    MethodType,
    staticmethod,
    classmethod,
    property,
    type,
)
_EMPTY = CellType()  # a closure's name that has no value yet


def fingerprint(fn: Callable[..., Any]) -> str:
    """Sixteen hexadecimal digits that change with the function and what it reaches by name.

    Followed: functions, classes, methods and modules of this package, of a notebook and of your own
    files; of installed libraries only the versions that `molrg.provenance.versions` names, and
    Python's. Values read from globals, closures, defaults and attributes count: numbers, strings,
    containers, arrays, tensors, and objects by their attributes.

    Not seen: files and environment variables that are read, names looked up at run time from
    strings, and subclasses that are not named. Another version of Python gives another fingerprint.

    Args:
        fn: a function, method, ``functools.partial`` or callable object.

    Raises:
        ValueError: where it reads a value whose content cannot be told, such as a torch generator.
    """
    walk = _Walk()
    walk.add(getattr(fn, "__name__", "fn"), fn)
    used = {name: number for name, number in versions().items() if name != "molrg"}
    return sha256("\n".join([repr(used), *walk.lines]).encode()).hexdigest()[:16]


@functools.cache
def _ours(module: str | None) -> bool:
    """Whether code of this module is followed: not that of Python or of an installed library."""
    top = (module or "__main__").partition(".")[0]
    if top in ("molrg", "__main__"):
        return True
    if top in sys.stdlib_module_names:
        return False
    loaded = sys.modules.get(top)
    file = getattr(loaded, "__file__", None) if loaded else getattr(find_spec(top), "origin", None)
    return file is not None and not {"site-packages", "dist-packages"} & set(Path(file).parts)


class _Walk:
    """What was met on the way, as lines of text; everything is followed once."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.met: dict[
            int, tuple[int, Any]
        ] = {}  # holds what it met, else an id might be given anew

    def add(self, name: str, value: Any) -> None:
        """Write down one value, under the name by which it was reached."""
        if isinstance(value, _VALUES):
            self.lines.append(f"{name} = {value!r}")
        elif isinstance(value, (np.generic, np.ndarray, torch.Tensor)):
            self._array(name, value)
        elif isinstance(value, (set, frozenset)):
            self.add(name, sorted(value, key=repr))
        elif isinstance(value, (list, tuple, dict)):
            pairs = value.items() if isinstance(value, dict) else enumerate(value)
            self.lines.append(f"{name}: {type(value).__qualname__} of {len(value)}")
            self._all((f"{name}[{key!r}]", part) for key, part in pairs)
        elif id(value) in self.met:
            self.lines.append(f"{name}: as number {self.met[id(value)][0]}")
        else:
            self.met[id(value)] = (len(self.met), value)
            self._object(name, value)

    def _all(self, pairs: Iterator[tuple[str, Any]]) -> None:
        for name, value in pairs:
            self.add(name, value)

    def _array(self, name: str, value: Any) -> None:
        tensor = (
            torch.as_tensor(value, device="cpu").detach().cpu().contiguous()
            if isinstance(value, torch.Tensor)
            else None
        )
        data = np.asarray(value) if tensor is None else tensor.reshape(-1).view(torch.uint8).numpy()
        if data.dtype.hasobject:
            raise ValueError(f"{name} = an array of Python objects: allowed is one of numbers")
        kind = f"{value.dtype} {tuple(value.shape)}"
        self.lines.append(f"{name} = {kind} {sha256(data.tobytes()).hexdigest()}")

    def _object(self, name: str, value: Any) -> None:
        module = (
            value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
        )
        if isinstance(value, FunctionType):
            self._function(name, value)
        elif isinstance(value, (ModuleType, type)) and not _ours(module):
            self.lines.append(f"{name}: {module} {getattr(value, '__qualname__', '')}")
        elif isinstance(value, ModuleType):
            self._all(
                (f"{name}.{key}", part)
                for key, part in list(vars(value).items())
                if getattr(part, "__module__", None) == module
            )
        elif isinstance(value, type):
            self._class(name, value)
        elif isinstance(value, (MethodType, staticmethod, classmethod)):
            self._all(
                (f"{name}.{key}", getattr(value, key, None)) for key in ("__func__", "__self__")
            )
        elif isinstance(value, property):
            self._all((f"{name}.{key}", getattr(value, key)) for key in ("fget", "fset"))
        elif isinstance(value, functools.partial):
            self.add(name, [value.func, value.args, value.keywords])
        elif hasattr(value, "__wrapped__"):
            self.add(name, value.__wrapped__)
        elif isinstance(value, re.Pattern):
            self.add(name, (value.pattern, value.flags))
        elif callable(value) and hasattr(value, "__name__"):
            self.lines.append(f"{name}: {module} {value.__name__}")  # written in C
        elif hasattr(value, "__dict__"):
            self.add(f"{name}.__class__", type(value))
            self.add(f"{name}.__dict__", vars(value))
        else:
            told = (
                f"{name} = {type(value).__name__}:"
                " allowed is a function, number, string, container, array or tensor"
            )
            raise ValueError(f"{told}; make anything else inside the function")

    def _class(self, name: str, kind: type) -> None:
        self.add(f"{name}.__bases__", kind.__bases__)
        for key, value in list(vars(kind).items()):
            value = value.func if isinstance(value, functools.cached_property) else value
            if isinstance(value, _FOLLOWED) and (
                not key.startswith("__") or isinstance(value, FunctionType)
            ):
                self.add(f"{name}.{key}", value)

    def _function(self, name: str, fn: FunctionType) -> None:
        if not _ours(fn.__module__) and not fn.__closure__:
            self.lines.append(f"{name}: {fn.__module__} {fn.__qualname__}")
            return
        self._code(name, fn.__code__, fn.__globals__)
        self.add(f"{name}.__defaults__", [fn.__defaults__, fn.__kwdefaults__])
        cells = zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True)
        self._all((f"{name}.{free}", cell.cell_contents) for free, cell in cells if cell != _EMPTY)
        self._all(
            (f"{name}.{key}", value) for key, value in vars(fn).items() if key != "__wrapped__"
        )

    def _code(self, name: str, code: CodeType, scope: dict[str, Any]) -> None:
        steps = [
            step
            for step in dis.get_instructions(code)
            if step.opname not in ("EXTENDED_ARG", "NOP", "CACHE")
        ]
        for step in steps:
            if isinstance(step.argval, CodeType):
                self._code(f"{name}.{step.argval.co_name}", step.argval, scope)
            elif isinstance(step.argval, (tuple, frozenset)):
                self.add(f"{name} {step.opname}", step.argval)
            else:
                self.lines.append(f"{name} {step.opname} {step.argrepr}")
        for first, asked in _chains(steps):
            self._all(_reached(first, asked, scope))


def _chains(steps: list[dis.Instruction]) -> Iterator[tuple[str, list[str]]]:
    """Global names with the attributes asked of them, as ("training", ["fit"]).

    Imports are (":training", []).
    """
    imported = ""
    for number, step in enumerate(steps):
        if step.opname == "IMPORT_NAME":
            imported = f":{step.argval}"
            if steps[number + 1].opname != "IMPORT_FROM":
                yield imported, []
        elif step.opname == "IMPORT_FROM":
            yield imported, [step.argval]
        elif step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            rest = (steps[n] for n in range(number + 1, len(steps)))
            asked = itertools.takewhile(
                lambda later: later.opname in ("LOAD_ATTR", "LOAD_METHOD"), rest
            )
            yield step.argval, [later.argval for later in asked]


def _reached(first: str, asked: list[str], scope: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """What a name leads to, as far as it goes through modules; nothing for libraries."""
    imported = first.startswith(":")
    if first == ":molrg" and not asked:
        raise ValueError(
            "import molrg = a statement inside a function:"
            " allowed is there `from molrg import name`"
        )
    if (imported and not _ours(first[1:])) or (not imported and first not in scope):
        return
    value = import_module(first[1:]) if imported else scope[first]
    for name in asked:
        if (
            not isinstance(value, ModuleType)
            or not _ours(value.__name__)
            or not hasattr(value, name)
        ):
            break
        value = getattr(value, name)
    if not isinstance(value, ModuleType) or _ours(value.__name__):
        yield ".".join([first, *asked]), value
