#!/usr/bin/env python3
"""A readable transcript: curl and the official SDKs through Penstock to a real engine.

    PENSTOCK_REAL_ENGINE=http://127.0.0.1:8080 transcript.py

`PENSTOCK_REAL_MODEL` and `PENSTOCK_REAL_KEY` name its model and key (default: tiny, sk-test). Everything printed
after `$` or `>>>` was run; what follows is what came back, cut to a readable length.
"""

import json
import os
import subprocess
import sys
import tempfile
import textwrap

import anthropic
import httpx
import openai

from certificates import Authority
from configuration import configured
from processes import Penstock, binary, fetch, free_port

MODEL = os.environ.get("PENSTOCK_REAL_MODEL", "tiny")
KEY = os.environ.get("PENSTOCK_REAL_KEY", "sk-test")
WIDTH = 150


def show(text, lines=12):
    rows = text.rstrip("\n").split("\n")
    for row in rows[:lines]:
        print("   ", row if len(row) <= WIDTH else row[:WIDTH] + " …")
    if len(rows) > lines:
        print(f"    … {len(rows) - lines} more lines")


def shell(command, lines=12):
    print(f"\n$ {command}")
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
    show(done.stdout + done.stderr, lines)
    return done


def python(code, names):
    """Runs the code and shows what it prints."""
    code = textwrap.dedent(code).strip()
    print()
    for line in code.split("\n"):
        print(f"{'... ' if line.startswith((' ', ')')) else '>>> '}{line}")
    printed = []
    try:
        exec(code, {**names, "print": lambda *a: printed.append(" ".join(map(str, a)))})
    except Exception as error:  # an error is part of the transcript
        printed.append(f"{type(error).__module__}.{type(error).__name__}: {error}")
    show("\n".join(printed))


def curl_part(gateway, secure, authority):
    body = f'{{"model": "{MODEL}", "max_tokens": 8, "messages": [{{"role": "user", "content": "Say hi."}}]%s}}'
    unary, stream = body % "", body % ', "stream": true'
    shown = "-sS -w '\\n[%{http_code} over HTTP/%{http_version}]\\n' -H 'content-type: application/json'" + (
        f" -H 'authorization: Bearer {KEY}'")
    print("\n# curl: HTTP/1.1, h2c, h2 over TLS")
    for options, url in (("--http1.1", gateway.root), ("--http2-prior-knowledge", gateway.root),
                         (f"--http2 --cacert {authority.certificate}", f"https://localhost:{secure}")):
        shell(f"curl {options} {shown} {url}/v1/chat/completions -d '{unary}'")
        shell(f"curl -N {options} {shown} {url}/v1/chat/completions -d '{stream}'", lines=30)
    shell(f"curl {shown} {gateway.base}/models")
    shell(f"curl {shown} {gateway.base}/embeddings -d '{{\"model\": \"{MODEL}\", \"input\": \"water\"}}'")
    print("\n# errors")
    shell(f"curl -i {shown} {gateway.base}/chat/completions -d '{unary.replace(MODEL, MODEL + 'x')}'")
    shell(f"curl {shown} {gateway.base}/chat/completions -d '{{\"model\": 5}}'")
    shell(f"curl {shown} {gateway.base}/chat/completions -d '{{\"model\":'")
    shell(f"curl {shown} {gateway.base}/messages -d '{unary.replace(MODEL, 'nope')}'")
    shell(f"curl {shown.replace(KEY, 'wrong')} {gateway.base}/chat/completions -d '{unary}'")


def sdk_part(gateway):
    names = {"openai": openai, "anthropic": anthropic, "httpx": httpx, "base": gateway.base, "root": gateway.root,
             "key": KEY, "model": MODEL}
    print(f"\n# openai {openai.__version__}")
    names["client"] = openai.OpenAI(base_url=gateway.base, api_key=KEY, max_retries=0)
    print("\n>>> client = openai.OpenAI(base_url=base, api_key=key, max_retries=0)")
    names["ask"] = [{"role": "user", "content": "Say hi."}]
    print('>>> ask = [{"role": "user", "content": "Say hi."}]')
    python("""
        answer = client.chat.completions.create(model=model, messages=ask, max_tokens=12)
        print(answer.choices[0].message.content, answer.usage.total_tokens, answer._request_id)
        """, names)
    python("""
        stream = client.chat.completions.create(model=model, messages=ask, max_tokens=12, stream=True)
        print([c.choices[0].delta.content for c in stream])
        """, names)
    python("""
        stream = client.chat.completions.create(
            model=model, messages=ask, max_tokens=12, stream=True, stream_options={"include_usage": True})
        print(list(stream)[-1])
        """, names)
    python("""
        print(client.embeddings.create(model=model, input=["water", "gate"]).data[1].embedding[:4])
        """, names)
    python("""
        print(client.responses.create(model=model, input="Say hi.", max_output_tokens=12).output_text)
        """, names)
    python("""
        print([event.type for event in client.responses.create(
            model=model, input="Say hi.", max_output_tokens=4, stream=True)])
        """, names)
    python("""
        import asyncio
        async def three():
            async with openai.AsyncOpenAI(base_url=base, api_key=key, max_retries=0) as client:
                return await asyncio.gather(*(client.completions.create(
                    model=model, prompt="Once", max_tokens=6) for _ in range(3)))
        print([a.choices[0].text for a in asyncio.run(three())])
        """, names)
    python("""
        client.chat.completions.create(model="tini", messages=ask)
        """, names)
    print(f"\n# anthropic {anthropic.__version__}")
    python("""
        claude = anthropic.Anthropic(base_url=root, api_key=key, max_retries=0)
        print(claude.messages.create(model=model, max_tokens=12, messages=ask).content[0].text)
        with claude.messages.stream(model=model, max_tokens=12, messages=ask) as stream:
            print(list(stream.text_stream))
        """, names)


def main():
    engine = os.environ.get("PENSTOCK_REAL_ENGINE") or sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        authority = Authority(folder)
        certificate, key = authority.issue("localhost", "127.0.0.1")
        data, admin, secure = free_port(), free_port(), free_port()
        tls = {"certificates": [{"certificate": str(certificate), "key": str(key)}]}
        make = configured({MODEL: [engine]}, listeners=lambda port: [
            {"address": f"127.0.0.1:{port}"}, {"address": f"127.0.0.1:{secure}", "tls": tls}])
        file = os.path.join(folder, "gateway.yaml")
        with open(file, "w") as out:
            json.dump(make(data, admin), out, indent=2)
        shell(f"{binary()} --version")
        print(f"\n# the engine itself: {engine}")
        print("   ", fetch(engine + "/v1/models", {"authorization": f"Bearer {KEY}"})[1].get("server", "?"))
        gateway = Penstock(["--config", file], data, admin)
        try:
            curl_part(gateway, secure, authority)
            sdk_part(gateway)
            print("\n# what the gateway counted")
            shell(f"curl -sS {gateway.admin_root}/metrics | grep -E '^penstock_(requests|tokens)_total'", lines=30)
            print("\n# its access log, the last lines")
            show("\n".join(gateway.output[-3:]))
        finally:
            gateway.stop()


if __name__ == "__main__":
    main()
