"""Just outside its domain a function says so, and the call beside it is inside: every `BORDERS`."""

import importlib
from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from strategies import Border, accepts, pairs, refuses


def borders() -> list[Border]:
    """Those of every file of properties here."""
    files = sorted(Path(__file__).parent.glob("test_*_properties.py"))
    modules = [importlib.import_module(file.stem) for file in files]
    return [border for module in modules for border in getattr(module, "BORDERS", [])]


BORDERS = borders()


@pytest.mark.parametrize(("border", "argument"), pairs(BORDERS))
@given(data=st.data())
def test_outside_its_domain_a_function_says_so(border, argument, data):
    refuses(border, argument, data)


@pytest.mark.parametrize("border", BORDERS, ids=lambda border: border.name)
def test_the_call_beside_it_is_inside(border):
    accepts(border)
