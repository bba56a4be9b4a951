#!/bin/sh
# Start mongod with the replica set's key, which it takes only from a file that it alone can read.
set -eu
install -m 400 /run/secrets/mongodb_keyfile /tmp/keyfile
exec docker-entrypoint.sh mongod --keyFile /tmp/keyfile "$@"
