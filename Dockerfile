# Tally alone, for an OpenSearch of its own elsewhere (docker-compose.yml, k8s/). Two stages: what builds stays behind.
FROM python:3.13-slim-bookworm AS build
WORKDIR /build
COPY requirements/uv.lock requirements/
RUN python -m venv /build/tools && /build/tools/bin/pip install --no-cache-dir --require-hashes -r requirements/uv.lock
COPY requirements/serve.lock requirements/
RUN python -m venv /opt/tally \
    && /build/tools/bin/uv pip install --no-cache --python /opt/tally/bin/python --require-hashes -r requirements/serve.lock
COPY pyproject.toml README.md LICENSE ./
COPY service service
COPY mappings mappings
RUN /build/tools/bin/uv pip install --no-cache --no-deps --python /opt/tally/bin/python .

FROM python:3.13-slim-bookworm
LABEL org.opencontainers.image.title="Tally" \
      org.opencontainers.image.description="Exact aggregations over objects and records, on OpenSearch" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/tally /opt/tally
ENV PATH=/opt/tally/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    TALLY_HOST=0.0.0.0 TALLY_PORT=8080 TALLY_LOG_FORMAT=json TALLY_DATA_DIR=/tmp/tally
# No name is needed, and a number is what Kubernetes can check.
USER 10001:10001
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=2)"]
ENTRYPOINT ["tally"]
CMD ["serve"]
