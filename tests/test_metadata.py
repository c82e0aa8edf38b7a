"""Contract: what machines read of the project, CITATION.cff and codemeta.json, is valid.

The validators are not in the lock, as cffconvert needs an old jsonschema: `pip install cffconvert`
in an environment of its own, on the path, and `pip install pyld`. CI has both.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
CONTEXT = ROOT / "tests" / "metadata" / "codemeta-3.0.jsonld"
ADDRESS = "https://w3id.org/codemeta/3.0"
SCHEMA = "http://schema.org/"


def described() -> dict[str, Any]:
    return json.loads((ROOT / "codemeta.json").read_text(encoding="utf-8"))


def terms() -> dict[str, Any]:
    return json.loads(CONTEXT.read_text(encoding="utf-8"))["@context"]


def unknown(document: dict[str, Any]) -> list[str]:
    """Properties that the vocabulary does not have, which readers of JSON-LD drop."""
    return sorted(key for key in document if not key.startswith("@") and key not in terms())


def test_every_property_of_codemeta_is_one_of_its_vocabulary():
    assert described()["@context"] == ADDRESS
    assert unknown(described()) == []
    assert unknown({"isBasedOn": "a paper", "name": "n"}) == ["isBasedOn"]


def test_what_codemeta_takes_for_an_address_is_one():
    addressed = {
        name
        for name, term in terms().items()
        if isinstance(term, dict) and term.get("@type") == "@id"
    }
    for name in addressed & set(described()):
        value = described()[name]
        for item in value if isinstance(value, list) else [value]:
            address = item["@id"] if isinstance(item, dict) else item
            assert address.startswith("https://"), name


def test_a_reader_of_json_ld_understands_all_of_codemeta():
    jsonld = pytest.importorskip(
        "pyld.jsonld", reason="codemeta.json NOT READ AS JSON-LD: pyld is not installed"
    )

    def offline(url: str, _options: Any) -> dict[str, Any]:
        assert url == ADDRESS
        document = json.loads(CONTEXT.read_text(encoding="utf-8"))
        return {"contextUrl": None, "documentUrl": url, "document": document}

    (expanded,) = jsonld.expand(described(), {"documentLoader": offline})
    assert expanded["@type"] == [f"{SCHEMA}SoftwareSourceCode"]
    assert len(expanded) == len(described()) - 1  # the context is no property
    assert expanded[f"{SCHEMA}version"] == [{"@value": described()["version"]}]
    papers = expanded["https://codemeta.github.io/terms/referencePublication"]
    assert len(papers) == 3


def test_the_citation_file_is_valid():
    command = shutil.which("cffconvert")
    if command is None:
        pytest.skip("CITATION.cff NOT VALIDATED: cffconvert is not on the path")
    done = subprocess.run(
        [command, "--validate"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "valid according to schema version 1.2.0" in done.stdout + done.stderr


def test_both_name_the_same_papers():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    cited = {
        identifier["value"].removeprefix("arXiv:")
        for reference in citation["references"]
        for identifier in reference["identifiers"]
    }
    papers = {paper["@id"].rpartition("/")[2] for paper in described()["referencePublication"]}
    assert papers == cited
