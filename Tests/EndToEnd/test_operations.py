"""Health, metrics, logs, discovery, reload, drain and the command line: what operators meet."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import httpx
import pytest

from configuration import configured
from engine import Engine, chunk, default_handler
from processes import ROOT, Process, binary, fetch, free_port
from waiting import wait_until
from wire import Broken, Http2, Raw

CHAT = {"model": "m1", "messages": [{"role": "user", "content": "hi"}]}
STREAM = {**CHAT, "stream": True}


def ask(gateway, model="m1", **more):
    return httpx.post(gateway.base + "/chat/completions", json={**CHAT, "model": model}, timeout=15, **more)


def run(*arguments, environment=None):
    return subprocess.run([binary(), *map(str, arguments)], capture_output=True, text=True, timeout=20,
                          env={**os.environ, **(environment or {})})


# The command line ----------------------------------------------------------------------------------------------

def test_version_is_one_line():
    done = run("--version")
    assert done.returncode == 0 and re.fullmatch(r"(penstock )?\d+\.\d+\.\d+.*\n", done.stdout), done.stdout


def test_help_teaches():
    done = run("--help")
    assert done.returncode == 0
    for word in ("serve", "check", "simulate-engine"):
        assert word in done.stdout
    for command in ("serve", "check", "simulate-engine"):
        assert run(command, "--help").returncode == 0
    assert "--engine" in run("serve", "--help").stdout


def test_wrong_usage_is_refused():
    assert run("serve", "--no-such").returncode == 64


WRONG = """\
listeners:
  - address: 127.0.0.1:{data}
admin:
  address: 127.0.0.1:{admin}
models:
  - name: m1
    pool: lama
    tiemout: 5s
