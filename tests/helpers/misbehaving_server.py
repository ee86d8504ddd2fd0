"""A web server on this machine that cuts, lies, stalls and refuses as it is told."""

import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Answer:
    """What one request gets.

    `cut` ends the connection after so many bytes of the body, after `stall` seconds of silence;
    `claimed` is a Content-Length that may be wrong, 0 for none at all.
    """

    content: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    etag: str | None = None
    ranges: bool = True
    obeys_if_range: bool = True
    cut: int | None = None
    stall: float = 0.0
    claimed: int | None = None


@dataclass(frozen=True)
class Served:
    """One request as it came in, and how many bytes of a body it got."""

    path: str
    headers: Mapping[str, str]
    status: int
    sent: int


class Server:
    """Answers by path; the last answer of a path is given again and again."""

    def __init__(self) -> None:
        self.log: list[Served] = []
        self.closing = threading.Event()
        self._answers: dict[str, list[Answer]] = {}
        self._asked: dict[str, int] = defaultdict(int)
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._http.server_address[1]}"

    def plan(self, path: str, *answers: Answer) -> str:
        """Set the answers of a path from now on; give its whole address."""
        self._answers[path], self._asked[path] = list(answers), 0
        return self.address + path

    def next_answer(self, target: str) -> Answer:
        path = urlsplit(target).path
        answers = self._answers.get(path, [Answer(b"nothing here", 404)])
        number = self._asked[path]
        self._asked[path] += 1
        return answers[min(number, len(answers) - 1)]

    def start(self) -> None:
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()


@contextmanager
def running() -> Iterator[Server]:
    server = Server()
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            answer = _ranged(server.next_answer(self.path), self.headers)
            body = answer.content if answer.cut is None else answer.content[: answer.cut]
            self.close_connection = True
            self.send_response(answer.status)
            claimed = len(answer.content) if answer.claimed is None else answer.claimed
            if claimed:
                self.send_header("Content-Length", str(claimed))
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()
            served = Served(self.path, dict(self.headers), answer.status, len(body))
            server.log.append(served)
            try:
                self.wfile.write(body)
                self.wfile.flush()
                server.closing.wait(answer.stall)
            except OSError:
                pass

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def _ranged(answer: Answer, headers: Mapping[str, str]) -> Answer:
    """The answer as a request with Range and If-Range gets it."""
    extra = {"ETag": answer.etag} if answer.etag else {}
    wish = headers.get("Range")
    if answer.status != 200 or wish is None or not answer.ranges:
        return replace(answer, headers={**answer.headers, **extra})
    validator = headers.get("If-Range")
    known = {answer.etag, answer.headers.get("Last-Modified")}
    if answer.obeys_if_range and validator is not None and validator not in known:
        return replace(answer, headers={**answer.headers, **extra})
    first, whole = int(wish.removeprefix("bytes=").split("-")[0]), len(answer.content)
    if first >= whole:
        extra["Content-Range"] = f"bytes */{whole}"
        return replace(answer, status=416, content=b"", headers={**answer.headers, **extra})
    extra["Content-Range"] = f"bytes {first}-{whole - 1}/{whole}"
    rest = answer.content[first:]
    return replace(answer, status=206, content=rest, headers={**answer.headers, **extra})
