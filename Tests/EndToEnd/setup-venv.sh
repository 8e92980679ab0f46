#!/bin/sh
# Makes the virtual environment of the Python tests, once: setup-venv.sh FOLDER
set -eu
here=$(cd "$(dirname "$0")" && pwd)
venv=$1
stamp=$venv/installed-requirements.txt
if ! cmp -s "$here/requirements.txt" "$stamp"; then
    [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$here/requirements.txt"
    cp "$here/requirements.txt" "$stamp"
fi
