"""Contract: `import molrg` is quick; addresses of version 0.1 work, with a warning."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import molrg
from molrg import _moved

ROOT = Path(__file__).resolve().parents[1]
# Of each old module a name that notebooks of others may have imported.
NAMES = {
    "alternation": "alternate",
    "attributes": "measure",
    "checkpoints": "from_pretrained",
    "fingerprints": "fingerprint",
    "forward_backward": "between",
    "ladder": "arrivals",
    "manifold_rates": "reverse",
    "networks": "UNet",
    "phase": "SuccessMap",
    "quality": "frechet",
    "rendering": "Scenes",
    "stores": "Store",
    "tangents": "tangent_pairs",
}


def imported_anew(name):
    sys.modules.pop(f"molrg.{name}", None)
    return importlib.import_module(f"molrg.{name}")


def test_every_old_module_is_tried():
    there = {path.stem for path in Path(_moved.__file__).parent.glob("*.py")} - {"__init__"}
    assert there == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_an_old_address_works_and_says_where_the_new_one_is(name):
    with pytest.warns(DeprecationWarning, match=rf"molrg\.{name} has moved to molrg\.\w+") as said:
        old = imported_anew(name)
    assert "the old address goes in version 0.3" in str(said[0].message)
    assert callable(getattr(old, NAMES[name]))
    with pytest.raises(AttributeError, match="nonsense"):
        _ = old.nonsense


def test_an_old_room_is_reached_after_one_import():
    sys.modules.pop("molrg.phase", None)
    vars(molrg).pop("phase", None)
    with pytest.warns(DeprecationWarning, match="molrg.phase has moved"):
        assert molrg.phase.SuccessMap is molrg.stats.SuccessMap


def test_a_name_that_left_its_room_is_found():
    with pytest.warns(DeprecationWarning, match="memorization.fit_transition has moved"):
        assert molrg.memorization.fit_transition is molrg.stats.fit_transition
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = molrg.memorization.nonsense


def test_old_rooms_are_not_offered():
    assert not set(NAMES) & set(dir(molrg))


def test_importing_the_package_takes_less_than_a_tenth_of_a_second():
    """Of the processor's time, the least of five: a busy machine is not counted."""
    code = "import time; t = time.process_time(); import molrg; print(time.process_time() - t)"
    command = [sys.executable, "-c", code]
    seconds = [
        float(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)
        for _ in range(5)
    ]
    assert min(seconds) < 0.1
