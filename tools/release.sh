#!/bin/sh
# Makes a release of all modules: one commit beside the branch, in whose go.mod
# files the modules require each other's release and replace nothing, and one tag
# per module. "go install" refuses a command whose go.mod replaces anything, and
# the branch goes on to replace, so that each module is tested with what is beside it.
#
#	tools/release.sh v0.1.0            # try it: everything happens in a copy
#	tools/release.sh -tag v0.1.0       # the same, and the tags are kept
#
# It never pushes. Before it ends it installs the command as users will, from a
# module proxy made of files.
set -eu

fail() { echo "release: $*" >&2; exit 1; }

keep=
[ "${1:-}" != -tag ] || { keep=yes; shift; }
version=${1:-}
# From v2 on, module paths end with /v2.
echo "$version" | grep -Eq '^v[01]\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[0-9A-Za-z.-]+)?$' ||
	fail "usage: tools/release.sh [-tag] v0.1.0"

cd "$(dirname "$0")/.."
origin=$(pwd)
path=$(GOWORK=off go list -m)
command=$path/cmd/sessiongate

[ -z "$(git status --porcelain)" ] || {
	[ -z "$keep" ] || fail "the tree has changes that are not committed"
	echo "release: changes that are not committed are left out" >&2
}
grep -qF "## [${version#v}]" CHANGELOG.md || {
	[ -z "$keep" ] || fail "CHANGELOG.md has no heading for ${version#v}"
	echo "release: CHANGELOG.md has no heading for ${version#v}" >&2
}

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
repo=$tmp/repo
git clone -q "$origin" "$repo"
git -C "$repo" checkout -q --detach "$(git rev-parse HEAD)"
git -C "$repo" config user.name "$(git config user.name)"
git -C "$repo" config user.email "$(git config user.email)"
base=$(git -C "$repo" rev-parse HEAD)
cd "$repo"

# Go gets our modules from the copy by their tags, as it does from GitHub, and all
# others from where it always does, or from its cache.
export GOWORK=off GOPRIVATE="$path" GOMODCACHE="$tmp/cache"
GOFLAGS="-modcacherw -mod=mod" GOPROXY="file://$(GOMODCACHE='' go env GOMODCACHE)/cache/download,$(go env GOPROXY)"
export GOFLAGS GOPROXY
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0="url.file://$repo.insteadOf" GIT_CONFIG_VALUE_0="https://$path"

# Modules that nobody imports are not released, nor those that have only tests.
modules=
for m in $(git ls-files 'go.mod' '*/go.mod' | sed 's|/*go.mod$||; s/^$/./'); do
	case $m in tools | benchmarks | examples | internal/*) continue ;; esac
	[ -z "$(git ls-files "$m/*.go" | grep -v _test.go)" ] || modules="$modules $m"
done

tag_of() { [ "$1" = . ] && echo "$version" || echo "$1/$version"; }
path_of() { [ "$1" = . ] && echo "$path" || echo "$path/$1"; }
# The directories of our modules that the module in a directory requires.
needs_of() {
	(cd "$1" && go mod edit -json) |
		sed -n "s|.*\"Path\": \"$path/*\([^\"]*\)\".*|\1|p" | sed 's/^$/./' | sort -u | grep -vxF "$1" || true
}

for m in $modules; do
	! git -C "$origin" rev-parse -q --verify "refs/tags/$(tag_of "$m")" >/dev/null || fail "tag $(tag_of "$m") exists"
done

# Requires the release of our modules, and replaces none.
release() (
	needs=$(needs_of "$1")
	cd "$1"
	for dep in $needs; do
		go mod edit -dropreplace="$(path_of "$dep")" -require="$(path_of "$dep")@$version"
	done
	! grep -q '=>' go.mod || fail "$1/go.mod still replaces something"
	go mod tidy
)

# From those that need none of ours to those that need others: go.sum has the
# checksums of what came before.
waiting=$modules
while [ -n "$waiting" ]; do
	later= now=
	for m in $waiting; do
		blocked=
		for dep in $(needs_of "$m"); do
			case " $(echo $waiting) " in *" $dep "*) blocked=yes ;; esac
		done
		[ -n "$blocked" ] && later="$later $m" || now="$now $m"
	done
	[ -n "$now" ] || fail "modules require each other in a circle:$later"
	for m in $now; do release "$m"; done
	git commit -q --allow-empty -am "Release $version"
	for m in $now; do git tag "$(tag_of "$m")"; done
	echo "release: ready:$now"
	waiting=$later
done

# One commit for all. No module has changed since its checksum was taken.
git reset -q --soft "$base"
git commit -q --allow-empty -m "Release $version"
for m in $modules; do
	git tag -f -a -m "$(path_of "$m") $version" "$(tag_of "$m")" >/dev/null
done

# What users get, from nothing: the tags, fetched anew and checked against go.sum.
export GOMODCACHE="$tmp/published" GOFLAGS=-modcacherw
for m in $modules; do
	(cd "$m" && go mod tidy -diff && go vet ./...) || fail "$m does not hold together"
done
for m in $modules; do
	go mod download "$(path_of "$m")@$version"
done
cat >"$tmp/user.sh" <<-EOF
	set -eu
	go install "$command@$version"
	# All in one module, which may need other versions of what they have in common.
	export GOPROXY="file://$tmp/published/cache/download,$GOPROXY"
	mkdir user && cd user && go mod init example.com/user
	go get $(for m in $modules; do echo "$(path_of "$m")@$version"; done | tr '\n' ' ')
EOF
(
	cd "$tmp"
	unset GOPRIVATE GIT_CONFIG_COUNT
	# Nobody's checksum database knows the release yet; all else was compared with go.sum.
	export GOSUMDB=off GOPROXY="file://$tmp/published/cache/download" GOMODCACHE="$tmp/user-cache" GOBIN="$tmp/bin"
	sh user.sh
) >"$tmp/log" 2>&1 || { cat "$tmp/log" >&2; fail "the release cannot be used"; }
said=$("$tmp/bin/sessiongate" -version)
case $said in "sessiongate $version "*) ;; *) fail "the installed command says: $said" ;; esac
echo "release: go install $command@$version: $said"

git diff --stat "$base" HEAD
tags=$(for m in $modules; do tag_of "$m"; done)
if [ -n "$keep" ]; then
	for t in $tags; do git -C "$origin" fetch -q "$repo" "refs/tags/$t:refs/tags/$t"; done
	echo "release: tagged. Look at it, and then publish all tags at once:"
else
	echo "release: this was a rehearsal. With -tag, what remains is to publish all tags at once:"
fi
echo "git push --atomic origin" $tags
