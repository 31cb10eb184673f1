#!/usr/bin/env bash
# install.sh: put what was built into place (make install). PREFIX, SYSCONFDIR
# and DESTDIR come from the Makefile. An existing configuration stays.
set -euo pipefail
cd "$(dirname "$0")/.."
prefix=${PREFIX:-/usr/local}
sysconf=${SYSCONFDIR:-/etc}
dest=${DESTDIR:-}
bin=$prefix/bin
doc=$prefix/share/doc/culvert
man=$prefix/share/man

# put MODE FILE TARGET
put() {
	install -D -m "$1" "$2" "$dest$3"
}

# page SECTION FILE
page() {
	mkdir -p "$dest$man/man$1"
	gzip -9nc "$2" >"$dest$man/man$1/$(basename "$2").gz"
	chmod 644 "$dest$man/man$1/$(basename "$2").gz"
}

put 755 build/release/culvert "$bin/culvert"
sed -e "s|@BINDIR@|$bin|g" -e "s|@SYSCONFDIR@|$sysconf|g" \
	packaging/systemd/culvert.service.in >build/culvert.service
put 644 build/culvert.service "$prefix/lib/systemd/system/culvert.service"
put 644 packaging/systemd/culvert.sysusers \
	"$prefix/lib/sysusers.d/culvert.conf"
# The synopsis of culvert(1) comes from the binary's own table of commands.
build/release/culvert help --man >build/synopsis.man
for f in packaging/man/*.[1-8]; do
	sed -e '/^\.\\" SYNOPSIS:/r build/synopsis.man' \
		-e '/^\.\\" SYNOPSIS:/,/^\.\\" END/d' "$f" \
		>"build/$(basename "$f")"
	page "${f##*.}" "build/$(basename "$f")"
done
# Likewise the conditions, and the completion of both shells.
build/release/culvert explain --man --language en >build/culvert-conditions.7
page 7 build/culvert-conditions.7
build/release/culvert completion bash >build/culvert.bash
put 644 build/culvert.bash \
	"$prefix/share/bash-completion/completions/culvert"
build/release/culvert completion zsh >build/_culvert
put 644 build/_culvert "$prefix/share/zsh/vendor-completions/_culvert"
# The page of options comes from the binary's own table.
if build/release/culvert check --options-man >build/culvert.yaml.5 \
	2>/dev/null && [ -s build/culvert.yaml.5 ]; then
	page 5 build/culvert.yaml.5
fi
# The columns of exports and reports come from the tables that write them.
{
	printf '.TH CULVERT-EXPORT 7 "" "Culvert"\n.SH NAME\n'
	printf 'culvert-export \\- columns of exports\n'
	printf '.SH DESCRIPTION\nWhat the columns of an export mean; the same '
	printf 'names are the members\nof JSON Lines. How one is made and '
	printf 'checked:\n.BR culvert (1).\n.SH AUDIT\n'
	build/release/culvert audit export --columns-troff
	printf '.SH TRANSFERS\n'
	build/release/culvert transfers export --columns-troff
	printf '.SH REPORTS\n'
	build/release/culvert report --columns-troff
	cat packaging/man/culvert-export.tail
} >build/culvert-export.7
page 7 build/culvert-export.7
# Likewise the table of rights.
if build/release/culvert rights --man >build/culvert-rights.7 \
	2>/dev/null && [ -s build/culvert-rights.7 ]; then
	page 7 build/culvert-rights.7
fi
for f in README.md CHANGELOG.md; do
	[ ! -f "$f" ] || put 644 "$f" "$doc/$f"
done
put 644 packaging/prometheus/culvert.rules.yml \
	"$doc/prometheus/culvert.rules.yml"
put 644 packaging/grafana/culvert.json "$doc/grafana/culvert.json"
# What is embedded has terms of its own, before our licence.
cat packaging/notices LICENSE >build/copyright
put 644 build/copyright "$doc/copyright"
for f in conf/*.yaml; do
	case $f in
	conf/demo-*) ;;
	*) put 644 "$f" "$doc/examples/$(basename "$f")" ;;
	esac
done
if [ ! -e "$dest$sysconf/culvert/culvert.yaml" ]; then
	put 644 conf/minimal.yaml "$sysconf/culvert/culvert.yaml"
fi
[ -n "$dest" ] || {
	if command -v systemd-sysusers >/dev/null && [ "$(id -u)" = 0 ]; then
		systemd-sysusers "$prefix/lib/sysusers.d/culvert.conf" || true
	fi
	# systemd would make it at the first start; "culvert check" comes first.
	if [ "$(id -u)" = 0 ] && [ ! -d /var/lib/culvert ] &&
		getent passwd culvert >/dev/null; then
		install -d -m 750 -o culvert -g culvert /var/lib/culvert
	fi
	echo "installed: $bin/culvert; edit $sysconf/culvert/culvert.yaml," \
		"run 'culvert check', then 'systemctl enable --now culvert'"
}
