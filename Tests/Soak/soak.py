#!/usr/bin/env python3
"""Mixed load for some minutes, with clients that abort and engines that fail; then looks for what was left behind.

    soak.py [--minutes 10] [--seed 1]

Starts Penstock with two simulated engines. Unary requests, streams and embeddings come over HTTP/1.1 and h2c.
Some clients go away in mid-answer, by closing, by a TCP reset and by RST_STREAM; some requests ask the engine for a
fault. Every answer is checked: a request that asked for no fault must succeed. At the end nothing may be in flight,
and descriptors and memory must be as flat as they were after the first fifth of the time.

Prints what was sent, samples over time, and `N passed, N failed`; the exit status says the same.
"""

import argparse
import asyncio
import collections
import random
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "EndToEnd"))

import h2.events  # noqa: E402
import httpx  # noqa: E402

from processes import Penstock, Process, binary, fetch, free_port, total  # noqa: E402
from waiting import wait_until  # noqa: E402
from wire import Http2, Raw  # noqa: E402

MODEL = "soak"
CHAT = {"model": MODEL, "messages": [{"role": "user", "content": "Say something about water. " * 20}]}
# What an engine can be asked to do wrong, and what the client may see of it.
FAULTS = {
    "error": {"500", "502", "503"},
    "reset": {"502", "503"},
    "close": {"502", "503"},
    "midreset": {"502", "503", "broken"},
    "midclose": {"502", "503", "broken"},
    "badframe": {"502", "503", "broken"},
}
FAULT_SHARE = 0.05


class Tally:
    """Outcomes by kind of request; those nobody may see are kept with their circumstances."""

    def __init__(self):
        self.counts = collections.Counter()
        self.unexpected = []

    def note(self, kind, outcome, allowed, detail=""):
        self.counts[kind, outcome] += 1
        if outcome not in allowed:
            self.unexpected.append(f"{kind}: {outcome}, allowed were {sorted(allowed)} {detail}")


class Load:
    def __init__(self, gateway, seconds, seed):
        self.gateway, self.tally = gateway, Tally()
        self.random = random.Random(seed)
        self.deadline = time.monotonic() + seconds

    def over(self):
        return time.monotonic() >= self.deadline

    def fault(self):
        """The header fields that ask for a fault, or none; and the outcomes allowed then."""
        if self.random.random() >= FAULT_SHARE:
            return {}, {"200"}
        kind = self.random.choice(list(FAULTS))
        return {"x-mock-fault": kind, "x-mock-fault-after": "3"}, FAULTS[kind] | {"200"}

    async def unary(self, client, kind, path, body):
        while not self.over():
            headers, allowed = self.fault()
            try:
                response = await client.post(self.gateway.root + path, json=body, headers=headers)
                response.json()
                self.tally.note(kind, str(response.status_code), allowed, response.text[:200])
            except httpx.TransportError as error:
                self.tally.note(kind, "broken", allowed, repr(error))

    async def stream(self, client, kind, aborts):
        while not self.over():
            headers, allowed = self.fault()
            leaves_after = self.random.randrange(1, 20) if aborts and self.random.random() < 0.3 else None
            await self.one_stream(client, kind, headers, allowed, leaves_after)

    async def one_stream(self, client, kind, headers, allowed, leaves_after):
        seen, done = 0, False
        try:
            async with client.stream("POST", self.gateway.base + "/chat/completions", headers=headers,
                                     json={**CHAT, "stream": True}) as response:
                if response.status_code != 200:
                    await response.aread()
                    return self.tally.note(kind, str(response.status_code), allowed, response.text[:200])
                async for line in response.aiter_lines():
                    seen += bool(line)
                    done = done or line == "data: [DONE]"
                    if leaves_after and seen >= leaves_after:
                        return self.tally.note(kind, "left", {"left"})
            self.tally.note(kind, "200" if done else "cut without a sign", allowed)
        except httpx.TransportError as error:
            self.tally.note(kind, "broken" if not done else "broken after its end", allowed, repr(error))

    async def run(self):
        limits = httpx.Limits(max_connections=400, max_keepalive_connections=40)
        settings = {"timeout": 30, "limits": limits}
        async with httpx.AsyncClient(**settings) as one, \
                httpx.AsyncClient(http1=False, http2=True, **settings) as two:
            chat, embed = ("/v1/chat/completions", CHAT), ("/v1/embeddings", {"model": MODEL, "input": "water"})
            tasks = [self.unary(one, "chat h1", *chat) for _ in range(6)]
            tasks += [self.unary(two, "chat h2c", *chat) for _ in range(4)]
            tasks += [self.unary(one, "embeddings h1", *embed) for _ in range(3)]
            tasks += [self.unary(two, "embeddings h2c", *embed) for _ in range(3)]
            tasks += [self.stream(one, "stream h1", aborts=True) for _ in range(10)]
            # httpx sends no RST_STREAM: over HTTP/2 the clients that leave are the threads below.
            tasks += [self.stream(two, "stream h2c", aborts=False) for _ in range(10)]
            await asyncio.gather(*tasks)

    def leave_by_reset(self, seed):
        """Clients on sockets of their own that go away rudely, one after another."""
        chance = random.Random(seed)
        while not self.over():
            body = {**CHAT, "stream": chance.random() < 0.7}
            try:
                chance.choice([self.leave_http1, self.leave_http2])(body, chance)
            except (OSError, EOFError) as error:
                self.tally.note("leaver", "failed", set(), repr(error))
            time.sleep(chance.random() * 0.02)  # the rate of the load, no waiting

    def leave_http1(self, body, chance):
        with Raw(self.gateway.data) as raw:
            raw.post("/v1/chat/completions", body)
            if chance.random() < 0.5:
                raw.head()
            if chance.random() < 0.5:
                raw.reset()
        self.tally.note("leaver h1", "left", {"left"})

    def leave_http2(self, body, chance):
        with Http2(self.gateway.data) as connection:
            streams = [connection.post("/v1/chat/completions", body) for _ in range(chance.randrange(1, 8))]
            if chance.random() < 0.5:
                connection.until(h2.events.ResponseReceived, streams[0])
            for stream in streams[:chance.randrange(len(streams) + 1)]:
                if not any(getattr(e, "stream_id", None) == stream and isinstance(e, h2.events.StreamEnded)
                           for e in connection.events):
                    connection.reset(stream)
        self.tally.note("leaver h2c", "left", {"left"})


