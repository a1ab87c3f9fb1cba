#!/bin/sh
# install.sh <folder>: the receivers' libraries, and pgspot, from PyPI and npm, into that folder; once.
set -eu
python='standardwebhooks==1.0.1 flask==3.1.3 cloudevents==2.2.0 pgspot==0.9.4'
node='standardwebhooks@1.0.0 express@4.21.2'
[ "$(cat "$1/installed" 2>/dev/null)" = "$python $node" ] && exit 0
echo "installing libraries for tests: $python $node" >&2
rm -rf "$1"
mkdir -p "$1"
python3 -m venv "$1/venv"
# shellcheck disable=SC2086  # a list of words
"$1/venv/bin/pip" install --quiet --disable-pip-version-check $python
# shellcheck disable=SC2086
npm install --silent --no-fund --no-audit --no-package-lock --prefix "$1" $node
echo "$python $node" >"$1/installed"
