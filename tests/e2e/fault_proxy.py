"""A TCP proxy on loopback whose connections suffer: for tests of what a network does to a fleet."""

import asyncio
import random
import socket
import struct
import threading

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close() sends RST
READ_BYTES = 64 << 10
DELAY_S_MAX = 0.3
SILENCE_S = 1.5


class FaultProxy:
    """Passes bytes on to `port`. Of the connections, a `share` gets one fault each, somewhere in
    its first `within` bytes of either direction:

      delay      the bytes come later
      reset      RST to both sides
      truncate   both sides see an end of stream in the middle of a message
      silence    nothing comes any more, then the end
    """

    FAULTS = ("delay", "reset", "truncate", "silence")

    def __init__(self, port, seed, share=0.0, within=4000):
        self.target = port
        self.share = share
        self.within = within
        self.counts = dict.fromkeys(self.FAULTS, 0)
        self._random = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._writers = set()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._listener.close()

    def cut_all(self):
        """Every connection of now is reset."""
        self._loop.call_soon_threadsafe(lambda: [reset(each) for each in list(self._writers)])

    def _run(self):
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._serve, sock=self._listener))
        self._loop.run_forever()
        server.close()
        for each in list(self._writers):
            each.transport.abort()

    async def _serve(self, reader, writer):
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            reset(writer)
            return
        pair = (writer, far_writer)
        self._writers.update(pair)
        fault = self._random.choice(self.FAULTS) if self._random.random() < self.share else None
        at = self._random.randrange(self.within)
        side = self._random.randrange(2)
        try:
            await asyncio.gather(
                self._pass_on(reader, far_writer, pair, fault if side == 0 else None, at),
                self._pass_on(far_reader, writer, pair, fault if side == 1 else None, at))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._writers.difference_update(pair)
            for each in pair:
                each.close()

    async def _pass_on(self, reader, writer, pair, fault, at):
        """Until the end of the stream, which it passes on."""
        passed = 0
        while data := await reader.read(READ_BYTES):
            if fault and passed + len(data) > at:
                writer.write(data[: at - passed])
                await self._suffer(fault, pair)
                if fault != "delay":
                    return
                data, passed, fault = data[at - passed :], at, None
            writer.write(data)
            await writer.drain()
            passed += len(data)
        if not writer.is_closing():
            writer.write_eof()

    async def _suffer(self, fault, pair):
        self.counts[fault] += 1
        if fault == "delay":
            await asyncio.sleep(self._random.random() * DELAY_S_MAX)
            return
        if fault == "silence":
            await asyncio.sleep(SILENCE_S)
        for each in pair:
            if fault == "reset":
                reset(each)
            else:
                each.close()


def reset(writer):
    sock = writer.get_extra_info("socket")
    if sock is not None and not writer.is_closing():
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()
