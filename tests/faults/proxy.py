"""A TCP proxy between a client and PostgreSQL that breaks connections in four ways.

`cut` resets every connection. `blackhole` swallows both directions and accepts new ones in silence.
`half_open` swallows only what the server says. `cut_on_commit` lets COMMITs through to the server and
resets the connection just when the server has answered: the outcome is known to the server alone.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time

HOST = "127.0.0.1"
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER 0: close() sends RST


class Proxy:
    """Forwards a port of its own to `port`."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self.mode = "pass"
        self.commits_cut = 0
        self._left = 0
        self._lock = threading.Lock()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            reset(pair)

    def cut_on_commit(self, number: int) -> None:
        """Lose the answers to the next so many COMMITs."""
        self._left = number

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection((HOST, self._target), timeout=5)
                server.settimeout(None)
            except OSError:
                client.close()
                continue
            pair = (client, server)
            with self._lock:
                self._pairs.append(pair)
            said = {"commit": False}
            for source, sink in (pair, pair[::-1]):
                threading.Thread(target=self._pump, args=(source, sink, pair, said), daemon=True).start()

    def _pump(
        self, source: socket.socket, sink: socket.socket, pair: tuple[socket.socket, ...], said: dict
    ) -> None:
        from_client = source is pair[0]
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                while self.mode == "hold":
                    time.sleep(0.01)  # between two looks at the mode, which a test changes
                if self.mode == "blackhole" or (self.mode == "half_open" and not from_client):
                    continue
                if from_client:
                    said["commit"] = b"COMMIT" in data
                elif said["commit"] and self._left > 0 and b"COMMIT" in data:
                    self._left -= 1
                    self.commits_cut += 1
                    break
                sink.sendall(data)
        reset(pair)

    def close(self) -> None:
        self._listener.close()
        self.cut()


def reset(pair: tuple[socket.socket, ...]) -> None:
    for end in pair:
        with contextlib.suppress(OSError):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            end.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            end.close()
