"""`penstock explain` and the admin address: why a request goes where it goes."""

import json
import os
import subprocess

import httpx
import pytest

from configuration import configured
from processes import binary, free_port
from waiting import wait_until

MODELS = [
    {"name": "m1", "aliases": ["alias"], "pool": "good", "fallbacks": {"overload": "m2"},
     "routes": [{"name": "batch", "match": {"headers": {"x-job": "batch*"}}, "tiers": ["bad", "good"],
                 "priority": -10}]},
    {"name": "m2", "tiers": [{"pools": [{"pool": "good", "weight": 3}, {"pool": "bad", "weight": 1}]}]},
]


def run(*arguments, stdin=None):
    return subprocess.run([binary(), "explain", *map(str, arguments)], capture_output=True, text=True, timeout=20,
                          input=stdin, env=os.environ)


def explained(*arguments, **more):
    done = run(*arguments, "--json", **more)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def pools(engine):
    return [{"name": "good", "endpoints": [engine.url]},
            {"name": "bad", "endpoints": [f"http://127.0.0.1:{free_port()}"],
             "ejection": {"connectFailures": 1, "duration": "30s"}}]


@pytest.fixture
def file(tmp_path, engine):
    path = tmp_path / "gateway.yaml"
    path.write_text(json.dumps(configured(MODELS, pools=pools(engine))(free_port(), free_port())))
    return path


def test_help_teaches():
    done = run("--help")
    assert done.returncode == 0
    for word in ("--config gateway.yaml --model llama-70b", "--admin 127.0.0.1:4001", "Exit status"):
        assert word in done.stdout


def test_a_file_is_explained_without_running_it(file, engine):
    said = explained("--config", file, "--model", "alias", "--header", "x-job: batch-7")
    assert said["model"] == "m1" and said["requested_model"] == "alias" and said["priority"] == -10
    assert [(r["name"], r["chosen"]) for r in said["routes"]] == [("batch", True), ("", False)]
    assert [t["targets"][0]["pool"] for t in said["tiers"]] == ["bad", "good"]
    standings = {e["standing"] for t in said["tiers"] for g in t["targets"] for e in g["pick"]["endpoints"]}
    assert standings == {"warming"}
    assert said["next"]["action"] == "send" and said["next"]["pool"] == "bad"
    assert not engine.requests


def test_the_table_says_the_answer_first(file):
    done = run("--config", file, "--model", "m1")
    assert done.returncode == 0 and done.stdout.startswith("now: sent to http://127.0.0.1:"), done.stdout
    assert "-  batch  header x-job is not batch*" in done.stdout and "*  (own)  matches always" in done.stdout


def test_seeds_repeat_draws(file):
    drawn = [explained("--config", file, "--model", "m2", "--seed", seed)["next"]["pool"] for seed in range(12)]
    again = [explained("--config", file, "--model", "m2", "--seed", seed)["next"]["pool"] for seed in range(12)]
    assert drawn == again and set(drawn) == {"good", "bad"}


def test_a_body_names_the_model(file, tmp_path):
    body = {"model": "m2", "stream": True, "user": "alice", "messages": []}
    (tmp_path / "body.json").write_text(json.dumps(body))
    for said in (explained("--config", file, "--body", tmp_path / "body.json"),
                 explained("--config", file, "--body", "-", stdin=json.dumps(body))):
        assert said["model"] == "m2" and said["stream"] is True and said["session"] == "body"


@pytest.mark.parametrize("arguments,status,says", [
    (["--model", "m3"], 65, "Did you mean 'm1'"),
    (["--model", "m1", "--header", "x y: 1"], 65, "no header field"),
    (["--model", "m1", "--header", "x"], 64, "name: value"),
    (["--model", "m1", "--path", "/v1/models"], 65, "answered by the gateway itself"),
    (["--body", "/no/such/file"], 66, "No such file"),
    (["--body", "-"], 65, "JSON"),
    ([], 64, "--model"),
    (["--model", "m1", "--admin", "127.0.0.1:1"], 64, "one of them"),
])
def test_mistakes_are_said(file, arguments, status, says):
    done = run("--config", file, *arguments, stdin="{")
    assert done.returncode == status and says in done.stderr, (done.returncode, done.stderr)


def test_a_wrong_file_is_said_as_check_says_it(tmp_path):
    file = tmp_path / "gateway.yaml"
    file.write_text("models:\n  - name: m1\n    pool: lama\npools:\n  - name: llama\n    endpoints: [http://h:1]\n")
    done = run("--config", file, "--model", "m1")
    assert done.returncode == 78 and "gateway.yaml:3:11: " in done.stderr, done.stderr
    assert run("--config", tmp_path / "none.yaml", "--model", "m1").returncode == 66


def test_a_running_gateway_is_asked(start, engine, tmp_path):
    gateway = start(configured(MODELS, pools=pools(engine)), file=tmp_path / "gateway.yaml")
    admin = f"127.0.0.1:{gateway.admin}"
    done = httpx.post(gateway.base + "/chat/completions", headers={"x-job": "batch"}, timeout=15,
                      json={"model": "m1", "messages": [{"role": "user", "content": "hi"}]})
    assert done.status_code == 200
    def ejected():
        said = explained("--admin", admin, "--model", "m1", "--header", "x-job: batch")
        bad = said["tiers"][0]["targets"][0]["pick"]["endpoints"][0]
        return said if bad["standing"] == "unreachable" else None
    wait_until(ejected, "the bad endpoint is ejected")
    said = ejected()
    assert said["next"] == {"action": "send", "pool": "good", "endpoint": engine.url, "upstream_model": "m1"}
    assert said["tiers"][1]["targets"][0]["pick"]["endpoints"][0]["standing"] == "ready"
    table = run("--admin", f"http://{admin}/", "--model", "m1", "--session", "alice")
    assert table.returncode == 0 and "session by header" in table.stdout, table.stderr
    unknown = run("--admin", admin, "--model", "m3")
    assert unknown.returncode == 65 and "Did you mean 'm1'" in unknown.stderr
    standing = httpx.get(gateway.admin_root + "/admin/v1/endpoints").json()
    assert {p["name"]: p["endpoints"][0]["standing"] for p in standing["pools"]} == {
        "good": "ready", "bad": "unreachable"}
    assert gateway.total("penstock_endpoint_up", pool="good") == 1
    assert gateway.total("penstock_endpoint_up", pool="bad") == 0


def test_no_gateway_there(gateway, engine):
    refused = run("--admin", f"127.0.0.1:{free_port()}", "--model", "m1")
    assert refused.returncode == 69 and "refused" in refused.stderr
    data = run("--admin", f"127.0.0.1:{gateway.data}", "--model", "m1")
    assert data.returncode in (65, 69) and data.stderr
    assert run("--admin", "nonsense::1", "--model", "m1").returncode == 69
