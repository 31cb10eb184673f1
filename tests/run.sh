#!/usr/bin/env bash
# run.sh FLAVOUR unit|corpus|integration ...: run what is already built.
#
# Ends with "N passed, N failed", alone on the last line. Exit status 0 only
# if none failed and at least one ran. K narrows: a part of a unit test's name,
# pytest's -k expression. Logs stand in build/FLAVOUR/log/.
#
# Several run at once. What fails runs once more, and counts as it ended then: a
# busy machine is no fault of the code. It is named, so that it can be looked
# at. A sanitizer's report counts at once.
set -euo pipefail
cd "$(dirname "$0")/.."
flavour=$1
shift
build=build/$flavour
log=$build/log
passed=0
failed=0
names=
mkdir -p "$log"

export ASAN_OPTIONS="detect_leaks=1:abort_on_error=0:strict_string_checks=1\
:detect_stack_use_after_return=1:allocator_may_return_null=1"
export LSAN_OPTIONS="print_suppressions=0"
export UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1"
export TSAN_OPTIONS="halt_on_error=1:second_deadlock_stack=1\
:suppressions=$PWD/tests/tsan.supp"
export CMOCKA_MESSAGE_OUTPUT=TAP
export CULVERT="$PWD/$build/culvert" CULVERT_BUILD="$PWD/$build"
# Debian's own, which has the packages that deps.sh installed.
python=/usr/bin/python3
limit=${TEST_TIMEOUT:-150}
cores=$(nproc)
report='Sanitizer|runtime error'

# TSan's shadow memory needs a layout that much randomisation can break.
wrap=()
if [ "$flavour" = tsan ] && setarch "$(uname -m)" -R true 2>/dev/null; then
	wrap=(setarch "$(uname -m)" -R)
fi

count() {
	passed=$((passed + $1))
	failed=$((failed + $2))
}

# Lines of FILE that begin with the pattern PATTERN.
lines() {
	grep -cE "$2" "$1" || true
}

# one_unit PROGRAM: run it; how it ended goes to its .end file, for run_unit.
one_unit() {
	local name=${1##*/} out status ok bad again

	out=$log/$name.log
	for again in '' ' (at the second try)'; do
		status=0
		timeout -k 5 "$limit" "${wrap[@]}" "$1" >"$out" 2>&1 ||
			status=$?
		ok=$(lines "$out" '^ok [0-9]')
		bad=$(lines "$out" '^not ok [0-9]')
		# A crash, a leak or nothing at all is a failure as well.
		if [ "$bad" = 0 ] && { [ "$status" != 0 ] || [ "$ok" = 0 ]; }
		then
			bad=1
		fi
		[ "$bad" != 0 ] || break
		! grep -qE "$report" "$out" || break
		cp "$out" "$out.first"
	done
	if [ "$bad" != 0 ]; then
		echo "unit $name: $ok passed, $bad failed (exit status $status)"
		grep -vE '^ok [0-9]|^[0-9]{4}-[0-9-]+T' "$out" |
			head -n 60 || true
	else
		echo "unit $name: $ok passed$again"
	fi
	echo "$ok $bad" >"$log/$name.end"
}

run_unit() {
	local bin name ran=() ok bad

	for bin in "$build"/unit/test_*; do
		[ -x "$bin" ] || continue
		name=${bin##*/}
		# A program whose source is gone is not a test any more.
		[ -f "tests/unit/$name.c" ] || continue
		case $name in
		*"${K:-}"*) ;;
		*) continue ;;
		esac
		rm -f "$log/$name.end"
		ran+=("$name")
		# As many at once as there are processors.
		while [ "$(jobs -rp | wc -l)" -ge "$cores" ]; do
			wait -n || true
		done
		one_unit "$bin" &
	done
	wait
	for name in "${ran[@]}"; do
		read -r ok bad <"$log/$name.end" || { ok=0 bad=1; }
		count "$ok" "$bad"
		[ "$bad" = 0 ] || names="$names $name"
	done
}

