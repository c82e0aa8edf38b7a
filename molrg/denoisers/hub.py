"""Models of the hub: asked for once, and taken from its cache where it does not answer."""

from __future__ import annotations

from pathlib import Path

_SECONDS = 5  # that the hub has to answer


def cached(repo_id: str, revision: str | None = None) -> Path | None:
    """The folder of a model in the hub's cache, where the hub does not answer; None where it does.

    Loaders of diffusers would try each file again and again, for most of a minute.

    Args:
        repo_id: as owner/name.
        revision: branch, tag or commit; the main one where omitted.

    Raises:
        FileNotFoundError: where the hub does not answer and the cache has no such model.
    """
    from diffusers.utils import hub_utils  # noqa: PLC0415 - an extra, and slow

    try:
        hub_utils.model_info(repo_id, revision=revision, timeout=_SECONDS)
    except hub_utils.HfHubHTTPError:  # an answer; what it means, loading says
        return None
    except Exception as error:  # each version of the client has errors of its own
        try:
            folder = hub_utils.snapshot_download(repo_id, revision=revision, local_files_only=True)
            return Path(folder)
        except OSError:
            raise FileNotFoundError(f"{repo_id}: the hub cannot be reached") from error
    return None
