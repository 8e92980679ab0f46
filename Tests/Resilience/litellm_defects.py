"""What LiteLLM does wrong under failure (release 1.109, measured), each as a case that must go right."""

import asyncio
import time

from client import Client, in_parallel, percentile
from engines import failing, ok, silent, slow
from trial import case

# Nothing is ejected and no budget ends: every request meets what the case is about.
RAW = {"health": {"path": "off"},
       "ejection": {"consecutiveErrors": 1000, "connectFailures": 1000, "minimumRequests": 1_000_000}}
UNBOUNDED = {"budget": "100%", "minPerSecond": 10_000}


@case("litellm/retry-never-re-picks-a-tried-endpoint")
async def re_pick(trial):
    """§0 (1): with two of three engines failing, each request meets each engine at most once, and is served."""
    engines = [await trial.fake(failing(500)), await trial.fake(failing(503)), await trial.fake()]
    for balancing in ("leastRequest", "random", "roundRobin", "p2c", "ewma"):
        for engine in engines:
            engine.forget()
        gateway, client = await trial.before(engines, {
            **RAW, "balancing": balancing, "retries": {"attempts": 5, **UNBOUNDED}})
        count = trial.count(400, 60)
        answers = await in_parallel(count, 8, lambda n: client.chat(headers={"x-case-id": f"{balancing}-{n}"}))
        trial.all_good(answers, f"port {engines[2].port}", f"answers ({balancing})")
        for engine in engines:
            ids = [request.id for request in engine.received]
            trial.claim(len(ids) == len(set(ids)), f"{balancing}: an engine is asked twice for one request",
                        f"{len(ids) - len(set(ids))} of {count}")


@case("litellm/no-sleep-after-the-last-attempt")
async def no_last_sleep(trial):
    """§4: an engine that always fails is asked as often as configured, and its last answer is passed on at once."""
    engine = await trial.fake(failing(500))
    gateway, client = await trial.before([engine], {
        **RAW, "retries": {"attempts": 3, "backoff": "1s", "maxBackoff": "1s", **UNBOUNDED}})
    answer = await client.chat(timeout=30)
    trial.claim(answer.status in (500, 502, 503), "the error reaches the client", answer.problem())
    trial.claim(len(engine.received) <= 3, "more attempts than configured", len(engine.received))
    gap = answer.ended - engine.received[-1].ended
    trial.figure("from the last failure to the client", gap * 1000, "10 ms", gap <= 0.010, gap <= 0.8, " ms")


@case("litellm/no-sleep-before-a-fallback")
async def no_sleep_before_fallback(trial):
    """§4: where another engine or tier can be tried, nobody waits first."""
    bad, good = await trial.fake(failing(503, {"retry-after": "5"})), await trial.fake()
    retries = {"attempts": 5, "backoff": "5s", "maxBackoff": "5s", **UNBOUNDED}
    gateway = await trial.gateway({
        "models": [{"name": "m", "tiers": ["a", "b"]}],
        "pools": [{"name": "a", "endpoints": [bad.url], **RAW, "retries": retries},
                  {"name": "b", "endpoints": [good.url], **RAW, "retries": retries}]})
    client = trial.client(gateway)
    answers = [await client.chat(timeout=30) for _ in range(10)]
    trial.all_good(answers, f"port {good.port}")
    worst = max(answer.seconds for answer in answers)
    trial.figure("slowest", worst * 1000, "50 ms", worst <= 0.050, worst <= 2, " ms")


@case("litellm/a-mid-stream-breaker-is-ejected")
async def breaker(trial):
    """§0 (3): an engine that breaks streams loses its traffic, also where texts are not continued."""
    async def breaks(exchange):
        exchange.begin_events()
        exchange.piece({"role": "assistant", "content": ""})
        exchange.piece({"content": "half of"})
        await exchange.writer.drain()
        await asyncio.sleep(0.01)
        exchange.reset()
    bad, good = await trial.fake(breaks), await trial.fake()
    gateway, client = await trial.before([bad, good], {"continuation": "never", "health": {"path": "off"}})
    answers = [await client.chat(stream=True) for _ in range(60)]
    broken = sum(answer.problem() is not None for answer in answers)
    trial.claim(broken <= 8, "the breaker keeps its traffic", f"{broken} of 60 streams broken")
    trial.claim(not any(answer.is_done for answer in answers if answer.problem()), "a broken stream says [DONE]")
    trial.note(f"{broken} of 60 streams broken before it was ejected")


