"""The OpenAPI description of the REST service, and that the service keeps to it."""

from __future__ import annotations

import pytest
import schemathesis
from api_asking import LINES, PROBLEM, ask, clicks
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from fluxbeat.web.api import build_api_alone
from fluxbeat.web.problems import API_PREFIX
from fluxbeat.web.settings import WebSettings

pytest_plugins = ["schemathesis.pytest.plugin"]

schema = schemathesis.openapi.from_asgi(f"{API_PREFIX}/openapi.json", build_api_alone(WebSettings(max_duration_s=60)))


@schema.parametrize()
@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_whatever_is_sent_the_answer_is_the_described_one(case):
    # no schema can say which bytes are music
    case.call_and_validate(excluded_checks=[positive_data_acceptance])


@pytest.mark.parametrize("path", ["/analyze", "/compare"])
def test_answer_to_real_music_is_the_described_one(path):
    case = schema[path]["POST"].Case(body={"file": clicks(12)}, media_type="multipart/form-data", query={"hop_s": 2})
    response = case.call()
    assert response.status_code == 200
    case.validate_response(response)


def test_description_names_keys_problems_and_operations():
    described = ask("GET", "/openapi.json").json()
    assert set(described["paths"]) >= {"/analyze", "/compare", "/models", "/labels", "/health"}
    assert described["servers"] == [{"url": API_PREFIX}]
    assert set(described["components"]["securitySchemes"]) == {"X-API-Key", "Bearer"}
    post = described["paths"]["/analyze"]["post"]
    assert {"400", "401", "404", "408", "413", "422", "429", "500"} < set(post["responses"])
    for code, response in post["responses"].items():
        assert set(response["content"]) == ({PROBLEM} if code >= "400" else {"application/json", LINES["Accept"]})
    names = [operation["operationId"] for path in described["paths"].values() for operation in path.values()]
    assert len(names) == len(set(names))
