# SPDX-License-Identifier: GPL-2.0
# Completion of bhsec(8) for bash.

_bhsec_devices() {
	# Bash expands the words of a list: a name can be any text, $(...) too.
	ip link show "$@" 2>/dev/null |
		sed -n -e 's/^[0-9]*: \([A-Za-z0-9._-]*\)[:@].*/\1/p' \
			-e 's/^    altname \([A-Za-z0-9._-]*\)$/\1/p'
}

_bhsec_peers() {
	bhsec show "$1" 2>/dev/null | sed -n 's/^  peer \([^ ]*\).*/\1/p'
}

_bhsec_spis() {
	bhsec show "$1" peer "$2" 2>/dev/null |
		sed -n "s/^    $3 spi \([^ ]*\).*/\1/p"
}

# RFC 2474, 2597 and 3246
_bhsec_dscps="be ef $(echo cs{0..7} af{1..4}{1..3})"

_bhsec_ciphers='aes-gcm-128 aes-gcm-256 chacha20-poly1305 aes-ccm-128 aes-ccm-256
aes-cbc-128-sha256 aes-cbc-256-sha256 aes-cbc-128-sha384 aes-cbc-256-sha384
aes-cbc-128-sha512 aes-cbc-256-sha512 aes-gmac-128 aes-gmac-256 null-sha256'

# The links of a link-local address that ends in %.
_bhsec_links() {
	local dev

	[[ $current == *%* ]] || return
	while read -r dev; do
		echo "${current%%\%*}%$dev"
	done < <(_bhsec_devices)
}

# The classes that a list may go on with.
_bhsec_classes() {
	local name begun=

	[[ $current != *,* ]] || begun=${current%,*},
	for name in $_bhsec_dscps; do
		echo "$begun$name"
	done
}

# The values of an option; what cannot be guessed has none.
_bhsec_values() {
	case $1:$2 in
	set:dev) echo any; _bhsec_devices ;;
	set:df) echo copy set clear ;;
	set:dscp) echo copy $_bhsec_dscps ;;
	peer:encap) echo udp esp ;;
	peer:endpoint) _bhsec_links ;;
	peer:roam | peer:entropy) echo on off ;;
	peer:selectors) echo none ;;
	peer:local-selectors) echo any ;;
	sa:cipher) echo $_bhsec_ciphers ;;
	sa:esn) echo on off ;;
	sa:dscp) _bhsec_classes ;;
	esac
}

# The options of a command that it does not have yet.
_bhsec_options() {
	local option given=" $2 "

	for option in $1; do
		[[ $given == *" $option "* ]] || echo "$option"
	done
}

# What may follow the words of "set DEVICE ...".
_bhsec_set() {
	local options='port dev fwmark dscp df local window if-id'
	local word before= last= words=()

	# "if-id N shared" is one option
	for word; do
		[[ "$before $word" == 'if-id shared' ]] || words+=("$word")
		before=$last last=$word
	done
	set -- "${words[@]}"
	case $# in
	0) _bhsec_devices type bhsec; echo --help ;;
	*) if (($# % 2)); then
		[ "$before" != if-id ] || echo shared
		_bhsec_options "$options" "$*"
	else
		_bhsec_values set "${!#}"
	fi ;;
	esac
}

# What may follow the words of "peer add DEVICE NAME ...".
_bhsec_peer() {
	local options='endpoint encap selectors local-selectors roam entropy
		keepalive'

	case $#:$1 in
	0:*) echo add set del --help ;;
	1:*) _bhsec_devices type bhsec ;;
	2:add | *:del) [ $# -gt 2 ] || [ "$1" = add ] || _bhsec_peers "$2" ;;
	2:*) _bhsec_peers "$2" ;;
	*) if (($# % 2)); then
		_bhsec_options "$options" "$*"
	else
		_bhsec_values peer "${!#}"
	fi ;;
	esac
}

# What may follow the words of "sa add DEVICE PEER in ...".
_bhsec_sa() {
	local options='spi cipher key-file esn window dscp seq'

	options+=' '$(echo {soft,hard}-{packets,bytes,seconds})
	[ "$1" = add ] || options=spi
	case $#:${!#} in
	0:*) echo add del --help ;;
	1:*) _bhsec_devices type bhsec ;;
	2:*) _bhsec_peers "$2" ;;
	3:*) echo in out ;;
	5:spi) [ "$1" = add ] || _bhsec_spis "$2" "$3" "$4" ;;
	*) if (($# % 2)); then
		_bhsec_values sa "${!#}"
	else
		_bhsec_options "$options" "$*"
	fi ;;
	esac
}

# What may follow the words of "show DEVICE peer NAME".
_bhsec_show() {
	case $#:$2 in
	0:*) _bhsec_devices type bhsec; echo -j --stats --openmetrics --why --help ;;
	1:*) echo peer -j --stats --openmetrics --why ;;
	2:peer) _bhsec_peers "$1" ;;
	*) _bhsec_options '-j --stats --openmetrics --why' "$*" ;;
	esac
	[ "${!#}" != --stats ] || echo all
}

