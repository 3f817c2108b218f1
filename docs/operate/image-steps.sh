#!/bin/sh
# Run the build steps of the Dockerfile without docker, in a fresh folder that is removed again, then start what was
# installed and ask it how it fares with the image's own health check. Steps that need root's accounts are left out.
set -eu
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
pid=
finish() {
    if [ -n "$pid" ]; then kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; fi
    rm -rf "$work"
}
trap finish EXIT

cp docs/operate/healthcheck.py "$work/"
mkdir "$work/src" "$work/state" "$work/payload"
# the COPY lines of the build stage
sed -n '/^FROM .* AS build/,/^FROM .*slim$/p' Dockerfile | sed -n 's/^COPY //p' | while read -r line; do
    # shellcheck disable=SC2086
    set -- $line
    while [ $# -gt 1 ]; do
        cp -R "$1" "$work/src/"
        shift
    done
done
# its RUN lines, with the folder put in the place of the image's
sed -n '/^FROM .* AS build/,/^FROM .*slim$/p' Dockerfile | sed -n 's/^RUN //p' \
    | sed -e "s#/opt/resttorrent#$work/venv#g" -e "s#^python #${PYTHON:-python3} #" >"$work/steps"
(cd "$work/src" && sh -eu "$work/steps")

cd "$work/state"
env -i HOME="$work" PATH="$PATH" RESTTORRENT_STATE_DIR="$work/state" RESTTORRENT_ROOT="$work/payload" \
    RESTTORRENT_AUTH=always RESTTORRENT_PEER_INTERFACE=127.0.0.1 RESTTORRENT_DISCOVERY=off \
    "$work/venv/bin/twistd" --nodaemon --pidfile= resttorrent --port 0 >"$work/log" 2>&1 &
pid=$!
tries=0
until [ -e "$work/state/listening.json" ]; do
    tries=$((tries + 1))
    if [ "$tries" -gt 300 ] || ! kill -0 "$pid"; then cat "$work/log"; exit 1; fi
    sleep 0.1
done
port=$(sed -n 's/.*"port": \([0-9]*\).*/\1/p' "$work/state/listening.json")
"$work/venv/bin/python" "$work/healthcheck.py" "$port"
kill "$pid"
wait "$pid"
pid=
echo "the image's steps work"
