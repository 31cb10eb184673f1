#!/usr/bin/env bash
# deb.sh: a Debian package of what "make" built (make deb). The result stands
# in build/. Dependencies are those of the release it is built on.
set -euo pipefail
cd "$(dirname "$0")/.."
version=${VERSION:?run by make deb}
arch=$(dpkg --print-architecture)
root=$PWD/build/deb
rm -rf "$root"
mkdir -p "$root/pkg/DEBIAN" "$root/debian"

PREFIX=/usr SYSCONFDIR=/etc DESTDIR=$root/pkg packaging/install.sh
strip --strip-unneeded "$root/pkg/usr/bin/culvert"

# dpkg-shlibdeps reads debian/control of the directory it runs in.
printf 'Source: culvert\n\nPackage: culvert\nArchitecture: any\n' \
	>"$root/debian/control"
depends=$(cd "$root" && dpkg-shlibdeps -O pkg/usr/bin/culvert 2>/dev/null |
	sed -n 's/^shlibs:Depends=//p')
[ -n "$depends" ] || {
	echo "deb: dpkg-shlibdeps found no dependencies" >&2
	exit 1
}

cat >"$root/pkg/DEBIAN/control" <<END
Package: culvert
Version: ${version//-/.}
Section: net
Priority: optional
Architecture: $arch
Maintainer: Culvert maintainers <culvert@localhost>
Depends: $depends, adduser, tzdata
Recommends: systemd
Suggests: dcmtk, sqlite3
Installed-Size: $(du -sk "$root/pkg" | cut -f 1)
Description: DICOM store-and-forward appliance
 Takes DICOM from devices that cannot protect it, keeps it durable, sealed and
 hashed on disk, and carries it over mutual TLS to an archive, with a record of
 what happened to every instance.
END
find "$root/pkg/etc" -type f -printf '/etc/%P\n' 2>/dev/null | sort \
	>"$root/pkg/DEBIAN/conffiles"

cat >"$root/pkg/DEBIAN/postinst" <<'END'
#!/bin/sh
set -e
if [ "$1" = configure ]; then
	if command -v systemd-sysusers >/dev/null; then
		systemd-sysusers culvert.conf
	else
		for g in culvert culvert-operator culvert-security \
			culvert-auditor; do
			getent group "$g" >/dev/null ||
				addgroup --system --quiet "$g"
		done
		getent passwd culvert >/dev/null || adduser --system --quiet \
			--ingroup culvert --home /var/lib/culvert \
			--no-create-home --shell /usr/sbin/nologin culvert
	fi
	# systemd would make it at the first start; "culvert check" comes first.
	[ -d /var/lib/culvert ] ||
		install -d -m 750 -o culvert -g culvert /var/lib/culvert
	if [ -d /run/systemd/system ]; then
		systemctl daemon-reload
		# A running one takes up the new version; a new one starts when
		# its configuration has been written.
		[ -z "$2" ] || systemctl try-restart culvert.service || true
	fi
	[ -n "$2" ] || echo "culvert: edit /etc/culvert/culvert.yaml, run" \
		"'culvert check', then 'systemctl enable --now culvert'"
fi
END
cat >"$root/pkg/DEBIAN/prerm" <<'END'
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
	systemctl --no-reload disable --now culvert.service || true
fi
END
cat >"$root/pkg/DEBIAN/postrm" <<'END'
#!/bin/sh
set -e
[ ! -d /run/systemd/system ] || systemctl daemon-reload
if [ "$1" = purge ] && [ -d /var/lib/culvert ]; then
	echo "culvert: /var/lib/culvert (images, keys, records) was left in place"
fi
END
chmod 755 "$root"/pkg/DEBIAN/{postinst,prerm,postrm}
out=build/culvert_${version//-/.}_$arch.deb
dpkg-deb --root-owner-group --build "$root/pkg" "$out" >/dev/null
echo "built: $out"
