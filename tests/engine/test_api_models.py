"""REST takes models of the Hub from whoever may have the server fetch, and fetches nothing for anybody else."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from api_asking import LINES, refused
from fastapi import FastAPI
from local_hub import LocalHub, Trouble
from tiny_classifiers import GENRES, save_clap, save_classifier
from web_driving import TECHNO

from fluxbeat.analysis.engine import analyze
from fluxbeat.models import registry
from fluxbeat.web.api import build_site
from fluxbeat.web.hub_fetching import MOST_FETCHED
from fluxbeat.web.problems import API_PREFIX
from fluxbeat.web.service import Service, start_service
from fluxbeat.web.settings import WebSettings

HERE, STRANGER = ("127.0.0.1", 1), ("203.0.113.9", 1)
CNN = registry.checkpoints_folder() / "cnn"


class Asked:
    """A site, asked from an address of one's choice by the name `127.0.0.1`."""

    def __init__(self, **settings: Any) -> None:
        self.service: Service = start_service(WebSettings(**settings))
        self.app: FastAPI = build_site(self.service)

    def __call__(self, method: str, path: str, who: tuple[str, int] = HERE, **request: Any) -> httpx.Response:
        async def once() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, client=who)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:7860", timeout=120) as asking:
                return await asking.request(method, API_PREFIX + path, **request)

        return asyncio.run(once())

    def add(self, source: str, **request: Any) -> httpx.Response:
        return self("POST", "/models", json={"source": source}, **request)

    def names(self) -> list[str]:
        return [model["name"] for model in self("GET", "/models").json()]


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_classifier(tmp_path_factory.mktemp("sounds"), "ast")


def song() -> dict[str, Any]:
    return {"files": {"file": (TECHNO.name, TECHNO.read_bytes())}}


def test_a_model_of_the_hub_is_added_and_answers_as_everywhere_else(hub: LocalHub, sounds: Path) -> None:
    commit, ask = hub.publish("ann/sounds", sounds), Asked()
    own = ask.names()
    (added,) = ask.add("hf://ann/sounds").json()
    name, source = f"sounds@{commit[:7]}", f"hf://ann/sounds@{commit}"
    assert (added["name"], added["source"], added["labels"]) == (name, source, list(GENRES))
    assert ask.names() == [*own, name]
    assert name in ask("GET", "/health").json()["models"]
    assert {"model": name, "threshold": 0.5} in {one["label"]: one for one in ask("GET", "/labels").json()}["techno"][
        "models"
    ]
    expected = analyze(TECHNO, source).to_dict()
    for asked in (name, source):
        assert ask("POST", "/analyze", params={"model": asked}, **song()).json() == expected
    assert [one["model"]["name"] for one in ask("POST", "/compare", **song()).json()] == own, "who names it has it"
    both = ask("POST", "/compare", params={"model": [name, "cnn"]}, **song()).json()
    assert [one["model"]["name"] for one in both] == [name, "cnn"]
    assert ask("POST", "/analyze", **song()).json()["model"]["name"] == registry.default_model()
    assert ask("POST", "/explain", params={"model": name, "about": GENRES[0]}, **song()).json()["method"] == "occlusion"


def test_a_model_that_was_added_can_be_taken_away_and_leaves_no_memory(hub: LocalHub, sounds: Path) -> None:
    hub.publish("ann/more", sounds, into="sounds")
    hub.publish("ann/more", CNN, into="rivers")
    ask = Asked()
    own = ask.names()
    rivers, name = (one["name"] for one in ask.add("ann/more").json())
    assert (rivers.partition("@")[0], name.partition("@")[0]) == ("more/rivers", "more/sounds"), "all of its folders"
    model = ask.service.models[name]
    assert ask("DELETE", f"/models/{name}").status_code == 204
    assert ask.names() == [*own, rivers]
    assert model not in registry._loaded.values()
    assert "there are" in refused(ask("DELETE", f"/models/{name}"), 404)
    assert "the server's own" in refused(ask("DELETE", "/models/cnn"), 409)
    assert "POST /models adds one" in refused(
        ask("POST", "/analyze", params={"model": model.info.source}, **song()), 404
    )


