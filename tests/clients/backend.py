"""Backend: a model server that says what a test's script tells it, when the script tells it."""

import socket
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from answer import Request
from heard import hear
from marks import GUARD, Marks


class Backend:
    """`answer_type` is its dialect, `config` what the gateway is told of it. A script is a function of one answer and
    runs in the thread of its request."""

    def __init__(self, answer_type, models=("tinytale:1b", "hub.example/quill/ink:Q4"), **config):
        self.dialect = answer_type.dialect
        self.config = config
        self.models = list(models)
        self.marks = Marks()
        self.requests = []
        self.failures = []
        self._answer_type = answer_type
        self._script = None
        self._connections = set()
        self._threads = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._serving = threading.Thread(target=self._server.serve_forever, args=(0.005,), daemon=True)
        self._serving.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def play(self, script):
        self._script = script

    @property
    def question(self):
        """The last request that was played a script."""
        return [request for request in self.requests if self._is_scripted(request)][-1]

    @property
    def asked(self):
        """Its JSON body."""
        return self.question.json

    @property
    def heard(self):
        """The same in no dialect."""
        return hear(self.question)

    def close(self):
        """Ends what still runs and tells what went wrong in the scripts."""
        self.marks.close()
        self._server.shutdown()
        self._server.server_close()
        for connection in list(self._connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it was closed already
        for thread in self._threads:
            thread.join(GUARD)
        if self.failures:
            raise AssertionError(f"a script failed: {self.failures[0]!r}") from self.failures[0]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _answer(self, request, connection):
        self.requests.append(request)
        answer = self._answer_type(request, connection, self.marks)
        if not self._is_scripted(request):
            with suppress(ConnectionError):  # a gateway that ends does not wait for what it looks up in the background
                answer.browse(self.models)
        elif self._script is None:
            answer.refuse(500, "no script")
        else:
            self._script(answer)
            assert answer.over, "the script left its answer open"

    def _is_scripted(self, request):
        return request.path in self._answer_type.paths

    def _handler(backend):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def handle(self):
                backend._connections.add(self.connection)
                backend._threads.append(threading.current_thread())
                try:
                    super().handle()
                except OSError:
                    pass  # the gateway dropped an idle connection
                finally:
                    backend._connections.discard(self.connection)

            def do_GET(self):
                length = int(self.headers.get("Content-Length", 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(self.command, self.path.partition("?")[0], headers, self.rfile.read(length))
                try:
                    backend._answer(request, self.connection)
                except Exception as failure:
                    backend.failures.append(failure)
                    self.close_connection = True

            do_POST = do_GET

            def log_message(self, *_):
                pass

        return Handler
