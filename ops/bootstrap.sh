#!/bin/sh
# Make a virtual environment with everything that requirements.lock pins, and this project in it.
#   ops/bootstrap.sh FOLDER [PYTHON]
# Run by `make`. Every download is checked against the hashes in the lock.
set -eu

folder=$1
chosen=${2:-}

# Started, not merely found: the shims of version managers exist for versions that are not active.
usable() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' >/dev/null 2>&1
}

python=
for candidate in ${chosen:-python3 python3.13 python3.12 python3.11}; do
    if usable "$candidate"; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    echo "${chosen:-no python3 on the PATH} is not Python 3.11, 3.12 or 3.13; name one with: make PYTHON=/path/to/python" >&2
    exit 1
fi
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')

# Debian and Ubuntu ship Python without these two.
if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
    echo "Python $version here cannot make virtual environments; on Debian or Ubuntu: sudo apt install python$version-venv" >&2
    exit 1
fi

if ! "$folder/bin/python" -c '' >/dev/null 2>&1 ||
    [ "$("$folder/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')" != "$version" ]; then
    echo "Making $folder with Python $version"
    rm -rf "$folder"
    "$python" -m venv "$folder"
fi
rm -f "$folder"/.complete-*

packages=$(grep -c '^[a-z0-9].*==' requirements.lock)
echo "Installing the pinned packages ($packages listed, some for other platforms only)"
# Wheels only: a compiler is not among the things we ask for.
"$folder/bin/python" -m pip install --disable-pip-version-check --only-binary :all: --require-hashes -r requirements.lock
"$folder/bin/python" -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable .
echo "Ready: $folder/bin/vigia --help"
