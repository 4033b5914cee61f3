# SPDX-License-Identifier: GPL-2.0
# Sourced by every script of this directory: where things are, and how the
# cache outside the tree is filled without ever holding a half-made thing.

set -euo pipefail
export LC_ALL=C.UTF-8

vm=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
# Another checkout's module and tool can be measured with what is here.
top=$(readlink -f "${BHSEC_BENCH_TREE:-$vm/../..}")
cache=${BHSEC_CACHE:-${HOME:-/root}/.cache/bhsec}
kernels="6.1 6.12 7.2"
linux=$cache/linux/${kernels##* }

say() { printf '%s\n' "bhsec: $*" >&2; }
die() { say "$*"; exit 1; }

# make_once DIR WHAT COMMAND...
# COMMAND is given an empty directory as its last argument, which becomes DIR
# only when it has succeeded: DIR's existence is the stamp. The lock lets two
# makes share a cache.
make_once() {
	local dir=$1 what=$2 lock
	shift 2
	[ ! -d "$dir" ] || return 0
	mkdir -p "${dir%/*}"
	exec {lock}>"$dir.lock"
	flock $lock
	if [ ! -d "$dir" ]; then
		say "$what ..."
		rm -rf "$dir.new"
		mkdir "$dir.new"
		# Not in a condition: there, bash would ignore set -e within.
		(set -e; "$@" "$dir.new")
		mv "$dir.new" "$dir"
	fi
	exec {lock}>&-
}

suite_of() {
	case $1 in
	6.1) echo bookworm ;;
	6.12) echo trixie ;;
	7.2) echo sid ;;
	*) die "no kernel $1: it is one of $kernels debug" ;;
	esac
}

# The machine's own Debian archive, by label: apt knows both formats of its
# sources, and third-party archives use Debian's suite names too.
mirror() {
	apt-get indextargets --format '$(ORIGIN)/$(LABEL) $(REPO_URI)' \
		'Created-By: Packages' 'Component: main' |
		sed -n "s|^Debian/$1 ||p" | sort -u | head -n 1
}

suite_sources() {
	local suite=$1 archive security signed
	archive=$(mirror Debian)
	security=$(mirror Debian-Security)
	[ -n "$archive" ] ||
		die "apt knows no Debian archive: run 'apt-get update' as root first"
	signed="[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
	echo "deb $signed $archive $suite main"
	case $suite in
	sid|*-backports) ;;
	*)
		[ -z "$security" ] ||
			echo "deb $signed $security $suite-security main" ;;
	esac
	# Backports lean on their release.
	[ "$suite" = "${suite%-backports}" ] ||
		echo "deb $signed $archive ${suite%-backports} main"
}

# apt_in SUITE COMMAND...: an apt command that sees SUITE alone, with lists and
# downloads in the cache. What the machine sets in apt.conf (a proxy) holds.
# The packages it takes for installed are the host's, or none with status=none.
apt_in() {
	local dir=$cache/apt/$1 cmd=$2
	shift 2
	"$cmd" -q -o APT::Sandbox::User=root \
		-o Dir::Etc::SourceList="$dir/sources.list" \
		-o Dir::Etc::SourceParts=/dev/null \
		-o Dir::Etc::Preferences=/dev/null \
		-o Dir::Etc::PreferencesParts=/dev/null \
		-o Dir::State="$dir/state" -o Dir::Cache="$dir/cache" \
		-o Dir::State::status="${status:-/var/lib/dpkg/status}" \
		-o APT::Default-Release= -o APT::Install-Recommends=false \
		-o Acquire::Languages=none -o Acquire::Retries=3 \
		-o Acquire::Check-Valid-Until=false "$@"
}

make_suite() {
	local suite=$1 dir=$2
	suite_sources "$suite" >"$dir/sources.list"
	mkdir -p "$dir/state/lists/partial" "$dir/cache/archives/partial"
	: >"$dir/none"
	apt_in "$suite.new" apt-get update >"$dir/log" 2>&1 ||
		{ cat "$dir/log" >&2; die "the package lists of $suite cannot be read"; }
}

