#!/bin/bash
# Samba as the judge of a logon: a stand-alone winbindd with one account, and
# ntlm_auth on stdin and stdout. To be run as root in namespaces of its own,
# which take everything with them when it ends:
#
#   unshare --mount --pid --fork --kill-child samba.sh PROTOCOL PASSWORD
#
# PROTOCOL is squid-2.5-ntlmssp or gss-spnego. The account is CORP\nobody, for
# Samba wants one that the system knows.
set -euo pipefail
dir=/run/samba # compiled into Samba's programs; hidden here under a file system of our own
mkdir -p $dir
mount -t tmpfs none $dir
mkdir $dir/{winbindd,private,state,cache,lock,pid,ncalrpc,log}
export SMB_CONF_PATH=$dir/smb.conf
cat > $SMB_CONF_PATH <<CONF
[global]
  server role = standalone server
  netbios name = CORP
  workgroup = WORKGROUP
  private dir = $dir/private
  state directory = $dir/state
  cache directory = $dir/cache
  lock directory = $dir/lock
  pid directory = $dir/pid
  ncalrpc dir = $dir/ncalrpc
  log file = $dir/log/%m
  logging = file
  interfaces = lo
  bind interfaces only = yes
CONF
printf '%s\n%s\n' "$2" "$2" | pdbedit -a -u nobody -t > $dir/log/pdbedit 2>&1 || { cat $dir/log/pdbedit >&2; exit 1; }
winbindd --foreground --no-process-group > $dir/log/winbindd 2>&1 &
for _ in {1..100}; do
  if wbinfo --ping > $dir/log/ping 2>&1; then
    exec ntlm_auth --helper-protocol="$1"
  fi
  sleep 0.1
done
cat $dir/log/* >&2
exit 1
