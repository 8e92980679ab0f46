"""What the conformance suites share: reports, addresses, ports, processes, the capture backend."""

import json
import os
import socket
import threading
import time


class Report:
    """Collects verdicts, prints a line for each and a total; `finish` gives the exit status."""

    def __init__(self, suite, quiet=False):
        self.suite, self.quiet, self.counts = suite, quiet, {}
        self.lock = threading.Lock()

    def add(self, name, verdict, reason=""):
        with self.lock:
            self.counts[verdict] = self.counts.get(verdict, 0) + 1
            if not self.quiet or verdict in ("FAIL", "WARN"):
                print(f"{verdict:4} {name:28} {reason}", flush=True)

    def finish(self):
        get = self.counts.get
        warned = f", {get('WARN')} warned" if "WARN" in self.counts else ""
        skipped = f", {get('SKIP')} skipped" if "SKIP" in self.counts else ", 0 skipped"
        print(f"{self.suite}: {get('PASS', 0)} passed, {get('FAIL', 0)} failed{skipped}{warned}", flush=True)
        return 1 if get("FAIL", 0) else 0


def parse_address(text):
    """`HOST:PORT`. Only loopback is accepted: these suites attack what they are pointed at."""
    host, _, port = text.rpartition(":")
    host = host or "127.0.0.1"
    if host not in ("127.0.0.1", "localhost", "::1"):
        raise SystemExit(f"refusing to test {host}: loopback only")
    return "127.0.0.1" if host == "localhost" else host, int(port)


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def wait_for_port(port, seconds=10.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return True
        except OSError:
            time.sleep(0.02)
    return False


# Processes


def cpu_seconds(pid):
    """User and system time of a process, in seconds; `None` if it is not known."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, TypeError):
        return None


def rss_bytes(pid):
    try:
        with open(f"/proc/{pid}/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, TypeError):
        return None


def pid_listening_on(port):
    """The process that listens on a loopback port (of several the youngest); `None` if it cannot be seen."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table) as lines:
                rows = [line.split() for line in lines][1:]
        except OSError:
            continue
        inodes |= {row[9] for row in rows if row[3] == "0A" and int(row[1].split(":")[1], 16) == port}
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for entry in sorted((entry for entry in os.listdir("/proc") if entry.isdigit()), key=int, reverse=True):
        try:
            links = {os.readlink(f"/proc/{entry}/fd/{number}") for number in os.listdir(f"/proc/{entry}/fd")}
        except OSError:
            continue
        if links & wanted:
            return int(entry)
    return None


# HTTP/1.1 as a client


class Response:
    def __init__(self, status, fields, body, complete):
        self.status, self.fields, self.body, self.complete = status, fields, body, complete

    def field(self, name):
        return next((value for key, value in self.fields if key == name), None)


def split_head(data):
    """`(first line, [(lower-case name, value)], rest)` of a message, or `None` while its head is incomplete."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    first, *lines = bytes(data[:end]).split(b"\r\n")
    fields = [(name.strip().lower().decode("latin-1"), value.strip().decode("latin-1"))
              for name, _, value in (line.partition(b":") for line in lines)]
    return first, fields, data[end + 4 :]


def take_chunks(data):
    """`(body, rest)` of a chunked body, or `None` while it is incomplete. Raises `ValueError` if it is broken."""
    body, rest = bytearray(), bytes(data)
    while True:
        line, separator, after = rest.partition(b"\r\n")
        if not separator:
            return None
        digits = line.partition(b";")[0]
        if not digits or digits.strip(b"0123456789abcdefABCDEF"):
            raise ValueError(f"chunk size {digits!r}")
        size = int(digits, 16)
        if size == 0:
            if after.startswith(b"\r\n"):
                return bytes(body), after[2:]
            end = after.find(b"\r\n\r\n")
            return None if end < 0 else (bytes(body), after[end + 4 :])
        if len(after) < size + 2:
            return None
        if after[size : size + 2] != b"\r\n":
            raise ValueError("no CRLF behind the chunk")
        body += after[:size]
        rest = after[size + 2 :]


def take_response(data, ended, is_head=False):
    """`(Response, rest)` of the first response in `data`, or `None` while it is incomplete."""
    head = split_head(data)
    if head is None:
        return None
    first, fields, rest = head
    parts = first.split(b" ", 2)
    if len(parts) < 2 or not parts[0].startswith(b"HTTP/1.") or not parts[1].isdigit():
        return Response(0, fields, bytes(data), False), b""
    status, known = int(parts[1]), dict(fields)
    if status < 200 or status in (204, 304) or is_head:
        return Response(status, fields, b"", True), rest
    if "chunked" in known.get("transfer-encoding", ""):
        try:
            taken = take_chunks(rest)
        except ValueError:
            return Response(status, fields, bytes(rest), False), b""
        if taken:
            return Response(status, fields, taken[0], True), taken[1]
    elif known.get("content-length", "").isdigit():
        size = int(known["content-length"])
        if len(rest) >= size:
            return Response(status, fields, bytes(rest[:size]), True), rest[size:]
    elif ended:
        return Response(status, fields, bytes(rest), True), b""
    return (Response(status, fields, bytes(rest), False), b"") if ended else None


def exchange(sock, parts, expected=1, patience=1.0, linger=0.25, is_head=False):
    """Sends `parts` (bytes; a number is a pause in seconds), reads what comes.

    Returns `(final responses, informational statuses, closed)`. Waits `patience` for the expected responses
    and `linger` beyond them for the connection to be closed or for responses too many.
    """
    data, responses, informational, closed = b"", [], [], False
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        for part in parts:
            if isinstance(part, (int, float)):
                time.sleep(part)
            else:
                sock.settimeout(patience)
                sock.sendall(part)
    except OSError:
        pass
    deadline = time.monotonic() + patience
    satisfied = False
    while time.monotonic() < deadline and not closed:
        try:
            sock.settimeout(max(0.01, deadline - time.monotonic()))
            received = sock.recv(65536)
            closed = not received
            data += received
        except TimeoutError:
            break
        except OSError:
            closed = True
        while data:
            taken = take_response(data, closed, is_head)
            if taken is None:
                break
            response, data = taken
            (informational.append(response.status) if 100 <= response.status < 200 else responses.append(response))
        if len(responses) >= expected and not satisfied:
            satisfied, deadline = True, time.monotonic() + linger
    return responses, informational, closed


# A backend that records


class Captured:
    """One request as a strict HTTP/1.1 server read it; `problem` says what it would have refused."""

    def __init__(self, line, fields, body, problem, raw):
        self.line, self.fields, self.body, self.problem, self.raw = line, fields, body, problem, raw
        parts = line.split(b" ")
        self.method = parts[0].decode("latin-1")
        self.target = parts[1].decode("latin-1") if len(parts) > 1 else ""

    def values(self, name):
        return [value for key, value in self.fields if key == name]


TOKEN = frozenset(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
COMPLETION = json.dumps({
    "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}).encode()
MODELS = json.dumps({"object": "list", "data": [{"id": "m", "object": "model", "created": 1,
    "owned_by": "x"}]}).encode()


def head_problem(head):
    """What is wrong with a request head (without its final empty line); `None` if nothing is."""
    lines = head.split(b"\r\n")
    if b"\r" in head.replace(b"\r\n", b"") or b"\n" in head.replace(b"\r\n", b"") or b"\0" in head:
        return "bare CR, LF or NUL"
    parts = lines[0].split(b" ")
    if len(parts) != 3 or parts[2] not in (b"HTTP/1.1", b"HTTP/1.0") or not parts[0] or set(parts[0]) - TOKEN:
        return f"request line {lines[0][:60]!r}"
    if not parts[1] or any(octet <= 0x20 or octet == 0x7F for octet in parts[1]):
        return f"target {parts[1][:60]!r}"
    names = []
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        if not colon or not name or set(name) - TOKEN:
            return f"field line {line[:60]!r}"
        if any(octet < 0x20 and octet != 9 or octet == 0x7F for octet in value):
            return f"control octet in the value of {name!r}"
        names.append(name.lower())
    if names.count(b"host") != 1:
        return f"{names.count(b'host')} host fields"
    if names.count(b"content-length") > 1 or names.count(b"transfer-encoding") > 1:
        return "repeated framing field"
    if b"content-length" in names and b"transfer-encoding" in names:
        return "content-length and transfer-encoding"
    return None


class CaptureBackend:
    """An HTTP/1.1 server on a loopback port that records every request and answers 200.

    Probes of a gateway (`GET /health`, `/v1/models`, `/metrics`, …) are answered and not recorded.
    """

    PROBES = ("/health", "/v1/models", "/metrics", "/version", "/ping", "/")

    def __init__(self, port=0):
        self.listener = socket.create_server(("127.0.0.1", port), backlog=256)
        self.port = self.listener.getsockname()[1]
        self.lock, self.requests = threading.Lock(), []
        self.closing = False
        threading.Thread(target=self.accept, daemon=True).start()

    def close(self):
        self.closing = True
        self.listener.close()

    def take(self):
        """The requests recorded since the last call."""
        with self.lock:
            taken, self.requests = self.requests, []
        return taken

    def accept(self):
        while not self.closing:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def record(self, *parts):
        with self.lock:
            self.requests.append(Captured(*parts))

    def serve(self, sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        data = b""
        with sock:
            while True:
                taken, problem = self.take_request(data)
                if problem:
                    self.record(data.partition(b"\r\n")[0], [], b"", problem, data)
                    return
                if taken:
                    captured, data = taken
                    if not self.answer(sock, captured):
                        return
                    continue
                try:
                    received = sock.recv(65536)
                except OSError:
                    received = b""
                if not received:
                    if data.strip():
                        self.record(data.partition(b"\r\n")[0], [], b"", "incomplete", data)
                    return
                data += received

    def take_request(self, data):
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return None, "endless head" if len(data) > 1 << 20 else None
        problem = head_problem(data[:end])
        if problem:
            return None, problem
        line, fields, rest = split_head(data)
        known = dict(fields)
        body = b""
        if known.get("transfer-encoding"):
            if known["transfer-encoding"].lower() != "chunked":
                return None, f"transfer-encoding {known['transfer-encoding']!r}"
            try:
                taken = take_chunks(rest)
            except ValueError as error:
                return None, str(error)
            if taken is None:
                return None, None
            body, rest = taken
        elif "content-length" in known:
            if not known["content-length"].isdigit():
                return None, f"content-length {known['content-length']!r}"
            size = int(known["content-length"])
            if len(rest) < size:
                return None, None
            body, rest = rest[:size], rest[size:]
        return (Captured(line, fields, body, None, data[:end]), rest), None

    def answer(self, sock, captured):
        path = captured.target.partition("?")[0]
        if captured.method in ("GET", "HEAD") and path in self.PROBES:
            body = MODELS
        else:
            body = COMPLETION
            with self.lock:
                self.requests.append(captured)
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
        try:
            sock.sendall(head + (b"" if captured.method == "HEAD" else body))
            return True
        except OSError:
            return False
