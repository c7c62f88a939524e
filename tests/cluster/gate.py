"""A gate in front of a server: what goes through it can be cut off, and let through again."""

import contextlib
import socket
import threading


class Gate:
    """Listens on a free port of the loopback interface; a context manager. Open at first."""

    def __init__(self, host: str, port: int) -> None:
        self._upstream = (host, port)
        self._lock = threading.Lock()
        self._open = True
        self._pairs: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> "Gate":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.shut()

    def shut(self) -> None:
        """Cut every connection, and refuse new ones."""
        with self._lock:
            self._open = False
            pairs, self._pairs = self._pairs, set()
        for one in pairs:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def reopen(self) -> None:
        """Let everything through again."""
        with self._lock:
            self._open = True

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError):
                upstream = socket.create_connection(self._upstream, 10)
                upstream.settimeout(None)
                with self._lock:
                    if self._open:
                        self._pairs |= {client, upstream}
                        for ends in ((client, upstream), (upstream, client)):
                            threading.Thread(target=self._pump, args=ends, daemon=True).start()
                        continue
                upstream.close()
            client.close()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(1 << 16):
                target.sendall(piece)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        with self._lock:
            if target not in self._pairs:
                source.close()
                target.close()
            self._pairs -= {source, target}
