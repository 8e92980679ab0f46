"""Which pool and which engine: routes, tiers, weights, fallbacks, sessions, and how they are explained."""

import asyncio
import collections
import json
import signal
import subprocess
import urllib.error
import urllib.request

from client import in_parallel
from engines import failing, silent, slow
from processes import Penstock, total
from trial import case


def pools(**engines):
    """One pool for each name, of one engine or a list of them."""
    return [{"name": name, "endpoints": [e.url for e in (some if isinstance(some, list) else [some])],
             "health": {"path": "off"}} for name, some in engines.items()]


PROVIDERS = [{"name": "default", "engine": "vllm"}]


async def gateway_for(trial, models, **engines):
    gateway = await trial.gateway({"models": models, "pools": pools(**engines), "providers": PROVIDERS})
    return gateway, trial.client(gateway)


def said_by(answer, engine):
    return answer.problem() is None and answer.text == f"port {engine.port}"


@case("tiers/in-order")
async def tiers(trial):
    """The next tier answers when the one before has nothing left, under the name its engines know."""
    down, bad, last = await trial.fake(start=False), await trial.fake(failing(500)), await trial.fake()
    gateway, client = await gateway_for(
        trial, [{"name": "m", "tiers": ["a", "b", {"pool": "c", "upstreamModel": "other"}]}], a=down, b=bad, c=last)
    answers = [await client.chat(stream=number % 2 == 0) for number in range(20)]
    trial.all_good(answers, f"port {last.port}")
    models = {request.body["model"] for request in last.received}
    trial.claim(models == {"other"}, "the upstream model of the tier", models)


@case("fallback/context-length")
async def context_length(trial):
    """A prompt too long for a model goes to the one with the larger context, in each dialect of saying so."""
    says = {
        "OpenAI": (400, "context_length_exceeded", "This model's maximum context length is 4096 tokens."),
        "vLLM": (400, None, "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens."),
        "llama.cpp": (400, None, "the request exceeds the available context size, try increasing it"),
    }
    for name, (status, code, message) in says.items():
        for streams in (False, True):
            small = await trial.fake(failing(status, code=code, kind="invalid_request_error", message=message))
            big = await trial.fake(models=["big"])
            gateway, client = await gateway_for(
                trial, [{"name": "m", "pool": "small", "fallbacks": {"contextLength": "big"}},
                        {"name": "big", "pool": "big"}], small=small, big=big)
            answer = await client.chat(stream=streams)
            trial.claim(said_by(answer, big), f"{name}: the larger model answers", answer.problem())
            trial.claim(len(small.received) == 1, f"{name}: the small one is asked once", len(small.received))
            trial.claim(all(r.body["model"] == "big" for r in big.received), f"{name}: under its own name")
    plain = await trial.fake(failing(400, code="context_length_exceeded", message="maximum context length"))
    gateway, client = await gateway_for(trial, [{"name": "m", "pool": "p"}], p=plain)
    answer = await client.chat()
    trial.claim(answer.status == 400 and answer.code == "context_length_exceeded",
                "without a fallback the client is told", f"{answer.status} {answer.code}")


@case("fallback/content-policy")
async def content_policy(trial):
    """What one provider refuses for its content another one may answer."""
    strict = await trial.fake(failing(
        400, code="content_policy_violation", kind="invalid_request_error", message="rejected by the safety system"))
    other = await trial.fake(models=["other"])
    gateway, client = await gateway_for(
        trial, [{"name": "m", "pool": "a", "fallbacks": {"contentPolicy": ["other"]}}, {"name": "other", "pool": "b"}],
        a=strict, b=other)
    answer = await client.chat()
    trial.claim(said_by(answer, other), "the other model answers", answer.problem())


@case("fallback/overload")
async def overload(trial):
    """Full, broken or away: the fallback for overload answers."""
    for name, answer in {"503": failing(503), "429": failing(429, {"retry-after": "9"}), "away": None}.items():
        busy, spare = await trial.fake(answer, start=answer is not None), await trial.fake(models=["spare"])
        gateway, client = await gateway_for(
            trial, [{"name": "m", "pool": "a", "fallbacks": {"overload": "spare"}}, {"name": "spare", "pool": "b"}],
            a=busy, b=spare)
        answers = [await client.chat() for _ in range(5)]
        trial.all_good(answers, f"port {spare.port}", f"answers ({name})")
        slowest = max(answer.seconds for answer in answers)
        trial.figure(f"{name}: slowest", slowest, "0.1 s", slowest <= 0.1, slowest <= 3, " s")
    busy, spare = await trial.fake(slow(1)), await trial.fake(models=["spare"])
    configuration = {
        "models": [{"name": "m", "pool": "a", "fallbacks": {"overload": "spare"}}, {"name": "spare", "pool": "b"}],
        "pools": pools(a=busy, b=spare), "providers": PROVIDERS}
    configuration["pools"][0] |= {"concurrency": {"perEndpoint": 1}, "queue": {"maxRequests": 0}}
    gateway = await trial.gateway(configuration)
    client = trial.client(gateway)
    answers = await in_parallel(4, 4, lambda _: client.chat())
    trial.all_good(answers)
    texts = collections.Counter(answer.text for answer in answers)
    trial.claim(texts[f"port {spare.port}"] == 3, "three of four go to the spare model", dict(texts))


