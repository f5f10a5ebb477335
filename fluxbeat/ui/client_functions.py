"""`/analyze` and `/compare` for gradio_client, and as MCP tools where Gradio's `mcp` extra is installed."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from os import environ
from pathlib import Path
from typing import Any

import gradio as gr
from gradio import FileData
from gradio.events import api
from pydantic import TypeAdapter, ValidationError

from fluxbeat.analysis import DEFAULT_MODEL, compare
from fluxbeat.errors import ConfigMismatchError, FluxBeatError
from fluxbeat.ui.leaving import check_still_wanted
from fluxbeat.ui.limits import PageLimits
from fluxbeat.zoo import ZooModel

MCP_VARIABLE = "FLUXBEAT_MCP"
_NAMES = TypeAdapter(list[str])  # Gradio hands on what a client sends as it came


class ClientFunctions:
    """What programs may ask of the page's server; their docstrings are what such a program reads."""

    def __init__(self, models: Sequence[ZooModel], limits: PageLimits) -> None:
        self._limits = limits
        self._models = {model.info.name: model for model in models}
        self._default = DEFAULT_MODEL if DEFAULT_MODEL in self._models else next(iter(self._models))

    def offer(self, concurrency_id: str) -> None:
        """Add the functions to the page that is being built."""
        for function in (self.analyze, self.compare):
            api(
                function,
                api_name=function.__name__,
                concurrency_id=concurrency_id,
                concurrency_limit=self._limits.analyses_at_once,
            )

    def analyze(self, file: FileData, model: str = "") -> dict[str, Any]:
        """Genres and tempo of a piece of music, along its whole length.

        Args:
            file: The recording, in any usual audio format.
            model: cnn, crnn or vit; the default model if left empty.

        Returns:
            The genres with their probabilities, the tempo in BPM, a timeline of both, and the segments of the track.
        """
        return self._heard(file, [model or self._default])[0]

    def compare(self, file: FileData, models: list[str] | None = None) -> list[dict[str, Any]]:
        """What several models say of the same piece of music.

        Args:
            file: The recording, in any usual audio format.
            models: Some of cnn, crnn and vit; all of them if left empty.

        Returns:
            For each model the genres with their probabilities, the tempo in BPM, a timeline of both, and the segments.
        """
        return self._heard(file, models or list(self._models))

    def _heard(self, file: Any, names: Sequence[str]) -> list[dict[str, Any]]:
        try:
            names = list(dict.fromkeys(_NAMES.validate_python(names)))
        except ValidationError as error:
            raise _refused("models are given by name, such as cnn") from error
        unknown = [name for name in names if name not in self._models]
        if unknown:
            raise _refused(f"no model {unknown[0][:80]!r}: there are {', '.join(self._models)}")
        try:
            # without the mark of an upload Gradio has not checked that the path is one of its own
            upload = FileData.model_validate(file, context={"validate_meta": True})
        except ValueError as error:
            raise _refused("give an uploaded audio file: handle_file(path) with gradio_client") from error
        self._check_size(upload.path)
        try:
            analyses = compare(
                upload.path,
                [self._models[name] for name in names],
                name=upload.orig_name,
                progress=check_still_wanted,
                max_duration_s=self._limits.max_duration_s,
            )
        except FluxBeatError as error:
            raise _refused(str(error)) from error
        return [analysis.to_dict() for analysis in analyses]

    def _check_size(self, path: str) -> None:
        """Refuse a file that is too large: Gradio measures uploads, but not what comes as text over MCP."""
        most_bytes = self._limits.max_upload_bytes
        if Path(path).is_file() and Path(path).stat().st_size > most_bytes:
            raise _refused(f"at most {most_bytes:,} bytes can be sent: cut the recording or compress it")


def mcp_wanted() -> bool:
    """Whether to offer the functions as MCP tools: where the extra is installed, unless $FLUXBEAT_MCP is 0.

    Raises
    ------
    ConfigMismatchError
        If $FLUXBEAT_MCP is 1 and the extra is not installed, or is neither 0 nor 1.
    """
    chosen = environ.get(MCP_VARIABLE, "").strip()
    if chosen not in ("", "0", "1"):
        raise ConfigMismatchError(f"{MCP_VARIABLE} must be 0 or 1, got {chosen!r}")
    try:
        installed = version("mcp").split(".")[0] == "1"  # what Gradio can speak
    except PackageNotFoundError:
        installed = False
    if chosen == "1" and not installed:
        raise ConfigMismatchError(f"{MCP_VARIABLE} is 1, but MCP is not installed: pip install 'fluxbeat[mcp]'")
    return installed and chosen != "0"


def _refused(sentence: str) -> gr.Error:
    return gr.Error(sentence, print_exception=False)
