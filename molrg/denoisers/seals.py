"""Seals: the sha256 of every configuration and weight of a folder, in a file beside them."""

from __future__ import annotations

from pathlib import Path

from molrg import files

SUMS = "SHA256SUMS"
SEALED = (".json", ".safetensors")  # configurations and weights: what a checkpoint is
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")


def seal(folder: str | Path) -> Path:
    """Write ``SHA256SUMS`` for a folder, in the form that ``sha256sum --check`` reads.

    Args:
        folder: with configurations and weights.

    Returns:
        The file.
    """
    folder = Path(folder)
    paths = sorted(path for path in folder.rglob("*") if path.suffix in SEALED)
    lines = [f"{files.sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in paths]
    with files.replacing(folder / SUMS) as aside:
        aside.write_text("".join(lines), encoding="utf-8")
    return folder / SUMS


def verify(folder: str | Path) -> bool:
    """Compare a folder with its ``SHA256SUMS``.

    Args:
        folder: with or without such a file.

    Returns:
        Whether there was one.

    Raises:
        ValueError: where a file is missing, is not the one that was sealed, or was added.
    """
    folder = Path(folder)
    if not (folder / SUMS).is_file():
        return False
    sums = {}
    for line in (folder / SUMS).read_text(encoding="utf-8").splitlines():
        digest, _, name = line.partition("  ")
        sums[name] = digest
    paths = [path for path in folder.rglob("*") if path.suffix in (*SEALED, *PICKLES)]
    added = sorted({path.relative_to(folder).as_posix() for path in paths} - set(sums))
    if added:
        raise ValueError(f"files of {folder} = {added[:3]} more: allowed is those in {SUMS}")
    for name, sealed in sums.items():
        path = folder / name
        digest = files.sha256(path) if path.is_file() else "missing"
        if digest != sealed:
            raise ValueError(
                f"sha256 of {path} = {digest}: allowed is {sealed}, as in {SUMS} (altered or cut"
                " short: get the folder again)"
            )
    return True
