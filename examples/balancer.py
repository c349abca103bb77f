"""A small balancer for examples/cluster.sh: each connection goes to the next backend that is ready, byte by byte.

    balancer.py PORT BACKEND_PORT [BACKEND_PORT ...]

It is there to be read and tried, not for a lab: use the ingress of your cluster, HAProxy or nginx there.
"""

import asyncio
import itertools
import sys


async def ready(port: int) -> bool:
    """Whether a backend says so itself on /ready: one that leaves does not any more."""
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), 1)
        writer.write(b"GET /ready HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        line = await asyncio.wait_for(reader.readline(), 1)
        writer.close()
        return b" 200 " in line
    except (OSError, asyncio.TimeoutError):
        return False


async def watch(backends: dict[int, bool]) -> None:
    while True:
        for port in backends:
            backends[port] = await ready(port)
        await asyncio.sleep(0.5)


async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def main(front: int, ports: list[int]) -> None:
    backends = dict.fromkeys(ports, False)
    turn = itertools.count()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = next(turn)
        order = [ports[(first + n) % len(ports)] for n in range(len(ports))]
        for port in sorted(order, key=lambda port: not backends[port]):
            try:
                to_reader, to_writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                backends[port] = False
                continue
            await asyncio.gather(pour(reader, to_writer), pour(to_reader, writer))
            return
        writer.close()

    watching = asyncio.create_task(watch(backends))
    server = await asyncio.start_server(carry, "127.0.0.1", front)
    async with server:
        await server.serve_forever()
    watching.cancel()


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    try:
        asyncio.run(main(int(sys.argv[1]), [int(port) for port in sys.argv[2:]]))
    except KeyboardInterrupt:
        pass
