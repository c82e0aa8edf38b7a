"""Cards of data sets, in Markdown, made from their records."""

from __future__ import annotations

from molrg.images import slices
from molrg.images.records import RECORDS, Record

_MOST = 20  # classes that a card lists


def card(name: str) -> str:
    """What is known of a named set, as the Markdown that lies beside a shipped one.

    Raises:
        ValueError: where there is no such set.
    """
    if name not in RECORDS:
        raise ValueError(f"name = {name!r}: allowed is {' or '.join(map(repr, RECORDS))}")
    record = RECORDS[name]
    rows = "\n".join(f"| {key} | {value} |" for key, value in _rows(record).items())
    return (
        f"# {record.name}\n\n{record.about}\n\n| | |\n|---|---|\n{rows}\n\n"
        f"## Licence\n\n{record.terms}\n\n## Know before use\n\n{record.caveats}\n"
    )


def table() -> str:
    """All named sets as a Markdown table: what they are, whose, and where they come from."""
    head = (
        "| Set | Images | Licence | Comes from | Expected in `MOLRG_DATA` |\n|---|---|---|---|---|"
    )
    rows = [
        f"| `{known.name}` | {known.title}; {_numbers(known)} | {known.licence} | {_origin(known)} "
        f"| {_expected(known)} |"
        for known in RECORDS.values()
    ]
    return "\n".join([head, *rows]) + "\n"


def _numbers(record: Record) -> str:
    return " and ".join(f"{count:,}" for count in record.counts.values())


def _origin(record: Record) -> str:
    if record.place:
        return f"a download of {record.place.megabytes} MB"
    return "this package" if record.file else record.where


def _expected(record: Record) -> str:
    return f"`{record.name}/`: {record.place.in_words}" if record.place else "—"


def _rows(record: Record) -> dict[str, str]:
    """The rows of the table: those of the record, and what follows from it."""
    rows = dict(record.card)
    if record.full:
        rows |= _slice_rows(record)
    if not all(name.isdigit() for name in record.classes):
        rows["Classes"] = _classes(record)
    if record.place:
        rows["Files"] = ", ".join(f"`{f}` ({sha})" for f, sha in record.place.files.items())
    if record.file:
        path = slices.SHIPPED / record.file
        rows |= {"Bytes": str(path.stat().st_size), "sha256": f"`{record.sha256}`"}
    return {"Images": _counts(record)} | rows


def _classes(record: Record) -> str:
    named = [f"{k} {name}" for k, name in enumerate(record.classes)]
    if len(named) > _MOST:
        return f"{len(named)}: {'; '.join(named[:2])}; and so on"
    return ", ".join(named)


def _counts(record: Record) -> str:
    channels, height, width = record.shape
    counts = " and ".join(f"{n:,} ({split})" for split, n in record.counts.items())
    return f"{counts}, each {height} by {width} pixels, {channels} channel{'s' * (channels > 1)}"


def _slice_rows(record: Record) -> dict[str, str]:
    shapes = {split: (n, *record.shape) for split, n in record.counts.items()}
    code = f"images.make_slice('{record.name}', '{record.name}.npz')"
    return {
        "Selection": f"the first {slices.SLICE['train']} images of each class in the official "
        f"training order, the first {slices.SLICE['test']} of each class in the official test "
        "order; kept in that order",
        "Contents": f"`train_images` {shapes['train']} and `test_images` {shapes['test']}, uint8; "
        "`train_labels`, `test_labels`, uint8; `train_index`, `test_index`: row in the official "
        "file, counted from 0, int32",
        "Made by": f"`MOLRG_DATA=<folder with {record.full}/> python -c "
        f'"from molrg import images; print({code})"`',
    }