def test_clap_listens_for_the_genres_that_a_program_names(hub: LocalHub, tmp_path: Path) -> None:
    hub.publish("ann/words", save_clap(tmp_path / "clap"))
    ask = Asked()
    assert "add ?genres=" in refused(ask.add("hf://ann/words"), 422)
    (added,) = ask.add("hf://ann/words?genres=dub,deep house").json()
    assert added["labels"] == ["dub", "deep house"]
    answered = ask("POST", "/analyze", params={"model": added["name"], "hop_s": 10}, **song()).json()
    assert answered["timeline"]["labels"] == ["dub", "deep house"]


@pytest.mark.parametrize(
    ("allow_hub", "who", "headers", "may"),
    [
        (None, HERE, {}, True),
        (None, STRANGER, {}, False),
        (None, HERE, {"Host": "radio.example"}, False),
        (None, HERE, {"Origin": "https://page.example"}, False),
        (None, HERE, {"X-Forwarded-For": "203.0.113.9"}, False),
        (True, STRANGER, {"Host": "radio.example"}, True),
        (False, HERE, {}, False),
    ],
)
def test_nothing_is_fetched_for_who_may_not(
    hub: LocalHub, sounds: Path, allow_hub: bool | None, who: tuple[str, int], headers: dict[str, str], may: bool
) -> None:
    hub.publish("ann/sounds", sounds)
    ask = Asked(allow_hub=allow_hub)
    own = ask.names()
    answered = ask.add("hf://ann/sounds", who=who, headers=headers)
    assert bool(hub.asked) == may
    if may:
        assert answered.status_code == 200
        (name,) = set(ask.names()) - set(own)
        assert ask("DELETE", f"/models/{name}", who, headers=headers).status_code == 204
    else:
        assert "FLUXBEAT_ALLOW_HUB=1" in refused(answered, 403)
        assert "FLUXBEAT_ALLOW_HUB=1" in refused(ask("DELETE", "/models/cnn", who, headers=headers), 403)
        assert ask.names() == own


def test_a_key_is_asked_for_first(hub: LocalHub) -> None:
    ask = Asked(api_key="k", allow_hub=True)
    assert "X-API-Key" in refused(ask.add("hf://ann/sounds"), 401)
    assert hub.asked == []
    assert "no such repository" in refused(ask.add("hf://ann/sounds", headers={"X-API-Key": "k"}), 422)


@pytest.mark.parametrize(
    ("trouble", "source", "message"),
    [
        (Trouble(), "hf://nobody", "expected hf://owner/repo@revision"),
        (Trouble(), "/etc/passwd", "expected hf://owner/repo@revision"),
        (Trouble(), "https://example.com/model", "expected hf://owner/repo@revision"),
        (Trouble(), "hf://ann/none", "no such repository, or a private one"),
        (Trouble(), "hf://ann/rivers?genres=dub", "takes no ?genres"),
        (Trouble(status=503), "hf://ann/rivers", "out of order (503)"),
        (Trouble(page=True), "hf://ann/rivers", "what answered is no Hub"),
        (Trouble(says_size=10**12), "hf://ann/rivers", "no more than 200 MB"),
        (Trouble(swap={"model.safetensors": b"x"}), "hf://ann/rivers", "hf://ann/rivers"),
    ],
)
def test_what_cannot_be_had_is_a_problem_of_one_sentence(
    hub: LocalHub, trouble: Trouble, source: str, message: str
) -> None:
    hub.publish("ann/rivers", CNN)
    hub.trouble = trouble
    ask = Asked()
    own = ask.names()
    sentence = refused(ask.add(source), 422)
    assert message in sentence and "\n" not in sentence
    assert ask.names() == own


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"source": 1}', b'{"source": "", "token": "x"}', b"\xff", b"{"])
def test_bodies_that_name_no_model_are_told_what_is_missing(hub: LocalHub, body: bytes) -> None:
    answered = Asked()("POST", "/models", content=body, headers={"Content-Type": "application/json"})
    assert answered.status_code in (400, 422) and refused(answered, answered.status_code)
    assert hub.asked == []


