"""Texts that one engine begins and another one ends: the client sees one unbroken stream."""

import asyncio
import os
import shutil

from engines import free_port
from processes import Process, fetch, total
from trial import case, expected
from waiting import wait_until

USAGE = {"stream_options": {"include_usage": True}}
NO_PROBES = {"health": {"path": "off"}, "ejection": {"consecutiveErrors": 1000, "minimumRequests": 100_000}}


async def pair(trial, after=5, fault="midreset", **pool):
    """An engine that dies after some tokens and one that does not; a gateway before both."""
    options = {"first_token": "1ms", "interval": "1ms"}
    bad, good = trial.engine(fault=f"{fault}=1", fault_after=after, **options), trial.engine(**options)
    return good, *await trial.before([bad, good], {**NO_PROBES, "balancing": "roundRobin", **pool})


def same_stream(trial, answer, what):
    """What must not change in the middle of a stream."""
    chunks = answer.chunks()
    for name in ("id", "created", "model", "object"):
        values = {chunk.get(name) for chunk in chunks}
        trial.claim(len(values) == 1, f"{what}: {name} changes in mid-stream", values)
    roles = [chunk for chunk in chunks if any((c.get("delta") or {}).get("role") for c in chunk["choices"])]
    trial.claim(len(roles) <= 1, f"{what}: the role is said {len(roles)} times")
    indices = {choice["index"] for chunk in chunks for choice in chunk["choices"]}
    trial.claim(indices == {0}, f"{what}: indices", indices)
    finishes = [c["finish_reason"] for chunk in chunks for c in chunk["choices"] if c.get("finish_reason")]
    trial.claim(len(finishes) == 1, f"{what}: reasons of the end", finishes)


@case("continuation/chat")
async def chat(trial):
    """Wherever an engine dies, text, usage, id and indices are those of an uninterrupted stream."""
    for after in (0, 1, 2, 12, 23):
        good, gateway, client = await pair(trial, after)
        for members in ({}, {"temperature": 0}, {"max_tokens": 17}, {"seed": 7}, {"stop": ["water"]}):
            (text, usage), = await expected(good, ["Go on"], stream=True, **USAGE, **members)
            answers = [await client.chat("Go on", stream=True, **USAGE, **members) for _ in range(4)]
            trial.all_good(answers, text, f"streams, dead after {after}, {members}")
            for answer in answers:
                if answer.problem() is None:
                    trial.claim(answer.usage == usage, f"usage, dead after {after}, {members}",
                                f"{answer.usage} is not {usage}")
                    same_stream(trial, answer, f"dead after {after}")


@case("continuation/completions")
async def completions(trial):
    """The same for plain completions, whose prompt grows."""
    for after in (1, 12):
        good, gateway, client = await pair(trial, after)
        body = {"model": "m", "prompt": "Once \"upon\" a\ntime ü", "stream": True, "max_tokens": 64,
                **USAGE}
        direct = type(client)(good.port)
        whole = await direct.send("/v1/completions", body)
        direct.close()
        answers = [await client.send("/v1/completions", body) for _ in range(4)]
        trial.all_good(answers, whole.text, f"streams, dead after {after}")
        for answer in answers:
            if answer.problem() is None:
                trial.claim(answer.usage == whole.usage, "usage", f"{answer.usage} is not {whole.usage}")
                same_stream(trial, answer, f"dead after {after}")


@case("continuation/prefilled")
async def prefilled(trial):
    """A message of the assistant's that the client began is gone on with, and so is what was added to it."""
    good, gateway, client = await pair(trial, 7)
    for content in ("Sure: ", [{"type": "text", "text": "Sure: "}]):
        body = {"model": "m", "stream": True, **USAGE, "continue_final_message": True, "add_generation_prompt": False,
                "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": content}]}
        direct = type(client)(good.port)
        whole = await direct.send("/v1/chat/completions", body)
        direct.close()
        answers = [await client.send("/v1/chat/completions", body) for _ in range(4)]
        trial.all_good(answers, whole.text)
        for answer in answers:
            trial.claim(answer.usage == whole.usage, "usage", f"{answer.usage} is not {whole.usage}")


@case("continuation/several-deaths")
async def several(trial):
    """A stream outlives more than one engine."""
    options = {"first_token": "1ms", "interval": "1ms"}
    engines = [trial.engine(fault="midclose=1", fault_after=5, **options) for _ in range(3)]
    engines.append(trial.engine(**options))
    (text, usage), = await expected(engines[-1], ["Go on"], stream=True, **USAGE)
    gateway, client = await trial.before(engines, {**NO_PROBES, "balancing": "roundRobin"})
    answers = [await client.chat("Go on", stream=True, **USAGE) for _ in range(12)]
    trial.all_good(answers, text)
    trial.claim(all(answer.usage == usage for answer in answers), "usage", [answer.usage for answer in answers])
    continued = total(await trial.metrics(gateway), "penstock_continuations_total")
    trial.claim(continued > 0, "continuations are counted", continued)


