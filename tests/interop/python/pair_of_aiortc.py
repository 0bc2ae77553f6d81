"""Two peer connections of aiortc that have nothing but the relay, with a data channel each.

pair_of_aiortc.py BOX KEY TRANSPORT
"""

import asyncio
import sys

from aiortc import (
    RTCConfiguration,
    RTCDataChannel,
    RTCIceServer,
    RTCIceTransportPolicy,
    RTCPeerConnection,
    RTCSessionDescription,
)
from servers import fetch, turn_over

PATIENCE = 60
MESSAGES = 300
LARGEST = 16_384


def message(index: int) -> bytes:
    """Of all sizes up to the largest, and like no other."""
    size = 4 + index * index * 37 % (LARGEST - 3)
    return index.to_bytes(4, "big") + bytes((index + at) % 256 for at in range(size - 4))


class Peer:
    """Says all messages on its channel, and echoes what it hears on the other one's."""

    def __init__(self, servers: list[dict]) -> None:
        ice = [RTCIceServer(**server) for server in servers]
        self.connection = RTCPeerConnection(
            RTCConfiguration(iceServers=ice, iceTransportPolicy=RTCIceTransportPolicy.RELAY)
        )
        self.connection.on("datachannel", self.echo)
        self.said = [message(index) for index in range(MESSAGES)]
        self.heard: list[bytes] = []
        self.done = asyncio.Event()
        self.channel = self.connection.createDataChannel("echo")
        self.channel.on("open", self.say)
        self.channel.on("message", self.hear)

    def echo(self, channel: RTCDataChannel) -> None:
        channel.on("message", channel.send)

    def say(self) -> None:
        for each in self.said:
            self.channel.send(each)

    def hear(self, data: bytes) -> None:
        self.heard.append(data)
        if len(self.heard) == MESSAGES:
            self.done.set()

    def description(self) -> RTCSessionDescription:
        """Its own, which has to name relayed addresses alone."""
        own = self.connection.localDescription
        candidates = [line for line in own.sdp.splitlines() if line.startswith("a=candidate:")]
        assert candidates and all(" typ relay" in line for line in candidates), own.sdp
        return own


async def talk(servers: list[dict]) -> None:
    anna, ben = Peer(servers), Peer(servers)
    try:
        await anna.connection.setLocalDescription(await anna.connection.createOffer())
        await ben.connection.setRemoteDescription(anna.description())
        await ben.connection.setLocalDescription(await ben.connection.createAnswer())
        await anna.connection.setRemoteDescription(ben.description())
        await asyncio.gather(anna.done.wait(), ben.done.wait())
        for each in (anna, ben):
            assert each.heard == each.said, "what came back is not what was said"
    finally:
        await asyncio.gather(anna.connection.close(), ben.connection.close())


def main() -> None:
    box, key, transport = sys.argv[1:]
    servers = fetch(box, key)
    # Of several it takes the first, which is the one over UDP.
    if transport != "udp":
        servers = [turn_over(transport, servers)]
    asyncio.run(asyncio.wait_for(talk(servers), PATIENCE))
    print(f"both heard {MESSAGES} over {transport}")


main()
