"""A pool of one bad and one good engine: whatever the bad one does, no client sees it."""

import asyncio

from client import in_parallel
from trial import case, expected

# Settings of the simulated engine for each kind of badness; `None`: the process is killed.
KINDS = {
    "refused": None,
    "reset": {"reset_rate": 1},
    "closed": {"close_rate": 1},
    "500": {"error_rate": 1, "status": 500},
    "503": {"error_rate": 1, "status": 503, "retry_after": 1},
    "429": {"error_rate": 1, "status": 429, "retry_after": 1},
    "hang-before-head": {"hang_rate": 1},
    "hang-after-head": {"headhang_rate": 1},
    "close-after-head": {"headclose_rate": 1},
    "garbage": {"garbage_rate": 1},
    "html": {"html_rate": 1},
    "half": {"cut_rate": 1, "fault_after": 5},
    "not-json": {"malformed_rate": 1},
    "broken-framing": {"badframe_rate": 1, "fault_after": 5},
    "death-midway": {"midreset_rate": 1, "fault_after": 5},
    "close-midway": {"midclose_rate": 1, "fault_after": 5},
    "silence-midway": {"midhang_rate": 1, "fault_after": 5},
}
# Only streams can do these.
STREAM_KINDS = {
    "error-event": {"errorevent_rate": 1, "fault_after": 5},
    "no-done": {"nodone_rate": 1},
}
PROMPTS = [f"Tell me of the river, part {number}" for number in range(8)]
WIDTH = 16
QUICK_TIMES = {"timeouts": {"firstByte": "500ms", "idle": "500ms", "connect": "500ms"}}


def turn_bad(engine, kind):
    settings = {**KINDS, **STREAM_KINDS}[kind]
    if settings is None:
        engine.kill()
    else:
        engine.configure(**settings)


def turn_good(engine, kind):
    if {**KINDS, **STREAM_KINDS}[kind] is None:
        engine.start()
    else:
        rates = {name: 0 for name in {**KINDS, **STREAM_KINDS}[kind] if name.endswith("_rate")}
        engine.configure(**rates)


async def one_bad_one_good(trial, kind, streams):
    """From a cold start, in steady state, and when an engine turns bad under load."""
    options = {"first_token": "2ms", "interval": "1ms"}
    bad, good = trial.engine(**options), trial.engine(**options)
    texts = await expected(good, PROMPTS)
    await asyncio.to_thread(turn_bad, bad, kind)
    # Probes are off: what is learned of the bad engine is learned from requests.
    gateway, client = await trial.before(
        [bad, good], {"health": {"path": "off"}, "timeouts": {"firstToken": "500ms"}}, provider=QUICK_TIMES)

    async def one(number):
        return await client.chat(PROMPTS[number % 8], stream=streams, temperature=0, timeout=30)

    half = trial.count(1000, 150)
    answers = await in_parallel(half, WIDTH, one)
    trial.all_good(answers, lambda number: texts[number % 8][0], "answers from a cold start")
    await asyncio.to_thread(turn_good, bad, kind)
    await trial.becomes(lambda: one_more_reaches(client, bad), within=8)
    await asyncio.gather(in_parallel(30, WIDTH, one), asyncio.sleep(0.02))
    _, later = await asyncio.gather(asyncio.to_thread(turn_bad, bad, kind), in_parallel(half, WIDTH, one))
    trial.all_good(later, lambda number: texts[number % 8][0], "answers when an engine turned bad")
    slowest = max(answer.seconds for answer in answers + later)
    trial.note(f"{2 * half} requests, slowest {slowest * 1000:.0f} ms")


async def one_more_reaches(client, engine):
    """Sends a request; whether the engine has had any since it is well."""
    await client.chat("again")
    return (await asyncio.to_thread(engine.stats))["finished"] > 0


for kind in KINDS:
    case(f"pool/{kind}/unary", kind, False)(one_bad_one_good)
    # Events are passed on as they come: what is inside is not checked.
    if kind != "not-json":
        case(f"pool/{kind}/stream", kind, True)(one_bad_one_good)
for kind in STREAM_KINDS:
    case(f"pool/{kind}/stream", kind, True)(one_bad_one_good)


@case("pool/probes-find-the-bad")
async def probes(trial):
    """An engine whose health fails, and one that serves another model, are left alone though they would answer."""
    ill, other, good = trial.engine(health="503"), trial.engine(model=["other"]), trial.engine()
    gateway, client = await trial.before(
        [ill, other, good], {"health": {"interval": "100ms", "timeout": "500ms", "failures": 2}})
    await asyncio.sleep(1)
    before = [engine.stats()["requests"] for engine in (ill, other)]
    trial.all_good(await in_parallel(60, 8, lambda _: client.chat()))
    after = [engine.stats()["requests"] for engine in (ill, other)]
    trial.claim(before == after, "requests reached an engine that its probes call bad", f"{before} to {after}")


@case("pool/not-up-yet")
async def not_up_yet(trial):
    """An engine that comes up after the gateway is found without a restart."""
    late = trial.engine(start=False, first_token="1ms", interval="0")
    gateway, client = await trial.before([late], {"health": {"interval": "200ms"}})
    refused = await client.chat()
    trial.claim(refused.status == 503 or refused.status == 502, "a refusal while nothing is up", refused.problem())
    await asyncio.to_thread(late.start)

    async def served():
        return (await client.chat()).status == 200
    seconds = await trial.becomes(served, within=20)
    trial.figure("found after", seconds or float("inf"), "2 s", (seconds or 99) <= 2, seconds is not None, " s")


@case("pool/never-emptied-on-suspicion")
async def panic(trial):
    """Engines that fail now and then are all suspect, and still all that there is."""
    engines = [trial.engine(fault=["error=0.6"], first_token="1ms", interval="0", seed=seed) for seed in (1, 2)]
    gateway, client = await trial.before(
        engines, {"health": {"path": "off"}, "retries": {"attempts": 10, "budget": "100%", "minPerSecond": 1000}})
    answers = await in_parallel(trial.count(400, 100), 4, lambda _: client.chat(timeout=30))
    good = sum(answer.problem() is None for answer in answers)
    # Two tries at engines of which each fails six times in ten.
    trial.claim(good >= 0.5 * len(answers), "half-broken engines are still used", f"{good} of {len(answers)}")
