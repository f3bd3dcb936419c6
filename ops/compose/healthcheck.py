"""Health of a container: `python -m ops.compose.healthcheck http://127.0.0.1:9108/healthz` exits 0 when it is well.

Well is a program that moves (`streams.liveness`); one that does not ends itself after half a minute, and Docker starts
it again. A worker that holds no partition is well too: with more workers than partitions, one waits as a spare.
"""

from __future__ import annotations

import sys
import urllib.request

#: A worker whose interpreter is busy in a model may take a second; Docker gives up on us after five.
ANSWER_WITHIN_S = 4.0


def answers(url: str) -> bool:
    """Whether something at `url` answers with 200."""
    # Not through a proxy that the machine's environment names: we talk to ourselves.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=ANSWER_WITHIN_S) as response:
            return bool(response.status == 200)
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(0 if answers(sys.argv[1]) else 1)
