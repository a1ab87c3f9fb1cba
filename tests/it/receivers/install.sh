#!/bin/sh
# install.sh <folder>: the receivers' libraries, and pgspot, from PyPI and npm, into that folder; once.
set -eu
python='standardwebhooks==1.0.1 flask==3.1.3 cloudevents==2.2.0 pgspot==0.9.4'
newer_python='authweave-webhooks==8.0.2'
node='standardwebhooks@1.0.0 express@4.21.2'
all="$python $newer_python $node"
[ "$(cat "$1/installed" 2>/dev/null)" = "$all" ] && exit 0
echo "installing libraries for tests: $all" >&2
rm -rf "$1"
mkdir -p "$1"

install() { # install <python> <folder> <package...>
  "$1" -m venv "$2"
  folder=$2
  shift 2
  "$folder/bin/pip" install --quiet --disable-pip-version-check "$@"
}

# shellcheck disable=SC2086  # a list of words
install python3 "$1/venv" $python
# Of the libraries that verify v1a, the one there is wants Python 3.12 or later, which Debian 12 does not have.
for newer in python3 python3.13 python3.12 "${HOME:-}"/.pyenv/versions/3.1[2-9]*/bin/python3; do
  if "$newer" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; then
    install "$newer" "$1/newer_venv" "$newer_python"
    break
  fi
done
# shellcheck disable=SC2086
npm install --silent --no-fund --no-audit --no-package-lock --prefix "$1" $node
echo "$all" >"$1/installed"