@case("litellm/abort-of-unary-cancels-upstream")
async def abort(trial):
    """§0 (5): when the client of a unary call leaves, the engine is told at once."""
    engine = await trial.fake(silent)
    gateway, client = await trial.before([engine], RAW)
    slowest = 0.0
    for number in range(10):
        leaver = Client(gateway.data)
        task = asyncio.ensure_future(leaver.chat())
        await trial.becomes(lambda: engine.in_flight == 1, 5)
        left = time.monotonic()
        leaver.close()
        if not trial.claim(await trial.becomes(lambda: engine.in_flight == 0, 5) is not None, "the engine works on"):
            break
        slowest = max(slowest, time.monotonic() - left)
        task.cancel()
    # The scripted engine looks every 20 ms.
    trial.figure("noticed within", slowest * 1000, "50 ms", slowest <= 0.05, slowest <= 5, " ms")


@case("litellm/abort-during-retries-ends-them")
async def abort_in_backoff(trial):
    """A client that leaves between two attempts: there is no further one."""
    engine = await trial.fake(failing(500))
    gateway, client = await trial.before([engine], {
        **RAW, "retries": {"attempts": 20, "backoff": "500ms", "maxBackoff": "500ms", **UNBOUNDED}})
    leaver = Client(gateway.data)
    task = asyncio.ensure_future(leaver.chat())
    await trial.becomes(lambda: len(engine.received) >= 1, 5)
    leaver.close()
    await asyncio.sleep(0.1)
    made = len(engine.received)
    await asyncio.sleep(2)
    trial.claim(len(engine.received) == made, "attempts go on", f"{made}, then {len(engine.received)}")
    task.cancel()


@case("litellm/retry-after-and-code-are-passed-on")
async def passed_on(trial):
    """§0 (6), §8: status, `error.code`, the message and Retry-After of the engine reach the client."""
    rows = [(429, "rate_limit_exceeded"), (503, "engine_busy"), (400, "invalid_value"), (422, "unprocessable"),
            (404, "no_such_adapter")]
    for status, code in rows:
        engine = await trial.fake(failing(status, {"retry-after": "7"}, code, message="what the engine says"))
        gateway, client = await trial.before([engine], {**RAW, "retries": {"attempts": 1}})
        answer = await client.chat()
        error = answer.json().get("error") or {}
        trial.claim(answer.status == status, f"status {status}", answer.status)
        trial.claim(error.get("code") == code, f"code {code}", error)
        trial.claim(error.get("message") == "what the engine says", f"message of {status}", error)
        if status in (429, 503):
            seconds = answer.fields.get("retry-after", "")
            trial.claim(seconds.isdigit() and 1 <= int(seconds) <= 7, f"Retry-After of {status}", seconds or "none")


@case("litellm/an-outage-is-503-not-429")
async def outage(trial):
    """§8: engines that are away or broken are nobody's rate limit."""
    for name, answer in {"refused": None, "500": failing(500), "503": failing(503)}.items():
        engines = [await trial.fake(answer, start=answer is not None) for _ in range(2)]
        gateway, client = await trial.before(engines)
        answers = [await client.chat(timeout=30) for _ in range(30)]
        statuses = sorted({answer.status for answer in answers})
        trial.claim(all(500 <= status < 600 for status in statuses), f"{name}: only 5xx", statuses)
        if answer is None:
            trial.claim(answers[-1].status == 503 and "retry-after" in answers[-1].fields,
                        f"{name}: 503 with Retry-After in the end", f"{answers[-1].status} {answers[-1].fields}")


@case("litellm/429-of-one-is-invisible")
async def full(trial):
    """§5: one engine's 429 goes to the other one; the engine rests for its Retry-After and is not called broken."""
    busy, free = await trial.fake(failing(429, {"retry-after": "2"})), await trial.fake()
    gateway, client = await trial.before([busy, free], {"health": {"path": "off"}})
    answers = await in_parallel(200, 8, lambda _: client.chat())
    trial.all_good(answers, f"port {free.port}")
    trial.claim(len(busy.received) <= 8, "it rests while it asks for that", len(busy.received))
    busy.answer = ok
    busy.forget()
    await asyncio.sleep(2.2)
    answers = await in_parallel(400, 8, lambda _: client.chat())
    trial.all_good(answers)
    trial.claim(len(busy.received) > 0, "it serves again after its Retry-After", len(busy.received))


async def slow_one(trial, balancing):
    """One of two engines takes a second: hardly anybody waits for it."""
    sluggish, quick = await trial.fake(slow(1.0)), await trial.fake(slow(0.01))
    gateway, client = await trial.before([sluggish, quick], {"health": {"path": "off"}, "balancing": balancing})
    answers = await in_parallel(trial.count(1000, 300), 8, lambda _: client.chat())
    trial.all_good(answers)
    share = len(sluggish.received) / len(answers)
    trial.claim(share <= 0.15, "the slow engine's share", share)
    median = percentile([answer.seconds for answer in answers], 0.5)
    trial.figure("median", median * 1000, "50 ms", median <= 0.05, median <= 0.5, " ms")
    trial.note(f"share of the slow one {share:.3f}")


case("litellm/one-slow-backend/leastRequest", "leastRequest")(slow_one)
case("litellm/one-slow-backend/ewma", "ewma")(slow_one)


