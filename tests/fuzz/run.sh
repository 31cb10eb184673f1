#!/usr/bin/env bash
# run.sh: each fuzz target for T seconds, at most two at once (make fuzz).
#
# K narrows to targets whose name contains it. New inputs go to
# build/fuzz/corpus/X/, findings to build/fuzz/findings/. "make fuzz" fails
# when there is a finding; each one belongs into the seed corpus after the fix.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${T:-60}
findings=build/fuzz/findings
mkdir -p "$findings" build/fuzz/log

one() {
	local name=$1 seeds new log status=0 dict=()

	seeds=tests/fuzz/corpus/${name#fuzz_}
	new=build/fuzz/corpus/${name#fuzz_}
	log=build/fuzz/log/$name.log
	mkdir -p "$new"
	[ -f "tests/fuzz/${name#fuzz_}.dict" ] &&
		dict=("-dict=tests/fuzz/${name#fuzz_}.dict")
	[ -d "$seeds" ] || seeds=
	"build/fuzz/$name" -max_total_time="$seconds" -timeout=20 \
		-rss_limit_mb=2048 -print_final_stats=1 \
		-artifact_prefix="$findings/$name-" "${dict[@]}" \
		"$new" ${seeds:+"$seeds"} >"$log" 2>&1 || status=$?
	if [ "$status" = 0 ]; then
		echo "fuzz $name: no finding in $seconds s," \
			"$(sed -n 's/^stat::number_of_executed_units: *//p' \
				"$log") runs"
	else
		echo "fuzz $name: FINDING (exit status $status), $log"
		grep -E 'ERROR|SUMMARY|runtime error|artifact' "$log" |
			head -n 10 || true
	fi
	return "$status"
}

if [ "${1:-}" = --one ]; then
	one "$2"
	exit
fi
names=()
for source in tests/fuzz/fuzz_*.c; do
	name=$(basename "$source" .c)
	case $name in
	*"${K:-}"*) [ -x "build/fuzz/$name" ] && names+=("$name") ;;
	esac
done
if [ ${#names[@]} = 0 ]; then
	echo "fuzz: no target" >&2
	exit 1
fi
printf '%s\n' "${names[@]}" | xargs -P 2 -n 1 "$0" --one
