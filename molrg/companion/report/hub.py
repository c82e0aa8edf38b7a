"""Models of the hub: asked for once, and taken from its cache where it does not answer."""

from __future__ import annotations

from molrg import checks
from molrg.companion import asked

_SECONDS = 5  # that the hub has to answer


def place(name: str) -> str:
    """The name itself; for a model of a hub that does not answer, the folder in its cache.

    Args:
        name: of a shipped model, a folder, or a hub id.

    Raises:
        FileNotFoundError: where there is no such folder, neither here nor in the cache.
        ModuleNotFoundError: without diffusers.
    """
    if not asked.is_hub_id(name):
        return name
    checks.installed("diffusers", "unet")
    from diffusers.utils import hub_utils  # noqa: PLC0415 - an extra, and slow

    try:
        hub_utils.model_info(name, timeout=_SECONDS)
    except hub_utils.HfHubHTTPError:  # an answer; what it means, loading says
        return name
    except Exception:  # each version of the client has errors of its own
        return _cached(name)
    return name


def _cached(name: str) -> str:
    from diffusers.utils import hub_utils  # noqa: PLC0415 - an extra, and slow

    try:
        return str(hub_utils.snapshot_download(name, local_files_only=True))
    except OSError as error:
        raise FileNotFoundError(f"{name}: no such folder, and the hub cannot be reached") from error
