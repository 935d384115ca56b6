#!/bin/busybox sh
# The first process of the VM: makes a root file system in memory and hands over to systemd. (runc cannot
# change the root of a container where the first file system is still the root.)
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev
for module in /modules/*.ko; do
    insmod "$module" || echo "not loaded: $module"
done
mount -t tmpfs -o size=90%,mode=755 root /new
tar -x -f /root.tar -C /new && rm /root.tar
mv /lab /new/lab
mv /new/lab/node.service /new/etc/systemd/system/
# What an installer would leave; pods get copies of the first two.
echo 127.0.0.1 localhost > /new/etc/hosts
: > /new/etc/resolv.conf
echo root:x:0:0::/:/bin/sh > /new/etc/passwd
echo root:x:0: > /new/etc/group
echo 00000000000000000000000000000001 > /new/etc/machine-id
mount --move /dev /new/dev
umount /proc
exec switch_root /new /usr/lib/systemd/systemd
