"""An endpoint of aioquic for the QUIC interop runner: HTTP/0.9 over QUIC, and HTTP/3. docs/interop.md describes its environment."""

import asyncio
import os
import pathlib
import sys
from urllib.parse import unquote, urlsplit

from aioquic.asyncio import QuicConnectionProtocol, connect, serve
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, StreamDataReceived
from aioquic.quic.packet import QuicProtocolVersion
from aioquic.tls import CipherSuite

WWW = pathlib.Path("/www")
DOWNLOADS = pathlib.Path("/downloads")
UNSUPPORTED = 127  # the exit status by which the runner recognizes a test case that an endpoint does not support
CLIENT_CASES = {"handshake", "transfer", "multiconnect", "retry", "keyupdate", "chacha20", "resumption", "zerortt", "v2", "http3"}
SERVER_CASES = CLIENT_CASES


def file_in(directory: pathlib.Path, name: str) -> pathlib.Path:
    """Returns a file of a directory, and refuses names that lead out of it."""
    path = (directory / name).resolve()
    if directory.resolve() not in path.parents:
        raise ValueError(f"{name!r} is not below {directory}")
    return path


class Server(QuicConnectionProtocol):
    """A server's connection."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.requests: dict[int, bytes] = {}
        self.answered: set[int] = set()

    def quic_event_received(self, event):
        # aioquic reports the end of a stream again if the packet with it was sent twice.
        if not isinstance(event, StreamDataReceived) or event.stream_id in self.answered:
            return
        request = self.requests.pop(event.stream_id, b"") + event.data
        if not event.end_stream:
            self.requests[event.stream_id] = request[:4096]
            return
        self.answered.add(event.stream_id)
        method, _, target = request.decode().strip().partition(" ")
        try:
            if method != "GET":
                raise ValueError(f"the method is {method!r}")
            content = file_in(WWW, unquote(target).lstrip("/")).read_bytes()
        except (OSError, ValueError) as err:
            print(f"endpoint.py: a request failed: {err}", file=sys.stderr)
            self._quic.reset_stream(event.stream_id, 1)
        else:
            self._quic.send_stream_data(event.stream_id, content, end_stream=True)
        self.transmit()


class Client(QuicConnectionProtocol):
    """A client's connection."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.content: dict[int, bytearray] = {}
        self.done: dict[int, asyncio.Future] = {}

    async def get(self, name: str):
        stream = self._quic.get_next_available_stream_id()
        self.content[stream], self.done[stream] = bytearray(), self._loop.create_future()
        self._quic.send_stream_data(stream, f"GET /{name}\r\n".encode(), end_stream=True)
        self._transmit_soon()
        await self.done[stream]
        file_in(DOWNLOADS, name).write_bytes(self.content.pop(stream))

    def quic_event_received(self, event):
        if isinstance(event, StreamDataReceived) and event.stream_id in self.content:
            self.content[event.stream_id] += event.data
            if event.end_stream and not self.done[event.stream_id].done():
                self.done[event.stream_id].set_result(None)
        elif isinstance(event, ConnectionTerminated):
            for future in self.done.values():
                if not future.done():
                    future.set_exception(ConnectionError(f"{event.error_code:#x} {event.reason_phrase}"))


class Server3(Server):
    """A server's connection that speaks HTTP/3."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.http = None

    def quic_event_received(self, event):
        if self.http is None:
            self.http = H3Connection(self._quic)
        for e in self.http.handle_event(event):
            if isinstance(e, HeadersReceived):
                self.answer(e.stream_id, dict(e.headers))

    def answer(self, stream: int, fields: dict[bytes, bytes]):
        status, content = b"404", b""
        try:
            if fields[b":method"] == b"GET":
                content = file_in(WWW, unquote(fields[b":path"].decode()).lstrip("/")).read_bytes()
                status = b"200"
        except (OSError, ValueError) as err:
            print(f"endpoint.py: a request failed: {err}", file=sys.stderr)
        fields = [(b":status", status), (b"server", b"aioquic"), (b"content-length", str(len(content)).encode())]
        self.http.send_headers(stream, fields)
        self.http.send_data(stream, content, end_stream=True)
        self.transmit()


class Client3(Client):
    """A client's connection that speaks HTTP/3."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.http = H3Connection(self._quic)
        self.status: dict[int, bytes] = {}

    async def get(self, name: str):
        stream = self._quic.get_next_available_stream_id()
        self.content[stream], self.done[stream] = bytearray(), self._loop.create_future()
        authority = self._quic.configuration.server_name.encode()
        fields = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", authority), (b":path", f"/{name}".encode())]
        self.http.send_headers(stream, fields, end_stream=True)
        self._transmit_soon()
        await self.done[stream]
        if self.status.get(stream) != b"200":
            raise ConnectionError(f"{name}: the status is {self.status.get(stream)}")
        file_in(DOWNLOADS, name).write_bytes(self.content.pop(stream))

    def quic_event_received(self, event):
        if isinstance(event, ConnectionTerminated):
            super().quic_event_received(event)
        for e in self.http.handle_event(event):
            if isinstance(e, HeadersReceived) and e.stream_id not in self.status:
                self.status[e.stream_id] = dict(e.headers)[b":status"]
            elif isinstance(e, DataReceived):
                self.content[e.stream_id] += e.data
            if isinstance(e, (HeadersReceived, DataReceived)) and e.stream_ended and not self.done[e.stream_id].done():
                self.done[e.stream_id].set_result(None)


