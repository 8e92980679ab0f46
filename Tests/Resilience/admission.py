"""Overload: who waits, who goes first, who is refused, and what it costs."""

import asyncio
import random
import time

from client import Client, in_parallel, jain, percentile
from engines import silent, slow
from processes import total
from trial import case

# 64 requests at a time, each 270 to 450 ms: 180 a second. A slot gets free every 6 ms.
SHAPE = {"first_token": "250ms", "interval": "10ms", "tokens": 40, "jitter": 0.5, "max_running": 16}
POOL = {"concurrency": {"perEndpoint": 16}, "queue": {"timeout": "60s", "maxRequests": 2000}}


async def tenant(trial, client, name, width, until, think=0.0):
    """`width` clients of one tenant, each asking again as soon as it is answered (and has thought)."""
    answers, dice = [], random.Random(name)

    async def one():
        await asyncio.sleep(0.2 * dice.random())
        while time.monotonic() < until:
            answers.append(await client.chat(
                stream=True, max_tokens=dice.randint(2, 20), timeout=120,
                headers={"x-llm-d-inference-fairness-id": name}))
            if think:
                await asyncio.sleep(think)
    await asyncio.gather(*(one() for _ in range(width)))
    return answers


@case("fairness/abusive-tenant-ttft")
async def abusive_ttft(trial):
    """One tenant with ten times its share does not delay tenants who stay below theirs."""
    engines = [trial.engine(**SHAPE, seed=seed) for seed in range(4)]
    gateway, client = await trial.before(engines, POOL)
    names, seconds = [f"good-{number}" for number in range(9)], trial.count(15, 5)

    async def good(until):
        return await asyncio.gather(*(tenant(trial, client, name, 4, until, 0.05) for name in names))

    alone = [answer for answers in await good(time.monotonic() + seconds) for answer in answers]
    # At first the abuser has all slots, and none gets free: that is not what is asked.
    settled = time.monotonic() + 2
    until = settled + seconds
    beside, abuser = await asyncio.gather(good(until), tenant(trial, client, "abuser", 64, until))
    others = [answer for answers in beside for answer in answers]
    trial.all_good(alone + others + abuser)
    late = [answer.to_first for answer in others if answer.began >= settled]
    ratio = percentile(late, 0.9) / percentile([answer.to_first for answer in alone], 0.9)
    trial.figure("others' TTFT p90 by isolation", ratio, "1.10", ratio <= 1.1, ratio <= 2.5)
    index = jain([len(answers) for answers in beside])
    trial.figure("Jain index of the others", index, "0.95", index >= 0.95, index >= 0.8)
    trial.note(f"abuser {len(abuser)}, others {len(others) / len(names):.0f} each")


@case("fairness/all-want-more")
async def jain_index(trial):
    """Ten tenants want more than there is, one ten times as much as the others: all get the same."""
    engines = [trial.engine(**SHAPE, seed=seed) for seed in range(4)]
    gateway, client = await trial.before(engines, POOL)
    until = time.monotonic() + trial.count(15, 5)
    tenants = [tenant(trial, client, f"good-{number}", 10, until) for number in range(9)]
    served = await asyncio.gather(*tenants, tenant(trial, client, "abuser", 100, until))
    trial.all_good([answer for answers in served for answer in answers])
    in_time = [sum(answer.ended <= until for answer in answers) for answers in served]
    index = jain(in_time)
    trial.figure("Jain index", index, "0.95", index >= 0.95, index >= 0.8)
    trial.note(f"served {in_time}")


@case("priority/batch-is-shed-first")
async def batch_first(trial):
    """With a full queue batch requests are refused, in words, and interactive ones are served."""
    engine = await trial.fake(slow(0.1))
    gateway, client = await trial.before(
        [engine], {"concurrency": {"perEndpoint": 4}, "queue": {"maxRequests": 40, "timeout": "20s"}})
    until = time.monotonic() + trial.count(8, 4)

    async def flood():
        return await in_parallel(400, 200, lambda _: client.chat(headers={"x-penstock-priority": "-10"}, timeout=60))

    async def interactive():
        answers = []
        while time.monotonic() < until:
            answers.append(await client.chat(timeout=60))
        return answers

    batch, *served = await asyncio.gather(flood(), *(interactive() for _ in range(8)))
    served = [answer for answers in served for answer in answers]
    trial.all_good(served, what="interactive answers")
    shed = [answer for answer in batch if answer.status != 200]
    trial.claim(shed and {answer.status for answer in shed} == {503}, "batch is shed with 503",
                sorted({answer.status for answer in batch}))
    for name in ("x-penstock-dropped-reason", "retry-after"):
        trial.claim(all(name in answer.fields for answer in shed), f"a shed request lacks {name}",
                    next((str(a.fields) for a in shed if name not in a.fields), ""))
    reasons = sorted({answer.fields.get("x-penstock-dropped-reason", "none") for answer in shed})
    trial.note(f"batch: {len(batch) - len(shed)} served, {len(shed)} shed ({', '.join(reasons)}); "
               f"interactive: {len(served)} served, p90 {percentile([a.seconds for a in served], 0.9) * 1000:.0f} ms")


