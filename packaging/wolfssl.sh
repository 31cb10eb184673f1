#!/usr/bin/env bash
# wolfssl.sh: build and cache the static wolfSSL that Culvert links.
#
#   packaging/wolfssl.sh                 build if needed, newest security version
#   packaging/wolfssl.sh --print-prefix  print the prefix (builds only if absent)
#   packaging/wolfssl.sh --print-version print the Debian version in the cache
#
# Debian's own libwolfssl is compiled without assembly and is many times slower
# than the processor allows. So this takes the source package of Debian trixie
# (with trixie-security), signatures checked against debian-archive-keyring,
# with Debian's patches, and builds it with assembly and without TLS 1.0/1.1.
#
# The result stands in
#   ${XDG_CACHE_HOME:-$HOME/.cache}/culvert/wolfssl-<version>-<hash>/
# where <hash> covers everything below that shapes the build. Once a day the
# archive is asked for a newer version; without a network the cache is used.
# What apt has verified is the chain from the archive's signature over its
# package list to the hash of each source file; dpkg-source's word about the
# uploader's own key, which a plain Debian does not have, does not matter.
# CULVERT_WOLFSSL=/some/prefix uses that prefix and does nothing else.
set -euo pipefail
umask 022
here=$(cd "$(dirname "$0")" && pwd)
suite=trixie
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
cache=${XDG_CACHE_HOME:-$HOME/.cache}/culvert
max_age_minutes=1440

case $(uname -m) in
x86_64) assembly=--enable-intelasm ;;
aarch64) assembly=--enable-armasm ;;
*) assembly= ;;
esac
options=(
	--enable-static --disable-shared
	--disable-examples --disable-crypttests --disable-benchmark
)
[ -z "$assembly" ] || options+=("$assembly")
options+=(
	"--enable-sp=yes,4096" --enable-sp-asm
	--enable-aesgcm-stream
	--disable-oldtls --enable-tls13
	--enable-session-ticket --enable-sni --enable-alpn
	--enable-supportedcurves --enable-curve25519 --enable-chacha
	--disable-secure-renegotiation
	--enable-ocsp --enable-ocspstapling --enable-crl
	--enable-certgen --enable-certreq --enable-certext --enable-keygen
	--enable-hkdf --enable-pkcs11
	--enable-opensslextra --enable-altcertchains --enable-ip-alt-name
)
# The compatibility layer (opensslextra) is for looking into certificates and
# for error texts only. ALWAYS_VERIFY_CB lets the caller see every certificate
# of a chain; ALT_NAMES lets "culvert pki" write subject alternative names.
# Not SESSION_CERTS: it keeps room for a chain of certificates in each session,
# 37 KB a connection, and who a resumed peer is we remember ourselves.
cflags="-O2 -g -fPIC -fstack-protector-strong -fstack-clash-protection"
cflags="$cflags -DWOLFSSL_ALT_NAMES -DWOLFSSL_DER_LOAD -DKEEP_PEER_CERT"
cflags="$cflags -DHAVE_EX_DATA -DWOLFSSL_ALWAYS_VERIFY_CB"
cflags="$cflags -DWOLFSSL_CERT_NAME_ALL -DNO_WOLFSSL_STUB"
# Given to make, not to configure, which would copy it into options.h.
cppflags="-D_FORTIFY_SOURCE=2"
case $(uname -m) in
x86_64) cflags="$cflags -fcf-protection" ;;
esac
hash=$(printf '%s\n' "${options[@]}" "$cflags" "$cppflags" | sha256sum |
	cut -c 1-12)

say() {
	echo "wolfssl: $*" >&2
}

die() {
	say "$*"
	exit 1
}

# Prefixes in the cache for these options, newest Debian version last.
cached() {
	local d
	for d in "$cache"/wolfssl-*-"$hash"; do
		[ -f "$d/lib/libwolfssl.a" ] && basename "$d"
	done | sort -V
	return 0
}

newest_cached() {
	cached | tail -n 1
}

fresh() {
	[ -n "$(find "$cache/checked-$hash" -mmin "-$max_age_minutes" \
		2>/dev/null)" ]
}

# Every "URI suite" pair of this machine's apt sources (both formats).
machine_sources() {
	local f
	for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
		[ -f "$f" ] || continue
		sed -n 's/^deb\(-src\)\{0,1\}[[:space:]]\{1,\}\(\[[^]]*\][[:space:]]*\)\{0,1\}\([^[:space:]]\{1,\}\)[[:space:]]\{1,\}\([^[:space:]]\{1,\}\).*/\3 \4/p' "$f"
	done
	for f in /etc/apt/sources.list.d/*.sources; do
		[ -f "$f" ] || continue
		awk 'function out(i, j) {
				for (i = 1; i <= nu; i++)
					for (j = 1; j <= ns; j++)
						print u[i], s[j]
				nu = ns = 0
			}
			/^#/ { next }
			/^[[:space:]]*$/ { out(); next }
			/^URIs:/ { sub(/^URIs:/, ""); nu = split($0, u); next }
			/^Suites:/ { sub(/^Suites:/, ""); ns = split($0, s) }
			END { out() }' "$f"
	done
}

main_mirror() {
	machine_sources | awk '$1 ~ /^(https?|file):.*\/debian\/?$/ &&
		$2 !~ /-security|\/updates/ { print $1; exit }'
}

security_mirrors() {
	local main=${1%/}

	machine_sources | awk '$2 ~ /-security|\/updates/ { print $1; exit }'
	case $main in
	*/debian) echo "$main-security" ;;
	esac
	echo http://deb.debian.org/debian-security
}

