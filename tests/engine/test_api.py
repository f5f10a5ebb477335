"""The REST service: the same answers as the command line, and every error a problem document."""

from __future__ import annotations

import asyncio
import io
import json
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
from api_asking import LINES, PLAIN, ask, clicks, client, refused, send
from mutagen.id3 import ID3
from web_driving import CHANGE, TECHNO

from fluxbeat import __version__
from fluxbeat.cli.main import main
from fluxbeat.models.registry import bundled_names
from fluxbeat.web import service as web_service
from fluxbeat.web.api import build_api_alone
from fluxbeat.web.api.contract import AnalysisDocument
from fluxbeat.web.problems import API_PREFIX
from fluxbeat.web.settings import WebSettings


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("model", bundled_names())
def test_analyze_answers_what_the_command_line_prints(model, capsys):
    answered = send(f"/analyze?model={model}", CHANGE.read_bytes(), CHANGE.name)
    assert answered.status_code == 200
    assert answered.json() == printed(capsys, "analyze", str(CHANGE), "--model", model)


def test_hop_is_the_command_lines_hop(capsys):
    answered = send("/analyze?model=cnn&hop_s=2", TECHNO.read_bytes(), TECHNO.name).json()
    assert answered == printed(capsys, "analyze", str(TECHNO), "--model", "cnn", "--hop", "2")
    assert answered["timeline"]["hop_s"] == 2.0


def test_a_listeners_tempo_is_in_the_answer_and_in_the_exported_tags(capsys):
    answered = send("/analyze?model=cnn&tempo_bpm=65", TECHNO.read_bytes(), TECHNO.name).json()
    assert answered == printed(capsys, "analyze", str(TECHNO), "--model", "cnn", "--tempo", "65")
    assert answered["tempo"]["corrected"]
    assert {part["bpm"] for part in answered["segments"]} == {65.0}
    copy = send("/export?model=cnn&format=tags&tempo_bpm=65", TECHNO.read_bytes(), TECHNO.name).content
    assert str(ID3(io.BytesIO(copy))["TBPM"]) == "65"
    assert "tempo_bpm" in refused(send("/analyze?model=cnn&tempo_bpm=5", TECHNO.read_bytes()), 422)


def test_compare_answers_what_the_command_line_prints(capsys):
    answered = send("/compare", TECHNO.read_bytes(), TECHNO.name).json()
    assert [each["model"]["name"] for each in answered] == bundled_names()
    assert answered == printed(capsys, "compare", str(TECHNO))
    some = send("/compare?model=vit&model=cnn&model=vit", TECHNO.read_bytes(), TECHNO.name).json()
    assert some == [answered[3], answered[1]]


def test_models_are_what_the_command_line_lists(capsys):
    listed = ask("GET", "/models").json()
    assert listed == printed(capsys, "models")
    assert all(model["licence"] == "mit" and 0.3 < model["tempo_accuracy"]["value"] <= 1 for model in listed)


def test_labels_say_which_model_names_them():
    labels = {entry["label"]: entry["models"] for entry in ask("GET", "/labels").json()}
    assert {"rock", "jazz", "classical", "electronic"} < set(labels)
    assert [known["model"] for known in labels["rock"]] == bundled_names()
    assert all(0 < known["threshold"] < 1 for models in labels.values() for known in models)


def test_health_says_ready_and_version():
    health = ask("GET", "/health").json()
    assert health == {
        "status": "ready", "version": __version__, "models": bundled_names(), "running": 0, "places_taken": 0,
    }  # fmt: skip


def test_typed_contract_is_exactly_the_engines_json():
    answered = send("/analyze?model=cnn", CHANGE.read_bytes()).json()
    document = AnalysisDocument.model_validate(answered).model_dump(exclude_unset=True)
    assert document == answered
    assert list(document) == list(answered)
    with pytest.raises(ValueError, match="extra"):
        AnalysisDocument.model_validate({**answered, "mood": "sunny"})


def test_name_of_the_file_is_kept_and_its_folders_are_not():
    content = TECHNO.read_bytes()
    assert send("/analyze?model=cnn", content, "Sö'ng & co – 1.mp3").json()["file"] == "Sö'ng & co – 1.mp3"
    assert send("/analyze?model=cnn", content, "../../etc/passwd").json()["file"] == "passwd"
    assert send("/analyze?model=cnn", content, "x.raw").json()["file"] == "x.raw"


def test_silence_is_answered_with_a_warning_and_no_tempo():
    file = io.BytesIO()
    soundfile.write(file, np.zeros(10 * 8000), 8000, format="FLAC")
    answered = send("/analyze?model=cnn", file.getvalue()).json()
    assert answered["tempo"]["bpm"] is None
    assert "silent" in {warning["code"] for warning in answered["warnings"]}


def test_eight_at_once_are_answered_as_one_after_the_other():
    recordings = [(TECHNO.read_bytes(), "cnn"), (CHANGE.read_bytes(), "crnn"), (clicks(20), "cnn"), (clicks(9), "vit")]
    one_by_one = [send(f"/analyze?model={model}", content).json() for content, model in recordings]

    async def together() -> list[Any]:
        async with client(PLAIN) as asking:
            answers = await asyncio.gather(
                *(
                    asking.post(f"/analyze?model={model}", files={"file": ("song.mp3", content)})
                    for content, model in recordings * 2
                )
            )
        return [each.json() for each in answers]

    assert asyncio.run(together()) == one_by_one * 2


