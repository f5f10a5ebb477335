"""The WebSocket /live: PCM in, predictions out."""

from __future__ import annotations

from fastapi import APIRouter, WebSocket

from fluxbeat.api.service import RunningService
from fluxbeat.live_socket import SESSIONS

router = APIRouter()


@router.websocket("/live")
async def live(socket: WebSocket, service: RunningService) -> None:
    """Hear music while it goes on; `fluxbeat.live_socket` says what is sent and answered."""
    await SESSIONS.serve(socket, service.models)
