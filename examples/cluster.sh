#!/usr/bin/env bash
# Two replicas of psyche on one machine, to see what several are like: a private PostgreSQL, a private Redis, and a balancer
# before both. Kill one of the replicas and watch the conversation go on. Everything ends with Ctrl-C and leaves nothing.
#
#   examples/cluster.sh [path to psyche]      (default: target/debug/psyche; `make build` makes it)
#
# It needs PostgreSQL's programs (Debian: postgresql), redis-server and Python 3.
set -euo pipefail
cd "$(dirname "$0")/.."
psyche=$(realpath "${1:-target/debug/psyche}")
[ -x "$psyche" ] || { echo "there is no $psyche: run \`make build\` first, or name the program"; exit 2; }
pg=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1)
pg=${pg:-$(pg_config --bindir 2>/dev/null || true)}
[ -x "$pg/initdb" ] || { echo "PostgreSQL's programs were not found: install the package postgresql"; exit 2; }
command -v redis-server >/dev/null || { echo "redis-server was not found: install the package redis-server"; exit 2; }

home=$(mktemp -d)
free() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
pg_port=$(free) redis_port=$(free) one=$(free) two=$(free) front=${PORT:-8080}
as_postgres() { if [ "$(id -u)" = 0 ]; then setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; else "$@"; fi; }
pids=()
leave() {
  trap - EXIT INT TERM
  [ ${#pids[@]} = 0 ] || kill "${pids[@]}" 2>/dev/null || true
  wait 2>/dev/null || true
  as_postgres "$pg/pg_ctl" -D "$home/pg/data" -m immediate stop >/dev/null 2>&1 || true
  rm -rf "$home"
}
trap leave EXIT INT TERM

mkdir "$home/pg"
chmod 755 "$home"
if [ "$(id -u)" = 0 ]; then chown postgres "$home/pg"; fi
(cd "$home/pg" && as_postgres "$pg/initdb" -D data -U psyche -A trust -E UTF8 --locale=C >init.log 2>&1 &&
  as_postgres "$pg/pg_ctl" -D data -w -l log -o "-p $pg_port -k $home/pg -c listen_addresses=127.0.0.1" start >/dev/null)
redis-server --port "$redis_port" --bind 127.0.0.1 --save "" --dir "$home" --maxmemory-policy noeviction >"$home/redis.log" & pids+=($!)

secret() { head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n'; }
export PSYCHE_MASTER_KEY=$(secret) PSYCHE_JWT_SECRET=$(secret)
replica() {
  mkdir "$home/$1"
  "$psyche" --data-dir "$home/$1" --set cluster=true --set log=warn --set metrics_addr= --set models_dir="$PWD/data/models" \
    --set "store=postgres://psyche@127.0.0.1:$pg_port/postgres" --set "bus=redis://127.0.0.1:$redis_port" \
    --set "public_url=http://127.0.0.1:$front" --set trusted_proxies=127.0.0.1/32 \
    serve --listen "127.0.0.1:$2" >"$home/$1.out" &
  pids+=($!)
  echo "replica $1: http://127.0.0.1:$2, process $!  (try: kill -9 $!)"
}
ready() { for _ in $(seq 200); do python3 -c "import urllib.request as u; u.urlopen('http://127.0.0.1:$1/ready')" 2>/dev/null && return; sleep 0.2; done; echo "port $1 is not ready"; exit 1; }
replica one "$one"; ready "$one"
replica two "$two"; ready "$two"
python3 examples/balancer.py "$front" "$one" "$two" & pids+=($!)
grep -m1 '#setup=' "$home/one.out" | sed 's/^ */First account: /' || true
echo "Open http://127.0.0.1:$front   Stop with Ctrl-C."
wait "${pids[-1]}"
