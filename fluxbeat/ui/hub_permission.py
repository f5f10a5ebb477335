"""Who may make this server fetch weights from the Hub."""

from __future__ import annotations

import ipaddress
import os
from urllib.parse import urlsplit

import gradio as gr

ALLOW_VARIABLE = "FLUXBEAT_ALLOW_HUB"
FORWARDED = ("x-forwarded-for", "x-forwarded-host", "x-real-ip", "forwarded", "via", "cf-connecting-ip")
"""Headers by which a proxy says that it speaks for somebody else."""
REFUSAL = (
    "Only on the machine that serves this page: weights are files that this server would store and run for others. "
    f"Whoever runs it can allow it to everyone with {ALLOW_VARIABLE}=1."
)


def may_fetch(request: gr.Request) -> bool:
    """Whether this visitor may fetch weights.

    With $FLUXBEAT_ALLOW_HUB=1 everyone may, with 0 nobody. Else those may who sit at this very machine: they come from
    its own address, to its own address, through no proxy that says so, and not on a Hugging Face Space.
    """
    chosen = os.environ.get(ALLOW_VARIABLE, "").strip()
    if chosen:
        return chosen == "1"
    if os.environ.get("SPACE_ID"):
        return False
    headers = {str(name).lower(): str(value) for name, value in request.headers.items()}
    if any(name in headers for name in FORWARDED):
        return False
    client = request.client.host if request.client else ""
    origin = headers.get("origin", "")
    hosts = [client, _host(f"//{headers.get('host', '')}"), *([_host(origin)] if origin else [])]
    return all(_is_this_machine(host) for host in hosts)


def _host(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
