"""Engines that die under load, and engines that are all away."""

import asyncio
import random
import time

from client import at_rate, in_parallel, percentile
from engines import failing, ok, resetting, silent, slow
from processes import total
from trial import case, expected

PROMPTS = [f"Tell me of the river, part {number}" for number in range(8)]


@case("kill/one-of-eight")
async def one_of_eight(trial):
    """Kills one of eight engines at 80 % load, again and again: nobody without a first byte fails, no text breaks."""
    tokens, running, interval, first = 24, 4, 0.015, 0.02
    engines = [trial.engine(first_token=f"{int(first * 1000)}ms", interval=f"{int(interval * 1000)}ms", tokens=tokens,
                            max_running=running) for _ in range(8)]
    texts = await expected(engines[0], PROMPTS)
    gateway, client = await trial.before(
        engines, {"health": {"interval": "500ms"}, "concurrency": {"perEndpoint": running},
                  "timeouts": {"firstToken": "3s"}})
    rate = 0.8 * 8 * running / (first + tokens * interval)
    kills = trial.count(10, 3)
    events, pause = [], 6

    async def one(number):
        return await client.chat(PROMPTS[number % 8], stream=number % 2 == 0, timeout=30)

    async def killer():
        dice = random.Random(3)
        await asyncio.sleep(3)
        for _ in range(kills):
            victim = dice.choice(engines)
            events.append(time.monotonic())
            await asyncio.to_thread(victim.kill)
            await asyncio.sleep(pause / 2)
            await asyncio.to_thread(victim.start)
            await asyncio.sleep(pause / 2)

    answers, _ = await asyncio.gather(at_rate(rate, 3 + kills * pause, one), killer())
    trial.all_good(answers, lambda number: texts[number % 8][0])
    # Streams: the time to the first text; whole answers come when all of their text is there.
    calm = percentile([a.to_first for a in answers[::2] if a.began < events[0] - 0.5], 0.99)
    late = [percentile([a.to_first for a in answers[::2] if kill + 2 <= a.began < kill + pause / 2], 0.99)
            for kill in events]
    worst = max(late)
    trial.note(f"{len(answers)} requests, {rate:.0f}/s, {kills} kills; TTFT p99 calm {calm * 1000:.0f} ms")
    trial.figure("TTFT p99 from 2 s after a kill", worst * 1000, "1.5 x calm", worst <= 1.5 * calm + 0.02,
                 worst <= 10 * calm + 1, " ms")
    continued = (await trial.metrics(gateway)).get("penstock_continuations_total", {})
    trial.note("continuations " + ", ".join(f"{dict(key)['result']} {value:.0f}" for key, value in continued.items()))


def deadline_of(answers, seconds):
    return max((answer.seconds for answer in answers), default=0) <= seconds


