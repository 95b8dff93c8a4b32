"""Answer: the script's hold on one request that a backend got; decides which bytes leave, and when."""

import json
import select
import socket
from contextlib import suppress
from dataclasses import dataclass

from marks import GUARD


@dataclass(frozen=True)
class Request:
    method: str
    path: str  # without its query
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


class Answer:
    """What the dialects share; the answers of each say the same things in its own words."""

    dialect = None
    paths = set()  # where a script answers
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
        self.over = True
        with suppress(ConnectionError):  # who has read the last event need not wait for it
            self._write(b"0\r\n\r\n")

    def fail(self, message):
        """An error in the stream, after which nothing comes."""
        with suppress(ConnectionError):  # who has read it need not wait for what else is said of it
            self.tell(message)
        self.end()

    def cut(self):
        """The connection breaks in the middle of the body."""
        self.connection.shutdown(socket.SHUT_RDWR)
        self.over = True

    def reply(self, reply):
        """Everything at once, streamed or whole as the request wants it."""
        if not self.wants_stream():
            return self.whole(self.message(reply))
        self.open(reply.usage)
        for text in reply.thinking:
            self.think(text)
        if reply.signature:
            self.sign(reply.signature)
        if reply.redacted:
            self.redact(reply.redacted)
        for text in reply.text:
            self.say(text)
        for text in reply.refusal:
            self.decline(text)
        if reply.calls:
            self.call(*reply.calls)
        self.finish(reply)

    def sign(self, signature):
        """Seals what was thought; most dialects have no word for it."""

    def redact(self, data):
        """Thinking that only its vendor can read; most dialects have no word for it."""

    def decline(self, text):
        """The model says why it will not answer; in most dialects that is text like any other."""
        self.say(text)

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
