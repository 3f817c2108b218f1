# docker build -t resttorrent . ; see docs/operate.rst for how to run it
FROM python:3.13-slim AS build
WORKDIR /src
RUN python -m venv /opt/resttorrent
COPY setup.py setup.cfg README.rst LICENSE MANIFEST.in ./
COPY twisted ./twisted
COPY resttorrent ./resttorrent
RUN /opt/resttorrent/bin/pip install --no-cache-dir --disable-pip-version-check .
# writes the cache of plugins, which can't be written where the root is read-only
RUN /opt/resttorrent/bin/twistd --help >/dev/null

FROM python:3.13-slim
RUN groupadd --gid 10001 resttorrent \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /state --shell /usr/sbin/nologin resttorrent \
    && install -d -o 10001 -g 10001 -m 0700 /state \
    && install -d -o 10001 -g 10001 -m 0750 /payload
COPY --from=build /opt/resttorrent /opt/resttorrent
COPY docs/operate/healthcheck.py /opt/resttorrent/healthcheck.py
ENV RESTTORRENT_STATE_DIR=/state \
    RESTTORRENT_ROOT=/payload \
    RESTTORRENT_INTERFACE=0.0.0.0 \
    RESTTORRENT_AUTH=always \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /state
VOLUME ["/state", "/payload"]
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=300s --retries=3 \
    CMD ["/opt/resttorrent/bin/python", "/opt/resttorrent/healthcheck.py"]
ENTRYPOINT ["/opt/resttorrent/bin/twistd", "--nodaemon", "--pidfile=", "resttorrent"]