def test_long_recording_tells_its_progress_line_by_line():
    content = clicks(600)
    answered = send("/analyze?model=cnn", content, headers=LINES)
    assert answered.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in answered.text.splitlines()]
    shares = [line["progress"] for line in lines[:-1]]
    assert len(shares) >= 3
    assert shares == sorted(shares)
    assert 0 <= shares[0] < shares[-1] <= 1
    assert lines[0]["doing"] == "waiting for its turn"
    assert {"listening", "asking the CNN model"} & {line["doing"] for line in lines[:-1]}
    assert lines[-1] == {"result": send("/analyze?model=cnn", content).json()}


def test_progress_that_ends_badly_ends_with_the_problem():
    answered = send("/analyze", b"no music", headers=LINES)
    assert answered.status_code == 200
    last = json.loads(answered.text.splitlines()[-1])
    assert last["problem"]["status"] == 422
    assert "not an audio file" in last["problem"]["detail"]


def test_no_progress_for_who_cannot_be_given_an_answer():
    assert "oracle" in refused(send("/analyze?model=oracle", clicks(5), headers=LINES), 404)


def test_not_audio_is_named_with_a_cure():
    detail = refused(send("/analyze", b"these are not the sounds you are looking for", "notes.mp3"), 422)
    assert detail.startswith('"notes.mp3" is damaged or not an audio file: choose a music file')
    assert "empty (0 bytes)" in refused(send("/compare", b""), 422)


def test_too_long_a_recording_is_refused_with_the_limit():
    strict = build_api_alone(WebSettings(max_duration_s=10))
    assert send("/analyze?model=cnn", clicks(9.9), app=strict).status_code == 200
    detail = refused(send("/analyze?model=cnn", clicks(11), app=strict), 422)
    assert "is 0:11 long: the limit is 0:10" in detail


def test_how_long_a_recording_may_be_follows_from_the_hop_that_is_done(monkeypatch):
    """A hop of 0.05 s was counted as one, where the windows that were done lay 0.33 s apart."""
    monkeypatch.setattr(web_service, "MOST_WINDOWS", 40)
    done = send("/analyze?model=cnn&hop_s=0.05", clicks(12.9))
    assert done.status_code == 200
    assert done.json()["timeline"]["hop_s"] == pytest.approx(1 / 3, abs=1e-3)
    refused(send("/analyze?model=cnn&hop_s=0.05", clicks(13.9)), 422)
    assert send("/compare?model=cnn&model=vit&hop_s=0.05", clicks(12.9)).status_code == 200


@pytest.mark.parametrize(
    "name", ["oracle", "checkpoints/cnn", "../checkpoints/cnn", "/etc", "hf://owner/repo@main", ""]
)
def test_models_are_only_the_bundled_ones(name):
    detail = refused(send("/analyze", TECHNO.read_bytes(), params={"model": name}), 404)
    assert "there are all, cnn, crnn, vit" in detail
    refused(send("/compare", TECHNO.read_bytes(), params={"model": ["cnn", name]}), 404)


@pytest.mark.parametrize("hop_s", ["0", "0.01", "601", "nan", "inf", "-1", "soon", ""])
def test_hop_out_of_range_names_the_parameter(hop_s):
    response = send("/analyze", TECHNO.read_bytes(), params={"hop_s": hop_s})
    assert "query.hop_s" in refused(response, 422)
    assert [each["where"] for each in response.json()["errors"]] == ["query.hop_s"]


def test_missing_file_says_which_field():
    for request in ({}, {"content": b"abc"}, {"data": {"file": "text"}}, {"files": {"track": ("a.mp3", b"abc")}}):
        assert "body.file" in refused(ask("POST", "/analyze", **request), 422)
    headers = {"content-type": "multipart/form-data"}
    refused(ask("POST", "/analyze", content=b"no boundary", headers=headers), 400)
    assert "send a file, as curl does with file=@" in refused(
        ask("POST", "/analyze", files={"file": (None, "text")}), 422
    )


def test_unknown_places_and_methods_are_problems_too():
    assert refused(ask("GET", "/nowhere"), 404) == "there is nothing at /api/v1/nowhere"
    assert refused(ask("GET", "/../../nowhere"), 404) == "there is nothing at /nowhere"
    response = ask("GET", "/analyze")
    assert refused(response, 405) == "GET is not possible here"
    assert response.headers["allow"] == "POST"


def test_crash_is_a_problem_that_tells_nothing_of_the_server(monkeypatch):
    def crash(*_: Any, **__: Any) -> None:
        raise RuntimeError("secret of the house")

    monkeypatch.setattr(web_service, "compare", crash)

    async def once(**headers: str) -> httpx.Response:
        transport = httpx.ASGITransport(PLAIN, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://test{API_PREFIX}") as asking:
            return await asking.post("/analyze", files={"file": ("a.wav", clicks(5))}, headers=headers)

    assert "secret" not in refused(asyncio.run(once()), 500)
    last = json.loads(asyncio.run(once(**LINES)).text.splitlines()[-1])
    assert last["problem"]["status"] == 500
    assert "secret" not in str(last)
