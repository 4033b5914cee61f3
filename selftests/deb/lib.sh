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

make_builder() {
	make_debian "$@"
	echo "$2" >"$3/list"
}

# What builds packages; in the newest Debian, what judges them, too.
need_builder() {
	local dir=$cache/deb/$1/builder
	local packages=build-essential,debhelper,dh-dkms,libjson-c-dev
	packages+=,libmnl-dev,libncurses-dev,pkgconf,python3
	[ "$1" != sid ] || packages+=,git,lintian,python3-spdx-tools
	# A cache that another commit has filled may lack some of them.
	[ "$(cat "$dir/list" 2>/dev/null)" = "$packages" ] || rm -rf "$dir"
	make_once "$dir" "making a Debian $1 that builds packages" \
		make_builder "$1" "$packages"
}
