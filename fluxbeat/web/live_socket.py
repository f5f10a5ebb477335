"""One conversation over a WebSocket: settings, then PCM in, and predictions out while the music goes on.

The client's first message is JSON, for instance `{"sample_rate_hz": 48000, "channels": 1, "format": "s16le"}`; see
`LiveSettings`. The server answers `{"type": "ready", ...}`. Then come binary messages of whole PCM frames, channels
interleaved, and for each hop the server sends `{"type": "prediction", ...}`, which is `LivePrediction.to_dict` with
`dropped_s`: the seconds of sound left out so far, because they came faster than they could be analysed. The text
`{"type": "stop"}` asks for the answer to what is left, then for `{"type": "end"}`. What goes wrong is sent as
`{"type": "error", "code": ..., "message": ...}`, and the connection is closed with that code:

1003 no such kind of message, 1007 the bytes are no such sound, 1008 the settings make no sense or nothing comes,
1009 a message is too large, 1011 the server failed, 1013 too many listen already.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from typing import Any, Literal

import anyio
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json
from starlette.websockets import WebSocket, WebSocketDisconnect

from fluxbeat.analysis.live import HOPS_S, LIVE_HOP_S, MOST_CHANNELS, RATES_HZ, LiveAnalysis
from fluxbeat.errors import FluxBeatError
from fluxbeat.models.registry import LoadedModel, default_model
from fluxbeat.web.analysis_queue import AnalysisQueue

MOST_SESSIONS = 8
MOST_SETTINGS_CHARACTERS = 4096
MOST_MESSAGE_BYTES = 2**20
MOST_WAITING_S = 5.0
SETTINGS_WAIT_S = 10.0
SOUND_WAIT_S = 30.0

NORMAL, UNSUPPORTED, NOT_SOUND, POLICY, TOO_LARGE, BUSY = 1000, 1003, 1007, 1008, 1009, 1013
_SAMPLE_TYPES: dict[str, np.dtype[Any]] = {"f32le": np.dtype("<f4"), "s16le": np.dtype("<i2")}


class LiveSettings(BaseModel):
    """What the client says first; samples have 4 or 2 bytes, least significant first."""

    model_config = ConfigDict(extra="forbid")

    sample_rate_hz: int = Field(ge=RATES_HZ[0], le=RATES_HZ[1])
    channels: int = Field(default=1, ge=1, le=MOST_CHANNELS)
    format: Literal["f32le", "s16le"]
    model: str = ""  # the default one
    hop_s: float = Field(default=LIVE_HOP_S, ge=HOPS_S[0], le=HOPS_S[1])


class Ending(Exception):
    """Why a conversation ends: a close code, and a sentence unless all is well."""

    def __init__(self, code: int, message: str = "") -> None:
        super().__init__(message)
        self.code, self.message = code, message


class LiveSessions:
    """The open conversations of one program, of which there are not too many.

    Each prediction waits for its turn in the queue, before all other work. `most` may be open at once; one more is told
    to try again later.
    """

    def __init__(self, queue: AnalysisQueue, most: int = MOST_SESSIONS) -> None:
        self._queue = queue
        self._most = most
        self._open = 0

    async def serve(self, socket: WebSocket, models: Mapping[str, LoadedModel]) -> None:
        """Hold one conversation, from its opening to its close; the client chooses among these models by name."""
        await socket.accept()
        if self._open >= self._most:
            await _close(socket, Ending(BUSY, f"{self._most} others are listening already: try again in a while"))
            return
        self._open += 1
        try:
            ending = await self._converse(socket, models)
        except WebSocketDisconnect:
            return
        except Ending as refused:
            ending = refused
        finally:
            self._open -= 1
        await _close(socket, ending)

    async def _converse(self, socket: WebSocket, models: Mapping[str, LoadedModel]) -> Ending:
        settings = await _settings(socket)
        name = settings.model or default_model(list(models))
        if name not in models:
            raise Ending(POLICY, f"model: expected one of {', '.join(models)}")
        model, samples, rate_hz = models[name], _SAMPLE_TYPES[settings.format], settings.sample_rate_hz
        begin = partial(LiveAnalysis, model, sample_rate_hz=rate_hz, channels=settings.channels, hop_s=settings.hop_s)
        analysis = await self._queue.run_live(begin)
        config = model.network.config
        await socket.send_json(
            {
                "type": "ready",
                "model": asdict(model.info),
                "labels": list(config.labels),
                "window_s": config.window_s,
                "hop_s": settings.hop_s,
            }
        )
        waiting = UnreadSound(round(rate_hz * MOST_WAITING_S), samples.itemsize * settings.channels)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_read, socket, waiting)
            ending = await self._answer(socket, waiting, analysis, samples)
            tasks.cancel_scope.cancel()
        return ending

    async def _answer(self, socket: WebSocket, waiting: UnreadSound, analysis: LiveAnalysis, kind: np.dtype) -> Ending:
        dropped_s = 0.0
        while (taken := await waiting.take()) is not None:
            pcm, dropped_frames = taken
            dropped_s += dropped_frames / analysis.sample_rate_hz
            analysis.skip(dropped_frames / analysis.sample_rate_hz)
            samples = np.frombuffer(pcm, kind).reshape(-1, analysis.channels)
            try:
                prediction = await self._queue.run_live(partial(analysis.push, samples))
            except FluxBeatError as error:
                return Ending(NOT_SOUND, str(error))
            if prediction is not None:
                message = {"type": "prediction", **prediction.to_dict(), "dropped_s": round(dropped_s, 3)}
                try:
                    await socket.send_json(message)
                except WebSocketDisconnect:
                    break
        return waiting.ending or Ending(NORMAL)


class UnreadSound:
    """Sound that came and was not analysed yet; the oldest goes when there is too much of it.

    A frame is one sample of all channels. There is no `ending` while more may come.
    """

    def __init__(self, most_frames: int, frame_bytes: int) -> None:
        self._most_bytes = most_frames * frame_bytes
        self.frame_bytes = frame_bytes
        self._pcm = bytearray()
        self._dropped_bytes = 0
        self._changed = anyio.Event()
        self.ending: Ending | None = None

    def add(self, pcm: bytes) -> None:
        """Keep a piece.

        Raises
        ------
        Ending
            If it is too large, or does not hold whole frames.
        """
        if len(pcm) > MOST_MESSAGE_BYTES:
            raise Ending(TOO_LARGE, f"a message may hold {MOST_MESSAGE_BYTES:,} bytes, got {len(pcm):,}: send less")
        if len(pcm) % self.frame_bytes:
            frames = f"whole frames of {self.frame_bytes} bytes"
            raise Ending(NOT_SOUND, f"a message must hold {frames}, got {len(pcm):,} bytes")
        self._pcm += pcm
        excess = max(0, len(self._pcm) - self._most_bytes)
        del self._pcm[:excess]
        self._dropped_bytes += excess
        self._changed.set()

    def end(self, ending: Ending) -> None:
        """Nothing comes any more. What waits is still analysed if all is well."""
        self.ending = ending
        if ending.code != NORMAL:
            self._pcm.clear()
        self._changed.set()

    async def take(self) -> tuple[bytes, int] | None:
        """All that waits and how many frames before it were dropped; None at the end."""
        while not self._pcm:
            if self.ending:
                return None
            self._changed = anyio.Event()
            await self._changed.wait()
        taken = bytes(self._pcm), self._dropped_bytes // self.frame_bytes
        self._pcm.clear()
        self._dropped_bytes = 0
        return taken


async def _settings(socket: WebSocket) -> LiveSettings:
    try:
        with anyio.fail_after(SETTINGS_WAIT_S):
            text = (await _received(socket)).get("text")
    except TimeoutError:
        raise Ending(POLICY, f"no settings came within {SETTINGS_WAIT_S:g} s: send them as JSON first") from None
    if text is None:
        raise Ending(UNSUPPORTED, "the first message must be text: the settings as JSON")
    if len(text) > MOST_SETTINGS_CHARACTERS:
        raise Ending(TOO_LARGE, f"settings may have {MOST_SETTINGS_CHARACTERS:,} characters, got {len(text):,}")
    try:
        return LiveSettings.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "settings"
        raise Ending(POLICY, f"{place}: {first['msg']}") from error


async def _read(socket: WebSocket, waiting: UnreadSound) -> None:
    """Move what comes to what waits, until there is an ending."""
    try:
        while True:
            with anyio.fail_after(SOUND_WAIT_S):
                message = await _received(socket)
            if (pcm := message.get("bytes")) is not None:
                waiting.add(pcm)
                continue
            with suppress(ValueError):
                if from_json(message["text"]) == {"type": "stop"}:
                    raise Ending(NORMAL)
            raise Ending(UNSUPPORTED, 'after the settings only PCM and {"type": "stop"} are understood')
    except WebSocketDisconnect as gone:
        waiting.end(Ending(gone.code))
    except TimeoutError:
        waiting.end(Ending(POLICY, f"no sound came for {SOUND_WAIT_S:g} s: send silence to stay connected"))
    except Ending as ending:
        waiting.end(ending)


async def _received(socket: WebSocket) -> dict[str, Any]:
    message = dict(await socket.receive())
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code") or NORMAL)
    return message


async def _close(socket: WebSocket, ending: Ending) -> None:
    """Say how a conversation ends, and close it, unless the client has gone."""
    last: dict[str, Any] = {"type": "end"}
    if ending.code != NORMAL:
        last = {"type": "error", "code": ending.code, "message": ending.message}
    with suppress(WebSocketDisconnect, RuntimeError):  # the latter where it is known already that the client has gone
        await socket.send_json(last)
        await socket.close(ending.code)
