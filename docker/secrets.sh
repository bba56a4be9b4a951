#!/bin/sh
# Make the secrets of the database, each once: its root's password, locapi's password, and the key
# by which the members of the replica set know each other.
#
# Compose runs this at every start, on its volume "secrets". A file of yours in docker/secrets goes
# before what the volume has. To make such files, run this without an argument.
set -eu
umask 077
cd "$(dirname "$0")"
into=${1:-secrets}
mkdir -p "$into"

random() {
  hex=$(od -An -v -tx1 -N32 /dev/urandom | tr -d ' \n')
  [ ${#hex} = 64 ] || { echo "cannot read 32 bytes from /dev/urandom" >&2; exit 1; }
  printf '%s\n' "$hex"
}

# A secret appears whole or not at all, so this may be interrupted, repeated and run twice at once.
place() {
  name=$1 mode=$2 owner=$3
  new=$(mktemp "$into/.new.XXXXXX")
  if [ "$into" != secrets ] && [ -e "secrets/$name" ]; then
    cat "secrets/$name" >"$new"
    chmod "$mode" "$new"
    mv -f "$new" "$into/$name"
  elif [ ! -e "$into/$name" ]; then
    random >"$new"
    chmod "$mode" "$new"
    ln "$new" "$into/$name" 2>/dev/null || [ -e "$into/$name" ]  # another one was faster
  fi
  rm -f "$new"
  [ "$into" = secrets ] || chown "$owner" "$into/$name"
}

place mongodb_root_password 400 mongodb
place mongodb_keyfile 400 mongodb
place mongodb_locapi_password 440 mongodb:10001  # 10001 is locapi in the Dockerfile
