# One image for all four services; docker-compose.yml sets which one a container runs.
# docker/image.sh builds it, with BuildKit or the classic builder.
ARG BASE_IMAGE=python:3.11-slim-bookworm

# The requirements, apart from the rest of pyproject.toml, so that other changes in it do not install
# everything again.
FROM ${BASE_IMAGE} AS needs
COPY docker/needs.py pyproject.toml ./
RUN python3 needs.py run >run.txt && python3 needs.py build >build.txt

# The locked packages, in an environment without pip.
FROM ${BASE_IMAGE} AS dependencies
# A folder of wheels that are preferred to the index; it may be missing, or hold only some, such as
# torch's build for the CPU.
ARG WHEELS=wheels
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_COMPILE=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
RUN python3 -m venv tools && python3 -m venv --without-pip /opt/venv
COPY requirements.lock ${WHEELS}* wheels/
ENV PIP_FIND_LINKS=/build/wheels PIP_CONSTRAINT=/build/wheels/requirements.lock
COPY --from=needs run.txt .
# The packages' own tests and headers, a fifth of the size, are not used here. The rest is compiled
# now, since a read-only container cannot store compiled files.
RUN tools/bin/pip --python /opt/venv/bin/python install --quiet --requirement run.txt \
    && cd /opt/venv/lib/python3*/site-packages \
    && find . -type d -name tests -prune -exec rm -r {} + \
    && rm -rf torch/include torch/test \
    && find torch/bin -type f ! -name torch_shm_manager -delete \
    && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash -x /py312_ /opt/venv/lib

# FedSiege itself, in a folder that is copied over that environment.
FROM dependencies AS fedsiege
COPY --from=needs build.txt .
RUN tools/bin/pip install --quiet --requirement build.txt
COPY LICENSE README.md pyproject.toml setup.py ./
COPY protos protos
COPY fedsiege fedsiege
COPY services services
RUN tools/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist . \
    && tools/bin/pip --python /opt/venv/bin/python install --quiet --no-deps --prefix /layer dist/*.whl \
    # An image made from this one copies plug-ins into that folder, see docs/plugins.md.
    && for packages in /layer/lib/python3*/site-packages; do echo /opt/plugins >$packages/plugins.pth; done \
    && python3 -m compileall -q --invalidation-mode unchecked-hash -s /layer -p /opt/venv /layer/lib

FROM ${BASE_IMAGE}
RUN useradd --uid 1000 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin fedsiege \
    && install -d -o fedsiege -g fedsiege /data /runs
COPY --from=dependencies /opt/venv /opt/venv
COPY docker/as-owner.sh docker/health.py docker/lasting-secret.sh /opt/
COPY --from=fedsiege /layer /opt/venv
# The allocator's thresholds keep large buffers in the process, which makes streams 3 times as fast.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    OMP_NUM_THREADS=1 \
    MALLOC_MMAP_THRESHOLD_=67108864 \
    MALLOC_TRIM_THRESHOLD_=268435456 \
    MPLCONFIGDIR=/tmp/matplotlib \
    # torch needs a user name, and the user of the container may be missing in /etc/passwd.
    USER=fedsiege
USER fedsiege
WORKDIR /tmp
CMD ["fedsiege", "--help"]
ARG VERSION=development
LABEL org.opencontainers.image.title="FedSiege" \
    org.opencontainers.image.description="Attacks on federated learning and defences against them: aggregator, client, attacker and simulator" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="${VERSION}"
