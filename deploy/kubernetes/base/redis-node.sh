#!/bin/sh
# Starts a node of the Redis cluster and makes it one of the others, at its first start as after a change of its address or
# the loss of its disk. The first three pods begin with a third of the slots each; whoever finds its third taken follows the
# node that has it.
set -eu
number=${HOSTNAME##*-}
part=$((number % 3))
first=$((part * 5461 + (part > 1)))
last=$((first + 5460 + (part == 1)))
# redis-cli reads it.
REDISCLI_AUTH=$(cat /run/secrets/redis/redis_cluster_password)
export REDISCLI_AUTH

ask() {
    redis-cli -h "$POD_IP" --user cluster cluster "$@"
}

# Addresses change with each start of a pod, and a cluster all of whose pods were started again knows none that is right.
meet_all() {
    other=0
    while [ "$other" -lt "$NODES" ]; do
        address=$(getent hosts "redis-$other.redis" | cut -d ' ' -f 1)
        if [ "$other" != "$number" ] && [ -n "$address" ]; then ask meet "$address" 6379; fi
        other=$((other + 1))
    done
}

# Once all are known: until then an owner of the slots may be somebody not heard of yet.
take_part() {
    nodes=$(ask nodes | grep -v handshake) || return 0
    [ "$(echo "$nodes" | grep -c ' connected')" -ge "$NODES" ] || { meet_all; return 0; }
    echo "$nodes" | grep -Eq 'myself,master .* connected$' || return 0
    owner=$(echo "$nodes" | awk -v slot="$first" '{ for (i = 9; i <= NF; i++) { split($i, s, "-"); if (s[1] == slot) print $1 } }')
    if [ -n "$owner" ]; then
        ask replicate "$owner"
    elif [ "$number" -lt 3 ]; then
        # The epoch says that this is newer than what the others remember of a node that lost its disk.
        ask addslotsrange "$first" "$last"
        ask bumpepoch
    fi
}

while sleep 2; do take_part; done > /dev/null 2>&1 &

# The password of the others, on standard input: arguments can be read by whoever lists processes.
exec redis-server /etc/redis/redis.conf --cluster-announce-ip "$POD_IP" "$@" - <<END
masterauth $REDISCLI_AUTH
END