@case("fallback/no-cycle")
async def cycle(trial):
    """Fallbacks that lead back end, with the error of an engine."""
    one, other = await trial.fake(failing(503)), await trial.fake(failing(503))
    gateway, client = await gateway_for(
        trial, [{"name": "m", "pool": "a", "fallbacks": {"overload": "n"}},
                {"name": "n", "pool": "b", "fallbacks": {"overload": "m"}}], a=one, b=other)
    answer = await client.chat()
    trial.claim(answer.status in (502, 503), "an answer", answer.problem())
    trial.claim(len(one.received) <= 2 and len(other.received) <= 2, "no model twice",
                f"{len(one.received)} and {len(other.received)}")


@case("weights/canary-stable-per-session")
async def canary(trial):
    """A weighted split gives each session one side, and the sides their shares."""
    main, new = await trial.fake(), await trial.fake()
    gateway, client = await gateway_for(
        trial, [{"name": "m", "tiers": [{"pools": [
            {"pool": "main", "weight": 80}, {"pool": "new", "weight": 20, "upstreamModel": "m-canary"}]}]}],
        main=main, new=new)
    sessions, sides = trial.count(400, 150), collections.defaultdict(set)

    async def one(number):
        answer = await client.chat(headers={"x-session-id": f"s{number % sessions}"})
        sides[number % sessions].add(answer.text)
        return answer
    trial.all_good(await in_parallel(sessions * 3, 16, one))
    torn = sum(len(texts) > 1 for texts in sides.values())
    trial.claim(torn == 0, "a session sees both sides", f"{torn} of {sessions}")
    share = sum(texts == {f"port {new.port}"} for texts in sides.values()) / sessions
    trial.claim(0.1 < share < 0.32, "the canary's share of sessions is about 0.2", share)
    trial.claim({r.body["model"] for r in new.received} == {"m-canary"}, "the canary's model name")
    share = await in_parallel(200, 16, lambda _: client.chat())
    share = sum(answer.text == f"port {new.port}" for answer in share) / 200
    trial.claim(0.08 < share < 0.35, "the canary's share without sessions is about 0.2", share)


@case("weights/zero-is-last")
async def zero(trial):
    """Weight 0 serves only when the others cannot."""
    main, spare = await trial.fake(), await trial.fake()
    gateway, client = await gateway_for(
        trial, [{"name": "m", "tiers": [{"pools": [{"pool": "a", "weight": 1}, {"pool": "b", "weight": 0}]}]}],
        a=main, b=spare)
    trial.all_good(await in_parallel(40, 8, lambda _: client.chat()), f"port {main.port}")
    main.answer = failing(500)
    trial.all_good(await in_parallel(40, 8, lambda _: client.chat()), f"port {spare.port}")


@case("routes/tags-and-headers")
async def tags(trial):
    """The first route whose headers and tags all match decides; else the model's own tiers."""
    normal, europe, batch = await trial.fake(), await trial.fake(), await trial.fake()
    routes = [
        {"name": "both", "match": {"headers": {"x-job": "batch*"}, "tags": ["eu"]}, "tiers": ["europe", "batch"]},
        {"name": "jobs", "match": {"headers": {"x-job": "batch*"}}, "tiers": ["batch"]},
        {"name": "eu", "match": {"tags": ["eu"]}, "tiers": ["europe"]},
        {"name": "present", "match": {"headers": {"x-special": "*"}}, "tiers": ["batch"]}]
    gateway, client = await gateway_for(
        trial, [{"name": "m", "pool": "normal", "routes": routes}], normal=normal, europe=europe, batch=batch)
    for headers, engine in [
        ({}, normal), ({"x-job": "online"}, normal), ({"x-job": "batch-7"}, batch), ({"x-job": "batch"}, batch),
        ({"x-penstock-tags": "eu"}, europe), ({"x-litellm-tags": "fast, eu"}, europe),
        ({"x-penstock-tags": "e"}, normal), ({"x-job": "batch", "x-penstock-tags": "eu,x"}, europe),
        ({"x-special": "anything"}, batch),
    ]:
        answer = await client.chat(headers=headers)
        trial.claim(said_by(answer, engine), f"{headers}", f"{answer.problem()} {answer.text}")


