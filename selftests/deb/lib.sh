# SPDX-License-Identifier: GPL-2.0
# Sourced by the tests of the Debian packages: whole Debians, with all that
# maintainer scripts do, where vm/ merely unpacks.

. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../vm/lib.sh"

make_mmdebstrap() {
	"$vm/fetch" --only "$(. /etc/os-release; echo "$VERSION_CODENAME")" "$1" \
		mmdebstrap
}

# make_debian SUITE PACKAGES DIR: the least that has apt, and PACKAGES. Its lists
# stay, and what apt is told here holds in there, too.
make_debian() {
	local suite=$1 packages=$2 dir=$3 proxy=
	need_suite "$suite"
	make_once "$cache/deb/mmdebstrap" "unpacking mmdebstrap" make_mmdebstrap
	eval "$(apt-config shell proxy Acquire::http::Proxy)"
	perl "$cache/deb/mmdebstrap/usr/bin/mmdebstrap" --quiet --variant=apt \
		--mode=root --skip=cleanup/apt --include="$packages" \
		--hook-dir="$cache/deb/mmdebstrap/usr/share/mmdebstrap/hooks/maybe-merged-usr" \
		--aptopt='Acquire::Check-Valid-Until "false"' \
		--aptopt='Acquire::Languages "none"' \
		${proxy:+--aptopt="Acquire::http::Proxy \"$proxy\""} \
		"$suite" "$dir" "$cache/apt/$suite/sources.list" >"$dir.log" 2>&1 ||
		{ cat "$dir.log" >&2; die "no Debian $suite can be made"; }
}

make_listed() {
	make_debian "$@"
	echo "$2" >"$3/list"
}

# need_debian NAME SUITE WHAT PACKAGES: under deb/SUITE. A cache that another
# commit has filled may lack some of them.
need_debian() {
	local dir=$cache/deb/$2/$1
	[ "$(cat "$dir/list" 2>/dev/null)" = "$4" ] || rm -rf "$dir"
	make_once "$dir" "making a Debian $2 $3" make_listed "$2" "$4"
}

# What builds packages, and the module; in the newest Debian, what judges them, too.
need_builder() {
	local packages=build-essential,debhelper,dh-dkms,dkms,libjson-c-dev
	packages+=,libmnl-dev,libncurses-dev,linux-headers-amd64,pkgconf,python3
	[ "$1" != sid ] || packages+=,git,lintian,python3-spdx-tools
	need_debian builder "$1" "that builds packages" "$packages"
}

# A machine as it comes: kernel, its headers, systemd, an IKE daemon.
need_host() {
	local packages=busybox-static,charon-systemd,dkms,iproute2,iputils-ping
	packages+=,libstrongswan-standard-plugins,linux-headers-amd64
	packages+=,linux-image-amd64,network-manager,openssl,strongswan-swanctl
	packages+=,systemd-sysv,udev
	need_debian host "$1" "that is to run bhsec" "$packages"
}