need_suite() {
	make_once "$cache/apt/$1" "reading the package lists of $1" make_suite "$1"
}

# The newest kernel's source: the test harness, checkpatch, netlink's tools.
make_source() {
	local k=${kernels##* } dir=$1
	"$vm/fetch" --only "$(suite_of "$k")" "$dir/deb" "linux-source-$k"
	tar -C "$dir" --strip-components=1 --wildcards -xf \
		"$dir/deb/usr/src/linux-source-$k.tar.xz" \
		'*/tools/testing/selftests/kselftest*' \
		'*/tools/testing/selftests/lib.mk' \
		'*/tools/testing/selftests/Makefile' '*/tools/scripts' \
		'*/tools/include' '*/tools/net' '*/scripts' \
		'*/Documentation/netlink' '*/include/uapi'
	rm -r "$dir/deb"
}

need_source() {
	make_once "$linux" "unpacking the newest kernel's test harness" make_source
}

# in_root ROOT COMMAND...: in a chroot with /proc (objtool asks for it), and
# with the cache and the checkout where they are outside. The mounts go with
# the process. They hang below /proc, which can be made private: the root of
# whoever runs this may be a chroot itself, and no mount point.
in_root() {
	local root=$1 d
	shift
	[ "$(id -u)" = 0 ] || die "a kernel's own compiler runs in a chroot: be root"
	[ -d /proc/fs ] || die "/proc is not mounted here"
	for d in "$cache" "$top"; do
		mkdir -p "$root$d"
	done
	unshare -m --propagation unchanged sh -ec '
		root=/proc/fs from=$1 top=$2 cache=$3
		shift 3
		mount --make-private /proc
		mount --rbind "$from" "$root"
		mount --make-rprivate "$root"
		mount -t proc proc "$root/proc"
		mount --bind /dev "$root/dev"
		mount --bind "$cache" "$root$cache"
		mount --bind "$top" "$root$top"
		exec chroot "$root" env -i PATH=/usr/sbin:/usr/bin LC_ALL=C.UTF-8 "$@"
	' sh "$root" "$top" "$cache" "$@"
}

# One directory holds a Debian kernel, its headers and the compiler that built
# it (another one trips over the headers), as unpacked packages: what can be
# built in is booted. Sparse comes alone, for its LLVM front end is large.
make_kernel() {
	local k=$1 root=$2 suite release
	suite=$(suite_of "$k")
	"$vm/fetch" --all "$suite" "$root" linux-image-amd64 tiny-initramfs \
		linux-headers-amd64 base-files bash busybox-static coreutils dash \
		diffutils findutils grep kmod make mawk pahole perl python3-minimal sed
	"$vm/fetch" --only "$suite" "$root" sparse
	ln -s mawk "$root/usr/bin/awk"
	release=$(cd "$root/lib/modules" && echo *)
	echo "$release" >"$root/release"
	# Newer packages keep it beside the modules.
	ln -s "$(cd "$root" && ls -d "boot/vmlinuz-$release" \
		"usr/lib/modules/$release/vmlinuz" 2>/dev/null)" "$root/vmlinuz"
	in_root "$root" depmod "$release"
	"$vm/initramfs" "$root"
}

# What was built for a kernel that is no more is for other headers.
replace_kernel() {
	rm -rf "$cache"/build/*/"$1"
	shift
	"$@"
}

need_kernel() {
	case $1 in
	debug)
		make_once "$cache/kernel/$1" \
			"building the debug kernel, which takes long, but once" \
			replace_kernel "$1" "$vm/debug-kernel" ;;
	*)
		make_once "$cache/kernel/$1" \
			"unpacking Debian's Linux $1 and its compiler" \
			replace_kernel "$1" make_kernel "$1" ;;
	esac
}

# Each checkout builds by itself, whatever cache it shares.
build_dir() {
	local dir=$cache/build/$(printf %s "$top" | md5sum | cut -c1-8)/$1
	mkdir -p "$dir/src"
	echo "$dir"
}

# depmod replaces its indices, so hard links to a kernel's modules are safe.
link_modules() {
	mkdir -p "$2/lib/modules"
	cp -al "$1/lib/modules/"* "$2/lib/modules/"
}

# What tests and demo use and this machine lacks lies over its files in the
# guest, and is never installed here.
tools="conntrack curl ethtool iperf3 iproute2 iptables iputils-ping kmod nftables
python3 python3-cryptography python3-jsonschema python3-pyte python3-scapy
python3-yaml socat systemd tcpdump tshark"

# What tests start all the time. A guest has it in memory, with all that each
# start of it reads: an opening by 9p is three questions to the host.
hot="bash cat dash ethtool ip kmod nft ping sleep ss sysctl tc tcpdump timeout"

hot_files() {
	local name file
	for name in $hot; do
		file=$(PATH=$1/usr/sbin:$1/usr/bin:/usr/sbin:/usr/bin type -p "$name") ||
			continue
		echo "$file"
		LD_LIBRARY_PATH=$1/usr/lib/$(uname -m)-linux-gnu ldd "$file" |
			grep -o '/[^ ]*'
	done | xargs readlink -f | sort -u
	printf '%s\n' /etc/{ld.so.cache,nsswitch.conf,passwd,protocols}
}

make_tools() {
	"$vm/fetch" "$(. /etc/os-release; echo "$VERSION_CODENAME")" "$1" $tools
	/usr/bin/python3 -m compileall -q "$1/usr/lib/python3/dist-packages"
	hot_files "$1" | sed "s|^$1/|/|" >"$1/hot"
	echo "$tools $hot" >"$1/list"
}

# A cache that another commit has filled may lack some of them.
need_tools() {
	[ "$(cat "$cache/tools/list" 2>/dev/null)" = "$tools $hot" ] ||
		rm -rf "$cache/tools"
	make_once "$cache/tools" "unpacking the tools of the tests" make_tools
}

# A base-station network for the demo and a test, which is run where it lies.
make_osmocom() {
	"$vm/fetch" "$(. /etc/os-release; echo "$VERSION_CODENAME")" "$1" \
		osmo-bsc osmo-bts osmo-ggsn osmo-stp
}

need_osmocom() {
	make_once "$cache/osmocom" "unpacking the base-station network" make_osmocom
}

# Who watches, run where it lies. What it depends on is for its web pages.
make_prometheus() {
	"$vm/fetch" --only "$(. /etc/os-release; echo "$VERSION_CODENAME")" "$1" \
		prometheus prometheus-node-exporter
}

need_prometheus() {
	make_once "$cache/prometheus" "unpacking Prometheus" make_prometheus
}

# An IKE daemon of each release that a gateway may have, as a root of its own,
# for the newer ones need a newer libc; it is run in there, in the guest.
strongswans="5.9 6.0 6.1"

make_strongswan() {
	local suite
	case $1 in
	5.9) suite=bookworm ;;
	6.0) suite=trixie ;;
	6.1) suite=sid ;;
	esac
	"$vm/fetch" --all "$suite" "$2" base-files charon-systemd \
		libstrongswan-extra-plugins libstrongswan-standard-plugins \
		strongswan-swanctl
	mkdir -p "$2"/{dev,etc,proc,run,tmp}
}

# need_strongswan [VERSION...]: all, if none is named.
need_strongswan() {
	local version
	for version in ${@:-$strongswans}; do
		make_once "$cache/strongswan/$version" \
			"unpacking strongSwan $version" make_strongswan "$version"
	done
}

# Libreswan likewise: one release, for all that it shows is that there is another
# daemon than strongSwan.
make_libreswan() {
	"$vm/fetch" --all sid "$1" base-files iproute2 libreswan
	mkdir -p "$1"/{dev,etc,proc,run,tmp}
}

need_libreswan() {
	make_once "$cache/libreswan" "unpacking Libreswan" make_libreswan
}