@case("continuation/not-possible")
async def not_possible(trial):
    """Where a text cannot be continued the client gets an error event and no [DONE]."""
    good, gateway, client = await pair(trial, 3, "midclose")
    fields = {"type": "object", "properties": {name: {"type": "string"} for name in ("one", "two", "three", "four")}}
    tools = [{"type": "function", "function": {"name": "look", "parameters": fields}}]
    schema = {"type": "json_schema", "json_schema": {"name": "a", "schema": fields}}
    # Which engine a stream goes to is each worker's own turn: of ten streams some meet the one that dies, not all.
    for name, members in {"two choices": {"n": 2}, "logprobs": {"logprobs": True},
                          "a tool call": {"tools": tools, "tool_choice": "required"},
                          "structured output": {"response_format": schema}}.items():
        answers = [await client.chat("Go on", stream=True, **members) for _ in range(10)]
        broken = [answer for answer in answers if not answer.is_done]
        trial.claim(1 <= len(broken) <= 9, f"{name}: some of ten streams break", [str(a.problem()) for a in answers])
        for answer in broken:
            last = answer.chunks()[-1] if answer.events else {}
            trial.claim("error" in last, f"{name}: the last event is an error", answer.events[-1:])
    never = (await pair(trial, 3, "midclose", continuation="never"))[2]
    answers = [await never.chat("Go on", stream=True) for _ in range(10)]
    trial.claim(1 <= sum(answer.is_done for answer in answers) <= 9, "off: some of ten streams break",
                [str(answer.problem()) for answer in answers])


@case("continuation/openai-sdk")
async def sdk(trial):
    """The official client reads one unbroken stream."""
    try:
        import openai
    except ImportError:
        return trial.skip("the openai package is not installed")
    good, gateway, client = await pair(trial, 9)
    (text, usage), = await expected(good, ["Go on"], stream=True, **USAGE)
    application = openai.AsyncOpenAI(base_url=gateway.base, api_key="none", max_retries=0)
    for _ in range(4):
        pieces, last = [], None
        stream = await application.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "Go on"}], stream=True,
            stream_options={"include_usage": True})
        async for chunk in stream:
            pieces += [choice.delta.content or "" for choice in chunk.choices]
            last = chunk.usage or last
        trial.claim("".join(pieces) == text, "the text", "".join(pieces))
        trial.claim(last and last.completion_tokens == usage["completion_tokens"], "the usage", last)
    await application.close()


@case("continuation/llama.cpp")
async def llama(trial):
    """A real engine is killed in mid-stream; at temperature 0 the client reads the text of an uninterrupted run.

    Wants `$LLAMA_SERVER`, the program, and `$LLAMA_MODEL`, a GGUF file.
    """
    program, model = os.environ.get("LLAMA_SERVER"), os.environ.get("LLAMA_MODEL")
    if not program or not model or not shutil.which(program):
        return trial.skip("LLAMA_SERVER and LLAMA_MODEL are not set")
    servers = [LlamaServer(program, model).start() for _ in range(2)]
    trial.things += servers
    gateway, client = await trial.before(servers, {"health": {"interval": "200ms", "confirmModel": False}},
                                         provider={"engine": "llamacpp"})
    rounds, whole, same, rates = trial.count(10, 3), 0, 0, []
    for number in range(rounds):
        prompt = f"tell me the story of number {number}"
        members = {"temperature": 0, "max_tokens": 1200, "ignore_eos": True, "cache_prompt": False, **USAGE}
        (text, usage), = await expected(servers[0], [prompt], stream=True, **members)
        task = asyncio.ensure_future(client.chat(prompt, stream=True, **members))
        victim = await serving(trial, servers)
        if victim is None:
            trial.note(f"round {number}: over before the kill")
            await task
            continue
        victim.kill()
        answer = await task
        trial.claim(answer.problem() is None, f"round {number}", answer.problem())
        whole += answer.problem() is None
        same += answer.text == text
        if answer.text != text:
            trial.claim(not (fault := seam_fault(answer.text, text)), f"round {number}", fault)
            trial.note(f"round {number}: {common(answer.text, text)} of {len(text)} characters the same")
        if answer.usage and usage:
            rates.append((answer.usage["completion_tokens"], usage["completion_tokens"]))
        await asyncio.to_thread(victim.start)
        await asyncio.sleep(0.7)
    trial.note(f"{whole} of {rounds} streams whole, {same} with the same text; tokens {rates}")


def common(one, other):
    return next((place for place, (a, b) in enumerate(zip(one, other)) if a != b), min(len(one), len(other)))


def seam_fault(one, other, span=100):
    """Whether two texts that part do so because characters are lost or doubled: how many; `None` if they are not."""
    place = common(one, other)
    for shift in range(1, 40):
        if one[place:place + span] == other[place + shift:place + shift + span]:
            return f"{shift} characters lost at {place}"
        if one[place + shift:place + shift + span] == other[place:place + span]:
            return f"{shift} characters doubled at {place}"
    return None


async def serving(trial, servers):
    """The server that is generating, once it has begun."""
    for _ in range(400):
        for server in servers:
            busy = await asyncio.to_thread(server.busy)
            if busy:
                await asyncio.sleep(0.05)
                return server
        await asyncio.sleep(0.005)
    return None


class LlamaServer:
    """`llama-server` on a port that stays its own."""

    def __init__(self, program, model):
        self.program, self.model, self.port, self.process = program, model, free_port(), None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        self.process = Process([self.program, "-m", self.model, "--port", self.port, "--host", "127.0.0.1",
                                "--metrics", "--threads", "1", "--no-warmup"])

        def healthy():
            try:
                return fetch(f"{self.url}/health", timeout=1)[0] == 200
            except OSError:
                return False
        wait_until(healthy, "llama-server is healthy", 30)
        return self

    def busy(self):
        try:
            text = fetch(f"{self.url}/metrics", timeout=1)[2]
        except OSError:
            return False
        return any(line.startswith("llamacpp:requests_processing ") and float(line.split()[1]) > 0
                   for line in text.splitlines())

    def kill(self):
        self.process.child.kill()
        self.process.wait(5)

    def stop(self):
        if self.process and self.process.alive():
            self.kill()