@case("priority/alerts-go-ahead")
async def alerts(trial):
    """A storm of alerts, made urgent by a route, goes ahead of the batch that already waits; and batch is served."""
    engine = await trial.fake(slow(0.05))
    gateway, client = await trial.before(
        [engine], {"concurrency": {"perEndpoint": 4}, "queue": {"maxRequests": 1000, "timeout": "60s"}},
        {"routes": [{"name": "alerts", "match": {"headers": {"x-job": "alert*"}}, "priority": 100},
                    {"name": "batch", "match": {"headers": {"x-job": "batch"}}, "priority": -5}]})
    batch = asyncio.ensure_future(in_parallel(
        200, 200, lambda _: client.chat(headers={"x-job": "batch"}, timeout=120)))
    await asyncio.sleep(0.5)
    storm = await in_parallel(60, 60, lambda _: client.chat(headers={"x-job": "alert-7"}, timeout=120))
    batch = await batch
    trial.all_good(storm, what="alerts")
    trial.all_good(batch, what="batch requests (all fit the queue)")
    last = max(answer.ended for answer in storm)
    before = sum(answer.ended < last for answer in batch if answer.status == 200)
    # Twelve of batch per 150 ms had their turn before the storm came; while it blew, hardly any should.
    began = min(answer.began for answer in storm)
    meanwhile = sum(began + 0.06 < answer.ended < last for answer in batch)
    trial.claim(meanwhile <= 10, "batch went ahead of alerts", f"{meanwhile} of {before}")
    trial.note(f"storm of 60 over after {(last - began) * 1000:.0f} ms, {meanwhile} of batch meanwhile")


@case("priority/nobody-starves")
async def starvation(trial):
    """Low priority waits behind endless interactive load, but not for ever."""
    engine = await trial.fake(slow(0.05))
    gateway, client = await trial.before(
        [engine], {"concurrency": {"perEndpoint": 2}, "queue": {"maxRequests": 100, "timeout": "8s"}})
    done = asyncio.Event()

    async def interactive():
        answers = []
        while not done.is_set():
            answers.append(await client.chat(timeout=60))
        return answers

    load = asyncio.gather(*(interactive() for _ in range(8)))
    await asyncio.sleep(0.3)
    answers = await in_parallel(4, 4, lambda _: client.chat(headers={"x-penstock-priority": "-1"}, timeout=60))
    done.set()
    await load
    served = [answer for answer in answers if answer.status == 200]
    shed = [answer for answer in answers if answer.fields.get("x-penstock-dropped-reason")]
    trial.claim(len(served) + len(shed) == len(answers), "an answer says nothing", str([a.problem() for a in answers]))
    trial.claim(served, "low priority starved", str([a.problem() for a in answers]))
    trial.note(f"{len(served)} of 4 served after {max((a.seconds for a in served), default=0):.1f} s")


@case("queue/memory-of-10000")
async def memory(trial):
    """Ten thousand requests wait within 64 MiB beyond their bodies, and leave without a trace."""
    count, size = trial.count(10_000, 2_000), 2048
    engine = await trial.fake(silent)
    gateway, client = await trial.before(
        [engine], {"concurrency": {"perEndpoint": 1}, "queue": {"maxRequests": 20_000, "timeout": "10m"}},
        limits={"connections": 20_000})
    first = asyncio.ensure_future(client.chat(timeout=600))
    await trial.becomes(lambda: engine.in_flight == 1)
    before = gateway.rss()
    clients = [Client(gateway.data) for _ in range(count)]
    trial.clients += clients

    async def warm(number):
        pair = await clients[number].connect()
        clients[number].idle.append(pair)
    await in_parallel(count, 100, warm)
    await asyncio.sleep(0.5)
    connected = gateway.rss()
    content = "x" * size
    waiting = [asyncio.ensure_future(one.chat(content, timeout=600)) for one in clients]

    async def queued():
        return total(await trial.metrics(gateway), "penstock_queue_length") >= count

    async def empty():
        return total(await trial.metrics(gateway), "penstock_queue_length") == 0
    trial.claim(await trial.becomes(queued, 60) is not None, "not all requests wait",
                total(await trial.metrics(gateway), "penstock_queue_length"))
    full = gateway.rss()
    bodies = count * (size + 100)
    beyond, goal = full - connected - bodies, 64 * 2**20 * count / 10_000
    trial.figure("beyond connections and bodies", beyond / 2**20, f"{goal / 2**20:.0f} MiB", beyond <= goal,
                 beyond <= 2 * goal, " MiB")
    trial.note(f"resident at start {before / 2**20:.0f}, with {count} connections {connected / 2**20:.0f}, "
               f"with as many waiting {full / 2**20:.0f} MiB")
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    for one in clients:
        one.close()
    began = time.monotonic()
    gone = await trial.becomes(empty, 30)
    trial.claim(gone is not None, "the queue forgets who left")
    trial.note(f"all gone {time.monotonic() - began:.1f} s after their clients")
    trial.claim(len(engine.received) == 1, "requests of gone clients reached the engine", len(engine.received))
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)


