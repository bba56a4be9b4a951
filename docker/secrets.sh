#!/bin/sh
# Make the passwords and the key that docker-compose.yml hands out, each once: none is overwritten.
set -eu
umask 022
cd "$(dirname "$0")"

# The containers' users must be able to read the files; the directory keeps everyone else out.
mkdir -p secrets
chmod 700 secrets

for name in mongodb_root_password mongodb_locapi_password mongodb_keyfile; do
  [ ! -e "secrets/$name" ] || continue
  random=$(od -An -v -tx1 -N32 /dev/urandom | tr -d ' \n')
  [ ${#random} = 64 ] || { echo "no 32 bytes could be read from /dev/urandom" >&2; exit 1; }
  printf '%s\n' "$random" >"secrets/.$name"
  chmod 444 "secrets/.$name"
  mv "secrets/.$name" "secrets/$name"
  echo "made docker/secrets/$name" >&2
done
