#!/bin/sh
# Sees to the programs that the tests start or are built with, beside Go. On
# Debian and Ubuntu root gets what is missing; anybody else is told, and the
# tests in question skip. With CI=true a missing program is an error, so that
# green means that everything ran.
set -eu

# The one list: the program, or several of which one will do, then the Debian
# packages that bring it.
needed() {
	cat <<-'EOF'
		gcc                     gcc libc6-dev
		chromium,google-chrome  chromium
		redis-server            redis-server
		redis-cli               redis-tools
		python3                 python3
		postgres                postgresql
		mariadbd                mariadb-server
		setpriv                 util-linux
		nginx                   nginx
		caddy                   caddy
		haproxy                 haproxy
		node                    nodejs
		npm                     npm
		curl                    curl
		openssl                 openssl
		dbus-daemon             dbus-daemon
		gnome-keyring-daemon    gnome-keyring
	EOF
}

# Debian keeps servers where only root's PATH looks, and PostgreSQL by version.
search() {
	PATH=$PATH:/usr/sbin:/sbin
	for bin in /usr/lib/postgresql/*/bin; do
		PATH=$PATH:$bin
	done
}

missing() {
	search
	needed | while read -r programs packages; do
		for program in $(echo "$programs" | tr , ' '); do
			command -v "$program" >/dev/null && continue 2
		done
		echo "$programs $packages"
	done
}

[ -n "$(missing)" ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	export DEBIAN_FRONTEND=noninteractive
	# A mirror that fails here may still have served enough for the install.
	apt-get -q update || true
	# One at a time: a package that this release lacks must not keep the others away.
	missing | while read -r _ packages; do
		# shellcheck disable=SC2086 # packages are several words
		apt-get -qy install --no-install-recommends $packages </dev/null || true
	done
fi

missing | while read -r programs packages; do
	echo "missing: $(echo "$programs" | sed 's/,/ or /g') (Debian: apt-get install $packages)" >&2
done
[ -z "$(missing)" ] || [ "${CI:-}" != true ]