# An apt configuration of its own: nothing of the machine's apt is changed.
apt_private() {
	apt-get -q -o Dir::State="$work/state" -o Dir::Cache="$work/cache" \
		-o Dir::State::status="$work/status" \
		-o Dir::Etc::sourcelist="$work/sources.list" \
		-o Dir::Etc::sourceparts=/dev/null \
		-o Dir::Etc::preferences=/dev/null \
		-o Dir::Etc::preferencesparts=/dev/null \
		-o APT::Sandbox::User=root -o Acquire::Languages=none \
		-o Acquire::Retries=2 -o APT::Get::AllowUnauthenticated=false \
		-o APT::Update::Error-Mode=any "$@"
}

update_lists() {
	local main security tried=

	main=$(main_mirror)
	main=${main:-http://deb.debian.org/debian}
	[ -f "$keyring" ] || die "$keyring is missing: install" \
		"debian-archive-keyring (this needs Debian 12 or later)"
	mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial"
	: >"$work/status"
	for security in $(security_mirrors "$main"); do
		case " $tried " in
		*" $security "*) continue ;;
		esac
		tried="$tried $security"
		printf 'deb-src [signed-by=%s] %s %s main\n' \
			"$keyring" "$main" "$suite" \
			"$keyring" "$security" "$suite-security" \
			>"$work/sources.list"
		if apt_private update >"$work/update.log" 2>&1; then
			return 0
		fi
	done
	return 1
}

newest_offered() {
	apt-cache -o Dir::State="$work/state" -o Dir::Cache="$work/cache" \
		-o Dir::State::status="$work/status" \
		-o Dir::Etc::sourcelist="$work/sources.list" \
		-o Dir::Etc::sourceparts=/dev/null \
		showsrc --only-source wolfssl 2>/dev/null |
		sed -n 's/^Version: //p' | sort -V | tail -n 1
}

# build VERSION: fetch, verify, unpack with patches, compile, move into place.
build() {
	local version=$1 prefix=$2 start tree part log
	start=$(date +%s)
	log=$cache/wolfssl-$version-$hash.log
	say "building wolfSSL $version from Debian's source package" \
		"(once; about a minute on two cores)"
	(
		cd "$work"
		apt_private source --download-only --only-source \
			"wolfssl=$version"
		dpkg-source -x ./*.dsc tree
	) >"$log" 2>&1 || fail_build "$log" "fetching the source package"
	tree=$work/tree
	part=$prefix.part.$$
	rm -rf "$part"
	(
		cd "$tree"
		autoreconf -fi
		./configure --prefix="$prefix" "${options[@]}" \
			CFLAGS="$cflags"
		make -j"$(nproc)" CPPFLAGS="$cppflags"
		make install DESTDIR="$part"
	) >>"$log" 2>&1 || fail_build "$log" "compiling"
	mkdir -p "$(dirname "$prefix")"
	rm -rf "$prefix"
	printf '%s\n' "$version" >"$part$prefix/debian-version"
	printf '%s\n' "${options[@]}" "CFLAGS=$cflags" \
		>"$part$prefix/configure-options"
	mv "$part$prefix" "$prefix"
	rm -rf "$part"
	say "done in $(($(date +%s) - start)) s: $prefix"
}

fail_build() {
	tail -n 30 "$1" >&2
	die "$2 failed; the whole log is in $1"
}

need_tools() {
	local t
	for t in gcc make dpkg-source autoreconf libtoolize patch xz; do
		if ! command -v "$t" >/dev/null; then
			"$here/deps.sh" build >&2
			return
		fi
	done
}

ensure() {
	local have version prefix

	have=$(newest_cached)
	if ! update_lists; then
		[ -n "$have" ] || {
			tail -n 5 "$work/update.log" >&2
			die "the Debian archive cannot be reached, and" \
				"nothing is in $cache yet: check the network" \
				"and the mirror in /etc/apt"
		}
		say "the Debian archive cannot be reached; using $have"
		# Ask again in an hour, not at every make.
		touch -d "-$((max_age_minutes - 60)) minutes" \
			"$cache/checked-$hash"
		return
	fi
	version=$(newest_offered)
	[ -n "$version" ] || die "$suite offers no source package wolfssl"
	prefix=$cache/wolfssl-$version-$hash
	if [ ! -f "$prefix/lib/libwolfssl.a" ]; then
		need_tools
		build "$version" "$prefix"
	fi
	touch "$cache/checked-$hash"
}

mode=${1:-build}
case $mode in
build | --print-prefix | --print-version) ;;
*)
	sed -n '2,22s/^# \{0,1\}//p' "$0"
	exit 2
	;;
esac
if [ -n "${CULVERT_WOLFSSL:-}" ]; then
	[ -f "$CULVERT_WOLFSSL/lib/libwolfssl.a" ] ||
		die "CULVERT_WOLFSSL: no lib/libwolfssl.a in $CULVERT_WOLFSSL"
	[ "$mode" = --print-version ] || echo "$CULVERT_WOLFSSL"
	exit 0
fi
mkdir -p "$cache"
have=$(newest_cached)
if [ -z "$have" ] || { [ "$mode" = build ] && ! fresh; }; then
	exec 9>"$cache/lock"
	flock -n 9 || {
		say "another build is running; waiting for it"
		flock 9
	}
	work=$(mktemp -d "${TMPDIR:-/tmp}/culvert-wolfssl.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	if [ -z "$(newest_cached)" ] || ! fresh; then
		ensure
	fi
	exec 9>&-
fi
prefix=$cache/$(newest_cached)
case $mode in
--print-prefix) echo "$prefix" ;;
--print-version) cat "$prefix/debian-version" ;;
*) ;;
esac
