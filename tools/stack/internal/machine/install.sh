# Installs packages with apt-get so that no server of the system is started or set up:
# for as long as apt-get runs, a policy-rc.d denies every start, and a setting keeps
# Postgres' packages from making a cluster.
#
#   install PACKAGES...   of each a|b the first that apt-get knows; a may be several
#   undo                  removes both files, which a killed install leaves
#
# Progress goes to standard output, what apt-get prints to standard error.
set -eu
policy=/usr/sbin/policy-rc.d
cluster=/etc/postgresql-common/createcluster.d/troika-stack.conf

lock() { exec 9</var/lib/dpkg && flock 9; } # one stack at a time

restore() {
  rm -f "$cluster"
  rmdir "${cluster%/*}" "${cluster%/*/*}" 2>/dev/null || true
  if grep -qs troika-stack "$policy"; then rm "$policy"; fi
  if [ -e "$policy.before-stack" ]; then mv "$policy.before-stack" "$policy"; fi
}

known() { apt-get install --simulate --no-install-recommends $1 >/dev/null 2>&1; }

choose() {
  names=
  for choice; do
    first=${choice%%|*} second=${choice##*|}
    if known "$first"; then
      names="$names $first"
    elif known "$second"; then
      names="$names $second"
    else
      echo "apt-get knows no package $choice" >&2
      return 1
    fi
  done
}

undo() {
  lock
  restore
}

install() {
  undo # what a killed install has left
  choose "$@" || {
    echo "updating apt's package lists"
    apt-get update >&2
    choose "$@"
  }
  echo "installing$names with apt-get (no system-wide server is started)"
  trap restore EXIT
  trap 'exit 143' HUP INT TERM
  if [ -e "$policy" ]; then mv "$policy" "$policy.before-stack"; fi
  printf '#!/bin/sh\n# troika-stack\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  mkdir -p "${cluster%/*}"
  echo 'create_main_cluster = false' >"$cluster"
  dpkg --configure -a >&2 || true # finishes what a killed run left half done
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
    -o DPkg::Lock::Timeout=300 $names >&2
  if [ -d /run/systemd/system ]; then # nor at the next boot
    systemctl disable redis-server.service valkey-server.service >&2 || true
  fi
  echo installed
}

"$@"
