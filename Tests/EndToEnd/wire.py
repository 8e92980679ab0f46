"""Clients that work on bytes: an HTTP/1.1 one on a socket, an HTTP/2 one on the `h2` package, and curl."""

import json
import socket
import struct
import subprocess

import h2.config
import h2.connection
import h2.events


class Raw:
    """One HTTP/1.1 connection under the test's full control."""

    def __init__(self, port, timeout=10):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream = self.sock.makefile("rb")

    def send(self, data):
        self.sock.sendall(data if isinstance(data, bytes) else data.encode())

    def post(self, path, body, headers=()):
        """Sends a whole request with a JSON body."""
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = [f"POST {path} HTTP/1.1", "host: localhost", "content-type: application/json",
                 f"content-length: {len(payload)}", *(f"{k}: {v}" for k, v in headers)]
        self.send(("\r\n".join(lines) + "\r\n\r\n").encode() + payload)

    def head(self):
        """Reads a response head: status and fields (lower case)."""
        line = self.stream.readline()
        if not line:
            raise EOFError("connection closed before a response")
        status = int(line.split()[1])
        fields = {}
        while (line := self.stream.readline().decode("latin-1").rstrip("\r\n")):
            key, value = line.split(":", 1)
            fields[key.lower()] = value.strip()
        return status, fields

    def response(self):
        """Reads a whole response: status, fields, body. Interim responses are skipped."""
        status, fields = self.head()
        while 100 <= status < 200:
            status, fields = self.head()
        if "chunked" in fields.get("transfer-encoding", ""):
            return status, fields, b"".join(self.chunks())
        if "content-length" in fields:
            return status, fields, self.stream.read(int(fields["content-length"]))
        return status, fields, self.stream.read()

    def chunks(self):
        """The chunks of a chunked body; raises `Broken` if it ends without its last chunk."""
        while True:
            line = self.stream.readline()
            if not line.strip():
                raise Broken("the chunked body has no end")
            size = int(line, 16)
            data = self.stream.read(size)
            self.stream.readline()
            if size == 0:
                return
            yield data

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        self.stream.close()
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Broken(Exception):
    """A body that ended before its end."""


class Http2:
    """One prior-knowledge h2c connection."""

    def __init__(self, port, timeout=10):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self.connection.initiate_connection()
        self.flush()
        self.events = []

    def flush(self):
        self.sock.sendall(self.connection.data_to_send())

    def post(self, path, body, headers=()):
        """Opens a stream with a JSON body; returns its number."""
        stream = self.connection.get_next_available_stream_id()
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        fields = [(":method", "POST"), (":scheme", "http"), (":authority", "localhost"), (":path", path),
                  ("content-type", "application/json"), ("content-length", str(len(payload))), *headers]
        self.connection.send_headers(stream, fields)
        self.connection.send_data(stream, payload, end_stream=True)
        self.flush()
        return stream

    def read(self):
        """Reads once from the socket; returns the new events, or None at the end of the connection."""
        data = self.sock.recv(65536)
        if not data:
            return None
        new = self.connection.receive_data(data)
        for event in new:
            if isinstance(event, h2.events.DataReceived):
                self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        self.flush()
        self.events += new
        return new

    def until(self, kind, stream=None):
        """Reads until an event of `kind` (of `stream`) has come; returns it."""
        def match():
            return next((e for e in self.events if isinstance(e, kind)
                         and (stream is None or getattr(e, "stream_id", None) == stream)), None)
        while (event := match()) is None:
            if self.read() is None:
                raise EOFError(f"connection closed before {kind.__name__}")
        return event

    def response(self, stream):
        """Reads a whole response: status, fields, body."""
        self.until(h2.events.StreamEnded, stream)
        return self.so_far(stream)

    def so_far(self, stream):
        head = next(e for e in self.events if isinstance(e, h2.events.ResponseReceived) and e.stream_id == stream)
        fields = {text(k): text(v) for k, v in head.headers}
        data = b"".join(e.data for e in self.events
                        if isinstance(e, h2.events.DataReceived) and e.stream_id == stream)
        return int(fields[":status"]), fields, data

    def reset(self, stream):
        self.connection.reset_stream(stream, error_code=8)
        self.flush()

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def text(value):
    return value.decode() if isinstance(value, bytes) else value


def events_of(body):
    """The server-sent events of `body`: (name or None, data) each; comments are left out."""
    found = []
    for block in body.decode().replace("\r\n", "\n").split("\n\n"):
        name, data = None, []
        for line in block.split("\n"):
            if line.startswith("event:"):
                name = line[6:].strip()
            elif line.startswith("data:"):
                data.append(line[5:].removeprefix(" "))
        if data:
            found.append((name, "\n".join(data)))
    return found


def curl(*arguments, input=None):
    """Runs curl; returns (exit status, status code, HTTP version, body, what went over the wire with -v)."""
    marker = "\n%{http_code} %{http_version}"
    run = subprocess.run(["curl", "-sS", "-v", "--max-time", "20", "-w", marker, *map(str, arguments)],
                         capture_output=True, input=input)
    body, _, last = run.stdout.decode(errors="replace").rpartition("\n")
    code, version = (last.split() + ["0", "0"])[:2]
    return run.returncode, int(code), version, body, run.stderr.decode(errors="replace")
