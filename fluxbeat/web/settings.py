"""What whoever runs the server decides, read from environment variables: `api_key` is $FLUXBEAT_API_KEY, and so on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, DirectoryPath, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from fluxbeat.audio.decoding import MAX_DURATION_S
from fluxbeat.errors import ConfigMismatchError
from fluxbeat.library.workers import cores

PREFIX = "FLUXBEAT_"
HOSTS_VARIABLE = "FLUXBEAT_HOSTS"
ANY_HOST = "*"
DEFAULT_PORT = 7860


def _parts(text: Any, between: str = ",") -> Any:
    return [part.strip() for part in text.split(between) if part.strip()] if isinstance(text, str) else text


def _paths(text: Any) -> Any:
    return _parts(text, os.pathsep)  # names of folders hold commas


Origin = Annotated[str, BeforeValidator(lambda origin: origin.rstrip("/"))]
HostName = Annotated[str, Field(pattern=r"^(\*|[\w.-]+)$")]
Folder = Annotated[DirectoryPath, BeforeValidator(os.path.expanduser), AfterValidator(Path.resolve)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class WebSettings(BaseSettings):
    """Limits and access of the page and the REST service; what is not given comes from the environment.

    Attributes
    ----------
    api_key : str
        What clients must send as X-API-Key or bearer token; empty: nobody is asked.
    cors_origins : tuple of str
        Origins whose pages may call the service; `*` allows all. Empty: none.
    max_body_bytes : int
        Largest request, file and form together, and largest file of the page.
    max_duration_s : float
        Longest recording in seconds.
    analyses_at_once : int
        How many analyses, explanations, files of libraries and live predictions are computed at the same time; memory
        grows with every one.
    waiting_at_most : int
        How many more requests may be uploading or waiting for their turn before others are told to come back.
    upload_pause_s : float
        Longest silence within an upload in seconds.
    open_page : bool
        Whether the page, with the functions it has for programs, is for everybody although there is a key.
    hosts : tuple of str
        Names of the server, which then answers to no others but this machine's own; `*`: to all. Empty: to all, unless
        it listens to this machine only.
    folders : tuple of Path
        Below these, and nowhere else, programs may name a file to be analysed.
    mcp : bool or None
        Whether there are MCP tools; None: where the `mcp` extra is installed.
    allow_hub : bool or None
        Whether visitors may fetch weights; None: those who sit at this machine.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, str_strip_whitespace=True, frozen=True, extra="forbid"
    )

    api_key: str = ""
    cors_origins: Annotated[tuple[Origin, ...], NoDecode, BeforeValidator(_parts)] = ()
    max_body_bytes: Annotated[int, Field(ge=1)] = 500_000_000
    max_duration_s: Seconds = MAX_DURATION_S
    analyses_at_once: Annotated[int, Field(ge=1)] = Field(default_factory=lambda: min(8, max(2, cores())))
    waiting_at_most: Annotated[int, Field(ge=0)] = 64
    upload_pause_s: Seconds = 60.0
    open_page: bool = False
    hosts: Annotated[tuple[HostName, ...], NoDecode, BeforeValidator(_parts)] = ()
    folders: Annotated[tuple[Folder, ...], NoDecode, BeforeValidator(_paths)] = ()
    mcp: bool | None = None
    allow_hub: bool | None = None


def port_of_environment() -> int:
    """$GRADIO_SERVER_PORT, which Gradio reads too; 7860 where it is not set.

    Raises
    ------
    ConfigMismatchError
        If it is no number: Gradio would stop with a traceback.
    """
    text = os.environ.get("GRADIO_SERVER_PORT") or str(DEFAULT_PORT)
    if not text.isdecimal():
        raise ConfigMismatchError(f"GRADIO_SERVER_PORT must be a number, got {text!r}")
    return int(text)


def read_settings(**given: Any) -> WebSettings:
    """Settings of the environment, but for those that are given.

    Raises
    ------
    ConfigMismatchError
        If a variable holds what it cannot; says which one, and what is expected.
    """
    try:
        return WebSettings(**given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0]).upper()
        raise ConfigMismatchError(f"{PREFIX}{name} makes no sense: {first['msg']}, got {first['input']!r}") from error
