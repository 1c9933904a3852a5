"""Keeps the reports of sweeps current while they run, and serves them on this machine."""

from __future__ import annotations

import contextlib
import html
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from neroRL.errors import NeroRLError, UsageError
from neroRL.records.sweeps import RecordedSweep, read_sweep

HOST = "127.0.0.1"
PORT = 8000
SECONDS_BETWEEN = 2.0
MOST_SECONDS_BETWEEN = 30.0
SECONDS_TO_REFRESH = 10


def keep_current(report: Callable[[Sequence[RecordedSweep]], None], sweeps: Sequence[Path]) -> None:
    """Reports again whenever jobs of a sweep have ended, until none are left.

    Sweeps may be extended, or their files be out of reach, meanwhile: a warning says so, and their
    reports stay as they are until they can be read again. One whose directory is gone is left out.

    Args:
        report: reports on sweeps as their files tell them.
        sweeps: their directories.

    Raises:
        NeroRLError: there is no sweep, or its last report cannot be written.
    """
    known = {sweep: read_sweep(sweep) for sweep in sweeps}
    report(list(known.values()))  # the first imports what draws, so its time tells nothing
    spent, is_owed, troubles = 0.0, False, set[str]()
    while any(sweep.has_jobs_left for sweep in known.values()):
        # A large sweep takes a while: a tenth of the time goes there, or more if that is long.
        time.sleep(min(max(SECONDS_BETWEEN, 9.0 * spent), MOST_SECONDS_BETWEEN))
        began = time.monotonic()
        found, wrong = {}, set[str]()
        for sweep in list(known):
            try:
                found[sweep] = read_sweep(sweep)
            except (NeroRLError, OSError) as error:
                if sweep.is_dir():
                    wrong.add(f"{error}; its report waits")
                    continue
                if len(known) == 1:
                    raise
                wrong.add(f"{sweep} is gone: it is left out from now on")
                del known[sweep]
        if known != known | found:
            known |= found
            try:
                report(list(found.values()))
                is_owed = False
            except (NeroRLError, OSError) as error:
                wrong.add(f"{error}; the report waits")
                is_owed = True
        for trouble in sorted(wrong - troubles):
            print(f"warning: {trouble}", file=sys.stderr, flush=True)
        troubles, spent = wrong, time.monotonic() - began
    if is_owed:
        report(list(known.values()))


@contextlib.contextmanager
def serving(
    pages: Sequence[tuple[str, Path]], port: int, changing: Callable[[], bool]
) -> Iterator[str]:
    """Serves pages on 127.0.0.1 while the block runs, and yields their address.

    Args:
        pages: names and files, which may change; one alone is served as ``/``, several below a
            list.
        port: of the server; 0 picks a free one.
        changing: tells whether browsers should ask again.

    Raises:
        UsageError: the port cannot be used.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = _content(pages, self.path)
            self.send_response(HTTPStatus.NOT_FOUND if content is None else HTTPStatus.OK)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Cache-Control", "no-store")
            if changing():
                self.send_header("Refresh", str(SECONDS_TO_REFRESH))
            self.end_headers()
            self.wfile.write(b"not found" if content is None else content)

        def log_message(self, format: str, *args: object) -> None:
            """Keeps the console for the ranking."""

    try:
        server = ThreadingHTTPServer((HOST, port), Handler)
    except (OSError, OverflowError) as error:
        message = f"--port: {port} cannot be used ({error}); --port=0 picks a free one"
        raise UsageError(message) from error
    thread = threading.Thread(target=server.serve_forever, name="report-server", daemon=True)
    with server:
        thread.start()
        try:
            yield f"http://{HOST}:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()


def _content(pages: Sequence[tuple[str, Path]], path: str) -> bytes | None:
    """Returns the page of an address; None if there is none."""
    if path == "/" and len(pages) > 1:
        links = (f'<li><a href="/{i}">{html.escape(name)}</a>' for i, (name, _) in enumerate(pages))
        return f"<!doctype html><title>Sweeps</title><ul>{''.join(links)}</ul>".encode()
    number = "0" if path == "/" else path.removeprefix("/")
    if not number.isdecimal() or int(number) >= len(pages):
        return None
    with contextlib.suppress(OSError):  # it is being written for the first time
        return pages[int(number)][1].read_bytes()
    return None
