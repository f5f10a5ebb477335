# docker build -t fluxbeat . && docker run --rm -p 127.0.0.1:7860:7860 fluxbeat
# Alone: docker run ... fluxbeat serve --api-only; other commands: docker run --rm fluxbeat --help
# With an extra of pyproject.toml: docker build --build-arg EXTRA=train ...
FROM python:3.11-slim

# The CPU build of torch is 4 GB smaller. With --build-arg TORCH_BACKEND=auto uv takes what fits this machine's driver.
ARG TORCH_BACKEND=cpu
ARG EXTRA=

ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore \
    PYTHONUNBUFFERED=1 \
    PYTHONPATH=/app \
    GRADIO_SERVER_NAME=0.0.0.0 \
    GRADIO_SERVER_PORT=7860

WORKDIR /app

# uv knows where torch's builds lie; pip would take the one for CUDA.
COPY requirements.txt pyproject.toml ./
RUN pip install uv \
    && uv pip install --system --no-cache --torch-backend "$TORCH_BACKEND" -r requirements.txt \
       ${EXTRA:+-r pyproject.toml --extra "$EXTRA"}

COPY checkpoints checkpoints
COPY recipes recipes
COPY fluxbeat fluxbeat
COPY app.py LICENSE ./

RUN useradd --create-home --uid 1000 listener
USER listener

EXPOSE 7860
# Which port: --port of the command, which the first process shows, or else the variable.
HEALTHCHECK --interval=30s --timeout=5s --start-period=90s --retries=3 \
    CMD ["python", "-c", "import argparse, http.client, os, sys; p = argparse.ArgumentParser(); p.add_argument('--port', default=os.environ['GRADIO_SERVER_PORT']); told = open('/proc/1/cmdline').read().split(chr(0)); c = http.client.HTTPConnection('127.0.0.1', int(p.parse_known_args(told)[0].port), timeout=4); c.request('GET', '/api/v1/health'); sys.exit(c.getresponse().status != 200)"]

ENTRYPOINT ["python", "-m", "fluxbeat"]
CMD ["serve"]
