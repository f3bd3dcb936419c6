# One image for every program of Vigía Streams: workers, exporters, canary and the command line.
#   docker build -t vigia-streams .

FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
RUN python -m venv /opt/vigia
# The dependencies first: they change seldom, and this layer is the large one. Wheels only, each checked by its hash.
COPY requirements.lock setup.cfg ./
COPY ops/compose/runtime_lock.py ./
RUN python runtime_lock.py requirements.lock setup.cfg s3 > runtime.lock \
    && /opt/vigia/bin/pip install --only-binary :all: --require-hashes -r runtime.lock
COPY . .
# Not editable: the source is not in the final image.
RUN /opt/vigia/bin/pip install --no-deps --no-build-isolation . \
    && /opt/vigia/bin/pip uninstall --yes pip

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="Vigía Streams" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.description="From a wound picture to the right people, in time"
# A named volume takes the owner of the folder that it is first mounted over: these are for pictures, the registry's
# schemas and the list of what Prometheus is to scrape.
RUN useradd --uid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin vigia \
    && install --directory --owner=vigia --group=root --mode=0770 /data /data/images /data/registry
COPY --from=build /opt/vigia /opt/vigia
# HOME: the only writable folder of a container with a read-only file system is /tmp.
ENV PATH=/opt/vigia/bin:$PATH \
    HOME=/tmp \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    VIGIA_IMAGE_STORE=file:///data/images
USER 10001
WORKDIR /tmp
ENTRYPOINT ["vigia"]
CMD ["--help"]
