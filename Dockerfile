# The image: two stages, nothing but what requirements.lock says, no user but a number, no shell needed.
# docs/operations.md says how it is built for several architectures, run, and extended.
#
# Both stages want the same Python at the same path. To have exactly the base that was tested, give
# its digest: --build-arg BASE=NAME:TAG@sha256:… (`skopeo inspect` prints it).
ARG BASE=docker.io/library/python:3.13-slim-bookworm

FROM ${BASE} AS build
WORKDIR /build
COPY requirements.lock requirements-build.lock ./
# Wheels only: a source distribution would fetch what it is built with by no hash. Where packages
# come from is for the builder to say: --secret id=pip,src=pip.conf
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    python3 -m venv tools \
    && python3 -m venv --without-pip /opt/registry-watcher \
    && tools/bin/python -m pip install --no-cache-dir --disable-pip-version-check \
      --require-hashes --only-binary :all: -r requirements-build.lock \
    && tools/bin/python -m pip --python /opt/registry-watcher/bin/python install --no-cache-dir \
      --disable-pip-version-check --no-compile --require-hashes --only-binary :all: -r requirements.lock
COPY pyproject.toml README.md ./
COPY watcher watcher
# Bytecode is made here, for the root file system is read-only later; unchecked, for a copy may
# change the times of files.
RUN tools/bin/python -m pip wheel --quiet --no-cache-dir --no-deps --no-index --no-build-isolation \
      --wheel-dir dist . \
    && tools/bin/python -m pip --python /opt/registry-watcher/bin/python install --no-cache-dir \
      --disable-pip-version-check --no-compile --no-deps --no-index dist/*.whl \
    && tools/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash \
      /opt/registry-watcher/lib \
    && mkdir -p state && mkdir -m 0750 state/registry-watcher

FROM ${BASE}
ARG BASE
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="registry-watcher" \
      org.opencontainers.image.description="Polls container registries, notices new and moved tags, and runs your pipelines." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE}"
COPY --from=build /opt/registry-watcher /opt/registry-watcher
# Many bases have no bytecode of Python's own library; making it is two thirds of a start.
RUN ["/opt/registry-watcher/bin/python", "-c", "import compileall, py_compile, sysconfig; compileall.compile_dir(sysconfig.get_path('stdlib'), quiet=2, workers=0, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)"]
COPY --from=build --chown=65532:65532 /build/state /var/lib
ENV PATH=/opt/registry-watcher/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/var/lib/registry-watcher \
    STATE_DIRECTORY=/var/lib/registry-watcher \
    WATCHER_CONFIG=/etc/registry-watcher/config.yaml
WORKDIR /var/lib/registry-watcher
VOLUME ["/var/lib/registry-watcher"]
EXPOSE 8484
USER 65532:65532
STOPSIGNAL SIGTERM
# Only whether a restart would help; `watcher health` tells all that is wrong.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
  CMD ["watcher", "health", "--live"]
ENTRYPOINT ["watcher"]
CMD ["run"]
