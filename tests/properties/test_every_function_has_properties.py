"""Every public function has a property here, or stands below with the reason why it has none."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import molrg

FOLDER = Path(__file__).parent
# A module, or a function of one, and what is asked of it instead.
WITHOUT = {
    "molrg.__main__": "reads commands, writes files",
    "molrg._moved": "old addresses",
    "molrg.claims": "reads and writes records, for a ledger of 25 claims",
    "molrg.companion": "runs notebooks and writes pages",
    "molrg.course": "compares answers with solutions",
    "molrg.plots": "draws figures",
    "molrg.studies": "experiments: small sizes against closed forms in the tests of each",
    "molrg.zoo": "trains networks, reads and writes their folders",
    "molrg.checks.scalars.installed": "asks what is installed",
    "molrg.devices": "asks what the machine has",
    "molrg.files": "writes files",
    "molrg.interrupts": "heeds signals",
    "molrg.provenance": "asks git and the machine",
    "molrg.denoisers.checkpoints": "reads and writes folders of weights",
    "molrg.denoisers.folders": "reads folders of weights",
    "molrg.denoisers.hub": "asks the hub, reads its cache",
    "molrg.denoisers.schedulers": "reads a scheduler's file",
    "molrg.denoisers.seals": "writes checksums beside files",
    "molrg.dimension.array_files": "reads files",
    "molrg.images.cards": "writes cards of data sets",
    "molrg.images.dataset": "holds the records of data sets",
    "molrg.images.downloads": "fetches files",
    "molrg.images.folders": "reads folders of pictures",
    "molrg.images.formats": "reads files",
    "molrg.images.pictures": "reads files",
    "molrg.images.records": "one record for each data set",
    "molrg.images.sets": "reads data sets by name",
    "molrg.images.slices": "reads and writes files",
    "molrg.images.faces.art": "draws with an optional package, writes files",
    "molrg.images.faces.maps": "reads and writes files",
    "molrg.sweeps.fingerprints": "reads the source of functions",
    "molrg.sweeps.runner": "runs processes, writes files",
    "molrg.sweeps.stores.Store": "writes files",
    "molrg.sweeps.stores.lines": "reads files",
    "molrg.sweeps.stores.name_of": "a name",
    "molrg.training.ragged": "trains; equal to training one by one in tests/test_ragged.py",
    "molrg.training.trainer": "trains; steps against torch's own in tests/test_training.py",
    "molrg.training.batches": "draws for the trainer; tests/test_training.py",
    # inside another function or class that is here
    "molrg.denoisers.ensembles.chosen_models": "the check of `select`",
    "molrg.denoisers.ensembles.number_of_models": "a product",
    "molrg.denoisers.low_rank.LowRank.project_gradient_": "a step of training",
    "molrg.denoisers.protocol": "what a denoiser is, without code of its own",
    "molrg.dimension.gaussians.flat_dimension": "inside `describe`",
    "molrg.dimension.tangents.TangentPairs.gap": "inside `tangent_affinity`",
    "molrg.editing.directions.check_region": "the check of `directions`",
    "molrg.hierarchy.evidence.gaussian": "inside `gaussian_evidence`",
    "molrg.hierarchy.messages": "inside `RHM`",
    "molrg.hierarchy.rules.check_grammar": "the check of `random_rules`",
    "molrg.images.faces.law": "inside `faces.mixture`",
    "molrg.images.faces.pose": "inside `faces.draw`",
    "molrg.images.faces.family.table_of": "inside `draw_factors`",
    "molrg.images.faces.family.parse": "inside `faces.render`",
    "molrg.images.faces.fixed_draws.fixed_factors": "inside `faces.fixed`",
    "molrg.jacobian.convolutions": "inside `Linearised`",
    "molrg.jacobian.evaluation": "inside `Linearised`",
    "molrg.jacobian.krylov": "inside `top_singular`",
    "molrg.mixture.components": "inside `MoLRG`",
    "molrg.mixture.fitting": "inside `MoLRG.fit`",
    "molrg.subspaces.alternation": "inside `k_subspaces`",
    "molrg.subspaces.geometry.bottleneck_assignment": "inside `match`",
}


def modules() -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(molrg.__path__, "molrg."):
        if not any(inside(found.name, skipped) for skipped in WITHOUT):
            yield importlib.import_module(found.name)


def inside(name: str, module: str) -> bool:
    return name == module or name.startswith(f"{module}.")


def public() -> dict[str, str]:
    """Name of every public function, class and method, by its whole address."""
    names = {}
    for module in modules():
        for name, value in vars(module).items():
            if name.startswith("_") or getattr(value, "__module__", "") != module.__name__:
                continue
            address = f"{module.__name__}.{name}"
            if inspect.isfunction(value):
                names[address] = name
            elif inspect.isclass(value) and not issubclass(value, (tuple, Exception, Warning)):
                methods = [
                    m for m, f in vars(value).items() if m[0] != "_" and inspect.isroutine(f)
                ]
                names |= {f"{address}.{method}": method for method in methods}
    return names


def used() -> set[str]:
    """Names that the properties use: what they import, and attributes of it."""
    names: set[str] = set()
    for path in FOLDER.glob("test_*_properties.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                names.add(node.attr)
            elif isinstance(node, ast.ImportFrom):
                names |= {alias.name for alias in node.names}
    return names | {"forward"}  # by a call of the object


def test_every_public_function_has_a_property_or_a_reason():
    properties = used()
    missing = [
        address
        for address, name in public().items()
        if name not in properties and not any(inside(address, skipped) for skipped in WITHOUT)
    ]
    assert not missing, f"neither a property nor a reason: {missing}"


def test_reasons_are_for_what_is_there():
    names = {found.name for found in pkgutil.walk_packages(molrg.__path__, "molrg.")}
    for address in WITHOUT:
        parts = address.split(".")
        module = max(k for k in range(2, len(parts) + 1) if ".".join(parts[:k]) in names)
        if module < len(parts):
            value = importlib.import_module(".".join(parts[:module]))
            for part in parts[module:]:
                value = getattr(value, part)
            assert callable(value), address
