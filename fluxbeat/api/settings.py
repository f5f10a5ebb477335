"""What whoever runs the service decides, read from environment variables."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from fluxbeat.audio import MAX_DURATION_S
from fluxbeat.errors import ConfigMismatchError

KEY_VARIABLE = "FLUXBEAT_API_KEY"
ORIGINS_VARIABLE = "FLUXBEAT_CORS_ORIGINS"
BODY_VARIABLE = "FLUXBEAT_MAX_BODY_BYTES"
DURATION_VARIABLE = "FLUXBEAT_MAX_DURATION_S"
AT_ONCE_VARIABLE = "FLUXBEAT_ANALYSES_AT_ONCE"
WAITING_VARIABLE = "FLUXBEAT_WAITING_AT_MOST"
PAUSE_VARIABLE = "FLUXBEAT_UPLOAD_PAUSE_S"
OPEN_PAGE_VARIABLE = "FLUXBEAT_OPEN_PAGE"
HOSTS_VARIABLE = "FLUXBEAT_HOSTS"
ANY_HOST = "*"


@dataclass(frozen=True)
class ApiSettings:
    """Limits and access of the REST service.

    Attributes
    ----------
    key : str
        What clients must send as X-API-Key or bearer token; empty: nobody is asked.
    cors_origins : tuple of str
        Origins whose pages may call the service; `*` allows all. Empty: none.
    max_body_bytes : int
        Largest request, file and form together.
    max_duration_s : float
        Longest recording in seconds.
    analyses_at_once : int
        How many analyses run at the same time.
    waiting_at_most : int
        How many more requests may be uploading or waiting for their turn before others are told to come back.
    upload_pause_s : float
        Longest silence within an upload in seconds.
    open_page : bool
        Whether the page, with the functions it has for programs, is for everybody although there is a key.
    hosts : tuple of str
        Names of the server, which then answers to no others but this machine's own; `*`: to all. Empty: to all, unless
        it listens to this machine only.
    """

    key: str = ""
    cors_origins: tuple[str, ...] = ()
    max_body_bytes: int = 500_000_000
    max_duration_s: float = MAX_DURATION_S
    analyses_at_once: int = 2
    waiting_at_most: int = 64
    upload_pause_s: float = 60.0
    open_page: bool = False
    hosts: tuple[str, ...] = ()


def settings_from(variables: Mapping[str, str] | None = None) -> ApiSettings:
    """Settings of the environment.

    Parameters
    ----------
    variables : mapping, optional
        In place of `os.environ`.

    Raises
    ------
    ConfigMismatchError
        If a variable holds no number where one is needed, or one out of range, or no host name.
    """
    given = os.environ if variables is None else variables
    plain = ApiSettings()
    return ApiSettings(
        key=given.get(KEY_VARIABLE, "").strip(),
        cors_origins=tuple(origin.rstrip("/") for origin in _listed(given, ORIGINS_VARIABLE)),
        max_body_bytes=_whole(given, BODY_VARIABLE, plain.max_body_bytes, least=1),
        max_duration_s=_seconds(given, DURATION_VARIABLE, plain.max_duration_s),
        analyses_at_once=_whole(given, AT_ONCE_VARIABLE, plain.analyses_at_once, least=1),
        waiting_at_most=_whole(given, WAITING_VARIABLE, plain.waiting_at_most, least=0),
        upload_pause_s=_seconds(given, PAUSE_VARIABLE, plain.upload_pause_s),
        open_page=_switch(given, OPEN_PAGE_VARIABLE),
        hosts=_hosts(given),
    )


def _listed(given: Mapping[str, str], variable: str) -> list[str]:
    return list(filter(None, (part.strip() for part in given.get(variable, "").split(","))))


def _hosts(given: Mapping[str, str]) -> tuple[str, ...]:
    names = tuple(_listed(given, HOSTS_VARIABLE))
    for name in names:
        if name != ANY_HOST and not re.fullmatch(r"[\w.-]+", name):
            raise ConfigMismatchError(f"{HOSTS_VARIABLE} must be host names without scheme and port, got {name!r}")
    return names


def _whole(given: Mapping[str, str], variable: str, default: int, least: int) -> int:
    text = given.get(variable, "").strip()
    if not text:
        return default
    if not text.isdecimal() or int(text) < least:
        raise ConfigMismatchError(f"{variable} must be a whole number, {least} or more, got {text!r}")
    return int(text)


def _seconds(given: Mapping[str, str], variable: str, default: float) -> float:
    text = given.get(variable, "").strip()
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise ConfigMismatchError(f"{variable} must be seconds, above 0, got {text!r}")
    return value


def _switch(given: Mapping[str, str], variable: str) -> bool:
    text = given.get(variable, "").strip()
    if text not in ("", "0", "1"):
        raise ConfigMismatchError(f"{variable} must be 0 or 1, got {text!r}")
    return text == "1"
