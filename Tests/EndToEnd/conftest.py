"""Fixtures: the program under test, engines behind it, and what the client tests talk to.

`PENSTOCK_BIN`         the program (default: the newest build)
`PENSTOCK_REAL_ENGINE` URL of a real engine: the client tests run through Penstock to it, not to the simulated one
`PENSTOCK_REAL_MODEL`, `PENSTOCK_REAL_KEY`   its model and key (default: tiny, sk-test)
`PENSTOCK_TARGET`      URL: the client tests talk to that and nothing is started for them
"""

import json
import os
from dataclasses import dataclass

import pytest

from certificates import Authority
from configuration import configured
from engine import Engine
from processes import Penstock, Process, binary, fetch, free_port
from waiting import wait_until


@dataclass
class Target:
    """Where the client tests send their requests."""

    root: str
    model: str
    key: str
    kind: str  # simulated, real or given
    admin_root: str | None = None

    @property
    def base(self):
        return self.root + "/v1"


@pytest.fixture
def start():
    """Starts gateways and ends them after the test: `start(configuration)` or `start(arguments=[…])`."""
    running = []

    def launch(configuration=None, arguments=None, environment=None, ready=True, file=None):
        data, admin = free_port(), free_port()
        if configuration is not None:
            file.write_text(json.dumps(configuration(data, admin), indent=2))
            arguments = ["--config", file]
        else:
            arguments = [*arguments, "--listen", f"127.0.0.1:{data}", "--admin", f"127.0.0.1:{admin}"]
        gateway = Penstock(arguments, data, admin, environment, ready)
        running.append(gateway)
        return gateway

    yield launch
    for gateway in running:
        gateway.stop()
        report_crash(gateway)


def report_crash(gateway):
    """A gateway that ended by a signal of its own (a trap, a sanitizer) fails the test that ran on it."""
    status = gateway.child.returncode
    assert status in (0, -9, -15, 1, 2, 78), f"penstock ended with {status}:\n{gateway.log()[-4000:]}"


@pytest.fixture
def engine():
    made = Engine(["m1"])
    yield made
    made.close()


@pytest.fixture
def engines():
    """Makes further engines: `engines(["m1"], name="b")`."""
    made = []

    def make(*arguments, **more):
        made.append(Engine(*arguments, **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def gateway(start, engine):
    """A gateway without a file in front of one scripted engine that serves `m1`."""
    return start(arguments=["--engine", engine.url]).wait_for_models("m1")


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def target(tmp_path_factory):
    """The endpoint the client tests use: Penstock in front of a simulated or a real engine."""
    if given := os.environ.get("PENSTOCK_TARGET"):
        model, key = os.environ.get("PENSTOCK_REAL_MODEL", "tiny"), os.environ.get("PENSTOCK_REAL_KEY", "sk-test")
        yield Target(given.rstrip("/"), model, key, "given")
        return
    simulator, real = None, os.environ.get("PENSTOCK_REAL_ENGINE")
    if real:
        url, model, key = real, os.environ.get("PENSTOCK_REAL_MODEL", "tiny"), os.environ.get(
            "PENSTOCK_REAL_KEY", "sk-test")
    else:
        port, model, key = free_port(), "tiny", "sk-test"
        url = f"http://127.0.0.1:{port}"
        simulator = Process([binary(), "simulate-engine", "--listen", f"127.0.0.1:{port}", "--model", model])
        wait_until(lambda: listens(url), "the simulated engine listens")
    data, admin = free_port(), free_port()
    # A file, because a real engine may list its models only to those who show its key.
    file = tmp_path_factory.mktemp("target") / "gateway.yaml"
    file.write_text(json.dumps(configured({model: [url]})(data, admin)))
    running = Penstock(["--config", file], data, admin)
    try:
        running.wait_for_models(model)
        yield Target(running.root, model, key, "real" if real else "simulated", running.admin_root)
    finally:
        running.stop()
        if simulator:
            simulator.stop()
    report_crash(running)


def listens(url):
    try:
        return fetch(url + "/v1/models", timeout=2)[0] == 200
    except OSError:
        return False
