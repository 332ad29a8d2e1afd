#!/bin/sh
# Starts Redis with TLS and the users of users.acl; its arguments are those of redis-server. The
# folder SECRETS holds redis.crt, redis.key and each user's password in redis-password-<user>;
# `bin/stack secrets` makes these files.
set -eu
umask 077
export LC_ALL=C
secrets=${SECRETS:-/run/secrets}
template=$(dirname "$0")/users.acl
users=${TMPDIR:-/tmp}/redis-users.acl
fill="/^#/d;s/@env@/$APP_ENV/g"
for user in $(sed -n 's/^user \([a-z-]*\) on >@.*/\1/p' "$template"); do
  password=$(cat "$secrets/redis-password-$user")
  case ${#password}:$password in
    [0-9]:* | 1[0-9]:* | *:*[!A-Za-z0-9]*)
      echo "redis-password-$user: must be at least 20 letters and digits" >&2
      exit 2
      ;;
  esac
  fill="$fill;s/>@$user@/>$password/"
done
sed -e "$fill" "$template" >"$users"
# Protected mode would refuse other hosts, because the user default has no password; it has no rights.
exec "${REDIS_SERVER:-redis-server}" "$@" --aclfile "$users" --protected-mode no --tls-auth-clients no \
  --tls-cert-file "$secrets/redis.crt" --tls-key-file "$secrets/redis.key" --tls-ca-cert-file "$secrets/redis.crt"
