#!/usr/bin/env bash
# demo.sh: a whole Culvert on one machine, with a real study (make demo).
#
#   storescu --plaintext DICOM--> edge --DICOM TLS--> archive --> files
#
# ONCE=1 stops at the end of the tour; exit status 0 only if every image
# arrived identical. DEMO_IMAGES=DIR sends the images found there.
# Everything is in build/demo, made anew each time.
set -euo pipefail
cd "$(dirname "$0")/.."
culvert=$PWD/build/release/culvert
dir=$PWD/build/demo
once=${ONCE:-}
wait_seconds=${DEMO_WAIT:-120}
pids=()
run=

if [ -t 1 ]; then
	bold=$'\e[1m' plain=$'\e[0m'
else
	bold='' plain=''
fi

title() {
	printf '\n%s== %s%s\n' "$bold" "$*" "$plain"
}

die() {
	echo "demo: $*" >&2
	exit 1
}

# Only what this script started, by process id, politely first.
cleanup() {
	local result=$? p status

	trap '' INT TERM
	for p in "${pids[@]}"; do
		kill -TERM "$p" 2>/dev/null || true
		for _ in $(seq 100); do
			kill -0 "$p" 2>/dev/null || break
			sleep 0.1
		done
		kill -KILL "$p" 2>/dev/null || true
		status=0
		wait "$p" 2>/dev/null || status=$?
		[ "$status" = 0 ] || {
			echo "demo: process $p ended with status $status" >&2
			tail -qn 5 "$dir"/{edge,cloud}/culvert.log >&2
			result=1
		}
	done
	[ -z "$run" ] || rm -rf "$run"
	exit "$result"
}

