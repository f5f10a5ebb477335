"""REST: why a recording is called what it is called, and its analysis as files."""

import csv
import io

import numpy as np
import pytest
from api_asking import ask, send
from test_api import printed
from web_driving import EXAMPLES, TECHNO

from fluxbeat.web.api.contract import ExplanationDocument

METAL = EXAMPLES / "metal_muldjord_chaos_god.mp3"


def test_explain_answers_what_the_command_line_prints(capsys):
    answered = send("/explain?model=cnn&about=metal&start_s=5", METAL.read_bytes(), METAL.name)
    assert answered.status_code == 200
    assert answered.json() == printed(
        capsys, "explain", str(METAL), "--model", "cnn", "--label", "metal", "--window", "5"
    )
    ExplanationDocument.model_validate(answered.json())


def test_explain_knows_the_tempo_and_draws():
    tempo = send("/explain?model=cnn&about=tempo&start_s=2", TECHNO.read_bytes(), TECHNO.name).json()
    assert tempo["kind"] == "tempo" and tempo["about"].endswith(" BPM")
    png = send("/explain?model=cnn&format=png", METAL.read_bytes(), METAL.name)
    assert png.headers["content-type"] == "image/png" and png.content.startswith(b"\x89PNG")
    npz = send("/explain?model=cnn&format=npz&start_s=1", METAL.read_bytes(), METAL.name)
    with np.load(io.BytesIO(npz.content)) as arrays:
        assert arrays["evidence"].shape == (80, 240)


@pytest.mark.parametrize(
    ("query", "status", "says"),
    [
        ("about=polka", 422, "knows no genre 'polka'"),
        ("start_s=900", 422, "no window begins at 900 s"),
        ("start_s=-1", 422, "start_s"),
        ("format=gif", 422, "format"),
        ("model=../cnn", 404, "no model"),
    ],
)
def test_what_cannot_be_explained_is_a_problem(query, status, says):
    answered = send(f"/explain?{query}", METAL.read_bytes(), METAL.name)
    assert answered.status_code == status
    assert answered.headers["content-type"] == "application/problem+json"
    assert says in answered.text


def test_export_is_a_file_with_a_name():
    answered = send("/export?format=csv&model=cnn", TECHNO.read_bytes(), "söng.mp3")
    assert answered.headers["content-disposition"] == "attachment; filename*=UTF-8''s%C3%B6ng.fluxbeat.csv"
    rows = list(csv.DictReader(io.StringIO(answered.text)))
    assert len(rows) > 10 and "electronic" in rows[0]
    report = send("/export?format=html&model=cnn&explain=true", METAL.read_bytes(), METAL.name)
    assert "What speaks for metal" in report.text
    tagged = send("/export?format=tags&model=cnn", METAL.read_bytes(), METAL.name)
    assert tagged.headers["content-type"] == "audio/mpeg" and len(tagged.content) > 0.9 * METAL.stat().st_size


def test_a_format_that_does_not_exist_is_a_problem():
    assert send("/export?format=midi", TECHNO.read_bytes()).status_code == 422
    assert send("/export", TECHNO.read_bytes()).status_code == 422


def test_the_description_names_all_routes():
    paths = ask("GET", "/openapi.json").json()["paths"]
    assert {"/analyze", "/compare", "/explain", "/export", "/models", "/labels", "/health"} <= set(paths)
