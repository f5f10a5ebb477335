"""`/analyze` and `/compare` for gradio_client."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from gradio import FileData
from gradio.events import api

from fluxbeat.charts.wording import waiting
from fluxbeat.errors import AnalysisCancelled, FluxBeatError
from fluxbeat.web.programs import Programs
from fluxbeat.web.service import Service
from fluxbeat.web.ui.gradio_internals import asks_whether_wanted


class ClientFunctions:
    """What programs may ask of the page's server; their docstrings are what such a program reads."""

    def __init__(self, service: Service) -> None:
        self._programs, self._queue = Programs(service), service.queue

    def offer(self) -> None:
        """Add the functions to the page that is being built."""
        for function in (self.analyze, self.compare):
            api(function, api_name=function.__name__, concurrency_limit=None)  # they wait in our own queue

    async def analyze(self, file: FileData, model: str = "", tempo_bpm: float = 0.0) -> dict[str, Any]:
        """Genres and tempo of a piece of music, along its whole length.

        Args:
            file: The recording, in any usual audio format.
            model: all, cnn, crnn or vit; the default model if left empty.
            tempo_bpm: What the tempo is, if you know better than the model; 0 if you do not.

        Returns:
            The genres with their probabilities, the tempo in BPM, a timeline of both, and the segments of the track.
        """
        return (await self._analysed(file, [model or self._programs.default], tempo_bpm))[0]

    async def compare(self, file: FileData, models: list[str] | None = None) -> list[dict[str, Any]]:
        """What several models say of the same piece of music.

        Args:
            file: The recording, in any usual audio format.
            models: Some of all, cnn, crnn and vit; every one if left empty.

        Returns:
            For each model the genres with their probabilities, the tempo in BPM, a timeline of both, and the segments.
        """
        return await self._analysed(file, models or self._programs.names)

    async def _analysed(self, file: Any, models: Sequence[str], tempo_bpm: float = 0.0) -> list[dict[str, Any]]:
        wanted, progress = asks_whether_wanted(), gr.Progress()

        def go_on(*_: Any) -> None:
            if not wanted():
                raise AnalysisCancelled("nobody waits for the answer any more")

        def report_place(before: int) -> None:
            go_on()
            progress(0.0, desc=waiting(before))

        try:
            recording, name = self._given(file)
            with self._queue.place():
                return await self._programs.analyses(recording, name, models, tempo_bpm, go_on, report_place)
        except FluxBeatError as error:
            raise gr.Error(str(error), print_exception=False) from error

    def _given(self, file: Any) -> tuple[str | Path | bytes, str | None]:
        """The recording that a client sent or named, and what it is called."""
        if isinstance(file, str):
            return self._programs.recording(file), None
        try:
            # without the mark of an upload Gradio has not checked that the path is one of its own
            upload = FileData.model_validate(file, context={"validate_meta": True})
        except ValueError as error:
            raise FluxBeatError("give an uploaded audio file: handle_file(path) with gradio_client") from error
        return upload.path, upload.orig_name