# What may follow the words of "explain DEVICE SRC DST ...".
_bhsec_explain() {
	case $#:$2 in
	0:*) _bhsec_devices type bhsec; echo --help ;;
	1:*) echo --in ;;
	*:--in | 2:*) ;;
	*) if (($# % 2)); then
		_bhsec_options 'proto dport dscp size -j' "$*"
	elif [ "${!#}" = dscp ]; then
		echo $_bhsec_dscps
	fi ;;
	esac
}

# What may follow the words of "top DEVICE ...".
_bhsec_top() {
	case ${!#} in
	--interval) return ;;
	--sort) echo name in out drops age last; return ;;
	esac
	[ $# -gt 0 ] || { _bhsec_devices type bhsec; echo --help; }
	_bhsec_options '--interval --sort' "$*"
}

# Devices with a file, and files where these may stand.
_bhsec_configured() {
	local file

	for file in /etc/bhsec/*.conf; do
		[ ! -e "$file" ] || basename "$file" .conf
	done
}

# What may follow the words of "up DEVICE".
_bhsec_named() {
	case $# in
	0) _bhsec_configured; echo --dry-run --help ;;
	*) _bhsec_options --dry-run "$*" ;;
	esac
}

# What may follow the words before the cursor.
_bhsec_next() {
	local verb=$1

	case $# in
	0) echo set peer sa apply up reload down check show explain doctor top
		echo monitor genkey -batch -j --stats --help --version
		return ;;
	esac
	shift
	case $verb in
	set | peer | sa | show | explain | top) "_bhsec_$verb" "$@" ;;
	apply) _bhsec_options '--dry-run --help' "$*" ;;
	up | reload | down) _bhsec_named "$@" ;;
	check) [ $# -gt 0 ] || { _bhsec_configured; echo --help; } ;;
	doctor) _bhsec_options '-j --help' "$*" ;;
	monitor) [ $# -gt 0 ] || echo -j --journal --help ;;
	genkey) [ $# -gt 0 ] || echo $_bhsec_ciphers --spi --help ;;
	-j | --json) _bhsec_next "$@" ;;
	--stats) case $#:$1 in
		0:*) echo all ;;
		*:all) shift ;;
		esac
		_bhsec_next "$@" ;;
	esac
}

# Bash takes words apart at each colon, those of an address too.
_bhsec_join() {
	local word last=

	for word; do
		if [[ $word == :* || $last == *: ]]; then
			joined[-1]+=$word
		else
			joined+=("$word")
		fi
		last=$word
	done
}

_bhsec() {
	local joined=()

	_bhsec_join "${COMP_WORDS[@]:0:COMP_CWORD + 1}"

	local current=${joined[-1]}
	local before=("${joined[@]:1:${#joined[@]} - 2}")

	case ${joined[-2]} in
	key-file | -batch | --batch | apply)
		mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
	*)
		mapfile -t COMPREPLY < <(compgen -W "$(_bhsec_next "${before[@]}")" \
			-- "$current") ;;
	esac
	# and replaces what is behind the last one alone
	COMPREPLY=("${COMPREPLY[@]#"${current%"${COMP_WORDS[COMP_CWORD]}"}"}")
}

complete -o filenames -F _bhsec bhsec
