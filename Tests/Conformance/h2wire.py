"""A raw HTTP/2 client: writes any frame, legal or not, and reports what comes back as events.

Nothing here checks what is sent; that is the point. HPACK encoding is that of the `hpack` package.
"""

import socket
import ssl
import struct
import time

import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = 0, 1, 2, 3, 4
PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 5, 6, 7, 8, 9
TYPE_NAMES = ["DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE", "PING", "GOAWAY",
              "WINDOW_UPDATE", "CONTINUATION"]

END_STREAM, ACK, END_HEADERS, PADDED, HAS_PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20

NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT = 0, 1, 2, 3, 4
STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR = 5, 6, 7, 8, 9
ENHANCE_YOUR_CALM = 0xB
ERROR_NAMES = ["NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT",
               "STREAM_CLOSED", "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR",
               "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED"]

HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS = 1, 2, 3
INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = 4, 5, 6

FRAME, CLOSED, TIMEOUT, BROKEN = "frame", "closed", "timeout", "broken"


def error_name(code):
    return ERROR_NAMES[code] if code < len(ERROR_NAMES) else hex(code)


def frame(kind, flags, stream, payload=b"", length=None):
    """One frame; `length` overrides the true length in the header."""
    size = len(payload) if length is None else length
    return struct.pack(">BHBBI", size >> 16, size & 0xFFFF, kind, flags, stream) + payload


def settings_frame(*pairs):
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", key, value) for key, value in pairs))


def u32(value):
    return struct.pack(">I", value)


def priority_payload(dependency, weight=255, exclusive=False):
    return u32(dependency | (0x80000000 if exclusive else 0)) + bytes([weight])


def length_prefix(value, bits=7):
    """An HPACK integer (RFC 7541 section 5.1) whose prefix has no other bits set."""
    limit = (1 << bits) - 1
    if value < limit:
        return bytes([value])
    out, value = bytearray([limit]), value - limit
    while value >= 128:
        out.append(0x80 | value & 0x7F)
        value >>= 7
    out.append(value)
    return bytes(out)


def literal_block(fields):
    """Fields as literals without indexing and without Huffman code: any octets, and no table is touched."""
    def text(value):
        octets = value if isinstance(value, bytes) else value.encode()
        return length_prefix(len(octets)) + octets
    return b"".join(b"\x00" + text(name) + text(value) for name, value in fields)


class Event:
    """A frame, or the end of the connection, or the passing of the time limit."""

    def __init__(self, what, kind=None, flags=0, stream=0, payload=b"", note=""):
        self.what, self.kind, self.flags, self.stream = what, kind, flags, stream
        self.payload, self.note = payload, note

    def is_frame(self, kind):
        return self.what == FRAME and self.kind == kind

    @property
    def error_code(self):
        offset = 4 if self.kind == GOAWAY else 0
        return struct.unpack_from(">I", self.payload, offset)[0] if len(self.payload) >= offset + 4 else None

    @property
    def ends_stream(self):
        return self.what == FRAME and self.kind in (DATA, HEADERS) and bool(self.flags & END_STREAM)

    def __str__(self):
        if self.what != FRAME:
            return self.what + (f" ({self.note})" if self.note else "")
        name = TYPE_NAMES[self.kind] if self.kind < len(TYPE_NAMES) else hex(self.kind)
        if self.kind in (RST_STREAM, GOAWAY) and self.error_code is not None:
            return f"{name} {error_name(self.error_code)} stream={self.stream}"
        return f"{name} length={len(self.payload)} flags=0x{self.flags:02x} stream={self.stream}"


def tls_context(alpn):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(alpn)
    return context