run_corpus() {
	local bin name dir out status ok bad

	for bin in "$build"/replay/fuzz_*; do
		[ -x "$bin" ] || continue
		name=${bin##*/}
		[ -f "tests/fuzz/$name.c" ] || continue
		case $name in
		*"${K:-}"*) ;;
		*) continue ;;
		esac
		dir=tests/fuzz/corpus/${name#fuzz_}
		out=$log/$name.log
		status=0
		if [ ! -d "$dir" ]; then
			names="$names $name"
			echo "corpus $name: $dir is missing"
			count 0 1
			continue
		fi
		timeout -k 5 "$limit" "$bin" "$dir" >"$out" 2>&1 || status=$?
		ok=$(lines "$out" '^ok ')
		bad=0
		if [ "$status" != 0 ] || [ "$ok" = 0 ]; then
			bad=1
		fi
		count "$ok" "$bad"
		if [ "$bad" != 0 ]; then
			names="$names $name"
			echo "corpus $name: $ok passed, failed (exit status" \
				"$status): $(grep '^run ' "$out" | tail -n 1)"
			grep -vE '^(ok|run) ' "$out" | head -n 60 || true
		else
			echo "corpus $name: $ok passed"
		fi
	done
}

run_integration() {
	local xml=$log/integration.xml args=() counts status=0 again=1

	if [ ! -d tests/integration ]; then
		echo "integration: tests/integration is not there"
		return
	fi
	[ "$flavour" = tsan ] && args+=(-m tsan)
	[ -n "${K:-}" ] && args+=(-k "$K")
	rm -f "$xml"
	args+=(-q -rfEs --tb=short -o "cache_dir=$PWD/$log/pytest")
	# They wait more than they compute: one more at once than processors.
	"${wrap[@]}" env -u CMOCKA_MESSAGE_OUTPUT "$python" -m pytest \
		-n "${TEST_JOBS:-$((cores + 1))}" --dist loadfile \
		--cache-clear --junitxml="$xml" "${args[@]}" \
		tests/integration 2>&1 | tee "$log/integration.log" ||
		status=$?
	if [ "$status" = 1 ] && ! grep -qE "$report" "$log/integration.log"
	then
		echo "integration: what failed, once more"
		again=0
		"${wrap[@]}" env -u CMOCKA_MESSAGE_OUTPUT "$python" -m pytest \
			--last-failed --last-failed-no-failures=none \
			"${args[@]}" tests/integration || again=$?
	fi
	counts=$("$python" - "$xml" <<-'PY' 2>/dev/null || echo "0 1"
		import sys
		import xml.etree.ElementTree as tree
		ran = bad = 0
		for suite in tree.parse(sys.argv[1]).iter('testsuite'):
		    n = {k: int(suite.get(k, 0)) for k in
		         ('tests', 'failures', 'errors', 'skipped')}
		    bad += n['failures'] + n['errors']
		    ran += n['tests'] - n['failures'] - n['errors'] - n['skipped']
		print(max(ran, 0), bad)
	PY
	)
	# All of the failures passed at the second try.
	if [ "$again" = 0 ]; then
		counts="$((${counts% *} + ${counts#* })) 0"
		status=0
	fi
	# Status 5: no test was selected, which is no failure of a test.
	if [ "$status" != 0 ] && [ "$status" != 5 ] && [ "${counts#* }" = 0 ]
	then
		counts="${counts% *} 1"
	fi
	[ "${counts#* }" = 0 ] || names="$names integration"
	# shellcheck disable=SC2086
	count $counts
}

# What the tests have provoked of the catalogue; only when all of them ran.
check_conditions() {
	case " $* " in
	*" unit "*" integration "*) ;;
	*) return 0 ;;
	esac
	[ "$flavour" = asan ] && [ -z "${K:-}" ] || return 0
	if ! "$python" tests/conditions.py "$CULVERT" "$log" \
		>"$log/conditions.txt" 2>&1; then
		count 0 1
		names="$names conditions"
	else
		count 1 0
	fi
	cat "$log/conditions.txt"
}

export CULVERT_CONDITIONS="$PWD/$log/conditions"
rm -rf "$CULVERT_CONDITIONS"
mkdir -p "$CULVERT_CONDITIONS"
start=$(date +%s)
for part in "$@"; do
	case $part in
	unit) run_unit ;;
	corpus) run_corpus ;;
	integration) run_integration ;;
	*)
		echo "usage: run.sh FLAVOUR unit|corpus|integration ..." >&2
		exit 2
		;;
	esac
done
check_conditions "$@"
[ -z "$names" ] || echo "$flavour: failed:$names"
echo "$flavour: took $(($(date +%s) - start)) s; logs in $log"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" != 0 ]
