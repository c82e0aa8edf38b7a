"""Contract and fault: claims that are moved, on a project of one-second notebooks."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from projects import environment, plant, register, stopped

from molrg import claims
from molrg.__main__ import main
from molrg.companion import robustness
from molrg.companion.notebooks import select, sources
from molrg.companion.robustness import moves, records, summary, trials

# Cheap: no torch. `level` is all that decides, with 'seed_offset' where asked for.
FLIPS = ["values = [0.1 * level + (0.95 if seed_offset in bad else 0.0)] * 5"]
JUDGE = """\
verdict = claims.check("{id}", values={{"error": values}}, control={{"error": [2.0] * 5}},
                       seeds=[seed_offset + k for k in range(5)], profile=profile)"""
NUMBERS = 'profile = "quick"\nseed_offset = 0\nlevel = 1.0\nseed_count = 5\nword = "x"'


def tiny(project, id, body, expected="reproduced", parameters=NUMBERS):
    """A claim whose notebook runs in no time; `values` is what it measures."""
    cells = [
        "from molrg import claims",
        *body,
        JUDGE.format(id=id),
        "(profile, level, seed_count, word)",
    ]
    return plant(project, id, "tiny", cells, expected, parameters)


def bad(*offsets):
    return [f"bad = {list(offsets)}", *FLIPS]


@pytest.fixture
def flips(project):
    """A claim that is lost with two of ten other seeds, and where its one parameter is doubled."""
    first, second, *_ = robustness.OFFSETS
    body = [*bad(first, second), "values = [v if level < 2 else 3.0 for v in values]"]
    tiny(project, "C07", body)
    register(project, C07=claims_entry(project, "C07") | {"robust_to": {"halved": ["level"]}})
    return project


def claims_entry(project, id):
    return claims.registry()[id]


def kept(id):
    return json.loads(records.place(id).read_text())


# what is moved


def test_the_moves_are_seeds_and_numbers(flips):
    made = moves.plan(select(["07"])[0])
    assert [m.value for m in made if m.kind == "other seeds"] == list(robustness.OFFSETS)
    changed = {(m.kind, m.parameter): m.value for m in made if m.kind in ("halved", "doubled")}
    assert changed == {
        ("halved", "level"): 0.5,
        ("doubled", "level"): 2.0,
        ("doubled", "seed_count"): 10,  # half of five is too few for a verdict
    }
    assert [m.should_hold for m in made if m.kind in ("halved", "doubled")] == [True, False, False]


def test_what_should_hold_is_moved_before_what_lies_beyond(flips):
    entry = claims_entry(flips, "C07") | {"robust_to": {"doubled": ["level", "seed_count"]}}
    register(flips, C07=entry)
    robustness.run(["07"])
    made = [(trial["kind"], trial["parameter"]) for trial in kept("C07")["trials"]]
    assert made[0] == ("as registered", "seed_offset")
    assert made[1:11] == [("other seeds", "seed_offset")] * 10
    assert made[11:] == [("doubled", "level"), ("doubled", "seed_count"), ("halved", "level")]


def test_other_seeds_pick_other_images():
    """Seeds that pick one of a hundred images by their remainder pick others than the book's."""
    usual = set(range(5))
    for offset in robustness.OFFSETS:
        assert not {(offset + k) % 100 for k in range(5)} & usual


def test_the_ledger_names_parameters_that_there_are():
    for notebook in sources():
        named = claims.claim(notebook.claim).get("robust_to", {})
        assert set(named) <= {"halved", "doubled"}
        there = {(m.kind, m.parameter) for m in moves.plan(notebook)}
        for kind, names in named.items():
            assert {(kind, name) for name in names} <= there, notebook.name


# a trial


def test_a_claim_that_flips_is_counted_and_said(flips, capsys):
    assert main(["robustness", "07"]) == 0
    shown = capsys.readouterr().out
    assert "14 of 14, 0:00:00 left" in shown
    record = kept("C07")
    assert str(summary.other_seeds(record)) == "8/10" and summary.is_shaky(record)
    assert summary.first_to_go(record).startswith("largest of error ≤ 1: otherwise with 2 of 10")
    should, beyond = (summary.parameters(record, should_hold=which) for which in (True, False))
    assert [trial["verdict"] for trial in should] == ["reproduced"]
    assert sorted(trial["verdict"] for trial in beyond) == ["not reproduced", "reproduced"]
    page = robustness.pages.markdown({"C07": record})
    assert "  - C07, 8 of 10: largest of error ≤ 1: otherwise with 2 of 10 other seeds" in page
    assert "| 8/10 | 1/1 | 1/2 |" in page and "| level = 2 | not reproduced |" in page
    assert robustness.pages.cell(record) == "<strong>8/10</strong>"
    assert robustness.pages.lines_of("C07", record)[0].startswith("**Other seeds change")
    assert robustness.pages.shaky({"C07": record}) == {"C07": "but only with 8 of 10 other seeds"}


