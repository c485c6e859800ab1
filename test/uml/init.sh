#!/bin/sh
# PID 1 of the guest. Its root is this machine's file system (hostfs), with the rights of the user who runs the kernel; over it an overlay in
# memory takes every write, except below $CACHE, which host and guest share.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
. "$BELLJAR_WORK/settings"

halt_with() {
	echo "$1" >"$WORK/status"
	sync
	halt -f -p
}

mount -t tmpfs -o mode=755 tmpfs /mnt && mkdir /mnt/upper /mnt/work /mnt/root || halt_with 1
[ -z "$MODULES" ] || insmod "$MODULES/kernel/fs/overlayfs/overlay.ko"
mount -t overlay -o "lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work" overlay /mnt/root || halt_with 1
cd /mnt/root || halt_with 1
for dir in proc:proc sysfs:sys devtmpfs:dev tmpfs:run tmpfs:tmp; do mount -t "${dir%%:*}" "${dir%%:*}" "${dir#*:}"; done
chmod 1777 tmp
for dir in "$CACHE" "$TREE"; do
	mkdir -p "/mnt/root$dir" # one beneath /tmp is covered by now
	mount --bind "$dir" "/mnt/root$dir" || halt_with 1
done
mkdir -p dev/pts dev/shm
mount -t devpts devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mkdir -p mnt/disk
mount -t ext4 dev/ubda mnt/disk || halt_with 1
mount -t cgroup2 cgroup2 sys/fs/cgroup || halt_with 1
ln -sf /proc/self/fd dev/fd
[ -z "$MODULES" ] || for module in fs/fuse/fuse drivers/net/tun; do insmod "$MODULES/kernel/$module.ko" 2>/dev/null; done
chmod 666 dev/fuse dev/net/tun 2>/dev/null
ip link set lo up
# The host's shadow file is not ours to read, and login programs want one.
rm -f etc/shadow
sed 's/^\([^:]*\):.*/\1:*:19000:0:99999:7:::/' etc/passwd >etc/shadow

if [ "$KIND" = systemd ]; then
	. "$TREE/test/uml/systemd.sh"
	exec switch_root /mnt/root /lib/systemd/systemd --system --unit=belljar-test.target --show-status=false --log-level=crit
fi
exec switch_root /mnt/root /bin/sh "$TREE/test/uml/plain.sh" "$WORK"
