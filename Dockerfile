# docker build -t fluxbeat . && docker run --rm -p 127.0.0.1:7860:7860 fluxbeat
# Alone: docker run ... fluxbeat serve --api-only; other commands: docker run --rm fluxbeat --help
FROM python:3.11-slim

# The CPU build of torch and torchaudio is 4 GB smaller. Another index, for CUDA say, is a build argument.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore \
    PYTHONUNBUFFERED=1 \
    PYTHONPATH=/app \
    GRADIO_SERVER_NAME=0.0.0.0 \
    GRADIO_SERVER_PORT=7860

WORKDIR /app

# In this order: the pair from its own index first, so that the other requirements find it there and leave it.
COPY requirements.txt .
RUN grep -E '^torch(audio)?==' requirements.txt > pair.txt \
    && pip install --index-url "$TORCH_INDEX" -r pair.txt \
    && pip install -r requirements.txt \
    && rm pair.txt

COPY checkpoints checkpoints
COPY fluxbeat fluxbeat
COPY app.py LICENSE ./

RUN useradd --create-home --uid 1000 listener
USER listener

EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=90s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['GRADIO_SERVER_PORT']), timeout=4); c.request('GET', '/api/v1/health'); sys.exit(c.getresponse().status != 200)"]

ENTRYPOINT ["python", "-m", "fluxbeat"]
CMD ["serve"]