def configuration(case: str, is_client: bool) -> QuicConfiguration:
    """Returns the configuration of a test case."""
    c = QuicConfiguration(alpn_protocols=H3_ALPN if case == "http3" else ["hq-interop"], is_client=is_client)
    c.secrets_log_file = open(os.environ["SSLKEYLOGFILE"], "a", buffering=1)
    c.supported_versions = [QuicProtocolVersion.VERSION_1]
    if case == "v2":  # the client begins with version 1, and both prefer version 2
        c.original_version = QuicProtocolVersion.VERSION_1
        c.supported_versions = [QuicProtocolVersion.VERSION_2, QuicProtocolVersion.VERSION_1]
    if case == "chacha20":
        c.cipher_suites = [CipherSuite.CHACHA20_POLY1305_SHA256]
    if is_client:
        c.load_verify_locations("/certs/ca.pem")
    else:
        c.load_cert_chain("/certs/cert.pem", "/certs/priv.key")
    return c


async def download(case: str, requests: list[str]):
    """Downloads the files of the requests."""
    urls = [urlsplit(r) for r in requests]
    names = [u.path.lstrip("/") for u in urls]
    c = configuration(case, True)
    tickets = []

    async def visit(names: list[str], early: bool = False):
        async with connect(
            urls[0].hostname,
            urls[0].port or 443,
            configuration=c,
            create_protocol=Client3 if case == "http3" else Client,
            session_ticket_handler=tickets.append,
            wait_connected=not early,
        ) as client:
            downloads = asyncio.gather(*(client.get(name) for name in names))
            if case == "keyupdate":
                await client.ping()
                client.request_key_update()
            await downloads
            if case in ("resumption", "zerortt") and not c.session_ticket:
                while not tickets:
                    await client.ping()
            if c.session_ticket and not client._quic.tls.session_resumed:
                raise ConnectionError("the session was not resumed")
            if early and not client._quic.tls.early_data_accepted:
                raise ConnectionError("the early data were not accepted")

    if case == "multiconnect":
        for name in names:
            await visit([name])
    elif case in ("resumption", "zerortt"):
        await visit(names[:1])
        c.session_ticket = tickets.pop()
        await visit(names[1:], early=case == "zerortt")
    else:
        await visit(names)


async def run_server(case: str):
    """Serves files until the process is killed."""
    tickets = {}
    resumes = case in ("resumption", "zerortt")
    await serve(
        "::",
        443,
        configuration=configuration(case, False),
        create_protocol=Server3 if case == "http3" else Server,
        session_ticket_fetcher=(lambda label: tickets.pop(label, None)) if resumes else None,
        session_ticket_handler=(lambda ticket: tickets.update({ticket.ticket: ticket})) if resumes else None,
        retry=case == "retry",
    )
    await asyncio.Event().wait()


def main():
    role, case = os.environ.get("ROLE"), os.environ.get("TESTCASE", "")
    if case not in (CLIENT_CASES if role == "client" else SERVER_CASES):
        print(f"endpoint.py: test case {case!r} is not supported", file=sys.stderr)
        sys.exit(UNSUPPORTED)
    if role == "client":
        asyncio.run(download(case, os.environ["REQUESTS"].split()))
    else:
        asyncio.run(run_server(case))


if __name__ == "__main__":
    main()