in_use() {
	(exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# free_port WANTED: print it, or the next one that nobody listens on.
free_port() {
	local p=$1
	while in_use "$p"; do
		p=$((p + 1))
	done
	[ "$p" = "$1" ] || echo "port $1 is in use, taking $p" >&2
	echo "$p"
}

# configure TEMPLATE FILE
configure() {
	sed -e "s|:11101|:@EDGE@|" -e "s|:11102|:@CLOUD@|" \
		-e "s|:11103|:$page_port|" -e "s|:@CLOUD@|:$cloud_port|" \
		-e "s|:@EDGE@|:$edge_port|" \
		-e "s|\(control: {path: \)|\1$run/|" "conf/$1" >"$2"
}

# serve NAME PORT: start one, wait until it listens.
serve() {
	local name=$1 port=$2 pid

	"$culvert" check -c "$dir/$name/culvert.yaml" \
		>"$dir/$name/check.log" 2>&1 || {
		cat "$dir/$name/check.log" >&2
		die "the $name's configuration is not valid"
	}
	# A group of its own, so that Ctrl-C reaches this script alone.
	setsid "$culvert" serve -c "$dir/$name/culvert.yaml" \
		>"$dir/$name/culvert.log" 2>&1 &
	pid=$!
	# The last one started is the first one stopped.
	pids=("$pid" "${pids[@]}")
	for _ in $(seq 100); do
		if in_use "$port"; then
			echo "$name: process $pid, port $port," \
				"log $dir/$name/culvert.log"
			return
		fi
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.1
	done
	tail -n 20 "$dir/$name/culvert.log" >&2
	die "the $name did not start"
}

# Real images: those named, those of the data set beside the tree, or the
# samples that come with Debian's python3-pydicom.
find_images() {
	local samples
	if [ -n "${DEMO_IMAGES:-}" ]; then
		find "$DEMO_IMAGES" -type f
		return
	fi
	if compgen -G '../shared/data/dev/series_*' >/dev/null; then
		find ../shared/data/dev/series_* -type f -name '*.dcm'
		return
	fi
	samples=$(find /usr/lib/python3/dist-packages/pydicom/data \
		-type d -name test_files | head -n 1)
	[ -n "$samples" ] || return 0
	find "$samples/dicomdirtests/98892001" \
		"$samples/dicomdirtests/98892003" \
		"$samples/dicomdirtests/77654033" \
		"$samples/CT_small.dcm" "$samples/MR_small.dcm" \
		-type f 2>/dev/null || true
}

# storescu parses what it sends and writes it anew. So that the hashes of the
# files here are those of the bytes on the wire, each is written once by DCMTK,
# without the padding at its end, which storescu leaves out.
gather_study() {
	local f n=0
	mkdir -p "$dir/study"
	while read -r f; do
		n=$((n + 1))
		dcmconv +te -p "$f" "$dir/study/$(printf %04d "$n").dcm" \
			2>/dev/null || rm -f "$dir/study/$(printf %04d "$n").dcm"
	done < <(find_images | sort)
	sent=$(find "$dir/study" -type f | wc -l)
	[ "$sent" -gt 0 ] || die "no DICOM image found to send"
}

arrived() {
	find "$dir/archive" -type f -name '*.dcm' 2>/dev/null | wc -l
}

# The image count may stand still for wait_seconds at most.
await_arrival() {
	local n=-1 last=-1 still=0

	while :; do
		n=$(arrived)
		if [ "$n" != "$last" ]; then
			echo "arrived: $n of $sent"
			last=$n
			still=0
		fi
		[ "$n" -lt "$sent" ] || return 0
		still=$((still + 1))
		if [ "$still" -gt $((wait_seconds * 5)) ]; then
			echo "demo: nothing has moved for $wait_seconds s" >&2
			"$culvert" status -c "$dir/edge/culvert.yaml" >&2 || true
			tail -n 20 "$dir/edge/culvert.log" >&2
			return 1
		fi
		sleep 0.2
	done
}

# hashes DIRECTORY: "HASH" of every image's data set, sorted.
hashes() {
	find "$1" -type f -name '*.dcm' -print0 |
		xargs -0 -n 50 "$culvert" hash |
		grep -oE '\b[0-9a-f]{64}\b' | sort
}

compare() {
	local same

	hashes "$dir/study" >"$dir/sent.hashes"
	hashes "$dir/archive" >"$dir/arrived.hashes"
	same=$(comm -12 "$dir/sent.hashes" "$dir/arrived.hashes" | wc -l)
	paste -d ' ' <(head -n 3 "$dir/sent.hashes" | cut -c 1-32) \
		<(head -n 3 "$dir/arrived.hashes" | cut -c 1-32) |
		sed 's/^\(.*\) \(.*\)$/sent \1... arrived \2.../'
	echo "identical: $same of $sent"
	[ "$same" = "$sent" ] &&
		cmp -s "$dir/sent.hashes" "$dir/arrived.hashes"
}

ledger() {
	sqlite3 -readonly -header -column "$dir/edge/records/ledger.db" "$1" ||
		echo "(the ledger could not be read)"
}

show_ledger() {
	local db=$dir/edge/records/ledger.db open

	# The last outcomes reach the ledger a moment after the last image.
	for _ in $(seq 50); do
		open=$(sqlite3 -readonly "$db" 'SELECT count(*) FROM v_queue' \
			2>/dev/null || echo 0)
		[ "$open" != 0 ] || break
		sleep 0.1
	done
	ledger "SELECT destination, state, count(*) AS images,
		sum(length) AS bytes, max(changed) AS last
		FROM v_deliveries GROUP BY destination, state"
	echo
	ledger "SELECT substr(sop_instance, -16) AS sop_instance, modality,
		calling_ae, state, substr(root, 1, 16) AS hash, received, changed
		FROM v_deliveries ORDER BY delivery LIMIT 5"
	echo
	ledger "SELECT id, direction, calling_ae, called_ae, stores,
		tls_version, tls_suite, tls_group, subject
		FROM v_associations ORDER BY id LIMIT 8"
}

# page PATH: what the status page answers. Not every machine has curl.
page() {
	local line

	exec 4<>"/dev/tcp/127.0.0.1/$page_port" || return 1
	printf 'GET %s HTTP/1.1\r\nHost: 127.0.0.1:%s\r\n%s\r\n\r\n' \
		"$1" "$page_port" 'Connection: close' >&4
	while IFS= read -r -t 10 line <&4; do
		printf '%s\n' "${line%$'\r'}"
	done
	exec 4>&-
}

# The study's UID as it stands in the archive: the first one is enough.
first_study() {
	sqlite3 -readonly "$dir/edge/records/ledger.db" \
		'SELECT study FROM v_deliveries ORDER BY delivery LIMIT 1'
}

# What an auditor would take away, checked with the public key alone.
show_proof() {
	local to=$dir/proof config=$dir/edge/culvert.yaml

	mkdir -p "$to"
	"$culvert" audit key -c "$config" >"$to/edge.pub" &&
		"$culvert" transfers export -c "$config" \
			-o "$to/transfers.csv" &&
		"$culvert" transfers verify "$to/transfers.csv" \
			--key "$to/edge.pub" | tail -n 1 &&
		"$culvert" receipt -c "$config" "$(first_study)" \
			-o "$to/receipt.html" &&
		"$culvert" receipt --verify "$to/receipt.html" \
			--key "$to/edge.pub" &&
		"$culvert" audit verify -c "$config"
}

show_page() {
	local answer=

	for _ in $(seq 50); do
		answer=$(page /readyz 2>/dev/null) || answer=
		[ -z "$answer" ] || break
		sleep 0.2
	done
	if [[ $answer == *' 200 '* ]]; then
		echo "http://127.0.0.1:$page_port/ answers, in a browser on" \
			"this machine"
	else
		echo "the page does not answer: ${answer%%$'\n'*}"
		return 1
	fi
}

command -v storescu >/dev/null || die "storescu (package dcmtk) is missing"
[ -x "$culvert" ] || die "$culvert is missing: run make"
mkdir -p build
exec 8>build/demo.lock
flock -n 8 || die "another demo runs in this tree; stop it first (Ctrl-C)"
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
rm -rf "$dir"
mkdir -p "$dir"/{edge,cloud,archive}
# A Unix socket's name has room for about a hundred characters.
run=$(mktemp -d /tmp/culvert-demo.XXXXXX)
edge_port=$(free_port 11101)
cloud_port=$(free_port $((edge_port + 1)))
page_port=$(free_port $((cloud_port + 1)))
configure demo-edge.yaml "$dir/edge/culvert.yaml"
configure demo-archive.yaml "$dir/cloud/culvert.yaml"

title "A certificate authority and two certificates (culvert pki)"
"$culvert" pki init "$dir/pki"
"$culvert" pki issue "$dir/pki" edge --san DNS:edge.demo.example
"$culvert" pki issue "$dir/pki" archive --san DNS:archive.demo.example

title "Two Culverts: the clinic's edge and the cloud archive"
serve cloud "$cloud_port"
serve edge "$edge_port"

title "A study, sent in plaintext by DCMTK's storescu to the edge"
gather_study
echo "$sent images in $dir/study"
storescu -aet SCANNER -aec CULVERT 127.0.0.1 "$edge_port" +sd "$dir/study" ||
	die "storescu failed; see $dir/edge/culvert.log"
echo "storescu has a Success for every image: each is on disk at the edge"

title "On its way over mutual TLS"
good=yes
await_arrival || good=

title "What arrived"
cd "$dir/archive"
find . -type f -name '*.dcm' -printf '%h\n' | sort | uniq -c |
	sed 's|^ *\([0-9]*\) \./\(.*\)/\(.*\)|\1 images of study \2\n    series \3|'
cd - >/dev/null
du -sh "$dir/archive" | sed 's/\t.*/ in all/'

title "Is it what was sent? (culvert hash, over every data set)"
compare || good=

title "On record (sqlite3 build/demo/edge/records/ledger.db)"
show_ledger

title "Proof: an export, a receipt, the audit (build/demo/proof)"
show_proof || good=

title "The status page"
show_page || good=

if [ -n "$good" ]; then
	title "All $sent images arrived, bit for bit"
else
	title "NOT all of it was as it should be; logs: $dir/*/culvert.log"
fi
if [ -n "$once" ]; then
	[ -n "$good" ]
	exit
fi
cat <<END

Send your own images:
  storescu -aet SCANNER -aec CULVERT 127.0.0.1 $edge_port +sd +r DIRECTORY
They arrive in $dir/archive
Look around:
  http://127.0.0.1:$page_port/ (from elsewhere: ssh -L $page_port:127.0.0.1:$page_port this-machine)
  $dir/proof/receipt.html
  $culvert status -c $dir/edge/culvert.yaml
  $culvert queue list -c $dir/edge/culvert.yaml
Ctrl-C stops both.
END
while :; do
	for p in "${pids[@]}"; do
		kill -0 "$p" 2>/dev/null ||
			die "a Culvert has ended; see $dir/*/culvert.log"
	done
	sleep 1
done