def dial(host, port, tls=False, alpn=("h2",), timeout=2.0):
    """A connected socket; with `tls`, after the handshake and with the first of `alpn` agreed on."""
    sock = socket.create_connection((host, port), timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if not tls:
        return sock
    wrapped = tls_context(list(alpn)).wrap_socket(sock, server_hostname="localhost", suppress_ragged_eofs=False)
    if alpn and wrapped.selected_alpn_protocol() != alpn[0]:
        raise OSError(f"ALPN chose {wrapped.selected_alpn_protocol()}, not {alpn[0]}")
    return wrapped


class H2Connection:
    """One client connection. `settings` holds the server's after `handshake()`."""

    def __init__(self, host, port, tls=False, timeout=2.0):
        self.sock = dial(host, port, tls, timeout=timeout)
        self.timeout = timeout
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder(max_header_list_size=1 << 20)
        self.settings = {}
        self.buffer = bytearray()
        self.ended = None
        self.scheme = "https" if tls else "http"
        self.authority = f"{host}:{port}"

    def close(self):
        try:
            self.sock.close()
        except OSError:
            pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        """Sends all of `data`; returns whether the connection took it. A dead one is seen by `next`."""
        try:
            self.sock.settimeout(self.timeout)
            self.sock.sendall(data)
            return True
        except OSError:
            return False

    def handshake(self, *pairs):
        """Preface and SETTINGS, then both SETTINGS and the ACK of ours. Raises `OSError` if that fails."""
        self.send(PREFACE + settings_frame(*(pairs or [(INITIAL_WINDOW_SIZE, 65535)])))
        seen, acknowledged = False, False
        while not (seen and acknowledged):
            event = self.next()
            if event.what != FRAME:
                raise OSError(f"handshake: {event}")
            if event.is_frame(SETTINGS):
                if event.flags & ACK:
                    acknowledged = True
                else:
                    seen = True
                    self.note_settings(event.payload)
                    self.send(frame(SETTINGS, ACK, 0))
        return self

    def note_settings(self, payload):
        for offset in range(0, len(payload) - 5, 6):
            key, value = struct.unpack_from(">HI", payload, offset)
            self.settings[key] = value

    def next(self, timeout=None):
        """The next event; after the end, always the end again."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            if len(self.buffer) >= 9:
                size = self.buffer[0] << 16 | self.buffer[1] << 8 | self.buffer[2]
                if size > 1 << 20:
                    return Event(BROKEN, note=f"not a frame: {bytes(self.buffer[:24])!r}")
                if len(self.buffer) >= 9 + size:
                    kind, flags = self.buffer[3], self.buffer[4]
                    stream = struct.unpack_from(">I", self.buffer, 5)[0] & 0x7FFFFFFF
                    payload = bytes(self.buffer[9 : 9 + size])
                    del self.buffer[: 9 + size]
                    return Event(FRAME, kind, flags, stream, payload)
            if self.ended:
                return self.ended
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return Event(TIMEOUT)
            self.fill(remaining)

    def fill(self, timeout):
        """Reads once into the buffer, or notes how the connection ended."""
        try:
            self.sock.settimeout(timeout)
            data = self.sock.recv(65536)
            if data:
                self.buffer += data
                return
            note = "EOF"
        except TimeoutError:
            return
        except ssl.SSLEOFError:
            # h2spec, too, takes a TLS stream without close_notify for truncated, not for closed.
            self.ended = Event(BROKEN, note="TLS ended without close_notify")
            return
        except OSError as error:
            note = error.__class__.__name__
        self.ended = Event(BROKEN, note="ended inside a frame") if self.buffer else Event(CLOSED, note=note)

    def request_fields(self, method="GET", path="/v1/models", *more):
        return [(":method", method), (":scheme", self.scheme), (":path", path), (":authority", self.authority), *more]

    def block(self, fields):
        return self.encoder.encode(fields)

    def headers(self, stream, fields, end_stream=True, end_headers=True):
        """A HEADERS frame with `fields` (a list) or a ready block (bytes)."""
        block = fields if isinstance(fields, bytes) else self.block(fields)
        flags = (END_STREAM if end_stream else 0) | (END_HEADERS if end_headers else 0)
        return frame(HEADERS, flags, stream, block)

    def response(self, stream, timeout=5.0):
        """Reads until `stream` ends: `(status or None, fields, body, last event)`. Keeps windows open."""
        deadline = time.monotonic() + timeout
        status, fields, body = None, [], bytearray()
        while True:
            event = self.next(max(0.0, deadline - time.monotonic()))
            if event.what != FRAME:
                return status, fields, bytes(body), event
            if event.is_frame(SETTINGS) and not event.flags & ACK:
                self.note_settings(event.payload)
                self.send(frame(SETTINGS, ACK, 0))
            if event.is_frame(PING) and not event.flags & ACK:
                self.send(frame(PING, ACK, 0, event.payload))
            if event.is_frame(GOAWAY) and event.error_code != NO_ERROR:
                return status, fields, bytes(body), event
            if event.is_frame(HEADERS):
                decoded = self.decoder.decode(event.payload)
                if event.stream == stream and (status is None or status.startswith("1")):
                    fields = [(str(name), str(value)) for name, value in decoded]
                    status = dict(fields).get(":status", status)
            if event.is_frame(DATA):
                if event.payload:
                    self.send(frame(WINDOW_UPDATE, 0, 0, u32(len(event.payload))))
                if event.stream == stream:
                    body += event.payload
                    if event.payload and not event.flags & END_STREAM:
                        self.send(frame(WINDOW_UPDATE, 0, stream, u32(len(event.payload))))
            if event.stream == stream and (event.ends_stream or event.is_frame(RST_STREAM)):
                return status, fields, bytes(body), event
