#!/bin/sh
# Draws every secret that compose.yaml and kubernetes/ refer to, each into a file of its own under deploy/secrets (or the
# directory given), which git ignores. What is there already stays: to change one, remove its file and run this again.
set -eu
directory=${1:-$(dirname "$0")/secrets}
mkdir -p "$directory"
chmod 700 "$directory"
cd "$directory"

draw() {
    [ -s "$1" ] || openssl rand -hex 32 > "$1"
}
# A text made of others: it follows when one of them was drawn anew.
make() {
    rm -f "$1"
    cat > "$1"
}

for name in master_key jwt_secret setup_code postgres_password redis_password redis_cluster_password redis_exporter_password; do
    draw "$name"
done

make store <<END
postgres://psyche:$(cat postgres_password)@postgres:5432/psyche?sslmode=disable
END
# `?plain`: nothing but the containers of one network, or pods that the policies let through, is between.
make bus <<END
redis://psyche:$(cat redis_password)@redis:6379?plain
END
make bus_cluster <<END
redis+cluster://psyche:$(cat redis_password)@redis-0.redis:6379,redis-1.redis:6379,redis-2.redis:6379?plain
END

hash() {
    tr -d '\n' < "$1" | openssl dgst -sha256 -r | cut -d ' ' -f 1
}
# `default` may ask whether the server lives, for probes. `cluster` is what the nodes are to one another.
make redis.acl <<END
user default on nopass resetkeys resetchannels -@all +ping
user psyche on #$(hash redis_password) ~* &* +@all -@admin -@dangerous +info +cluster|slots +cluster|shards +cluster|nodes +cluster|info
user cluster on #$(hash redis_cluster_password) ~* &* +@all
user exporter on #$(hash redis_exporter_password) resetkeys resetchannels -@all +ping +info +latency +slowlog|len +slowlog|get +config|get +client|setname +cluster|info +cluster|slots +cluster|nodes
END

# For a trial on this machine. Where other people come, put the certificate of a real name and its key into tls.pem.
[ -s tls.pem ] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -keyout tls.pem \
    -out certificate.pem -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 2> /dev/null
[ ! -s certificate.pem ] || { cat certificate.pem >> tls.pem; rm certificate.pem; }

# compose mounts the files as they are, and the users inside the containers are others: the directory keeps people out.
chmod 444 ./*
echo "secrets are in $(pwd)"
