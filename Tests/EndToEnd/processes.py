"""Starts and stops the program under test."""

import os
import signal
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]


def binary():
    """The program under test: `$PENSTOCK_BIN`, else the newest build."""
    if named := os.environ.get("PENSTOCK_BIN"):
        return named
    builds = [ROOT / ".build" / kind / "penstock" for kind in ("release", "debug")]
    found = [b for b in builds if b.exists()]
    if not found:
        raise SystemExit("no penstock binary: run `swift build -c release --product penstock`, or set PENSTOCK_BIN")
    return str(max(found, key=lambda b: b.stat().st_mtime))


given_ports = set()


def free_port():
    """A port nobody listens on now, and that was not given out before."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port not in given_ports:
            given_ports.add(port)
            return port


def fetch(url, headers=None, timeout=5):
    """GET: status, header fields (lower case), body as text. No exception for a status."""
    request = urllib.request.Request(url, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            return response.status, {k.lower(): v for k, v in response.headers.items()}, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read().decode()


def answers(url):
    """Whether a GET of `url` gives any HTTP answer."""
    try:
        return fetch(url, timeout=2)[0]
    except OSError:
        return None


class Process:
    """A child whose output is kept, and which is gone at the end of the test."""

    def __init__(self, arguments, environment=None):
        self.arguments = [str(a) for a in arguments]
        self.output = []
        self.child = subprocess.Popen(self.arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                      env={**os.environ, **(environment or {})})
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.child.stdout:
            self.output.append(line.decode(errors="replace").rstrip("\n"))

    @property
    def pid(self):
        return self.child.pid

    def alive(self):
        return self.child.poll() is None

    def log(self):
        return "\n".join(self.output)

    def signal(self, number):
        self.child.send_signal(number)

    def wait(self, within=15.0):
        """Waits for the end, and for the last of the output; returns the exit status."""
        status = self.child.wait(within)
        self._reader.join(within)
        return status

    def stop(self):
        """Ends the child, by force if it does not end by itself."""
        if self.alive():
            self.signal(signal.SIGTERM)
            try:
                self.wait(5)
            except subprocess.TimeoutExpired:
                pass
        if self.alive():
            self.child.kill()
            self.wait(5)
        self._reader.join(2)


class Penstock(Process):
    """`penstock serve`, with the addresses it listens on."""

    def __init__(self, arguments, data, admin, environment=None, ready=True):
        self.data, self.admin = data, admin
        self.root = f"http://127.0.0.1:{data}"
        self.base = self.root + "/v1"
        self.admin_root = f"http://127.0.0.1:{admin}"
        super().__init__([binary(), "serve", *arguments], environment)
        try:
            if ready:
                wait_until(lambda: not self.alive() or self.listening(), "penstock answers /healthz and listens")
                assert self.alive(), f"penstock ended with {self.child.returncode}:\n{self.log()}"
        except AssertionError:
            self.stop()
            raise

    def listening(self):
        return answers(self.admin_root + "/healthz") == 200 and answers(self.root + "/health/live") is not None

    def wait_for_models(self, *names, within=10.0):
        """Waits until all of `names` can be asked for."""
        def listed():
            status, _, body = fetch(self.base + "/models")
            return status == 200 and all(f'"{n}"' in body for n in names)
        wait_until(listed, f"models {names} are listed; log:\n{self.log()}", within)
        return self

    def metrics(self):
        """All samples of /metrics: {name: {frozenset of label pairs: value}}."""
        return parse_metrics(fetch(self.admin_root + "/metrics")[2])

    def total(self, name, **labels):
        """The sum of the samples of `name` that carry `labels`."""
        return total(self.metrics(), name, **labels)

    def rss(self):
        """Resident memory in bytes."""
        fields = Path(f"/proc/{self.pid}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))


def parse_metrics(text):
    samples = {}
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        labels = {}
        if "{" in line:
            name, rest = line.split("{", 1)
            inside, value = rest.rsplit("} ", 1)
            for part in split_labels(inside):
                key, quoted = part.split("=", 1)
                labels[key] = quoted.strip('"')
        else:
            name, value = line.split(" ", 1)
        samples.setdefault(name, {})[frozenset(labels.items())] = float(value.split(" ")[0])
    return samples


def split_labels(text):
    """`a="x",b="y,z"` to its parts."""
    parts, start, quoted = [], 0, False
    for index, letter in enumerate(text):
        if letter == '"' and text[index - 1] != "\\":
            quoted = not quoted
        elif letter == "," and not quoted:
            parts.append(text[start:index])
            start = index + 1
    return [p for p in (*parts, text[start:]) if p]


def total(samples, name, **labels):
    wanted = set(labels.items())
    return sum(value for key, value in samples.get(name, {}).items() if wanted <= key)


def monotonic_ms():
    return time.monotonic() * 1000


def peer_certificate(port, name="localhost"):
    """The certificate a TLS listener shows, as DER bytes."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), 5) as plain:
        with context.wrap_socket(plain, server_hostname=name) as secure:
            return secure.getpeercert(binary_form=True)
