/** Provides the two shell scripts that run inside a namespace. */

/**
 * HOLD: holds a namespace, prints `ready`, and waits for the end of its standard input, which comes when the
 * parent closes it or dies. Then it kills all processes that still run in the namespace, by their ids, so
 * that the kernel can remove the namespace.
 *
 * The namespace has its own /run, because the programs of netfilter keep a lock there that an ordinary user
 * may not open, and because private files (below) need a place. Duplicate address detection is off: it makes
 * an IPv6 address unusable for its first second.
 *
 * A new namespace has the host's settings of IPv4 devices, forwarding among them (devinet_init_net in
 * net/ipv4/devinet.c). The script sets them to the kernel's defaults.
 */
export const HOLD = `
set -e
mount -t tmpfs -o mode=755 lab /run
ip link set lo up
for device in all default; do
  echo 0 > /proc/sys/net/ipv6/conf/$device/accept_dad
done
for setting in /proc/sys/net/ipv4/conf/*/*; do
  case \${setting##*/} in
    accept_redirects | arp_evict_nocarrier | secure_redirects | send_redirects | shared_media) value=1 ;;
    igmpv[23]_unsolicited_report_interval | mc_forwarding) continue ;;
    *) value=0 ;;
  esac
  echo $value > "$setting"
done
set +e
echo ready
read -r _
found=yes
while [ "$found" ]; do
  found=
  for process in /proc/[0-9]*; do
    pid=\${process#/proc/}
    [ "$pid" != $$ ] && [ "$process/ns/net" -ef /proc/$$/ns/net ] && kill -KILL "$pid" && found=yes
  done
done
`

/**
 * PUT_FILE PATH: replaces a file by the standard input, in this mount namespace only.
 *
 * A file is covered by a bind mount of a copy in /run; a second call writes to the same copy. A symlink is
 * followed, even to a missing file (/etc/resolv.conf often points into /run). A file cannot be mounted over a
 * missing one: then the nearest directory is replaced by one in memory, with symlinks to all that was in it.
 */
export const PUT_FILE = `
set -e
target=$(readlink -m -- "$1")
copy=/run/lab/files$target
case $target in
  /run/lab/before/*) ;; # the host's own file, behind a symlink made below
  /run/*) copy=$target ;;
esac
mkdir -p "\${copy%/*}"
[ ! -e "$copy" ] || mounted=yes
cat > "$copy"
chmod 644 "$copy"
if [ "$mounted" ] || [ "$copy" = "$target" ]; then exit; fi

if [ ! -e "$target" ]; then
  directory=\${target%/*}
  until [ -d "$directory" ]; do directory=\${directory%/*}; done
  before=/run/lab/before$directory
  # A second replacement of a directory would hide what the links of the first lead to.
  if ! mountpoint -q "$before"; then
    mkdir -p "$before"
    mount --rbind "$directory" "$before"
    mount -t tmpfs -o mode=755 lab "$directory"
    for entry in "$before"/* "$before"/.[!.]*; do
      if [ -L "$entry" ]; then cp -P "$entry" "$directory/"
      elif [ -e "$entry" ]; then ln -s "$entry" "$directory/"
      fi
    done
  fi
  mkdir -p "\${target%/*}"
  : > "$target"
fi
mount --bind "$copy" "$target"
`