@case("routes/aliases-wildcards-default")
async def names(trial):
    """Aliases and wildcards resolve; a name nobody knows goes to the default model, or is 404 without one."""
    one, other = await trial.fake(), await trial.fake()
    models = [{"name": "m", "aliases": ["gpt-4o", "old-*"], "pool": "a"}, {"name": "qwen*", "pool": "b"}]
    for default in (None, "m"):
        gateway = await trial.gateway({"models": models, "pools": pools(a=one, b=other), "providers": PROVIDERS,
                                       **({"defaultModel": default} if default else {})})
        client = trial.client(gateway)
        for name, engine in {"m": one, "gpt-4o": one, "old-7": one, "qwen-2": other}.items():
            answer = await client.chat(model=name)
            trial.claim(said_by(answer, engine), name, answer.problem())
        answer = await client.chat(model="nobody-knows")
        trial.claim(said_by(answer, one) if default else answer.status == 404, f"default {default}", answer.problem())


@case("sessions/stick")
async def sessions(trial):
    """A session stays with an engine by any of the usual headers, moves when that engine dies, and spreads."""
    engines = [await trial.fake() for _ in range(4)]
    gateway, client = await trial.before(engines, {"health": {"path": "off"}})
    for header in ("x-session-id", "x-session-token", "session_id", "x-claude-code-session-id", "x-smg-routing-key"):
        seen = {(await client.chat(headers={header: "s-1"})).text for _ in range(6)}
        trial.claim(len(seen) == 1, f"{header} sticks", seen)
    for name in ("prompt_cache_key", "user"):
        seen = {(await client.chat(**{name: "s-2"})).text for _ in range(6)}
        trial.claim(len(seen) == 1, f"{name} sticks", seen)
    homes = {}
    for number in range(80):
        homes[number] = (await client.chat(headers={"x-session-id": f"t-{number}"})).text
    spread = collections.Counter(homes.values())
    trial.claim(len(spread) == 4 and min(spread.values()) >= 8, "sessions spread", dict(spread))
    engines[0].stop()
    moved = {}
    for number in range(80):
        answer = await client.chat(headers={"x-session-id": f"t-{number}"})
        trial.claim(answer.problem() is None, "no client sees the death", answer.problem())
        moved[number] = answer.text
    gone = f"port {engines[0].port}"
    stayed = sum(moved[number] == homes[number] for number in homes if homes[number] != gone)
    others = sum(home != gone for home in homes.values())
    # One or two may: while engines that are new get more and more, their shares shift.
    trial.claim(stayed >= 0.95 * others, "only the sessions of the dead engine move", f"{stayed} of {others} stayed")


async def hedge(trial, streams):
    """A slow first token is hedged: the faster engine answers, the slower one is cancelled, counted once."""
    sluggish, quick = await trial.fake(slow(20)), await trial.fake()
    gateway, client = await trial.before(
        [sluggish, quick], {"hedging": {"after": "200ms"}, "balancing": "roundRobin", "health": {"path": "off"}})
    answers = [await client.chat(stream=streams, timeout=15) for _ in range(4)]
    trial.all_good(answers, f"port {quick.port}")
    worst = max(answer.seconds for answer in answers)
    trial.figure("slowest", worst, "0.4 s", worst <= 0.4, worst <= 5, " s")
    hedged = len(sluggish.received)
    trial.claim(hedged >= 1, "the slow engine was asked at all", hedged)
    cancelled = await trial.becomes(lambda: sluggish.left == hedged and sluggish.in_flight == 0, 5)
    trial.claim(cancelled is not None, "the loser is cancelled", f"{sluggish.left} of {hedged}")
    samples = await trial.metrics(gateway)
    requests = total(samples, "penstock_requests_total", code="200", model="m")
    trial.claim(requests == 4, "each request is counted once", requests)
    spent = total(samples, "penstock_tokens_total", direction="output")
    if not streams:
        trial.claim(spent == 8, "each answer's tokens are counted once", spent)


case("hedging/unary", False)(hedge)
case("hedging/stream", True)(hedge)


@case("deadline/client-header")
async def deadline(trial):
    """The client's own deadline ends a request that hangs, in time, and the engine is told."""
    engine = await trial.fake(silent)
    gateway, client = await trial.before([engine], {"health": {"path": "off"}})
    for name, value in {"x-penstock-timeout": "0.5", "x-request-timeout": "500ms"}.items():
        for streams in (False, True):
            answer = await client.chat(stream=streams, headers={name: value}, timeout=6)
            trial.claim(answer.status in (408, 503, 504), f"{name}: an answer", answer.problem())
            trial.figure(f"{name} 0.5 s", answer.seconds, "0.6 s", answer.seconds <= 0.6, answer.seconds <= 5, " s")
    gone = await trial.becomes(lambda: engine.in_flight == 0, 5)
    trial.claim(gone is not None, "the engine still works on it", engine.in_flight)
    engine.answer = slow(0.1)
    answer = await client.chat(headers={"x-penstock-timeout": "30", "x-stainless-read-timeout": "600"})
    trial.claim(answer.problem() is None, "a deadline that is far does nothing", answer.problem())


