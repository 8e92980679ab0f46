"""The rig of the abuse runs: a backend that can hold or flood, a bystander, and the measuring of one attack."""

import threading
import time

from h2wire import (DATA, END_STREAM, FRAME, GOAWAY, HEADERS, INITIAL_WINDOW_SIZE, NO_ERROR, RST_STREAM, TIMEOUT,
                    H2Connection, error_name, frame)
from support import CaptureBackend, cpu_seconds, rss_bytes

PATH = "/v1/chat/completions"
BODY = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'
MIB = 1 << 20


class Engine(CaptureBackend):
    """Counts requests. By the `user` field: `hold` is never answered, `big` gets a 256 MiB stream, others JSON."""

    def __init__(self, port=0):
        self.count, self.inflight, self.most = 0, 0, 0
        super().__init__(port)

    def reset(self):
        with self.lock:
            self.count, self.most, self.requests = 0, self.inflight, []

    def answer(self, sock, captured):
        if captured.method == "GET":
            return super().answer(sock, captured)
        with self.lock:
            self.count += 1
            self.inflight += 1
            self.most = max(self.most, self.inflight)
        try:
            if b'"hold"' in captured.body:
                sock.settimeout(20)
                sock.recv(1)
                return False
            if b'"big"' in captured.body:
                return self.flood(sock)
            return super().answer(sock, captured)
        except OSError:
            return False
        finally:
            with self.lock:
                self.inflight -= 1

    def flood(self, sock):
        sock.settimeout(30)
        line = b'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n'
        piece = line % (b"x" * 4000)
        block = (b"%x\r\n%s\r\n" % (len(piece), piece)) * 16
        sock.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        for _ in range(256 * MIB // len(block)):
            sock.sendall(block)
        return False


def body_for(user):
    return BODY[:-1] + b',"stream":true,"user":"%s"}' % user.encode()


class Bystander:
    """A second client that asks for `/v1/models` all the time, and samples the server's memory."""

    def __init__(self, connect, path, pid):
        self.connect, self.path, self.pid = connect, path, pid
        self.errors, self.slowest, self.served, self.peak, self.stopping = 0, 0.0, 0, 0, False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def stop(self):
        self.stopping = True
        self.thread.join(5)

    def mark(self):
        self.errors, self.slowest, self.served, self.peak = 0, 0.0, 0, rss_bytes(self.pid) or 0

    def run(self):
        connection, stream = None, 1
        while not self.stopping:
            started = time.monotonic()
            try:
                if connection is None:
                    connection, stream = self.connect(), 1
                connection.send(connection.headers(stream, connection.request_fields("GET", self.path)))
                status, _, _, _ = connection.response(stream, 3.0)
                if status != "200":
                    raise OSError(f"status {status}")
                self.served += 1
                stream += 2
            except OSError:
                self.errors += 1
                if connection:
                    connection.close()
                connection = None
            self.slowest = max(self.slowest, time.monotonic() - started)
            self.peak = max(self.peak, rss_bytes(self.pid) or 0)
            time.sleep(0.02)
        if connection:
            connection.close()


class Cut(Exception):
    """The server ended the connection; the text says how."""


class Attacker(H2Connection):
    """A connection that counts the units it sent and notices the cut."""

    sent, resets, statuses = 0, 0, ()

    def begin(self, *pairs):
        self.statuses = []
        self.handshake(*pairs)
        return self

    def watch(self, wait=0.001):
        """Takes in what the server says; raises `Cut` on GOAWAY or the end."""
        while True:
            event = self.next(wait)
            if event.what == TIMEOUT:
                return
            if event.what != FRAME:
                raise Cut("closed")
            if event.is_frame(GOAWAY):
                raise Cut("GOAWAY" if event.error_code == NO_ERROR else error_name(event.error_code))
            if event.is_frame(RST_STREAM):
                self.resets += 1
            if event.is_frame(HEADERS):
                try:
                    self.statuses.append(str(dict(self.decoder.decode(event.payload)).get(":status")))
                except Exception:  # a broken block is the server's fault and shows as no status
                    self.statuses.append("?")

    def flood(self, make, limit, batch=16, wait=0.001, read=True, linger=0.5):
        """Sends `make(number)` up to `limit` times. Returns how the connection ended; `sent` counts units."""
        try:
            while self.sent < limit:
                pieces = [make(number) for number in range(self.sent, min(self.sent + batch, limit))]
                if not self.send(b"".join(pieces)):
                    self.watch(0.05)
                    raise Cut("closed")
                self.sent += len(pieces)
                if read:
                    self.watch(wait)
            self.watch(linger)
        except Cut as cut:
            return str(cut)
        return "open"

    def post(self, stream, body=BODY, *more, end_stream=True):
        fields = self.request_fields("POST", PATH, ("content-type", "application/json"), *more)
        data = frame(DATA, END_STREAM if end_stream else 0, stream, body)
        return self.headers(stream, fields, end_stream=False) + data

    def wait_for_end(self, seconds):
        """How and after how long the server ends the connection: `(text, seconds)`."""
        started = time.monotonic()
        last = "closed"
        while time.monotonic() - started < seconds:
            event = self.next(max(0.01, seconds - (time.monotonic() - started)))
            if event.is_frame(GOAWAY):
                last = error_name(event.error_code)
            if event.what not in (FRAME, TIMEOUT):
                return last, time.monotonic() - started
        return "open", seconds


class Rig:
    """Runs one attack after another against a target and judges each by its goal figures."""

    def __init__(self, options, goal, engine, report):
        self.options, self.goal, self.engine, self.report = options, goal, engine, report
        self.open = []
        self.bystander = Bystander(lambda: H2Connection(goal.host, goal.port, options.tls, 3.0).handshake(),
                                   options.path, goal.pid)

    def attacker(self, *pairs, window=65535):
        connection = Attacker(self.goal.host, self.goal.port, self.options.tls, 3.0)
        self.open.append(connection)
        return connection.begin(*(pairs or [(INITIAL_WINDOW_SIZE, window)]))

    def run(self, name, attack, units=None, cpu=0.06, rss=3.0, upstream=100, may_stay=False, seconds=None):
        """`attack(self)` returns `(ending, units, note)`. The other arguments are the goal."""
        if self.options.only and self.options.only not in name:
            return
        self.engine.reset()
        self.bystander.mark()
        before_cpu, before_rss, started = cpu_seconds(self.goal.pid), rss_bytes(self.goal.pid), time.monotonic()
        try:
            ending, sent, note = attack(self)
        except OSError as error:
            ending, sent, note = "error", 0, str(error)
        took = time.monotonic() - started
        time.sleep(0.05)
        spent = (cpu_seconds(self.goal.pid) or 0) - (before_cpu or 0)
        # The bystander costs CPU too; its share is known from an idle measurement.
        spent = max(0.0, spent - self.bystander.served * self.cost_of_bystander)
        grown = max(0, max(self.bystander.peak, rss_bytes(self.goal.pid) or 0) - (before_rss or 0)) / MIB
        for connection in self.open:
            connection.close()
        self.open = []
        problems = []
        if ending == "error" or ending == "open" and not may_stay:
            problems.append("not cut" if ending == "open" else note)
        if units is not None and sent > units and ending != "open":
            problems.append(f"goal {units} units")
        if seconds and not seconds[0] <= took <= seconds[1]:
            problems.append(f"goal {seconds[0]}-{seconds[1]} s")
        if spent > cpu:
            problems.append(f"goal {cpu} CPU s")
        if grown > rss:
            problems.append(f"goal +{rss} MiB")
        if self.engine.count > upstream:
            problems.append(f"goal {upstream} upstream")
        if self.engine.most > 100:
            problems.append(f"{self.engine.most} in flight at once, goal 100")
        if self.bystander.errors:
            problems.append("bystander")
        if not self.goal.is_alive():
            problems.append("THE SERVER DIED")
        text = (f"{ending}@{sent} {spent:.2f} CPU s +{grown:.1f} MiB up {self.engine.count} "
                f"err {self.bystander.errors} {took:.1f} s {note}")
        missed = f"  << {', '.join(problems)}" if problems else ""
        self.report.add(name, "FAIL" if problems else "PASS", text + missed)

    cost_of_bystander = 0.0

    def calibrate(self):
        """What one request of the bystander costs the server, measured over half a second."""
        time.sleep(0.3)
        self.bystander.mark()
        before = cpu_seconds(self.goal.pid) or 0
        time.sleep(1.0)
        if self.bystander.served:
            self.cost_of_bystander = ((cpu_seconds(self.goal.pid) or 0) - before) / self.bystander.served
