"""curl over every way there is to reach a listener."""

import json

import pytest

from configuration import configured
from processes import free_port
from waiting import wait_until
from processes import peer_certificate
from wire import curl, events_of

CHAT = json.dumps({"model": "m1", "messages": [{"role": "user", "content": "hi"}]})
STREAM = json.dumps({"model": "m1", "messages": [{"role": "user", "content": "hi"}], "stream": True})
JSON = ["-H", "content-type: application/json"]

WAYS = {
    "HTTP/1.1": ("http", ["--http1.1"], "1.1"),
    "HTTP/1.0": ("http", ["--http1.0"], None),
    "h2c": ("http", ["--http2-prior-knowledge"], "2"),
    "asked to upgrade": ("http", ["--http2"], "1.1"),
    "TLS, HTTP/1.1": ("https", ["--http1.1"], "1.1"),
    "TLS, HTTP/2": ("https", ["--http2"], "2"),
    "TLS 1.2, HTTP/2": ("https", ["--http2", "--tls-max", "1.2"], "2"),
    "TLS 1.3, HTTP/2": ("https", ["--http2", "--tlsv1.3"], "2"),
}


class Both:
    """A gateway with a plain and a TLS listener, and what curl needs to trust it."""

    def __init__(self, gateway, secure, authority):
        self.gateway, self.secure, self.authority = gateway, secure, authority

    def curl(self, way, path, *arguments, input=None):
        scheme, options, _ = WAYS[way]
        port = self.secure if scheme == "https" else self.gateway.data
        trust = ["--cacert", self.authority.certificate] if scheme == "https" else []
        return curl(*options, *trust, *arguments, f"{scheme}://localhost:{port}{path}", input=input)


@pytest.fixture
def both(start, engine, authority, tmp_path):
    certificate, key = authority.issue("localhost", "127.0.0.1")
    secure = free_port()
    tls = {"certificates": [{"certificate": str(certificate), "key": str(key)}]}
    gateway = start(
        configured({"m1": [engine.url]}, listeners=lambda data: [
            {"address": f"127.0.0.1:{data}"}, {"address": f"127.0.0.1:{secure}", "tls": tls}]),
        file=tmp_path / "gateway.yaml")
    return Both(gateway, secure, authority)


@pytest.mark.parametrize("way", WAYS)
def test_unary(both, way):
    status, code, version, body, trace = both.curl(way, "/v1/chat/completions", *JSON, "-d", CHAT)
    assert (status, code) == (0, 200), trace
    assert WAYS[way][2] in (None, version), trace
    assert json.loads(body)["choices"][0]["message"]["content"]


@pytest.mark.parametrize("way", WAYS)
def test_stream(both, way):
    status, code, _, body, trace = both.curl(way, "/v1/chat/completions", "-N", *JSON, "-d", STREAM)
    assert (status, code) == (0, 200), trace
    assert events_of(body.encode())[-1] == (None, "[DONE]")


@pytest.mark.parametrize("way", WAYS)
def test_body_beyond_a_mebibyte(both, engine, way, tmp_path):
    big = tmp_path / "big.json"
    big.write_text(json.dumps({"model": "m1", "messages": [{"role": "user", "content": "y" * (3 << 20)}]}))
    status, code, _, _, trace = both.curl(way, "/v1/chat/completions", *JSON, "--data-binary", f"@{big}")
    assert (status, code) == (0, 200), trace
    assert engine.inference()[-1].body == big.read_bytes()
    if way == "HTTP/1.1":
        assert "Expect: 100-continue" in trace and "HTTP/1.1 100 Continue" in trace, trace


@pytest.mark.parametrize("way", WAYS)
def test_head_and_unknown_path(both, way):
    status, code, _, body, trace = both.curl(way, "/nothing")
    assert (status, code) == (0, 404), trace
    assert json.loads(body)["error"]["code"] == "unknown_url"
    status, code, _, body, trace = both.curl(way, "/v1/models", "--head")
    assert status == 0 and code in (200, 405), trace