pools:
  - name: llama
    endpoints: [http://127.0.0.1:1]
  - name: other
    endpoints: [7]
"""


def test_check_reports_all_mistakes_at_once(tmp_path):
    file = tmp_path / "gateway.yaml"
    file.write_text(WRONG.format(data=4000, admin=4001))
    done = run("check", file)
    said = done.stdout + done.stderr
    assert done.returncode not in (0, 64), said
    assert re.search(r"gateway\.yaml:8:5: .*tiemout", said), said
    assert re.search(r"gateway\.yaml:7:11: .*lama.*(llama)", said), said
    assert re.search(r"gateway\.yaml:13:\d+: ", said), said


def test_check_accepts_the_example(tmp_path, authority):
    shutil.copy(ROOT / "gateway.yaml.example", tmp_path / "gateway.yaml")
    certificate, key = authority.issue("localhost")
    (tmp_path / "tls").mkdir()
    for name in re.findall(r"tls/([a-z-]+\.pem)", (tmp_path / "gateway.yaml").read_text()):
        shutil.copy(key if "key" in name else certificate, tmp_path / "tls" / name)
    done = run("check", tmp_path / "gateway.yaml", environment={"ENGINE_KEY": "sk-1"})
    assert done.returncode == 0, done.stdout + done.stderr


def test_check_of_no_file():
    assert run("check", "/no/such/file.yaml").returncode not in (0, 64)


def test_serve_refuses_a_wrong_file(tmp_path):
    file = tmp_path / "gateway.yaml"
    file.write_text(WRONG.format(data=free_port(), admin=free_port()))
    done = run("serve", "--config", file)
    assert done.returncode not in (0, 64) and "tiemout" in done.stdout + done.stderr


def test_taken_address_is_said(gateway, engine):
    done = run("serve", "--engine", engine.url, "--listen", f"127.0.0.1:{gateway.admin}",
               "--admin", f"127.0.0.1:{free_port()}")
    assert done.returncode not in (0, 64)
    assert str(gateway.admin) in done.stdout + done.stderr


# Health --------------------------------------------------------------------------------------------------------

def test_health_paths(gateway):
    for path in ("/health", "/health/live", "/health/ready"):
        status, _, body = fetch(gateway.root + path)
        assert status == 200 and len(body) < 64 and "127.0.0.1" not in body, (path, body)
    for path in ("/healthz", "/readyz"):
        assert fetch(gateway.admin_root + path)[0] == 200, path
    assert fetch(gateway.admin_root + "/v1/models")[0] == 404


def test_start_to_serving_is_short(engine):
    took = []
    for _ in range(5):
        data, admin = free_port(), free_port()
        begun = time.monotonic()
        child = Process([binary(), "serve", "--engine", engine.url, "--listen", f"127.0.0.1:{data}",
                         "--admin", f"127.0.0.1:{admin}"])
        try:
            wait_until(lambda: connects(data), "the data port listens", every=0.001)
            took.append(time.monotonic() - begun)
        finally:
            child.stop()
    assert min(took) < 0.1, took


def connects(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def test_idle_memory(gateway):
    assert gateway.rss() < 25 << 20, f"{gateway.rss() / (1 << 20):.1f} MiB"


# Metrics -------------------------------------------------------------------------------------------------------

def use_everything(gateway, engine):
    """One exchange of each kind, so that every metric has something to show."""
    assert ask(gateway).status_code == 200
    assert ask(gateway, model="nope").status_code == 404
    for path in ("chat/completions", "messages", "responses"):
        httpx.post(f"{gateway.base}/{path}", json=STREAM)
    engine.on("/v1/completions", lambda x: x.reset())
    httpx.post(f"{gateway.base}/completions", json=CHAT)
    with Http2(gateway.data) as connection:
        connection.response(connection.post("/v1/chat/completions", CHAT))


def test_metrics_count(gateway, engine):
    use_everything(gateway, engine)
    wait_until(lambda: gateway.total("penstock_requests_total") >= 7, "all exchanges are counted")
    assert gateway.total("penstock_requests_total", model="m1", code="200") == 5
    assert gateway.total("penstock_requests_total", code="404") == 1
    assert gateway.total("penstock_requests_total", code="502") == 1
    assert gateway.total("penstock_request_duration_seconds_count") >= 7
    assert gateway.total("penstock_time_to_first_token_seconds_count") >= 3
    assert gateway.total("penstock_inter_token_latency_seconds_count") > 0
    assert gateway.total("penstock_upstream_attempts_total") >= 6
    assert gateway.total("penstock_requests_in_flight") == 0
    assert gateway.total("penstock_upstream_requests_in_flight") == 0
    assert gateway.total("penstock_received_bytes_total") > 0 and gateway.total("penstock_sent_bytes_total") > 0
    assert gateway.total("process_resident_memory_bytes") > 0 and gateway.total("process_open_fds") > 0


def test_names_of_unknown_models_are_no_labels(gateway):
    for number in range(30):
        ask(gateway, model=f"made-up-{number}")
    assert "made-up" not in fetch(gateway.admin_root + "/metrics")[2]
    wait_until(lambda: gateway.total("penstock_requests_total", code="404") == 30, "all 30 are counted")


def test_promtool_finds_nothing(gateway, engine):
    tool = shutil.which("promtool") or pytest.skip("promtool is not installed")
    use_everything(gateway, engine)
    text = fetch(gateway.admin_root + "/metrics")[2]
    done = subprocess.run([tool, "check", "metrics"], input=text, capture_output=True, text=True)
    assert done.returncode == 0 and not done.stdout + done.stderr, done.stdout + done.stderr


def test_openmetrics(gateway, engine):
    use_everything(gateway, engine)
    status, fields, text = fetch(gateway.admin_root + "/metrics",
                                 {"accept": "application/openmetrics-text; version=1.0.0"})
    assert status == 200 and fields["content-type"].startswith("application/openmetrics-text")
    assert text.endswith("# EOF\n")
    status, fields, _ = fetch(gateway.admin_root + "/metrics")
    assert fields["content-type"].startswith("text/plain")


# The access log ------------------------------------------------------------------------------------------------

def test_access_log(start, engine, tmp_path):
    log = tmp_path / "access.log"
    gateway = start(configured({"m1": [engine.url]}, logging={"format": "json", "output": str(log)}),
                    file=tmp_path / "gateway.yaml")
    secret = {"authorization": "Bearer sk-secret-1", "x-request-id": "req-1"}
    httpx.post(gateway.base + "/chat/completions", headers=secret,
               json={"model": "m1", "messages": [{"role": "user", "content": "PRIVATE WORDS"}]})
    ask(gateway, model="nope", headers={"x-request-id": "req-2"})

    def lines():
        found = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return {str(line): line for line in found if "req-1" in str(line) or "req-2" in str(line)}
    wait_until(lambda: len(lines()) == 2, "one line per exchange")
    text = log.read_text()
    assert "PRIVATE" not in text and "sk-secret" not in text and "through" not in text
    first = next(line for line in lines().values() if "req-1" in str(line))
    assert first["status"] == 200 and first["model_requested"] == "m1" and first["attempts"] == 1


# Engines come and go ---------------------------------------------------------------------------------------------

def test_engine_that_comes_later_is_found(start):
    port = free_port()
    gateway = start(arguments=["--engine", f"http://127.0.0.1:{port}"])
    assert ask(gateway).status_code in (404, 503)
    late = Engine(["m1"], port=port)
    try:
        gateway.wait_for_models("m1", within=20)
        assert ask(gateway).status_code == 200
        late.close()
        wait_until(lambda: ask(gateway).status_code in (502, 503), "the engine is gone")
        assert '"m1"' in fetch(gateway.base + "/models")[2], "a model once seen stays known"
        assert ask(gateway).status_code in (502, 503), "and is not called unknown"
        again = Engine(["m1"], port=port)
        wait_until(lambda: ask(gateway).status_code == 200, "the engine is back", 20)
        again.close()
    finally:
        late.close()


def test_engine_that_does_not_list_its_models_is_named_in_the_log(start, engine):
    engine.on("/v1/models", lambda x: x.answer(401, {"error": "Unauthorized"}))
    gateway = start(arguments=["--engine", engine.url])
    wait_until(lambda: "401" in gateway.log() and str(engine.port) in gateway.log(), "the reason is said")


def test_stale_connection_is_not_an_error(gateway, engine):
    """Engine servers close idle connections; a request on such a connection is sent again on another."""
    def once(exchange):
        default_handler(exchange)
        exchange.close()  # without having said so
    engine.on("/v1/chat/completions", once)
    with httpx.Client() as client:
        for _ in range(50):
            assert client.post(gateway.base + "/chat/completions", json=CHAT).status_code == 200


def test_connections_to_the_engine_are_reused(gateway, engine):
    before = engine.connections
    with httpx.Client() as client:
        for _ in range(50):
            assert client.post(gateway.base + "/chat/completions", json=CHAT).status_code == 200
    assert engine.connections - before <= 4


# Reload --------------------------------------------------------------------------------------------------------

@pytest.fixture(params=["file change", "SIGHUP"])
def reloading(request, start, engine, tmp_path):
    """A gateway with a file, and `put(models)` that makes a new file take effect."""
    file = tmp_path / "gateway.yaml"
    gateway = start(configured({"m1": [engine.url]}), file=file)

    def put(text):
        if not isinstance(text, str):
            text = json.dumps(text(gateway.data, gateway.admin))
        if request.param == "file change":
            (tmp_path / "next").write_text(text)
            (tmp_path / "next").rename(file)
        else:
            file.write_text(text)
            gateway.signal(signal.SIGHUP)
    gateway.put = put
    return gateway


def test_reload(reloading, engine):
    assert ask(reloading, model="m2").status_code == 404
    reloading.put(configured({"m2": [engine.url]}))
    reloading.wait_for_models("m2")
    assert ask(reloading, model="m2").status_code == 200
    assert ask(reloading, model="m1").status_code == 404
    wait_until(lambda: reloading.total("penstock_config_reloads_total", result="applied") >= 1, "it is counted")


def test_wrong_file_leaves_the_old_in_force(reloading, engine):
    reloading.put("models: [\n")
    wait_until(lambda: reloading.total("penstock_config_reloads_total", result="rejected") >= 1, "it is counted")
    assert "gateway.yaml" in reloading.log()
    assert ask(reloading).status_code == 200
    reloading.put(configured({"m1": [engine.url], "m2": [engine.url]}))
    reloading.wait_for_models("m1", "m2")


def test_reload_does_not_cut_a_stream(reloading, engine):
    go = threading.Event()

    def answer(exchange):
        exchange.stream_head()
        exchange.event(chunk("m1", {"content": "a"}))
        go.wait(20)
        exchange.event("[DONE]")
        exchange.end()
    engine.on("/v1/chat/completions", answer)
    with Raw(reloading.data) as raw:
        raw.post("/v1/chat/completions", STREAM)
        assert raw.head()[0] == 200
        pieces = raw.chunks()
        next(pieces)
        reloading.put(configured({"m2": [engine.url]}))
        reloading.wait_for_models("m2")
        go.set()
        assert b"[DONE]" in b"".join(pieces)


# Drain ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("option", ["--http1.1", "--http2-prior-knowledge"])
def test_drain_lets_streams_finish(start, engine, option):
    gateway = start(arguments=["--engine", engine.url]).wait_for_models("m1")
    go = threading.Event()

    def answer(exchange):
        exchange.stream_head()
        exchange.event(chunk("m1", {"content": "a"}))
        go.wait(20)
        exchange.event(chunk("m1", {"content": "the end"}))
        exchange.event("[DONE]")
        exchange.end()
    engine.on("/v1/chat/completions", answer)
    # curl, because httpx gives up its streams when a server says that it will go.
    client = Process(["curl", "-sSN", option, "--max-time", "30", "-H", "content-type: application/json",
                      "-d", json.dumps(STREAM), gateway.base + "/chat/completions"])
    try:
        wait_until(lambda: "data:" in client.log(), "the stream runs")
        idle = Raw(gateway.data)
        gateway.signal(signal.SIGTERM)
        wait_until(lambda: not connects(gateway.data), "new connections are refused")
        assert gateway.alive(), "the stream still runs"
        assert idle.stream.read() == b"", "an idle connection is closed"
        go.set()
        assert client.wait(10) == 0, client.log()
        assert "the end" in client.log() and client.log().count("data: [DONE]") == 1
        assert gateway.wait(10) == 0
    finally:
        client.stop()


def test_readiness_turns_false_first(start, engine, tmp_path):
    gateway = start(configured({"m1": [engine.url]}, shutdown={"delay": "700ms", "timeout": "5s"}),
                    file=tmp_path / "gateway.yaml")
    gateway.signal(signal.SIGTERM)
    wait_until(lambda: fetch(gateway.admin_root + "/readyz")[0] == 503, "readiness is gone")
    assert fetch(gateway.root + "/health/ready")[0] == 503
    assert ask(gateway).status_code == 200, "requests that still come are served"
    assert gateway.wait(10) == 0


def test_drain_has_an_end(start, engine, tmp_path):
    engine.on("/v1/chat/completions", lambda x: (x.stream_head(), x.event(chunk("m1", {"content": "a"})),
                                                 x.wait_gone(30)))
    gateway = start(configured({"m1": [engine.url]}, shutdown={"timeout": "500ms"}), file=tmp_path / "gateway.yaml")
    with Raw(gateway.data) as raw:
        raw.post("/v1/chat/completions", STREAM)
        raw.head()
        pieces = raw.chunks()
        next(pieces)
        gateway.signal(signal.SIGTERM)
        with pytest.raises((Broken, OSError)):
            assert b"[DONE]" not in b"".join(pieces)
    assert gateway.wait(10) in (0, 1)


def test_second_signal_ends_at_once(start, engine):
    gateway = start(arguments=["--engine", engine.url]).wait_for_models("m1")
    engine.on("/v1/chat/completions", lambda x: (x.stream_head(), x.event(chunk("m1", {"content": "a"})),
                                                 x.wait_gone(30)))
    with Raw(gateway.data) as raw:
        raw.post("/v1/chat/completions", STREAM)
        raw.head()
        gateway.signal(signal.SIGTERM)
        wait_until(lambda: not connects(gateway.data), "the drain has begun")
        gateway.signal(signal.SIGTERM)
        assert gateway.wait(5) is not None


# No leaks ------------------------------------------------------------------------------------------------------

def test_descriptors_come_back(gateway, engine):
    ask(gateway)
    before = gateway.descriptors()
    rows = [Raw(gateway.data) for _ in range(100)]
    for number, raw in enumerate(rows):
        raw.post("/v1/chat/completions", STREAM)
        if number % 2:
            raw.response()
    for raw in rows:
        raw.close()
    wait_until(lambda: gateway.descriptors() <= before + 8, "descriptors are closed", 15)
