"""Answer: the script's hold on one request that a backend got; decides which bytes leave, and when."""

import json
import select
import socket
from dataclasses import dataclass

from marks import GUARD


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


class Answer:
    """What the dialects share; `OpenaiAnswer` and `OllamaAnswer` say the same things in their own words."""

    content_type = None

    def __init__(self, request, connection, marks):
        self.request = request
        self.connection = connection
        self.marks = marks
        self.over = False

    def whole(self, body, status=200):
        payload = json.dumps(body, ensure_ascii=False).encode()
        self._write(self._head(status, "application/json", f"Content-Length: {len(payload)}") + payload)
        self.over = True

    def begin(self):
        self._write(self._head(200, self.content_type, "Transfer-Encoding: chunked"))

    def send(self, frame):
        """One event, in one chunk, in one write."""
        self._write(b"%x\r\n%s\r\n" % (len(frame), frame))

    def end(self):
        """The clean end of the body; without `finish` before it, the answer is truncated."""
        self._write(b"0\r\n\r\n")
        self.over = True

    def cut(self):
        """The connection breaks in the middle of the body."""
        self.connection.shutdown(socket.SHUT_RDWR)
        self.over = True

    def reply(self, reply):
        """Everything at once, streamed or whole as the request wants it."""
        if not self.wants_stream():
            return self.whole(self.message(reply))
        self.open()
        for text in reply.thinking:
            self.think(text)
        for text in reply.text:
            self.say(text)
        if reply.calls:
            self.call(*reply.calls)
        self.finish(reply)

    def wait_until_left(self):
        """Returns once the gateway has closed its end of the connection."""
        readable, _, _ = select.select([self.connection], [], [], GUARD)
        assert readable, "the gateway still holds the connection"
        try:
            rest = self.connection.recv(1)
        except ConnectionResetError:
            rest = b""
        assert rest == b"", "the gateway sent more bytes instead of leaving"
        self.over = True

    def _head(self, status, content_type, framing):
        return f"HTTP/1.1 {status} Scripted\r\nContent-Type: {content_type}\r\n{framing}\r\n\r\n".encode()

    def _write(self, data):
        self.connection.sendall(data)
