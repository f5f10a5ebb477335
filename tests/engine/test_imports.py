"""What the engine loads when it is first used."""

import subprocess
import sys


def test_the_engine_needs_no_web_framework_and_no_training():
    unwanted = {"gradio", "fastapi", "lightning", "fluxbeat.training"}
    command = [sys.executable, "-c", "import sys, fluxbeat; fluxbeat.analyze; print(*sys.modules)"]
    loaded = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True).stdout.split()
    assert "torch" in loaded
    assert not unwanted & set(loaded)
