#!/usr/bin/env bash
# helpers.sh OBJECTS TEST: the helper objects that one unit test links.
#
# A unit test links the helpers tests/unit/X.c whose header X.h it includes,
# and those that these include in turn. OBJECTS is build/FLAVOUR/obj; the
# dependency files there say who includes what. The Makefile calls this.
set -euo pipefail
objects=$1
todo=("tests/unit/$2")
seen=" ${todo[0]} "
while [ ${#todo[@]} -gt 0 ]; do
	next=()
	for unit in "${todo[@]}"; do
		while read -r header; do
			name=${header%.h}
			case $seen in
			*" $name "*) continue ;;
			esac
			seen="$seen$name "
			[ -f "$name.c" ] || continue
			echo "$objects/$name.o"
			next+=("$name")
		done < <(grep -oE 'tests/unit/[A-Za-z0-9_]+\.h' \
			"$objects/$unit.d" | sort -u)
	done
	todo=("${next[@]}")
done
