"""What the Hub's client raises, as one sentence that names the cause and the cure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fluxbeat.errors import FluxBeatError, ModelLoadError

LOG_IN = "log in with `hf auth login`, or set HF_TOKEN"


@contextmanager
def plain_failures(what: str, *, upload: bool = False) -> Iterator[None]:
    """Turn what the client raises inside into a ModelLoadError that begins with `what`.

    Messages of the client are not passed on: they hold addresses of requests, and may hold more.

    Parameters
    ----------
    what : str
        What the sentence is about: an address or a repository.
    upload : bool
        Whether something is sent, not fetched.

    Raises
    ------
    ModelLoadError
    """
    try:
        yield
    except FluxBeatError:
        raise
    except Exception as error:  # an answer that is no Hub's makes the client raise anything, AttributeError as well
        raise ModelLoadError(f"{what}: {_sentence(error, upload)}") from error


def _sentence(error: BaseException, upload: bool) -> str:
    import httpx2
    from huggingface_hub import constants, errors

    if isinstance(error, errors.LocalEntryNotFoundError | errors.RevisionResolutionError):
        # why the Hub was not asked, or did not answer, is the cause; that the cache has nothing either follows
        return _sentence(error.__cause__, upload) if error.__cause__ else "not all of it is in the local cache"
    words: dict[type[BaseException], str] = {
        errors.HFValidationError: "the Hub has no such names; expected owner/repo",
        errors.RevisionNotFoundError: "the repository has no such revision",
        errors.GatedRepoError: f"access must be asked for on the Hub first; then {LOG_IN}",
        errors.DisabledRepoError: "the Hub has disabled this repository",
        errors.RepositoryNotFoundError: f"no such repository, or a private one: {LOG_IN}",
        errors.OfflineModeIsEnabled: "HF_HUB_OFFLINE is set, and not all of it is in the local cache",
        httpx2.TimeoutException: "the Hub did not answer in time; try again later",
    }
    for kind, sentence in words.items():
        if isinstance(error, kind):
            return sentence
    status = error.response.status_code if isinstance(error, errors.HfHubHTTPError) else 0
    if status >= 500:
        return f"the Hub is out of order ({status}); try again later"
    if status in (401, 403):
        return f"the Hub does not allow it ({status}): {LOG_IN}, with a token that may"
    if status == 429:
        return "the Hub asks to wait (429 too many requests); try again later"
    if upload:
        return (
            "the upload did not get through and nothing was published; try again, or set HF_HUB_DISABLE_XET=1 to send "
            "the weights by plain HTTP"
        )
    if status:
        return f"the Hub refuses it (status {status})"
    if isinstance(error, httpx2.HTTPError | ConnectionError):
        return "the Hub cannot be reached; check the connection"
    if isinstance(error, OSError | RuntimeError | errors.XetDownloadError):
        why = getattr(error, "strerror", "")  # where the disk is at fault, it says so; Xet gives no number
        again = "try again"
        if not why and not constants.HF_HUB_DISABLE_XET:
            again = "try again, or set HF_HUB_DISABLE_XET=1 to fetch the weights by plain HTTP"
        return f"it could not be fetched and kept ({why or 'it is cut short'}); {again}"
    return "what answered is no Hub; check HF_ENDPOINT and the connection"
