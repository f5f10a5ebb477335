"""What the Hub's client raises, as one sentence that names the cause and the cure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fluxbeat.errors import ModelLoadError

LOG_IN = "log in with `hf auth login`, or set HF_TOKEN"


class HubUnreachable(ModelLoadError):
    """The Hub does not answer, or not as a Hub does: what is in the local cache may still do."""


@contextmanager
def plain_failures(what: str) -> Iterator[None]:
    """Turn whatever the client raises inside into a ModelLoadError that begins with `what`.

    Messages of the client are not passed on: they hold addresses of requests, and may hold more.

    Raises
    ------
    HubUnreachable
        If nobody answers, in time, with sense.
    ModelLoadError
        For everything else.
    """
    import httpx2
    from huggingface_hub.errors import (
        DisabledRepoError,
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalTokenNotFoundError,
        OfflineModeIsEnabled,
        RemoteEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        yield
    except ModelLoadError:
        raise
    except LocalTokenNotFoundError as error:
        raise ModelLoadError(f"{what}: nobody is logged in to the Hub: {LOG_IN}") from error
    except HFValidationError as error:
        raise ModelLoadError(f"{what}: the Hub has no such names; expected owner/repo") from error
    except RevisionNotFoundError as error:
        raise ModelLoadError(f"{what}: the repository has no such revision") from error
    except RemoteEntryNotFoundError as error:
        raise ModelLoadError(f"{what}: a file of the checkpoint is missing there") from error
    except GatedRepoError as error:
        raise ModelLoadError(f"{what}: access must be asked for on the Hub first; then {LOG_IN}") from error
    except DisabledRepoError as error:
        raise ModelLoadError(f"{what}: the Hub has disabled this repository") from error
    except RepositoryNotFoundError as error:
        raise ModelLoadError(f"{what}: no such repository, or a private one: {LOG_IN}") from error
    except HfHubHTTPError as error:
        raise _refused(what, error.response.status_code) from error
    except OfflineModeIsEnabled as error:
        raise HubUnreachable(f"{what}: HF_HUB_OFFLINE is set, and not all of it is in the local cache") from error
    except httpx2.TimeoutException as error:
        raise HubUnreachable(f"{what}: the Hub did not answer in time; try again later") from error
    except httpx2.HTTPError as error:
        raise HubUnreachable(f"{what}: the Hub cannot be reached; check the connection") from error
    except OSError as error:
        why = error.strerror or "the file that came is not as long as announced"
        raise ModelLoadError(f"{what}: it could not be fetched and kept ({why}); try again") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise HubUnreachable(f"{what}: what answered is no Hub; check HF_ENDPOINT and the connection") from error
    except RuntimeError as error:  # what the client makes of a failed upload
        raise ModelLoadError(f"{what}: the Hub did not take or give all of it; try again") from error


def _refused(what: str, status: int) -> ModelLoadError:
    if status in (401, 403):
        return ModelLoadError(f"{what}: the Hub does not allow it ({status}): {LOG_IN}, with a token that may")
    if status == 429:
        return HubUnreachable(f"{what}: the Hub asks to wait (429 too many requests); try again later")
    if status >= 500:
        return HubUnreachable(f"{what}: the Hub is out of order ({status}); try again later")
    return ModelLoadError(f"{what}: the Hub refuses it (status {status})")
