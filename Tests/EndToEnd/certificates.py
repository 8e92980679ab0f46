"""A certificate authority of the test's own, made with the openssl program."""

import subprocess
from pathlib import Path


class Authority:
    def __init__(self, folder):
        self.folder = Path(folder)
        self.key, self.certificate = self.folder / "ca.key", self.folder / "ca.pem"
        self._count = 0
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                "-subj", "/CN=Penstock test authority", "-keyout", self.key, "-out", self.certificate,
                "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign")

    def issue(self, *names, to=None):
        """A certificate for `names`; returns the paths of its PEM file and its key."""
        self._count += 1
        stem = self.folder / (to or f"leaf{self._count}")
        request, key, certificate, extension = (stem.with_suffix(s) for s in (".csr", ".key", ".pem", ".ext"))
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-subj", f"/CN={names[0]}", "-keyout", f"{key}.new", "-out", request)
        subjects = ",".join(("IP:" if n[0].isdigit() else "DNS:") + n for n in names)
        extension.write_text(f"subjectAltName={subjects}\nbasicConstraints=CA:FALSE\n"
                             "extendedKeyUsage=serverAuth,clientAuth\n")
        openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial",
                "-days", "2", "-extfile", extension, "-out", f"{certificate}.new")
        # Whole files appear at once, as every tool that renews certificates does it.
        Path(f"{key}.new").rename(key)
        Path(f"{certificate}.new").rename(certificate)
        return certificate, key


def openssl(*arguments):
    run = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
