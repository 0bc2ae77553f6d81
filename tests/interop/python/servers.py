"""The ICE servers that a box gives to whoever has its API key."""

import json
import urllib.parse
import urllib.request

PATIENCE = 10


def fetch(box: str, key: str) -> list[dict]:
    """As /ice has them."""
    url = f"{box}/ice?" + urllib.parse.urlencode({"key": key})
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
        return json.load(answer)["iceServers"]


def turn_over(transport: str, servers: list[dict]) -> dict:
    """The TURN server that is reached by "udp", "tcp" or "tls", with one URL."""
    scheme, end = ("turns:", "tcp") if transport == "tls" else ("turn:", transport)
    for server in servers:
        for url in server["urls"]:
            if url.startswith(scheme) and url.endswith(f"?transport={end}"):
                return {**server, "urls": [url]}
    raise LookupError(f"no TURN over {transport} in {servers}")
