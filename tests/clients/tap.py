"""Tap: a wire between a client and the gateway that keeps what the gateway sent, and tells when it came."""

import socket
import threading
from urllib.parse import urlsplit

from marks import GUARD


class Tap:
    def __init__(self, target):
        parts = urlsplit(target)
        self._target = (parts.hostname, parts.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._changed = threading.Condition()
        self._closed = False
        self._sockets = []
        self.sent = b""
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def wait_for(self, needle, after=b""):
        """Returns once the gateway has sent these bytes, behind others."""
        with self._changed:
            self._changed.wait_for(lambda: self._has(needle, after) or self._closed, GUARD)
            assert self._has(needle, after), f"waited in vain for {needle!r}; the wire had {self.sent!r}"

    def wait_for_as_many(self, needle, count):
        """Returns once the gateway has sent these bytes so often."""
        with self._changed:
            self._changed.wait_for(lambda: self.sent.count(needle) >= count or self._closed, GUARD)
            assert self.sent.count(needle) >= count, f"waited in vain for {needle!r}; the wire had {self.sent!r}"

    def close(self):
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for end in [self._listener, *self._sockets]:
            hang_up(end, socket.SHUT_RDWR)
            end.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _has(self, needle, after):
        return needle in self.sent.partition(after)[2] if after else needle in self.sent

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
                gateway = socket.create_connection(self._target, GUARD)
            except OSError:
                return  # closed
            self._sockets += [client, gateway]
            for end in (client, gateway):
                end.settimeout(None)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._carry, args=(client, gateway), daemon=True).start()
            threading.Thread(target=self._carry, args=(gateway, client, True), daemon=True).start()

    def _carry(self, source, sink, keep=False):
        try:
            while data := source.recv(65536):
                if keep:
                    with self._changed:
                        self.sent += data
                        self._changed.notify_all()
                sink.sendall(data)
        except OSError:
            pass  # one side is gone: so shall be the other
        hang_up(sink, socket.SHUT_WR)


def hang_up(end, how):
    try:
        end.shutdown(how)
    except OSError:
        pass  # it was closed already
