#!/usr/bin/env bash
# deps.sh: install with apt what Culvert needs, and nothing when all is there.
#
#   packaging/deps.sh build | demo | test | lint | fuzz | bench ...
#
# Debian 12 and 13. Uses sudo when not root. Silent when nothing is missing.
set -euo pipefail

# The sets are read by name, through ${!set}.
# shellcheck disable=SC2034
{
	build="gcc make libc6-dev pkg-config ca-certificates debian-archive-keyring
		dpkg-dev autoconf automake libtool patch xz-utils
		libuv1-dev libyaml-dev libsqlite3-dev libmicrohttpd-dev libjansson-dev
		libargon2-dev zlib1g-dev"
	demo="dcmtk python3-pydicom sqlite3"
	test="$demo libcmocka-dev python3 python3-pytest python3-pytest-timeout
		python3-pytest-xdist
		openssl libssl-dev orthanc stunnel4 tshark libgdcm-tools tzdata
		iproute2 rsyslog rsyslog-gnutls prometheus jing zsh chromium
		fonts-wqy-microhei gdb man-db"
	# npm fetches what the status page's charts are drawn with. Node from
	# elsewhere, with its npm, is as good as Debian's.
	command -v node >/dev/null || build="$build nodejs"
	command -v npm >/dev/null || build="$build npm"
	lint="clang clang-format clang-tidy cppcheck shellcheck git python3
		libcmocka-dev"
	fuzz="clang llvm"
	bench="libssl-dev orthanc dcmtk stunnel4 haproxy nginx
		libnginx-mod-stream python3 procps gnuplot-nox iproute2"
}

packages=
for set in "$@"; do
	case $set in
	build | demo | test | lint | fuzz | bench)
		packages="$packages ${!set}"
		;;
	*)
		echo "usage: deps.sh build|demo|test|lint|fuzz|bench ..." >&2
		exit 2
		;;
	esac
done

# One question to dpkg for all of them: a few milliseconds when nothing lacks.
missing() {
	local installed p

	# shellcheck disable=SC2086
	installed=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' \
		$packages 2>/dev/null | sed -n 's/^installed //p' || true)
	for p in $packages; do
		grep -qx -- "$p" <<<"$installed" || echo "$p"
	done | sort -u
}

lacking=$(missing | tr '\n' ' ')
[ -n "$lacking" ] || exit 0
command -v apt-get >/dev/null || {
	echo "deps: these packages are needed: $lacking" >&2
	exit 1
}
sudo=
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null || {
		echo "deps: as root: apt-get install $lacking" >&2
		exit 1
	}
	sudo=sudo
fi
echo "deps: installing with apt: $lacking" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# A service that a test peer's package would start is neither wanted nor
# needed: policy-rc.d says so for the time of the installation.
apt() {
	$sudo env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -q -y \
		-o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 "$@" \
		>"$log" 2>&1 || {
		tail -n 20 "$log" >&2
		echo "deps: apt-get $1 failed" >&2
		exit 1
	}
}

guard=/usr/sbin/policy-rc.d
if [ ! -e "$guard" ]; then
	printf '#!/bin/sh\nexit 101\n' | $sudo tee "$guard" >/dev/null
	$sudo chmod 755 "$guard"
	trap 'rm -f "$log"; $sudo rm -f "$guard"' EXIT
fi
apt update
# shellcheck disable=SC2086
apt install --no-install-recommends $lacking
