# Tunebook with its environment in /opt/venv and its tree in /tunebook; templates and migrations are read there.
#   docker build --target cpu .     PyTorch for the processor (TORCH_INDEX says where else pip looks for that build)
#   docker build --target gpu .     PyTorch with CUDA: several GB, for machines with an NVIDIA GPU
#   docker build --target web .     without PyTorch: web, clock, baselines, hosted services
FROM python:3.12-slim AS source
# Debian keeps one version of make per release: a pinned one would stop building at its next update.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends make && rm -rf /var/lib/apt/lists/*
WORKDIR /tunebook
COPY . .

FROM source AS build-web
RUN make install VENV=/opt/venv TRAIN=0

FROM source AS build-cpu
ARG TORCH_INDEX=
RUN make install VENV=/opt/venv TRAIN=1 TORCH_INDEX="${TORCH_INDEX}"

FROM source AS build-gpu
RUN make install VENV=/opt/venv TRAIN=1 GPU=1

FROM python:3.12-slim AS runtime
RUN useradd --system --uid 10001 --create-home tunebook \
    && install -d -o tunebook -g tunebook -m 0700 /data
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    TUNEBOOK_DATA=/data \
    TUNEBOOK_HOST=0.0.0.0
WORKDIR /tunebook
VOLUME /data
EXPOSE 8000
HEALTHCHECK --start-period=30s --interval=15s --timeout=5s \
    CMD ["python", "-c", "import sys; from app.up import answers; sys.exit(not answers(3))"]
CMD ["tunebook", "up"]

FROM runtime AS web
COPY --from=build-web /opt/venv /opt/venv
COPY --from=build-web /tunebook /tunebook
USER 10001

FROM runtime AS gpu
COPY --from=build-gpu /opt/venv /opt/venv
COPY --from=build-gpu /tunebook /tunebook
USER 10001

# The last stage is what a plain `docker build .` gives.
FROM runtime AS cpu
COPY --from=build-cpu /opt/venv /opt/venv
COPY --from=build-cpu /tunebook /tunebook
USER 10001