def test_name_of_the_server_chooses_the_certificate(start, engine, authority, tmp_path):
    secure = free_port()
    pairs = [authority.issue("one.test"), authority.issue("two.test"), authority.issue("*.three.test")]
    tls = {"certificates": [{"certificate": str(c), "key": str(k)} for c, k in pairs]}
    start(configured({"m1": [engine.url]}, listeners=lambda data: [
        {"address": f"127.0.0.1:{data}"}, {"address": f"127.0.0.1:{secure}", "tls": tls}]),
        file=tmp_path / "gateway.yaml")
    for name in ("one.test", "two.test", "a.three.test"):
        status, code, version, _, trace = curl(
            "--cacert", authority.certificate, "--resolve", f"{name}:{secure}:127.0.0.1",
            f"https://{name}:{secure}/v1/models")
        assert (status, code, version) == (0, 200, "2"), trace
    assert len({peer_certificate(secure, n) for n in ("one.test", "two.test", "x.three.test")}) == 3
    assert peer_certificate(secure, "unknown.test") == peer_certificate(secure, "one.test")


def test_client_certificates(start, engine, authority, tmp_path):
    secure = free_port()
    certificate, key = authority.issue("localhost")
    client, client_key = authority.issue("a client")
    tls = {"certificates": [{"certificate": str(certificate), "key": str(key)}],
           "clientCertificates": {"ca": str(authority.certificate)}}
    start(configured({"m1": [engine.url]}, listeners=lambda data: [
        {"address": f"127.0.0.1:{data}"}, {"address": f"127.0.0.1:{secure}", "tls": tls}]),
        file=tmp_path / "gateway.yaml")
    url = f"https://localhost:{secure}/v1/models"
    status, code, *_ = curl("--cacert", authority.certificate, url)
    assert status != 0 and code == 0
    status, code, *_, trace = curl("--cacert", authority.certificate, "--cert", client, "--key", client_key, url)
    assert (status, code) == (0, 200), trace


def test_renewed_certificate_is_served_without_restart(start, engine, authority, tmp_path):
    secure = free_port()
    certificate, key = authority.issue("localhost", to="renewed")
    tls = {"certificates": [{"certificate": str(certificate), "key": str(key)}]}
    gateway = start(configured({"m1": [engine.url]}, listeners=lambda data: [
        {"address": f"127.0.0.1:{data}"}, {"address": f"127.0.0.1:{secure}", "tls": tls}]),
        file=tmp_path / "gateway.yaml")
    before = peer_certificate(secure)
    authority.issue("localhost", to="renewed")
    wait_until(lambda: peer_certificate(secure) != before, f"the new certificate is served; {gateway.log()}", 15)
    status, code, *_, trace = curl("--cacert", authority.certificate, f"https://localhost:{secure}/v1/models")
    assert (status, code) == (0, 200), trace


def test_tls_to_the_engine(start, engine, engines, authority, tmp_path):
    """Penstock before Penstock: the inner one speaks TLS, and the outer one verifies it."""
    secure = free_port()
    certificate, key = authority.issue("localhost", "127.0.0.1")
    tls = {"certificates": [{"certificate": str(certificate), "key": str(key)}]}
    start(configured({"m1": [engine.url]}, listeners=lambda data: [
        {"address": f"127.0.0.1:{data}"}, {"address": f"127.0.0.1:{secure}", "tls": tls}]),
        file=tmp_path / "inner.yaml")
    trusting = start(configured({"m1": [f"https://localhost:{secure}"]}, providers=[
        {"name": "default", "tls": {"ca": str(authority.certificate)}}]), file=tmp_path / "outer.yaml")
    doubting = start(configured({"m1": [f"https://localhost:{secure}"]}), file=tmp_path / "doubting.yaml")
    _, code, *_, trace = curl(*JSON, "-d", STREAM, trusting.base + "/chat/completions")
    assert code == 200, trace
    _, code, _, body, _ = curl(*JSON, "-d", CHAT, doubting.base + "/chat/completions")
    assert code in (502, 503) and json.loads(body)["error"]["code"]