def test_a_trial_gives_what_papermill_does(project):
    """The record of a trial is that of the run, up to cost, time, and the names in a figure."""
    notebook = select(["01"])[0]
    folder = project / "trial"
    folder.mkdir()
    assert trials.measure(notebook, {}, folder, 100) == 0
    own, run = claims.records(folder)["C01"], claims.records()["C01"]
    for record in (own, run):
        for changing in ("cpu_seconds", "peak_memory_mb", "recorded", "figure"):
            record.pop(changing)
    assert own == run


def test_a_process_that_has_ended_is_not_killed_by_its_number(project, monkeypatch):
    """By then it may be the number of another one."""
    tiny(project, "C07", ["values = [0.1] * 5"])
    monkeypatch.setattr(trials.interrupts, "end", lambda number: pytest.fail("killed a stranger"))
    assert trials.trial(select(["07"])[0].path, {}, 100)["verdict"] == "reproduced"


def test_a_cell_that_draws_for_itself_gets_its_drawing(project):
    draw = "plt.figure().savefig(buffer := io.BytesIO())\nvalues = [0.1 * bool(buffer.tell())] * 5"
    tiny(project, "C07", ["import io\nimport matplotlib.pyplot as plt", draw])
    outcome = trials.trial(select(["07"])[0].path, {}, 100)
    assert (outcome["verdict"], outcome["why"]) == ("reproduced", "")
    assert outcome["estimates"] == [0.1]


@pytest.mark.parametrize(
    ("body", "verdict", "why"),
    [
        (["raise RuntimeError('no\\nlines')"], "failed", "RuntimeError: no"),
        (["import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"], "failed", "signal 9"),
        (["import time\ntime.sleep(60)"], "took too long", "limit"),
        (["values = [float('nan')] * 5"], "failed", "finite numbers"),
        (
            ["values = [0.1] * 5\nclaims.check = lambda *_, **__: None"],
            "failed",
            "no cell called",
        ),
        (["raise claims.ControlPassed('C07: the control')"], "control passed", "the control"),
    ],
    ids=["raises", "is killed", "hangs", "is no number", "never checks", "control passes"],
)
def test_a_broken_claim_is_recorded_as_such(project, body, verdict, why):
    tiny(project, "C07", body)
    outcome = trials.trial(select(["07"])[0].path, {"level": 1.0}, limit=3.0)
    assert outcome["verdict"] == verdict and why in outcome["why"]
    assert outcome["estimates"] == [] and "\n" not in outcome["why"]


def test_a_claim_with_broken_trials_does_not_hold(project, capsys):
    tiny(project, "C07", ["values = [0.1 * level] * 5\nif seed_offset: raise ValueError('odd')"])
    assert main(["robustness", "07"]) == 0
    record = kept("C07")
    assert str(summary.other_seeds(record)) == "0/10"
    assert summary.first_to_go(record) == "no verdict with 10 of 10 other seeds: failed"
    assert robustness.pages.markdown({"C07": record}).count("`ValueError: odd`") == 10


# resumed, interrupted, refused


def test_what_is_kept_is_not_run_again(flips, capsys):
    assert main(["robustness", "07"]) == 0
    record = kept("C07")
    dropped = record["trials"].pop()
    records.write(record)
    capsys.readouterr()
    assert main(["robustness", "07"]) == 0
    assert capsys.readouterr().out.count("14 of 14") == 1
    again = kept("C07")
    assert again["trials"][:-1] == record["trials"]
    assert again["trials"][-1]["verdict"] == dropped["verdict"]


def test_any_executor_gives_the_same(flips):
    alone = robustness.run(["07"])["C07"]
    with ThreadPoolExecutor(2) as executor:
        together = robustness.run(["07"], executor=executor, anew=True)["C07"]

    def judged(record):
        return sorted(
            (t["kind"], t["parameter"], t["value"], t["verdict"], t["estimates"])
            for t in record["trials"]
        )

    assert judged(alone) == judged(together)


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_keeps_what_is_done_and_ends_the_trial(project, jobs):
    first = robustness.OFFSETS[0]
    slow = f"import time\ntime.sleep(300 if seed_offset == {first} else 0)"
    tiny(project, "C07", [slow, "values = [0.1 * level] * 5"])
    process = subprocess.Popen(
        [sys.executable, "-m", "molrg", "robustness", "07", "--jobs", jobs],
        cwd=project,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 200
        while not records.place("C07").exists():
            assert process.poll() is None and time.monotonic() < deadline, process.communicate()
            time.sleep(0.2)
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, error
    assert error.startswith("interrupted; what was done is kept")
    assert kept("C07")["trials"][0]["verdict"] == "reproduced"


def test_a_record_of_other_code_is_refused(flips, capsys):
    record = records.begin(select(["07"])[0]) | {"code": "0" * 64, "commit": "abc1234"}
    records.write(record)
    error = stopped(capsys, "robustness", "07", code=2)
    assert "made from other code, at commit abc1234: allowed is" in error
    assert error.count("\n") == 1 and "--anew" in error
    assert kept("C07")["trials"] == []
    page = robustness.pages.markdown({"C07": record})
    assert "Made at commit abc1234; the code has changed since." in page


def test_a_changed_cell_or_criterion_is_other_code(flips):
    notebook = select(["07"])[0]
    before = records.code_of(notebook)
    register(flips, C07=claims_entry(flips, "C07") | {"but": "other words"})
    assert records.code_of(select(["07"])[0]) == before
    register(flips, C07=claims_entry(flips, "C07") | {"min_seeds": 4})
    assert records.code_of(select(["07"])[0]) != before


@pytest.mark.parametrize("text", ["", "{", "[]", '{"id": "C07"}'])
def test_a_damaged_record_is_refused(flips, capsys, text):
    records.place("C07").parent.mkdir(parents=True)
    records.place("C07").write_text(text)
    error = stopped(capsys, "robustness", "07", code=2)
    assert f"{records.place('C07')} = " in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["99"], "notebook 99: allowed are"),
        (["07", "--jobs", "0"], "jobs = 0: allowed"),
        (["07", "--limit", "0"], "limit = 0.0: allowed is a number of seconds above 0"),
        (["07", "--limit", "nan"], "limit = nan: allowed is a number of seconds above 0"),
    ],
)
def test_bad_arguments_are_refused_before_anything_runs(flips, capsys, words, said):
    assert said in stopped(capsys, "robustness", *words, code=2)
    assert not records.place("C07").exists()


