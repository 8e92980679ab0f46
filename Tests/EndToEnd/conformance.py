#!/usr/bin/env python3
"""Starts Penstock and runs every suite of Tests/Conformance against it, on cleartext and on TLS.

Prints what did not pass, a line for each suite, and `N passed, N failed`.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from certificates import Authority
from configuration import configured
from processes import ROOT, Penstock, free_port

SUITES = ROOT / "Tests" / "Conformance"


def main():
    capture, secure, data, admin = free_port(), free_port(), free_port(), free_port()
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = Authority(folder).issue("localhost", "127.0.0.1")
        tls = {"certificates": [{"certificate": str(certificate), "key": str(key)}]}
        make = configured({"m": [f"http://127.0.0.1:{capture}"]}, listeners=lambda port: [
            {"address": f"127.0.0.1:{port}"}, {"address": f"127.0.0.1:{secure}", "tls": tls}])
        file = Path(folder) / "gateway.yaml"
        file.write_text(json.dumps(make(data, admin)))
        gateway = Penstock(["--config", file], data, admin)
        passed = failed = 0
        try:
            for name, port, more in plan(data, secure, capture):
                good, bad = run(name, port, more, gateway)
                passed, failed = passed + good, failed + bad
        finally:
            gateway.stop()
        print(f"{passed} passed, {failed} failed")
        return 1 if failed else 0


def plan(data, secure, capture):
    for more, port in (([], data), (["--tls"], secure)):
        yield "h2_conformance.py", port, more
        yield "http1_corpus.py", port, [*more, "--capture", capture]


def run(name, port, more, gateway):
    """Runs one suite; returns how many cases passed and failed."""
    command = [sys.executable, SUITES / name, f"127.0.0.1:{port}", "--quiet", *more]
    try:
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=600)
    except subprocess.TimeoutExpired:
        print(f"{name}: not done after 600 s")
        return 0, 1
    print(f"$ {name} {' '.join(map(str, more))}\n{done.stdout}{done.stderr}", end="", flush=True)
    if not gateway.alive():
        print(f"penstock ended with {gateway.child.returncode}:\n{gateway.log()[-4000:]}")
        return 0, 1
    total = re.search(r"(\d+) passed, (\d+) failed", done.stdout)
    good, bad = (int(total[1]), int(total[2])) if total else (0, 1)
    return good, bad or int(done.returncode != 0)


if __name__ == "__main__":
    sys.exit(main())
