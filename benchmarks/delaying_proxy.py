"""A TCP proxy that delivers everything later, as a distant server does; bandwidth stays.

    python delaying_proxy.py TARGET_PORT MILLISECONDS

prints its own port and serves until it is killed. Half of the delay is added on each way, so that a
request and its answer take the whole, however many are on their way at a time.
"""

import asyncio
import sys

CHUNK = 256 * 1024
AHEAD = 64
"""Chunks on their way at most, for each direction of a connection: 16 MiB."""


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    """Deliver what ``reader`` gives to ``writer``, each piece ``delay`` seconds later."""
    clock = asyncio.get_running_loop().time
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(AHEAD)

    async def collect() -> None:
        piece = b"x"
        while piece:
            try:
                piece = await reader.read(CHUNK)
            except OSError:
                piece = b""
            await under_way.put((clock() + delay, piece))

    collecting = asyncio.create_task(collect())
    try:
        while True:
            due, piece = await under_way.get()
            await asyncio.sleep(max(0.0, due - clock()))
            if not piece:
                return
            writer.write(piece)
            await writer.drain()
    except OSError:
        return  # one side has hung up
    finally:
        collecting.cancel()
        writer.close()


async def main(target: int, delay: float) -> None:
    """Serve; ``delay`` is seconds each way."""
    carrying: set[asyncio.Task[None]] = set()

    def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(_carry(reader, writer, delay))
        carrying.add(task)
        task.add_done_callback(carrying.discard)

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", target, limit=CHUNK)
        carry(reader, back)
        carry(there, writer)

    server = await asyncio.start_server(connect, "127.0.0.1", 0, limit=CHUNK, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2]) / 2000))
