#!/bin/sh
# Run nginx.conf and Caddyfile for real, on loopback and with a certificate of their own, in front of a real daemon, and
# put all to it that a client may ask; then let systemd judge the unit, and hand the daemon its socket. What is not
# installed is left out with a line that says so. All of it lies in a fresh folder that is removed again.
set -eu
cd "$(dirname "$0")/../.."
python=${PYTHON:-.venv/bin/python}
work=$(mktemp -d)
pids=
finish() {
    for pid in $pids; do kill "$pid" 2>/dev/null || true; done
    for pid in $pids; do wait "$pid" 2>/dev/null || true; done
    rm -rf "$work"
}
trap finish EXIT
mkdir "$work/state" "$work/payload"

await() { # FILE PID
    tries=0
    until [ -e "$1" ]; do
        tries=$((tries + 1))
        if [ "$tries" -gt 300 ] || ! kill -0 "$2"; then cat "$work"/*.log; exit 1; fi
        sleep 0.1
    done
}

free_port() { "$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

daemon() { # STATE [OPTION...], RUN BEFORE IT: $outer
    state=$1
    shift
    # shellcheck disable=SC2086
    env RESTTORRENT_STATE_DIR="$state" RESTTORRENT_ROOT="$work/payload" \
        ${outer:-} "$python" -c 'from twisted.scripts.twistd import run; run()' --nodaemon --pidfile= resttorrent \
        --peer-interface 127.0.0.1 --discovery off "$@" >>"$work/daemon.log" 2>&1 &
    pids="$pids $!"
}

daemon "$work/state" --port 0 --allow-host torrents.example.org --trusted-proxy 127.0.0.1/32
await "$work/state/listening.json" "${pids##* }"
port=$(sed -n 's/.*"port": \([0-9]*\).*/\1/p' "$work/state/listening.json")

if command -v openssl >/dev/null; then
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=torrents.example.org \
        -addext subjectAltName=DNS:torrents.example.org -keyout "$work/key" -out "$work/cert" 2>/dev/null
fi

check() { # NAME PORT: ask everything by this proxy
    "$python" docs/operate/proxy-checks.py "$2" "$work/cert" "$work/state/token" || { tail "$work"/*.log; exit 1; }
    echo "$1: the snippet works"
}

if command -v nginx >/dev/null && [ -e "$work/cert" ]; then
    front=$(free_port)
    {
        echo "daemon off; pid $work/nginx.pid; error_log $work/nginx.log; worker_processes 1;"
        echo "events { } http { access_log off;"
        for kind in client_body proxy fastcgi uwsgi scgi; do echo "${kind}_temp_path $work/$kind;"; done
        sed -e "s#443 ssl#127.0.0.1:$front ssl#" -e "s#/etc/ssl/torrents.pem#$work/cert#" \
            -e "s#/etc/ssl/private/torrents.key#$work/key#" -e "s#127.0.0.1:8080#127.0.0.1:$port#" docs/operate/nginx.conf
        echo "}"
    } >"$work/nginx.conf"
    chmod 711 "$work"
    nginx -p "$work" -c "$work/nginx.conf" -e "$work/nginx.log" &
    pids="$pids $!"
    await "$work/nginx.pid" "${pids##* }"
    check nginx "$front"
else
    echo "nginx: not installed (or openssl is not), left out"
fi

if command -v caddy >/dev/null && [ -e "$work/cert" ]; then
    front=$(free_port)
    {
        # with a certificate at hand it asks nobody for one
        printf '{\n\tadmin off\n\tauto_https off\n\tdefault_bind 127.0.0.1\n}\n'
        sed -e "s#^torrents.example.org {#https://torrents.example.org:$front {\n\ttls $work/cert $work/key#" \
            -e "s#127.0.0.1:8080#127.0.0.1:$port#" docs/operate/Caddyfile
    } >"$work/Caddyfile"
    HOME=$work XDG_DATA_HOME=$work XDG_CONFIG_HOME=$work \
        caddy run --config "$work/Caddyfile" --adapter caddyfile >"$work/caddy.log" 2>&1 &
    pids="$pids $!"
    check caddy "$front"
else
    echo "caddy: not installed (or openssl is not), left out"
fi

if command -v systemd-analyze >/dev/null; then
    sed 's#/opt/resttorrent/bin/twistd#/bin/true#' docs/operate/resttorrent.service >"$work/resttorrent.service"
    cp docs/operate/resttorrent.socket "$work/"
    # what it says of units that are not ours is left out
    if systemd-analyze verify --man=no "$work/resttorrent.service" "$work/resttorrent.socket" 2>&1 | grep "$work/"; then
        exit 1
    fi
    systemd-analyze security --offline=true --threshold=20 --no-pager "$work/resttorrent.service" | tail -n 1
    echo "systemd-analyze: the unit is as it should be"
else
    echo "systemd-analyze: not installed, left out"
fi

if command -v systemd-socket-activate >/dev/null; then
    front=$(free_port)
    mkdir "$work/activated"
    "$python" docs/operate/notified.py "$work/notify" "$work/activated.seen" READY=1 STOPPING=1 &
    listener=$!
    pids="$pids $listener"
    await "$work/notify" "$listener"
    outer="systemd-socket-activate --listen=127.0.0.1:$front --fdname=http --setenv=RESTTORRENT_STATE_DIR \
        --setenv=RESTTORRENT_ROOT --setenv=PATH --setenv=HOME --setenv=NOTIFY_SOCKET=$work/notify"
    daemon "$work/activated" --listen systemd:domain=INET:name=http
    activated=${pids##* }
    # it is started by the first one who connects, who waits for it; at first it says 503, that it starts
    "$python" -c '
import sys, time, urllib.request
for _ in range(300):
    try:
        print(urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/health", timeout=30).read().decode())
        break
    except OSError:
        time.sleep(0.1)
else:
    sys.exit("it does not serve")
' "$front"
    kill "$activated"
    wait "$activated"
    wait "$listener"
    echo "systemd: started by its socket, told READY=1 and STOPPING=1"
else
    echo "systemd-socket-activate: not installed, left out"
fi
