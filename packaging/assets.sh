#!/usr/bin/env bash
# assets.sh: the files of the status page as one C file, for embedding.
#
#   packaging/assets.sh OUT.c
#
# What is ours stands in web-status/assets/. uPlot comes from npm by
# web-status/package-lock.json, whose hashes npm checks, once into
#   ${XDG_CACHE_HOME:-$HOME/.cache}/culvert/assets-<hash of the lock file>/
# after which neither npm nor a network is needed.
# CULVERT_UPLOT=/some/dir takes uPlot.iife.min.js and uPlot.min.css from there.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# = 1 ] || {
	sed -n '2,11s/^# \{0,1\}//p' "$0"
	exit 2
}
out=$1
source=web-status/assets
cache=${XDG_CACHE_HOME:-$HOME/.cache}/culvert

say() {
	echo "assets: $*" >&2
}

die() {
	say "$*"
	exit 1
}

# fetch DIR: install what the lock file names, into place in one step.
fetch() {
	local part=$1.part.$$

	command -v npm >/dev/null || packaging/deps.sh build >&2
	say "fetching uPlot from npm (once)"
	mkdir -p "$part"
	cp web-status/package.json web-status/package-lock.json "$part/"
	(cd "$part" && npm ci --ignore-scripts --no-audit --no-fund \
		--fetch-retries=2) >"$part/npm.log" 2>&1 || {
		tail -n 15 "$part/npm.log" >&2
		rm -rf "$part"
		die "npm could not fetch uPlot: give npm a registry it can" \
			"reach, or CULVERT_UPLOT a directory with its files"
	}
	rm -rf "$1"
	mv "$part" "$1"
}

uplot=${CULVERT_UPLOT:-}
if [ -z "$uplot" ]; then
	lock=$(sha256sum <web-status/package-lock.json | cut -c 1-12)
	kept=$cache/assets-$lock
	uplot=$kept/node_modules/uplot/dist
	mkdir -p "$cache"
	exec 9>"$cache/assets.lock"
	flock 9
	[ -f "$uplot/uPlot.iife.min.js" ] || fetch "$kept"
	exec 9>&-
fi
for f in uPlot.iife.min.js uPlot.min.css; do
	[ -f "$uplot/$f" ] || die "$uplot/$f is not there"
done

work=$(mktemp -d "${TMPDIR:-/tmp}/culvert-assets.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/in"
cp "$source"/*.js "$source"/*.svg "$work/in/"
cp "$uplot/uPlot.iife.min.js" "$work/in/uplot.js"
cp packaging/notices "$work/in/notices.txt"
cat "$uplot/uPlot.min.css" "$source/culvert.css" >"$work/in/culvert.css"

# The name of a file's type, for Content-Type.
kind() {
	case $1 in
	*.css) echo 'text/css; charset=utf-8' ;;
	*.js) echo 'text/javascript; charset=utf-8' ;;
	*.svg) echo 'image/svg+xml' ;;
	*.txt) echo 'text/plain; charset=utf-8' ;;
	*) die "$1: what type is it?" ;;
	esac
}

{
	echo '/* Made by packaging/assets.sh: do not edit. */'
	echo '#include "web-status/asset.h"'
	n=0
	rows=
	for f in "$work"/in/*; do
		name=${f##*/}
		hash=$(sha256sum <"$f" | cut -c 1-32)
		printf '\nstatic const unsigned char file_%d[] = {' $n
		od -An -v -tx1 "$f" | sed 's/ \(..\)/0x\1,/g'
		printf '};\n'
		rows="$rows	{\"/assets/$name\", \"$(kind "$name")\",
	 file_$n, sizeof(file_$n), \"\\\"$hash\\\"\"},
"
		n=$((n + 1))
	done
	printf '\nconst struct web_asset web_assets[] = {\n%s};\n' "$rows"
	printf 'const size_t web_n_assets = %d;\n' $n
} >"$work/out"
mkdir -p "$(dirname "$out")"
cmp -s "$work/out" "$out" || cp "$work/out" "$out.part"
[ ! -f "$out.part" ] || mv "$out.part" "$out"
touch "$out"