def test_what_can_be_done_with_models_is_told_in_full() -> None:
    answered = Asked()("PUT", "/models")
    assert "PUT is not possible here" in refused(answered, 405)
    assert {"GET", "POST"} <= set(answered.headers["allow"].split(", "))


def test_a_body_as_long_as_a_recording_is_not_read() -> None:
    long = b'{"source": "' + b"x" * 30_000 + b'"}'
    assert "20,000" in refused(Asked()("POST", "/models", content=long), 413)


def test_nobodys_model_takes_the_place_of_another_of_the_same_name(
    hub: LocalHub, sounds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seven digits of a commit can be tried for until they are another's."""
    hub.publish("ann/sounds", sounds)
    hub.publish("bob/sounds", sounds)
    ask = Asked()
    monkeypatch.setattr("fluxbeat.models.hub.address.HubAddress.short_name", "sounds@1234567")
    (mine,) = ask.add("hf://ann/sounds").json()
    assert "is here already, from hf://ann/sounds@" in refused(ask.add("hf://bob/sounds"), 422)
    assert ask("GET", "/models").json()[-1] == mine
    assert ask.add("hf://ann/sounds").json() == [mine], "the same model may be asked for again"


def test_no_more_are_kept_than_memory_is_for(hub: LocalHub, sounds: Path) -> None:
    hub.publish("ann/sounds", sounds)
    ask = Asked()
    cnn = ask.service.models["cnn"]
    ask.service.models = {**ask.service.models, **{f"m{number}": cnn for number in range(MOST_FETCHED)}}
    assert f"no more than {MOST_FETCHED} fetched models" in refused(ask.add("hf://ann/sounds"), 422)


@pytest.fixture
def served(hub: LocalHub) -> Iterator[tuple[str, Service]]:
    """The service behind a real server, in this process, whose Hub client speaks to the local Hub."""
    service = start_service(WebSettings())
    server = uvicorn.Server(uvicorn.Config(build_site(service), port=0, log_level="warning"))
    running = threading.Thread(target=server.run)
    running.start()
    while not server.started:
        time.sleep(0.05)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}{API_PREFIX}", service
    server.should_exit = True
    running.join()


def lines(answer: httpx.Response) -> Iterator[dict[str, Any]]:
    return (json.loads(line) for line in answer.iter_lines())


def test_size_is_told_first_and_who_leaves_ends_the_fetch(
    hub: LocalHub, sounds: Path, served: tuple[str, Service]
) -> None:
    commit, (url, service) = hub.publish("ann/sounds", sounds), served
    hub.trouble = Trouble(slow_s=1.0)
    own, wanted = list(service.models), {"json": {"source": "hf://ann/sounds"}, "headers": LINES, "timeout": 60}
    with httpx.stream("POST", f"{url}/models", **wanted) as answer:
        told = next(line for line in lines(answer) if "to fetch, once" in line["doing"])
        assert told["progress"] == 0.0
        assert "it takes as much memory" in told["doing"]
        assert httpx.get(f"{url}/health").json()["running"] == 0, "a fetch takes nobody's turn to be analysed"
    end_s = time.monotonic() + 20
    while service.fetches.running:
        assert time.monotonic() < end_s, "the fetch goes on although nobody waits for it"
        time.sleep(0.05)
    assert list(service.models) == own
    hub.trouble = Trouble()
    with httpx.stream("POST", f"{url}/models", **wanted) as answer:
        *_, last = lines(answer)
    assert [one["source"] for one in last["result"]] == [f"hf://ann/sounds@{commit}"]
    with httpx.stream("POST", f"{url}/models", **{**wanted, "json": {"source": "hf://ann/none"}}) as answer:
        *_, last = lines(answer)
    assert last["problem"]["status"] == 422