async def all_out(trial, kind):
    """Attempts stay below 1.2 a request, every client gets its answer in time, and one engine's return is enough."""
    bad = {"503": failing(503), "503-retry-after": failing(503, {"retry-after": "2"}), "reset": resetting,
           "refused": None}[kind]
    engines = [await trial.fake(bad, start=bad is not None) for _ in range(4)]
    gateway, client = await trial.before(
        engines, {"health": {"interval": "250ms"}, "concurrency": {"perEndpoint": 8},
                  "queue": {"timeout": "2s", "maxRequests": 100}})
    deadline, seconds, rate = 3, trial.count(10, 3), 200

    async def one(number):
        return await client.chat(headers={"x-penstock-timeout": str(deadline)}, timeout=20)

    answers = await at_rate(rate, seconds, one)
    attempts = sum(len(engine.received) for engine in engines)
    if bad is None:
        attempts = total(await trial.metrics(gateway), "penstock_upstream_attempts_total")
    trial.figure("attempts a request", attempts / len(answers), "1.2", attempts <= 1.2 * len(answers),
                 attempts <= 1.5 * len(answers))
    trial.claim(all(answer.error is None for answer in answers), "a client got no answer",
                next((answer.error for answer in answers if answer.error), ""))
    trial.claim(deadline_of(answers, deadline + 1), "an answer came after its client's deadline",
                f"{max(a.seconds for a in answers):.2f} s")
    statuses = sorted({answer.status for answer in answers})
    trial.claim(set(statuses) <= {502, 503, 504}, "an outage is not 5xx to clients", statuses)
    without = [answer for answer in answers if "retry-after" not in answer.fields]
    trial.claim(not without, f"{len(without)} of {len(answers)} answers lack Retry-After",
                without and f"{without[0].status} {without[0].body[:200]}")
    settled = answers[len(answers) // 2:]
    # An engine that takes connections and resets them is asked now and then, and what comes of that is 502.
    known = {503} if kind != "reset" else {502, 503}
    trial.claim({answer.status for answer in settled} <= known, "an outage is 503 once it is known",
                sorted({answer.status for answer in settled}))
    await first_return(trial, client, engines[0], bad, rate, deadline)


async def first_return(trial, client, engine, bad, rate, deadline):
    """Load goes on; one of the engines comes back, able to answer 8 requests at a time in 50 ms each."""
    engine.forget()
    engine.answer = slow(0.05)
    if bad is None:
        await engine.start()
    returned = time.monotonic()

    async def one(number):
        answer = await client.chat(headers={"x-penstock-timeout": str(deadline)}, timeout=20)
        return answer

    # What one engine can bear: 8 at a time of 50 ms are 160 a second.
    answers = await at_rate(100, 5, one)
    good = [answer.ended - returned for answer in answers if answer.problem() is None]
    first = min(good, default=float("inf"))
    trial.figure("first success after the return", first, "2 s", first <= 2, first <= 10, " s")
    trial.claim(engine.most_in_flight <= 8, "a herd at the engine that returned", engine.most_in_flight)
    late = [answer for answer in answers if answer.began > returned + max(3, first + 1)]
    share = sum(answer.problem() is None for answer in late) / max(1, len(late))
    trial.figure("served from 3 s after the return", share, "1", share == 1, share >= 0.5 or first > 3)
    trial.note(f"at most {engine.most_in_flight} at once at the engine that returned")


for kind in ("503", "503-retry-after", "reset", "refused"):
    case(f"all-out/{kind}", kind)(all_out)


@case("all-out/frozen")
async def frozen(trial):
    """All engines accept and say nothing: clients are answered at their own deadline, and leave no trace."""
    engines = [await trial.fake(silent) for _ in range(2)]
    for engine in engines:
        engine.health = 503
    gateway, client = await trial.before(engines, {"health": {"path": "off"}})
    answers = await in_parallel(40, 40, lambda _: client.chat(headers={"x-penstock-timeout": "1"}, timeout=20))
    trial.claim(all(answer.status in (503, 504) for answer in answers), "not answered at the deadline",
                sorted({f'{a.status} {a.error}' for a in answers}))
    worst = max(answer.seconds for answer in answers)
    trial.figure("answered after", worst, "1.1 s", worst <= 1.1, worst <= 5, " s")
    trial.claim(await trial.becomes(lambda: all(engine.in_flight == 0 for engine in engines)) is not None,
                "requests are still held at engines")


@case("recovery/healed-backend")
async def healed(trial):
    """A backend that was ejected for errors gets requests again soon after it is well."""
    for attempt in range(trial.count(3, 1)):
        ill, good = await trial.fake(failing(500)), await trial.fake()
        gateway, client = await trial.before([ill, good], {"health": {"interval": "1s"}})
        trial.all_good(await at_rate(40, 8, lambda _: client.chat()), what="answers beside a bad engine")
        ill.forget()
        ill.answer = ok

        async def served():
            await client.chat()
            return any(request.ended for request in ill.received)
        seconds = await trial.becomes(served, within=70)
        trial.figure("healed engine used after", seconds or float("inf"), "5 s", (seconds or 99) <= 5,
                     seconds is not None, " s")
        ill.stop()
        good.stop()
