# Sourced by init.sh in the guest's root: units for a boot that starts what a login needs, then the command in a login session of the user's.
# Every other unit of this machine's stays out, because only belljar-test.target is asked for.
cat >etc/systemd/system/belljar-test.target <<UNIT
[Unit]
DefaultDependencies=no
Requires=belljar-test.service
UNIT
cat >etc/systemd/system/belljar-test.service <<UNIT
[Unit]
DefaultDependencies=no
FailureAction=poweroff-force
Wants=dbus.socket dbus.service systemd-logind.service systemd-user-sessions.service
After=dbus.service systemd-logind.service systemd-user-sessions.service
[Service]
Type=oneshot
StandardOutput=tty
StandardError=tty
TTYPath=/dev/console
ExecStart=/bin/sh $TREE/test/uml/login.sh $WORK
UNIT
# What else a boot does (devices, journal, clock) is this machine's own affair, or takes time.
rm -rf usr/lib/systemd/system/*.target.wants etc/systemd/system/*.target.wants etc/systemd/system/*.requires
rm -f etc/machine-id
echo 0123456789abcdef0123456789abcdef >etc/machine-id
rm -f etc/fstab
: >etc/fstab