class Samples:
    """What the process holds, over time."""

    def __init__(self, gateway, seconds):
        self.gateway, self.rows, self.every = gateway, [], max(1.0, seconds / 30)
        self.begun = time.monotonic()
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.stop.wait(self.every):
            self.take()

    def take(self):
        metrics = self.gateway.metrics()
        self.rows.append((time.monotonic() - self.begun, self.gateway.rss() / (1 << 20), self.gateway.descriptors(),
                          total(metrics, "penstock_requests_in_flight"), total(metrics, "penstock_requests_total")))
        return self.rows[-1]

    def table(self):
        print("\n| seconds | RSS MiB | descriptors | in flight | requests |\n| --: | --: | --: | --: | --: |")
        for row in self.rows:
            print("| {:.0f} | {:.1f} | {} | {:.0f} | {:.0f} |".format(*row))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    seconds = options.minutes * 60
    engines, urls = start_engines()
    data, admin = free_port(), free_port()
    gateway = Penstock([*(x for u in urls for x in ("--engine", u)), "--listen", f"127.0.0.1:{data}",
                        "--admin", f"127.0.0.1:{admin}"], data, admin)
    try:
        failed = soak(gateway, seconds, options.seed)
    finally:
        gateway.stop()
        for engine in engines:
            engine.stop()
    sys.exit(1 if failed else 0)


def start_engines():
    engines, urls = [], []
    for _ in range(2):
        port = free_port()
        engines.append(Process([binary(), "simulate-engine", "--listen", f"127.0.0.1:{port}", "--model", MODEL]))
        urls.append(f"http://127.0.0.1:{port}")
    for url in urls:
        wait_until(lambda: reachable(url), f"{url} answers")
        # Fast answers: many exchanges, not long ones, are what wears a gateway.
        httpx.post(url + "/simulator/config", json={"first_token_ms": 2, "interval_ms": 3}).raise_for_status()
    return engines, urls


def reachable(url):
    try:
        return fetch(url + "/v1/models", timeout=2)[0] == 200
    except OSError:
        return False


def soak(gateway, seconds, seed):
    gateway.wait_for_models(MODEL)
    idle = gateway.descriptors()
    load, samples = Load(gateway, seconds, seed), Samples(gateway, seconds)
    leavers = [threading.Thread(target=load.leave_by_reset, args=(seed + n,)) for n in range(3)]
    for thread in leavers:
        thread.start()
    asyncio.run(load.run())
    for thread in leavers:
        thread.join(60)
    samples.stop.set()
    samples.thread.join(30)
    return judge(gateway, load.tally, samples, idle)


def judge(gateway, tally, samples, idle):
    """Prints all there is and every claim with its verdict; returns how many claims failed."""
    print("| request | outcome | count |\n| --- | --- | --: |")
    for (kind, outcome), count in sorted(tally.counts.items()):
        print(f"| {kind} | {outcome} | {count} |")
    claims = [("only expected outcomes", not tally.unexpected, f"{len(tally.unexpected)} unexpected")]
    for name in ("penstock_requests_in_flight", "penstock_upstream_requests_in_flight"):
        claims.append((f"{name} returns to 0", *becomes(lambda: gateway.total(name) == 0, lambda: gateway.total(name))))
    # Idle upstream connections are kept for some seconds.
    claims.append(("descriptors return", *becomes(
        lambda: gateway.descriptors() <= idle + 8, lambda: f"{idle} before, {gateway.descriptors()} after")))
    samples.take()
    samples.table()
    early = samples.rows[len(samples.rows) // 5]
    last = samples.rows[-1]
    allowed = max(early[1] * 1.1, early[1] + 4)
    claims.append(("memory is flat", last[1] <= allowed, f"{early[1]:.1f} MiB, at the end {last[1]:.1f} MiB"))
    claims.append(("the gateway lives", gateway.alive(), gateway.log()[-2000:] if not gateway.alive() else "alive"))
    print()
    for name, holds, detail in claims:
        print(f"{'passed' if holds else 'FAILED'}: {name} ({detail})")
    for line in tally.unexpected[:20]:
        print("  ", line)
    failed = sum(not holds for _, holds, _ in claims)
    print(f"{len(claims) - failed} passed, {failed} failed")
    return failed


def becomes(condition, shown):
    """Whether the condition comes true within 30 s, and what is the case then."""
    try:
        wait_until(condition, "", within=30, every=0.1)
        return True, str(shown())
    except AssertionError:
        return False, str(shown())


if __name__ == "__main__":
    main()
