#!/bin/sh
# deps.sh <postgres major> [goal...]: installs from Debian's packages what a bare machine lacks; nothing if nothing is
# missing. The goal `test` needs the receivers' languages too, `test-chaos` a firewall and a library that gives a
# program another clock.
set -eu
major=$1
shift
missing=

need() { # need <package> <whether it is there...>
  package=$1
  shift
  "$@" >/dev/null 2>&1 || missing="$missing $package"
}

need gcc command -v cc
need libc6-dev test -e /usr/include/stdio.h
# The majors that Debian does not have are fetched by postgres.sh; they need this one's headers' libclang all the same.
[ "$major" = 15 ] || major=15
need "postgresql-$major" test -x "/usr/lib/postgresql/$major/bin/postgres"
need "postgresql-server-dev-$major" test -e "/usr/include/postgresql/$major/server/postgres.h"
case " $* " in *" test "*)
  need python3-venv python3 -c 'import ensurepip, venv'
  need nodejs command -v node
  need npm command -v npm
  need pgbouncer test -x /usr/sbin/pgbouncer
  ;;
esac
case " $* " in *" test "* | *" test-chaos "*)
  need iproute2 command -v ip
  need nftables test -x /usr/sbin/nft
  need libfaketime test -e /usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1 -o "$(uname -m)" != x86_64
  ;;
esac
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "Please install first:$missing" >&2
  exit 1
fi
echo "Installing Debian packages:$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
config=/etc/postgresql-common/createcluster.conf
policy=/usr/sbin/policy-rc.d
cleanup() {
  [ ! -e "$config.pg_webhook" ] || mv "$config.pg_webhook" "$config"
  [ ! -e "$policy.pg_webhook" ] || rm "$policy" "$policy.pg_webhook"
}
trap cleanup EXIT
case $missing in *" pgbouncer"*)
  # The package would start a service of the machine's own, which nobody asked for.
  if [ ! -e "$policy" ]; then
    touch "$policy.pg_webhook"
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
  fi
  ;;
esac
case $missing in *" postgresql-$major"*)
  # The package would create and start a cluster "main" of the machine's own, which nobody asked for.
  if [ ! -e "$config" ]; then
    apt-get install -y -qq --no-install-recommends postgresql-common
    cp -p "$config" "$config.pg_webhook"
    echo 'create_main_cluster = false' >>"$config"
  fi
  ;;
esac
# shellcheck disable=SC2086  # a list of words
apt-get install -y -qq --no-install-recommends $missing
