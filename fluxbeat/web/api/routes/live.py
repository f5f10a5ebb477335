"""The WebSocket /live: PCM in, predictions out."""

from __future__ import annotations

from fastapi import APIRouter, WebSocket

from fluxbeat.web.api.parameters import RunningService

router = APIRouter()


@router.websocket("/live")
async def live(socket: WebSocket, service: RunningService) -> None:
    """Analyse music while it goes on; `fluxbeat.web.live_socket` says what is sent and answered."""
    await service.live.serve(socket, service.models)
