#!/bin/sh
# PID 1 of the guest without systemd, in its final root (a chroot would refuse user namespaces): the command as root, then the end.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
WORK=$1
. "$WORK/settings"
mkdir -p "/run/user/$USER_ID"
chown "$USER_NAME:" "/run/user/$USER_ID"
chmod 700 "/run/user/$USER_ID"
# Through a pipe: nothing is to take the console for a terminal.
{ sh "$WORK/command" 2>&1; echo $? >"$WORK/status"; } | cat
sync
halt -f -p
