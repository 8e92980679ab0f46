"""What a case works with: engines, a gateway before them, claims and figures; and the list of all cases."""

import asyncio
import json
import os
import tempfile
import time

from client import Client
from engines import Engine, Fake, fetch, free_port
from processes import Penstock, total

CASES = []


def case(name, *arguments):
    """Adds an async function `f(trial, *arguments)` to the suite under a name."""
    def add(function):
        CASES.append((name, function, arguments))
        return function
    return add


class Trial:
    """One run of one case. Claims must hold; figures are printed, and must meet their goal with `--strict`."""

    def __init__(self, options):
        self.options, self.quick, self.strict = options, options.quick, options.strict
        self.failures, self.notes, self.held, self.skipped = [], [], 0, False
        self.things, self.gateways, self.clients = [], [], []
        self.folder = tempfile.TemporaryDirectory(prefix="penstock-resilience-")

    def count(self, full, quick):
        return quick if self.quick else full

    # What is said of a run.

    def claim(self, holds, text, detail=""):
        """Something that must be so."""
        if holds:
            self.held += 1
        else:
            self.failures.append(f"{text}{f': {detail}' if detail else ''}")
        return bool(holds)

    def figure(self, name, value, goal, meets, bearable=True, unit=""):
        """A measured value: `meets` its goal, or is at least `bearable` on a busy machine."""
        shown = f"{value:.3g}" if isinstance(value, float) else str(value)
        self.notes.append(f"{name} {shown}{unit} (goal {goal}{'' if meets else ', MISSED'})")
        self.claim(bearable and (meets or not self.strict), f"{name} is {shown}{unit}", f"goal {goal}")

    def skip(self, reason):
        """The case cannot be tried here."""
        self.skipped = True
        self.notes.append(reason)

    def note(self, text):
        self.notes.append(text)

    def all_good(self, answers, text=None, what="answers"):
        """No client saw an error. `text` is the text that all must have, or a function of the answer's number."""
        problems = []
        for number, answer in enumerate(answers):
            wanted = text(number) if callable(text) else text
            if problem := answer.problem(wanted):
                problems.append(f"#{number} after {answer.seconds:.2f} s: {problem[:300]}")
        self.claim(not problems, f"{len(problems)} of {len(answers)} {what} failed", "; ".join(problems[:3]))

    # What it is made of.

    def engine(self, start=True, **options):
        engine = Engine(self.options.simulator, **options)
        self.things.append(engine)
        return engine.start() if start else engine

    async def fake(self, answer=None, start=True, **options):
        fake = Fake(answer, **options)
        self.things.append(fake)
        return await fake.start() if start else fake

    def write(self, configuration):
        """Writes a configuration (JSON is YAML) and returns its path and ports."""
        port, admin = free_port(), free_port()
        whole = {"listeners": [{"address": f"127.0.0.1:{port}"}], "admin": {"address": f"127.0.0.1:{admin}"},
                 "logging": {"level": "warning", "access": self.options.verbose}, **configuration}
        path = os.path.join(self.folder.name, f"gateway-{port}.yaml")
        with open(path, "w") as file:
            json.dump(whole, file, indent=1)
        return path, port, admin

    async def gateway(self, configuration):
        path, port, admin = self.write(configuration)
        gateway = await asyncio.to_thread(Penstock, ["--config", path], port, admin)
        gateway.path = path
        self.gateways.append(gateway)
        return gateway

    def client(self, gateway, reuse=True):
        client = Client(gateway.data, reuse)
        self.clients.append(client)
        return client

    async def before(self, engines, pool=None, model=None, provider=None, **rest):
        """A gateway that serves the model `m` from one pool `p` of these engines, and a client of it."""
        configuration = {
            "models": [{"name": "m", "pool": "p", **(model or {})}],
            "pools": [{"name": "p", "endpoints": [engine.url for engine in engines], **(pool or {})}],
            "providers": [{"name": "default", "engine": "vllm", **(provider or {})}], **rest}
        gateway = await self.gateway(configuration)
        return gateway, self.client(gateway)

    # Its end.

    async def metrics(self, gateway):
        return await asyncio.to_thread(gateway.metrics)

    async def becomes(self, condition, within=10.0):
        """Waits for a condition, plain or async; returns the seconds it took, or `None` if it did not become true."""
        began = time.monotonic()
        while time.monotonic() - began < within:
            value = condition()
            if asyncio.iscoroutine(value):
                value = await value
            if value:
                return time.monotonic() - began
            await asyncio.sleep(0.01)
        return None

    IDLE = ["penstock_requests_in_flight", "penstock_upstream_requests_in_flight", "penstock_endpoint_in_flight",
            "penstock_queue_length", "penstock_queue_bytes"]

    async def leaves_no_trace(self, gateway, within=10.0):
        """Claims that no gauge counts a request any more."""
        left = {}

        async def idle():
            nonlocal left
            samples = await self.metrics(gateway)
            left = {name: total(samples, name) for name in self.IDLE if total(samples, name)}
            return not left
        await self.becomes(idle, within)
        self.claim(not left, "gauges are not 0 at the end", str(left))

    async def finish(self):
        """Checks what is left behind."""
        for client in self.clients:
            client.close()
        for gateway in self.gateways:
            if self.claim(gateway.alive(), "the gateway died",
                          f"{gateway.child.poll()}: {gateway.log()[-600:]}"):
                await self.leaves_no_trace(gateway)

    def stop(self):
        """Ends everything; twice does no harm."""
        for gateway in self.gateways:
            if self.options.verbose:
                print(gateway.log()[-4000:])
            gateway.stop()
        for thing in self.things:
            thing.stop()
        self.folder.cleanup()


async def expected(engine, contents, **members):
    """What an engine that nobody disturbs says to each content, and the usage it reports."""
    client = Client(engine.port)
    answers = [await client.chat(content, **members) for content in contents]
    client.close()
    for answer in answers:
        assert answer.problem() is None, answer.problem()
    return [(answer.text, answer.usage) for answer in answers]


def get(url):
    return fetch(url)
