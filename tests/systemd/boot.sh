# Becomes the first process of a system of its own: systemd, over this machine's files, which it can
# read and not change. Run by box.py within new namespaces; $1 is an empty directory, $2 the files of
# that system's /etc and /opt, $3 what its units may see of this machine besides.
set -eu
place=$1 files=$2 shown=$3

mount -t tmpfs tmpfs "$place"
mkdir "$place/upper" "$place/work" "$place/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$place/upper,workdir=$place/work" "$place/root"
cd "$place/root"
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs sysfs sys -o ro
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs tmpfs dev -o mode=755
for device in null zero full random urandom tty; do
  touch "dev/$device"
  mount --bind "/dev/$device" "dev/$device"
done
mkdir dev/pts dev/shm
mount -t devpts devpts dev/pts -o newinstance,ptmxmode=0666
mount -t tmpfs tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
mount -t tmpfs tmpfs run -o mode=755
mount -t tmpfs tmpfs tmp -o mode=1777
rm -rf etc/systemd/system etc/registry-watcher opt/registry-watcher
cp -a "$files/." .
while IFS=' ' read -r source target; do
  mkdir -p ".$target"
  mount --bind "$source" ".$target"
done <"$shown"
mkdir old
pivot_root . old
umount -l /old
mount --make-rshared / # as a system's first process finds it
exec env -i container=box PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  /lib/systemd/systemd --system --unit=box.target --log-target=console --show-status=0
