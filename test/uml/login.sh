#!/bin/sh
# Within the guest's systemd, as root: the command in a login session of the user's, then the end.
WORK=$1
. "$WORK/settings"
{ runuser -l "$USER_NAME" -c "sh $WORK/command" 2>&1; echo $? >"$WORK/status"; } | cat
sync
systemctl poweroff -ff