@case("queue/client-leaves")
async def leaves(trial):
    """A client that goes away while it waits is never sent to an engine, and nothing counts it any more."""
    engine = await trial.fake(slow(0.5))
    gateway, client = await trial.before([engine], {"concurrency": {"perEndpoint": 1}})
    first = asyncio.ensure_future(client.chat(headers={"x-case-id": "first"}))
    await trial.becomes(lambda: engine.in_flight == 1)
    leaver = Client(gateway.data)
    gone = [asyncio.ensure_future(leaver.chat(headers={"x-case-id": "gone"})) for _ in range(10)]

    async def queued(count):
        return total(await trial.metrics(gateway), "penstock_queue_length") == count
    trial.claim(await trial.becomes(lambda: queued(10), 5) is not None, "requests wait in the queue")
    leaver.close()
    seconds = await trial.becomes(lambda: queued(0), 5)
    trial.claim(seconds is not None, "the queue forgets who left")
    trial.note(f"queue empty {(seconds or 99) * 1000:.0f} ms after the clients left")
    for task in gone:
        task.cancel()
    trial.all_good([await first, await client.chat(headers={"x-case-id": "second"})])
    ids = [request.id for request in engine.received]
    trial.claim("gone" not in ids, "a request of a client that left reached the engine", ids)


@case("queue/refusals")
async def refusals(trial):
    """Full, too long, and a deadline that cannot be met: each is said, with a time to come back."""
    engine = await trial.fake(slow(1.0))
    gateway, client = await trial.before(
        [engine], {"concurrency": {"perEndpoint": 1}, "queue": {"maxRequests": 2, "timeout": "300ms"}})
    answers = await in_parallel(8, 8, lambda _: client.chat(timeout=30))
    refused = [answer for answer in answers if answer.status != 200]
    reasons = sorted({str(answer.fields.get("x-penstock-dropped-reason")) for answer in refused})
    trial.claim(len(refused) == 7, "one is served, seven are not", [answer.status for answer in answers])
    trial.claim(reasons == ["rejected-saturated", "rejected-ttl-expired"], "the reasons", reasons)
    trial.claim({answer.status for answer in refused} == {503}, "the status", [answer.status for answer in refused])
    trial.claim(all(answer.fields.get("retry-after", "").isdigit() for answer in refused), "Retry-After is there")
    trial.claim({answer.code for answer in refused} == {"server_is_overloaded"}, "the code",
                sorted({str(answer.code) for answer in refused}))


@case("concurrency/adaptive")
async def adaptive(trial):
    """An engine that slows down under load gets fewer at a time, and the others wait in the gateway."""
    engine = trial.engine(first_token="20ms", interval="1ms", tokens=4, max_running=8)
    gateway, client = await trial.before([engine], {"concurrency": {"perEndpoint": "adaptive"}})
    until, seen = time.monotonic() + trial.count(20, 8), []

    async def one():
        answers = []
        while time.monotonic() < until:
            answers.append(await client.chat(stream=True, timeout=60))
        return answers

    async def watch():
        while time.monotonic() < until:
            seen.append((await asyncio.to_thread(engine.stats))["open"])
            await asyncio.sleep(0.2)
    *answers, _ = await asyncio.gather(*(one() for _ in range(200)), watch())
    trial.all_good([answer for some in answers for answer in some])
    half = sorted(seen[len(seen) // 2:])
    median = half[len(half) // 2]
    trial.figure("requests at the engine, median", median, "100 of 200", median <= 100, True)


@case("concurrency/pool-limit")
async def pool_limit(trial):
    """A pool's limit bounds what all its endpoints hold together."""
    engines = [await trial.fake(slow(0.05)) for _ in range(4)]
    gateway, client = await trial.before(engines, {"concurrency": {"pool": 6}})
    most = 0

    async def watch():
        nonlocal most
        while True:
            most = max(most, sum(engine.in_flight for engine in engines))
            await asyncio.sleep(0.002)
    watcher = asyncio.ensure_future(watch())
    trial.all_good(await in_parallel(200, 40, lambda _: client.chat(timeout=60)))
    watcher.cancel()
    trial.claim(most <= 6, "the pool's limit is kept", most)
