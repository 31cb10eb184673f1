#!/usr/bin/env bash
# lint.sh: format, warnings, analysers and the rules of the house (make lint).
#
# Every step prints how many files it looked at; a step that looked at none
# fails, so that a wrong pattern cannot pass for a clean tree. LINT_ONLY=step
# runs one step. The arguments are the preprocessor's flags.
#
# The functions are called by step(), as its arguments.
# shellcheck disable=SC2317
set -euo pipefail
cd "$(dirname "$0")/.."
failed=0
start=$(date +%s)
mkdir -p build/lint

# clang-tidy is the slow one: a file whose text, headers and flags have not
# changed since it last passed is not looked at again. Called once a file, with
# the flags: it comes before the lists of files, which take longer than it.
tidy_one() {
	local f=$1 key stamp
	shift
	key=$({
		cat "$f" .clang-tidy
		clang "$@" -E -P "$f" 2>/dev/null
	} | sha256sum | cut -c 1-32)
	stamp=build/lint/tidy/$key
	[ -f "$stamp" ] && return 0
	clang-tidy --quiet "$f" -- "$@" -std=c11 2>/dev/null || return 1
	mkdir -p build/lint/tidy
	touch "$stamp"
}

if [ "${1:-}" = --tidy-one ]; then
	tidy_one "${*: -1}" "${@:2:$#-2}"
	exit