def test_two_runs_at_once_are_refused(flips, capsys):
    from molrg.companion.robustness import runs

    with runs._alone():
        assert "another run of `robustness`" in stopped(capsys, "robustness", "07")


# what the book says


@pytest.mark.parametrize(
    ("lost", "of", "said"),
    [
        (0, 10, "- **Steady**, nine or ten of ten: C07."),
        (1, 10, "- **Steady**, nine or ten of ten: C07."),
        (2, 10, "  - C07, 8 of 10: largest of error ≤ 1: otherwise with 2 of 10 other seeds"),
        (1, 4, "- **Begun**: C07, 3 of 4."),
        (0, 0, "- **Not run yet**: C01, C02, C07."),
    ],
)
def test_the_page_begins_with_what_is_fragile(flips, lost, of, said):
    kinds = {"kind": moves.OTHER_SEEDS, "parameter": "seed_offset", "why": ""}
    verdicts = [("reproduced", []) if k >= lost else ("not reproduced", [0]) for k in range(of)]
    record = {
        "id": "C07",
        "commit": "abc",
        "code": "",
        "conditions": ["largest of error ≤ 1"],
        "trials": [
            kinds | {"value": k, "verdict": verdict, "missed": missed, "estimates": [1.0]}
            for k, (verdict, missed) in enumerate(verdicts)
        ],
    }
    assert said in robustness.pages.markdown({"C07": record}).splitlines()


@pytest.mark.parametrize(
    ("estimates", "said"),
    [
        ([0.4, 0.5, 0.6], "largest of error ≤ 1: 5.0 s.d. away from the bound"),
        ([0.49999, 0.5, 0.50001], "largest of error ≤ 1: over 100 standard deviations away"),
        ([0.5, 0.5, 0.5], "no condition moves"),
        ([], "not yet run"),
    ],
)
def test_where_the_verdict_stays_the_condition_nearest_its_bound_goes_first(flips, estimates, said):
    kinds = [moves.AS_REGISTERED, moves.OTHER_SEEDS, moves.OTHER_SEEDS]
    trials_made = [
        {"kind": kind, "verdict": "reproduced", "missed": [], "estimates": [value]}
        for kind, value in zip(kinds, estimates, strict=False)
    ]
    record = {"id": "C07", "conditions": ["largest of error ≤ 1"], "trials": trials_made}
    assert summary.first_to_go(record).startswith(said)


def test_a_control_that_passes_is_named_with_its_condition():
    why = "ControlPassed: C07: the control gives 2, which does not clearly fail: mean of error ≤ 1"
    trial = {"kind": moves.OTHER_SEEDS, "verdict": "control passed", "why": why}
    record = {"id": "C07", "conditions": ["mean of error ≤ 1"], "trials": [trial] * 2}
    said = "no verdict with 2 of 2 other seeds: control passed, mean of error ≤ 1"
    assert summary.first_to_go(record) == said


def test_a_parameter_that_should_not_matter_and_does_is_named(flips):
    trial = {"kind": moves.HALVED, "parameter": "level", "value": 0.5, "verdict": "not reproduced"}
    record = {"id": "C07", "conditions": [], "trials": [trial]}
    lines = robustness.glance.lines({"C07": record}, [])
    named = "- **Lost with a parameter that should not matter**: C07 with level halved."
    assert named in lines


def test_a_claim_that_other_seeds_change_says_so_where_its_verdict_stands():
    """The clause after the verdict, on the claim's page, the scorecard and the README."""
    for id, record in robustness.kept().items():
        if summary.is_shaky(record) and claims.claim(id)["expected"] != "not reproduced":
            seeds = summary.other_seeds(record)
            assert f"{seeds.held} of {seeds.of} other seeds" in claims.claim(id)["but"], id
