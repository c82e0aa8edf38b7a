"""Contract: what the book generates says what records, executed notebooks and git say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml

from molrg import claims
from molrg.claims import Condition
from molrg.companion import drawings, face_drawings, gallery, history, overview
from molrg.images import faces
from molrg.schedules import EDM

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book" / "_ext"))
RECORDED = claims.records(ROOT / "book" / "results" / "paper")


# the overview of the scorecard


@pytest.mark.parametrize(
    ("entry", "value", "expected"),
    [
        ({"at_most": 2}, 1, 0.5),
        ({"at_most": 2}, 8, 4),
        ({"at_least": 2}, 8, 0.25),
        ({"at_least": 2}, -1, 100),
        ({"at_most": 0}, 0, 0.01),
        ({"at_most": 0}, 3, 100),
        ({"within": [1, 3]}, 2.5, 0.5),
        ({"within": [1, 3]}, 4, 2),
        ({"within": [1, 1]}, 1, 0.01),
        ({"within": [1, 1]}, 2, 100),
        ({"at_most": 1}, 1e9, 100),
    ],
)
def test_a_share_of_the_bound_is_below_one_where_it_is_met(entry, value, expected):
    condition = Condition.parse({"quantity": "q", "estimator": "mean", **entry})
    assert overview.share(condition, value) == pytest.approx(expected)
    assert (expected <= 1) == (condition.low <= value <= condition.high)


@pytest.mark.parametrize("id", RECORDED)
def test_a_picture_agrees_with_the_record(id):
    record = RECORDED[id]
    if {line["condition"] for line in record["conditions"]} != {
        str(c) for part in claims.criterion(id, "paper") for c in part
    }:
        pytest.skip("recorded under another criterion")
    drawn = overview.picture(record)
    primary = [line for line in record["conditions"] if line["primary"]]
    assert drawn.count('class="missed"') == sum(not line["met"] for line in primary)
    assert drawn.count('class="met"') == sum(line["met"] for line in primary)
    assert drawn.count('class="control"') == sum(line["control"] is not None for line in primary)


def test_the_overview_has_a_row_for_each_claim():
    text = overview.table(RECORDED)
    for id, entry in claims.registry().items():
        assert text.count(f'href="#claim-{id.lower()}"') == 1
        assert entry["scope"] in text
    assert "not run" in overview.table({})


# the history of the criteria


def commit(folder, message, day):
    command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*command, "add", "-A"], check=True)
    dates = {"GIT_AUTHOR_DATE": f"{day}T12:00:00Z", "GIT_COMMITTER_DATE": f"{day}T12:00:00Z"}
    environment = {**dates, "PATH": "/usr/bin:/bin:/usr/local/bin"}
    subprocess.run([*command, "commit", "-qm", message], check=True, env=environment)


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A claim whose bound moves before, and whose expectation after, its first run."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    ledger = tmp_path / "book" / "claims.yml"
    ledger.parent.mkdir()
    line = {"quantity": "q", "estimator": "mean", "at_most": 1}
    entry = {
        "criterion": {"quick": {"primary": [line]}, "paper": {"primary": [line]}},
        "control": {"fails": ["q"]},
        "expected": "reproduced",
    }

    def save(message, day):
        ledger.write_text(yaml.safe_dump({"claims": {"C01": entry}}))
        commit(tmp_path, message, day)

    save("registered", "2030-01-01")
    line["at_most"] = 2
    save("a wider bound", "2030-01-02")
    run = tmp_path / "book" / "results" / "paper" / "C01.json"
    run.parent.mkdir(parents=True)
    run.write_text("{}")
    commit(tmp_path, "recorded", "2030-01-03")
    entry["title"] = "no matter"
    save("words", "2030-01-04")
    entry["expected"] = "not reproduced"
    save("a surprise", "2030-01-05")
    monkeypatch.setattr(claims, "registry", lambda: {"C01": entry})
    return tmp_path


def test_the_history_says_what_changed_when_and_why(clone):
    (entry,) = history.collect(clone).values()
    assert entry["registered"] == "2030-01-01" and entry["first recorded"] == "2030-01-03"
    first, second = entry["changes"]
    assert first["why"] == "a wider bound" and first["when"].startswith("before")
    assert first["what"] == [
        "added: primary condition, mean of q ≤ 2 (quick and paper)",
        "removed: primary condition, mean of q ≤ 1 (quick and paper)",
    ]
    assert second["why"] == "a surprise" and second["when"].startswith("after")
    assert second["what"] == ["expected: reproduced became not reproduced"]


def test_times_are_compared_across_time_zones():
    assert history._later("2030-01-02T01:00:00+00:00", "2030-01-02T02:00:00+02:00")
    assert not history._later("2030-01-02T09:00:00+09:00", "2030-01-02T01:00:00Z")


def test_without_git_there_is_no_history(tmp_path):
    with pytest.raises(history.NoHistory, match="clone"):
        history.collect(tmp_path)


def test_the_committed_history_is_that_of_git():
    kept = yaml.safe_load((ROOT / history.FILE).read_text(encoding="utf-8"))
    landed = {id for id, e in claims.registry().items() if e["status"] == "landed"}
    assert landed <= set(kept) <= set(claims.registry()), "python -m molrg claims --write-history"
    try:
        collected = history.collect(ROOT)
    except history.NoHistory as error:
        pytest.skip(str(error))
    assert kept == collected, "python -m molrg claims --write-history"


def test_reasons_come_from_the_changelog():
    text = (
        "## Unreleased\n\n### Criteria and expected verdicts\nBefore:\n"
        "- C01, C03: a wider\n  bound.\n- Words.\nAfter:\n- C03: more.\n\n### Fixed\n- C01: no.\n"
    )
    assert history.reasons(text) == {
        "C01": ["C01, C03: a wider bound."],
        "C03": ["C01, C03: a wider bound.", "C03: more."],
    }


# figures


def test_the_gallery_takes_pictures_and_first_sentences(tmp_path):
    picture = nbformat.v4.new_output("display_data", {"image/svg+xml": "<svg/>"})
    named = {"figure": {"name": "fig-c01-x", "caption": "Points. More."}, "image": {"alt": "Dots"}}
    cell = nbformat.v4.new_code_cell("plot()", metadata={"mystnb": named}, outputs=[picture])
    path = tmp_path / "01_x.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[cell, nbformat.v4.new_code_cell("1")]), path)
    (figure,) = gallery.figures(path)
    assert figure == ("fig-c01-x", "Points", "Dots", False, ("svg", b"<svg/>"))


def test_drawings_are_vectors_and_the_same_each_time(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        drawings.write(tmp_path / folder)
    first = {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()}
    assert first == {path.name: path.read_bytes() for path in (tmp_path / "b").iterdir()}
    assert set(first) == {*drawings.VECTORS, *drawings.PICTURES, "estimates.md"}
    assert max(map(len, first.values())) < 110_000, "bytes of a figure"


@pytest.mark.parametrize("there", [True, False])
def test_the_network_has_a_row_and_a_sentence_where_it_is_shipped(there, monkeypatch):
    network = face_drawings.law().denoiser(EDM())
    names = [face_drawings.NETWORK] if there else []
    monkeypatch.setattr(face_drawings.shipped, "names", lambda: names)
    monkeypatch.setattr(face_drawings.shipped, "load_denoiser", lambda _: network)
    figure = face_drawings.estimates()
    assert len(figure.axes) == 2 + there
    if there:  # the same denoiser in its place draws the same
        exact, other = (ax.images[0].get_array() for ax in figure.axes[1:])
        assert (exact == other).all()
    assert ("a network" in face_drawings.estimates_figure()) == there


def test_the_contact_sheet_has_every_value_of_every_attribute():
    chosen = faces.kinds().iloc[face_drawings.sheet_kinds()]
    for name, values in faces.ATTRIBUTES.items():
        assert set(chosen[name]) == set(values)
    assert len(chosen) == len(chosen.drop_duplicates()) == 96


def test_a_plot_is_there_for_light_and_for_dark_pages():
    import molrg_figures

    page = (
        '<p><img alt="a" class="x" src="../_images/p.svg"/></p>'
        '<img class="photo" src="../_images/q.svg"/>'
    )
    made = {"p.svg": "p-dark.svg", "q.svg": "q-dark.svg"}
    changed = molrg_figures.two_versions(page, made)
    assert 'href="../_images/p.svg"' in changed and 'href="../_images/p-dark.svg"' in changed
    assert changed.count("only-light") == changed.count("only-dark") == 2
    assert changed.endswith('<img class="photo" src="../_images/q.svg"/>')
    assert molrg_figures.dark("fill: #262626; stroke: #fee838") == "fill: #dcdcdc; stroke: #fee838"


def test_an_equation_number_names_its_page():
    import molrg_equations

    names = ("book/part3", "notebooks/07_d_samples", "book/notation")
    assert [molrg_equations.prefix_of(name) for name in names] == ["III", "07", "N"]


def test_reasons_are_read_from_the_changelog_by_claim():
    items = "- C02, C03: sharper,\n  as said.\n- C02: again.\n"
    text = f"### Criteria and expected verdicts\n{items}\n### Fixed\n- C02: no reason.\n"
    found = history.reasons(text)
    assert found["C02"] == ["C02, C03: sharper, as said.", "C02: again."]
    assert found["C03"] == found["C02"][:1]


def test_the_history_of_a_criterion_is_told_in_lines():
    entry = {"registered": "2026-01-02", "first recorded": None, "changes": [], "reasons": []}
    still = "\n".join(history.markdown("C01", {"C01": entry}))
    assert "Registered 2026-01-02; first recorded run not yet." in still
    assert "changed since" in still
    change = {"day": "2026-02-03", "when": "before", "why": "Too wide.", "what": ["a <= 1"]}
    moved = entry | {"first recorded": "2026-03-04", "changes": [change], "reasons": ["C01: x"]}
    text = "\n".join(history.markdown("C01", {"C01": moved}))
    assert "**2026-02-03, before.** Too wide." in text and "- a <= 1" in text
    assert "From the changelog: C01: x" in text and "changed since" not in text
    assert history.markdown("C02", {"C01": moved}) == []
