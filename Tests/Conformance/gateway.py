"""Starts the gateway under test on loopback ports, with a configuration made for the suites."""

import contextlib
import os
import signal
import subprocess
import tempfile
import time

from support import free_port, parse_address, pid_listening_on, wait_for_port

CONFIGURATION = """\
listeners:
  - address: 127.0.0.1:{port}
  - address: 127.0.0.1:{tls_port}
    tls:
      certificates:
        - certificate: {folder}/certificate.pem
          key: {folder}/key.pem
admin:
  address: 127.0.0.1:{admin_port}
workers: 1
models:
  - name: m
    endpoints: [{endpoints}]
    # What a backend does in one case must not be held against it in the next.
    health: {{path: off, confirmModel: false}}
    ejection: {{consecutiveErrors: 1000, connectFailures: 1000, minimumRequests: 1000000}}
limits:
  bodyBytes: {body_bytes}
  timeouts: {{header: {header}, bodyIdle: {body_idle}, tlsHandshake: {header}, idle: {idle}}}
providers:
  - name: default
    timeouts: {{connect: 2s, firstByte: {first_byte}, idle: {upstream_idle}}}
logging:
  level: warning
  access: false
"""

# The timers of a normal run are the defaults; a quick run waits for shorter ones.
NORMAL = dict(header="10s", body_idle="15s", idle="75s", first_byte="10m", upstream_idle="2m", body_bytes="8MiB")
QUICK = dict(header="2s", body_idle="2s", idle="4s", first_byte="10m", upstream_idle="2m", body_bytes="8MiB")


class Gateway:
    """A running gateway: `port` plain, `tls_port`, `admin_port`, `pid`. A context manager that stops it."""

    def __init__(self, binary, backend_ports, quick=False, **settings):
        self.folder = tempfile.TemporaryDirectory(prefix="penstock-conformance-")
        self.port, self.tls_port, self.admin_port = free_port(), free_port(), free_port()
        self.settings = {**(QUICK if quick else NORMAL), **settings}
        self.make_certificate()
        path = os.path.join(self.folder.name, "gateway.yaml")
        with open(path, "w") as file:
            file.write(CONFIGURATION.format(
                port=self.port, tls_port=self.tls_port, admin_port=self.admin_port, folder=self.folder.name,
                endpoints=", ".join(f"http://127.0.0.1:{port}" for port in backend_ports), **self.settings))
        self.log_path = os.path.join(self.folder.name, "log")
        self.log = open(self.log_path, "wb")
        self.process = subprocess.Popen([binary, "serve", "--config", path], stdout=self.log, stderr=self.log)
        self.pid = self.process.pid
        if not wait_for_port(self.port) or not wait_for_port(self.tls_port) or not self.is_running():
            raise SystemExit(f"the gateway did not start:\n{self.log_text()}")

    def make_certificate(self):
        folder = self.folder.name
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", f"{folder}/key.pem", "-out", f"{folder}/certificate.pem", "-days", "30",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
                       check=True, stderr=subprocess.DEVNULL)

    def is_running(self):
        return self.process.poll() is None

    def log_text(self):
        with open(self.log_path, errors="replace") as file:
            return file.read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.is_running():
            self.process.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + 2
            while self.is_running() and time.monotonic() < deadline:
                time.sleep(0.02)
            self.process.kill()
        self.process.wait()
        self.log.close()
        self.folder.cleanup()


class Target:
    """What a suite is pointed at: an address, and the process behind it if it can be seen."""

    def __init__(self, host, port, pid, gateway=None, tls_port=None):
        self.host, self.port, self.pid, self.gateway, self.tls_port = host, port, pid, gateway, tls_port

    def is_alive(self):
        return self.pid is None or os.path.exists(f"/proc/{self.pid}")


def add_target_arguments(parser):
    parser.add_argument("address", nargs="?", help="HOST:PORT of a running gateway")
    parser.add_argument("--penstock", metavar="BINARY",
        help="start this gateway instead, with a configuration of its own")
    parser.add_argument("--tls", action="store_true", help="TLS, certificate not verified")
    parser.add_argument("--pid", type=int, help="process of the gateway; found by its port unless given")
    parser.add_argument("--quiet", action="store_true", help="print only what did not pass")


@contextlib.contextmanager
def target(options, backend_ports, quick=False, **settings):
    """The `Target` of the arguments above; a gateway started for it is stopped in the end."""
    if options.penstock:
        with Gateway(options.penstock, backend_ports, quick, **settings) as gateway:
            port = gateway.tls_port if options.tls else gateway.port
            yield Target("127.0.0.1", port, gateway.pid, gateway, gateway.tls_port)
    elif options.address:
        host, port = parse_address(options.address)
        yield Target(host, port, options.pid or pid_listening_on(port))
    else:
        raise SystemExit("name an address or --penstock BINARY")
