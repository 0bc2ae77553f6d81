"""Two connections of aioice that have nothing but the relay.

pair_of_aioice.py BOX KEY TRANSPORT [PASSWORD]: the password stands for the one that the box gives.
"""

import asyncio
import sys

from aioice import Candidate, Connection, TransportPolicy
from servers import fetch, turn_over

PATIENCE = 30
SIZES = [1, 2, 3, 4, 5, 100, 1000, 1200]


def connection(turn: dict, transport: str, controlling: bool) -> Connection:
    host, port = turn["urls"][0].split("?")[0].split(":")[1:]
    return Connection(
        ice_controlling=controlling,
        turn_server=(host, int(port)),
        turn_username=turn["username"],
        turn_password=turn["credential"],
        turn_ssl=transport == "tls",
        turn_transport="tcp" if transport == "tls" else transport,
        transport_policy=TransportPolicy.RELAY,
    )


async def introduce(one: Connection, other: Connection) -> None:
    for candidate in one.local_candidates:
        # As text, as it would come through signaling.
        await other.add_remote_candidate(Candidate.from_sdp(candidate.to_sdp()))
    await other.add_remote_candidate(None)
    other.remote_username, other.remote_password = one.local_username, one.local_password


async def carry(one: Connection, other: Connection, mark: int) -> None:
    for size in SIZES:
        data = bytes((mark + index) % 256 for index in range(size))
        await one.send(data)
        heard = await other.recv()
        assert heard == data, f"{len(heard)} bytes of {size}, or others"


async def talk(turn: dict, transport: str) -> None:
    anna, ben = connection(turn, transport, True), connection(turn, transport, False)
    try:
        await asyncio.gather(anna.gather_candidates(), ben.gather_candidates())
        kinds = [[candidate.type for candidate in each.local_candidates] for each in (anna, ben)]
        assert kinds == [["relay"], ["relay"]], kinds
        await introduce(anna, ben)
        await introduce(ben, anna)
        await asyncio.gather(anna.connect(), ben.connect())
        await carry(anna, ben, 0)
        await carry(ben, anna, 128)
    finally:
        await asyncio.gather(anna.close(), ben.close())


def main() -> None:
    box, key, transport, *password = sys.argv[1:]
    turn = turn_over(transport, fetch(box, key))
    if password:
        turn["credential"] = password[0]
    asyncio.run(asyncio.wait_for(talk(turn, transport), PATIENCE))
    print(f"both heard {len(SIZES)} over {transport}")


main()