@case("litellm/ties-do-not-go-to-the-first")
async def ties(trial):
    """§3: at low load all engines are used."""
    engines = [await trial.fake() for _ in range(4)]
    for balancing in ("leastRequest", "p2c", "random", "roundRobin"):
        for engine in engines:
            engine.forget()
        gateway, client = await trial.before(engines, {"health": {"path": "off"}, "balancing": balancing})
        trial.all_good([await client.chat() for _ in range(120)])
        counts = [len(engine.received) for engine in engines]
        trial.claim(min(counts) >= 6, f"{balancing}: an engine is left out", counts)


@case("litellm/keep-alive-race")
async def keep_alive(trial):
    """An engine closes idle connections as we send on them: 0 of 150 clients see it, without any retry budget."""
    async def once(exchange):
        if exchange.request.number_on_connection > 0:
            return exchange.reset()
        await ok(exchange)
    engine = await trial.fake(once)
    gateway, client = await trial.before([engine], {
        "health": {"path": "off"}, "retries": {"attempts": 1, "budget": "0%", "minPerSecond": 0}})
    answers = [await client.chat(stream=number % 2 == 0) for number in range(150)]
    failed = [problem for answer in answers if (problem := answer.problem())]
    trial.claim(not failed, "clients see the race", f"{len(failed)} of 150: {failed[:1]}")
    raced = sum(request.number_on_connection > 0 for request in engine.received)
    trial.claim(raced >= 50, "the race happened", raced)


@case("litellm/client-errors-are-not-retried")
async def client_errors(trial):
    """§4, §5: a bad request is the client's; it is asked once and ejects nobody."""
    engines = [await trial.fake(failing(400, code="invalid_value")) for _ in range(2)]
    gateway, client = await trial.before(engines, {"health": {"path": "off"}})
    answers = await in_parallel(60, 4, lambda _: client.chat())
    trial.claim({answer.status for answer in answers} == {400}, "status", sorted({a.status for a in answers}))
    trial.claim(sum(len(engine.received) for engine in engines) == 60, "one attempt each")
    for engine in engines:
        engine.answer = ok
    trial.all_good(await in_parallel(20, 4, lambda _: client.chat()))
    trial.claim(all(len(engine.received) > 10 for engine in engines), "both are in use")


@case("litellm/one-engine-is-never-ejected-for-good")
async def single(trial):
    """§5: the only engine there is gets requests again as soon as it is well."""
    engine = await trial.fake(failing(500))
    gateway, client = await trial.before([engine], {"health": {"path": "off"}})
    answers = await in_parallel(24, 4, lambda _: client.chat(timeout=10))
    late = [answer for answer in answers if answer.error]
    trial.claim(not late, f"{len(late)} of {len(answers)} got no answer", late and late[0].error)
    engine.answer = ok

    async def served():
        return (await client.chat(timeout=10)).status == 200
    seconds = await trial.becomes(served, 70)
    trial.figure("served after", seconds or float("inf"), "2 s", (seconds or 99) <= 2, seconds is not None, " s")


@case("litellm/half-open-probes-one-at-a-time")
async def half_open(trial):
    """§5: full traffic does not return at once to an engine that was ejected; one request tries it."""
    ill, good = await trial.fake(failing(500)), await trial.fake(slow(0.01))
    gateway, client = await trial.before([ill, good], {"health": {"path": "off"}})
    trial.all_good(await in_parallel(100, 16, lambda _: client.chat()))
    ill.forget()
    ill.answer = slow(0.5, failing(500))
    answers = []
    until = time.monotonic() + trial.count(12, 5)

    async def load():
        while time.monotonic() < until:
            answers.append(await client.chat())
    await asyncio.gather(*(load() for _ in range(16)))
    trial.all_good(answers)
    trial.claim(len(ill.received) >= 1, "it is tried", len(ill.received))
    trial.claim(ill.most_in_flight <= 1, "by more than one at a time", ill.most_in_flight)
    trial.note(f"{len(ill.received)} probes among {len(answers)} requests")


@case("litellm/200-with-a-broken-body-is-no-answer")
async def broken_body(trial):
    """§7: a generation that failed never looks complete."""
    async def truncated(exchange):
        exchange.begin_events()
        exchange.piece({"role": "assistant", "content": ""})
        exchange.piece({"content": "half of"})
        exchange.writer.write(b"0\r\n\r\n")
    engine = await trial.fake(truncated)
    gateway, client = await trial.before([engine], {**RAW, "continuation": "never", "retries": {"attempts": 1}})
    answer = await client.chat(stream=True)
    trial.claim(not answer.is_done, "a truncated stream says [DONE]", answer.events[-2:])
    trial.claim(answer.problem() is not None and any("error" in chunk for chunk in answer.chunks()),
                "the client is told", answer.events[-2:])
