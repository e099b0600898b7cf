# Tunebook with its environment in /opt/venv and its tree in /tunebook; templates and migrations are read there.
# docker build --build-arg TRAIN=1 adds PyTorch for training; TORCH_INDEX says where else pip looks for it.
FROM python:3.12-slim AS build
ARG TRAIN=0
ARG TORCH_INDEX=
RUN apt-get update && apt-get install -y --no-install-recommends make && rm -rf /var/lib/apt/lists/*
WORKDIR /tunebook
COPY . .
RUN make install VENV=/opt/venv TRAIN="${TRAIN}" TORCH_INDEX="${TORCH_INDEX}"

FROM python:3.12-slim
RUN useradd --system --uid 10001 --create-home tunebook \
    && install -d -o tunebook -g tunebook -m 0700 /data
COPY --from=build /opt/venv /opt/venv
COPY --from=build /tunebook /tunebook
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    TUNEBOOK_DATA=/data \
    TUNEBOOK_HOST=0.0.0.0
WORKDIR /tunebook
USER tunebook
VOLUME /data
EXPOSE 8000
HEALTHCHECK --start-period=30s --interval=15s --timeout=5s \
    CMD ["python", "-c", "import sys; from app.up import answers; sys.exit(not answers(3))"]
CMD ["tunebook", "up"]