fi
cpp=("$@")
[ $# -gt 0 ] || exec make lint

mapfile -t sources < <(git ls-files -co --exclude-standard -- \
	'proxy/*.c' 'policy/*.c' 'store/*.c' 'web-status/*.c' 'tests/*.c' |
	while read -r f; do [ -f "$f" ] && echo "$f"; done)
mapfile -t headers < <(git ls-files -co --exclude-standard -- \
	'proxy/*.h' 'policy/*.h' 'store/*.h' 'web-status/*.h' 'tests/*.h' |
	while read -r f; do [ -f "$f" ] && echo "$f"; done)
mapfile -t product < <(printf '%s\n' "${sources[@]}" "${headers[@]}" |
	grep -v '^tests/')
mapfile -t compiled < <(printf '%s\n' "${product[@]}" | grep '\.c$')
mapfile -t pythons < <(git ls-files -co --exclude-standard -- '*.py')
mapfile -t shells < <(git ls-files -co --exclude-standard | while read -r f; do
	[ -f "$f" ] && head -n 1 "$f" 2>/dev/null |
		grep -qaE '^#!.*\b(ba)?sh\b' && echo "$f"
done || true)

# step NAME COUNT COMMAND...: run, say, remember.
step() {
	local name=$1 count=$2 began out
	shift 2
	if [ -n "${LINT_ONLY:-}" ] && [ "$LINT_ONLY" != "$name" ]; then
		return
	fi
	out=build/lint/$name.log
	began=$(date +%s)
	if [ "$count" = 0 ]; then
		echo "lint $name: FAILED: no file to check"
		failed=1
	elif "$@" >"$out" 2>&1; then
		echo "lint $name: $count files, $(($(date +%s) - began)) s"
	else
		echo "lint $name: FAILED ($count files; all in $out)"
		head -n 60 "$out"
		failed=1
	fi
}

# Two at once; fails if any call fails.
each() {
	local args=$1
	shift
	xargs -r -d '\n' -P 2 -n "$args" "$@"
}

format() {
	clang-format --dry-run -Werror "${sources[@]}" "${headers[@]}"
}

warnings=(-std=c11 -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes
	-Wmissing-prototypes -Werror)

compile_clang() {
	printf '%s\n' "${sources[@]}" | each 1 \
		clang "${cpp[@]}" "${warnings[@]}" -fsyntax-only
}

# A header must not lean on what its user included before it.
headers_alone() {
	local h dir=build/lint/headers

	rm -rf "$dir"
	mkdir -p "$dir"
	for h in "${headers[@]}"; do
		printf '#include "%s"\n#include "%s"\n' "$h" "$h" \
			>"$dir/${h//\//_}.c"
	done
	printf '%s\n' "$dir"/*.c | each 4 \
		clang "${cpp[@]}" "${warnings[@]}" -fsyntax-only
}

check_cppcheck() {
	cppcheck --quiet --std=c11 --error-exitcode=1 -j 2 -I. -D_GNU_SOURCE \
		--enable=warning,performance,portability --inline-suppr \
		--suppress=missingIncludeSystem --suppress=unknownMacro \
		--suppress=ctuuninitvar \
		--cppcheck-build-dir="$(mkdir -p build/lint/cppcheck &&
			echo build/lint/cppcheck)" "${compiled[@]}"
}

tidy() {
	printf '%s\n' "${compiled[@]}" | each 1 "$0" --tidy-one "${cpp[@]}"
}

python_syntax() {
	local f
	for f in "${pythons[@]}"; do
		python3 -c 'import ast, sys
ast.parse(open(sys.argv[1]).read(), sys.argv[1])' "$f" || return 1
	done
}

shell_syntax() {
	local f
	for f in "${shells[@]}"; do
		bash -n "$f" || return 1
	done
	shellcheck -S warning -e SC1091 "${shells[@]}"
}

# owner HEADER ALLOWED: no file outside the pattern ALLOWED includes HEADER.
owner() {
	local hit
	hit=$(grep -nE "^[[:space:]]*#[[:space:]]*include[[:space:]]*[<\"]$1" \
		"${product[@]}" | grep -vE "^($2)" || true)
	[ -z "$hit" ] || {
		echo "$1 belongs to $2 alone:"
		echo "$hit"
		return 1
	}
}

# direction FROM FORBIDDEN: files under FROM do not include FORBIDDEN.
direction() {
	local hit
	hit=$(grep -nE "^[[:space:]]*#[[:space:]]*include[[:space:]]*\"($2)" \
		"${product[@]}" | grep -E "^($1)" || true)
	[ -z "$hit" ] || {
		echo "$1 must not include $2:"
		echo "$hit"
		return 1
	}
}

# relative: includes in quotes start at the root.
rooted() {
	local hit
	hit=$(grep -nE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' \
		"${product[@]}" |
		grep -vE '"(proxy|policy|store|web-status|tests)/' || true)
	[ -z "$hit" ] || {
		echo "includes are written from the root of the tree:"
		echo "$hit"
		return 1
	}
}

structure() {
	local bad=0
	owner 'yaml\.h' 'policy/' || bad=1
	owner 'sqlite3\.h' 'store/' || bad=1
	# A private header (X_int.h) may show wolfSSL's types to its own files.
	owner 'wolfssl/' 'proxy/net/tls[^/]*\.c|proxy/net/tls_int\.h|store/seal[^/]*\.c|store/seal_int\.h' ||
		bad=1
	direction '(proxy/[^/]*\.|proxy/net/[^t]|proxy/net/t[^l])' 'proxy/net/tls_int\.h' ||
		bad=1
	direction 'store/[^s]|store/s[^e]|proxy/' 'store/seal_int\.h' || bad=1
	owner 'microhttpd\.h' 'web-status/' || bad=1
	owner 'uv\.h' 'proxy/[^/]*$|proxy/[^/]*\.[ch]:|proxy/net/|proxy/link/|web-status/' ||
		bad=1
	direction 'proxy/lib/' 'proxy/dicom/|proxy/net/|proxy/link/|proxy/[^/]*\.h|policy/|store/|web-status/' ||
		bad=1
	direction 'proxy/dicom/' 'proxy/net/|proxy/link/|proxy/[^/]*\.h|policy/|store/|web-status/' ||
		bad=1
	direction 'policy/' 'proxy/net/|proxy/link/|proxy/[^/]*\.h|store/|web-status/' ||
		bad=1
	direction 'store/' 'proxy/dicom/|proxy/net/|proxy/link/|proxy/[^/]*\.h|policy/|web-status/' ||
		bad=1
	direction 'proxy/net/' 'proxy/[^/]*\.h|proxy/link/|store/|web-status/' ||
		bad=1
	rooted || bad=1
	return "$bad"
}

# malloc and its kin only in mem.c; no unfinished work; no words that do not
# belong into a product.
words() {
	local hit bad=0
	hit=$(grep -nE '\b(TODO|FIXME|XXX|HACK)\b' "${sources[@]}" \
		"${headers[@]}" "${pythons[@]}" || true)
	[ -z "$hit" ] || {
		echo "unfinished:"
		echo "$hit"
		bad=1
	}
	hit=$(grep -nE '\b(malloc|calloc|realloc|strdup|strndup|asprintf)\(' \
		"${product[@]}" | grep -v '^proxy/lib/mem\.' || true)
	[ -z "$hit" ] || {
		echo "memory comes from proxy/lib/mem.h:"
		echo "$hit"
		bad=1
	}
	hit=$(grep -nE '\b(strcpy|strcat|sprintf|vsprintf|gets|strtok|atoi|atol|atof)\(' \
		"${product[@]}" || true)
	[ -z "$hit" ] || {
		echo "unbounded or unchecked:"
		echo "$hit"
		bad=1
	}
	return "$bad"
}

lengths() {
	local f n bad=0
	for f in "${product[@]}"; do
		n=$(wc -l <"$f")
		if [ "$n" -gt 700 ]; then
			echo "$f: $n lines; split it (700 at most)"
			bad=1
		fi
	done
	return "$bad"
}

step format $((${#sources[@]} + ${#headers[@]})) format
step clang ${#sources[@]} compile_clang
step headers ${#headers[@]} headers_alone
step structure ${#product[@]} structure
step words $((${#sources[@]} + ${#headers[@]} + ${#pythons[@]})) words
step lengths ${#product[@]} lengths
step conditions ${#compiled[@]} python3 packaging/conditions.py
step cppcheck ${#compiled[@]} check_cppcheck
step tidy ${#compiled[@]} tidy
step python ${#pythons[@]} python_syntax
step shell ${#shells[@]} shell_syntax
files=$((${#sources[@]} + ${#headers[@]} + ${#pythons[@]} + ${#shells[@]}))
verdict=$([ "$failed" = 0 ] && echo clean || echo FAILED)
echo "lint: $files files checked, $verdict, $(($(date +%s) - start)) s"
exit "$failed"
