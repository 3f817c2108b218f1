"""Exit with 0 if the daemon on this port of this machine serves requests, degraded or not: for containers."""

import http.client
import sys


def serves(port: int) -> bool:
    """Ask ``/health``, which needs no token."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=8)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(0 if serves(int(sys.argv[1]) if len(sys.argv) > 1 else 8080) else 1)