@case("deadline/first-token-moves-on")
async def first_token(trial):
    """An engine without a first token in its time is left for another; a slow but living stream is not."""
    hung, good = await trial.fake(silent), await trial.fake()
    gateway, client = await trial.before(
        [hung, good], {"timeouts": {"firstToken": "300ms"}, "balancing": "roundRobin", "health": {"path": "off"}})
    answers = [await client.chat(stream=number % 2 == 0, timeout=10) for number in range(8)]
    trial.all_good(answers, f"port {good.port}")
    slowest = max(answer.seconds for answer in answers)
    trial.figure("slowest", slowest, "0.4 s", slowest <= 0.4, slowest <= 5, " s")

    async def long_text(exchange):
        exchange.begin_events()
        for number in range(8):
            exchange.piece({"content": f"{number} "})
            await asyncio.sleep(0.1)
        exchange.piece({}, "stop")
        exchange.end_events()
    hung.answer = good.answer = long_text
    trial.all_good([await client.chat(stream=True)], "0 1 2 3 4 5 6 7 ")


def post(url, value):
    request = urllib.request.Request(url, json.dumps(value).encode(), {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=5) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@case("explain/endpoint-and-command")
async def explain(trial):
    """Why a request goes where it goes: route, tiers and endpoints, from the running gateway and from the file."""
    good, bad = await trial.fake(), await trial.fake(failing(500))
    routes = [{"name": "jobs", "match": {"headers": {"x-job": "batch*"}}, "tiers": ["b"]}]
    configuration = {
        "models": [{"name": "m", "tiers": ["a", "b"], "routes": routes}],
        "pools": pools(a=[good, bad], b=good), "providers": PROVIDERS}
    gateway = await trial.gateway(configuration)
    client = trial.client(gateway)
    await in_parallel(60, 4, lambda _: client.chat())
    status, text = await asyncio.to_thread(
        post, f"{gateway.admin_root}/admin/v1/explain", {"model": "m", "headers": {"x-job": "batch-1"}})
    trial.claim(status == 200, "the endpoint answers", f"{status} {text[:300]}")
    trial.claim("jobs" in text and good.url.removeprefix("http://") in text, "route and endpoint are named", text[:400])
    status, text = await asyncio.to_thread(post, f"{gateway.admin_root}/admin/v1/explain", {"model": "m"})
    trial.claim(bad.url.removeprefix("http://") in text, "the ejected endpoint is named", text[:400])
    trial.claim("suspect" in text, "and why it is not chosen", text[:600])
    try:
        json.loads(text)
    except ValueError as error:
        trial.claim(False, "the explanation is JSON", error)
    status, text = await asyncio.to_thread(post, f"{gateway.admin_root}/admin/v1/explain", {"model": "nobody"})
    trial.claim(status in (200, 404) and "nobody" in text, "an unknown model is explained", f"{status} {text[:200]}")
    for extra, wanted in ([], "a"), (["--header", "x-job: batch-1"], "jobs"):
        command = [trial.options.binary, "explain", "--config", gateway.path, "--model", "m", *extra]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=20)
        trial.claim(done.returncode == 0 and wanted in done.stdout, f"penstock explain {' '.join(extra)}",
                    f"{done.returncode} {done.stdout[-300:]} {done.stderr[-300:]}")


@case("reload/pool-changes-under-load")
async def reload(trial):
    """Endpoints that come and go by a new configuration cost no request."""
    first, second = await trial.fake(slow(0.02)), await trial.fake(slow(0.02))
    models = [{"name": "m", "pool": "p"}]
    path, port, admin = trial.write({"models": models, "pools": pools(p=[first]), "providers": PROVIDERS})
    gateway = await asyncio.to_thread(Penstock, ["--config", path], port, admin)
    trial.gateways.append(gateway)
    client = trial.client(gateway)
    with open(path) as file:
        text = file.read()
    load = asyncio.ensure_future(in_parallel(trial.count(2000, 600), 8, lambda _: client.chat()))
    for number in range(6):
        await asyncio.sleep(0.25)
        with open(path, "w") as file:
            file.write(text if number % 2 else text.replace(first.url, second.url))
        gateway.signal(signal.SIGHUP)
    trial.all_good(await load)
    trial.claim(first.received and second.received, "both pools served",
                f"{len(first.received)}, {len(second.received)}")
