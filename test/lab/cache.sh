# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Where kernels and initramfs images are kept: sets cache. Sourced.

# is_ours DIR: it is there, or can be made, and can be written to.
is_ours() {
	mkdir -p "$1" 2>/dev/null && [[ -w $1 && -O $1 && ! -L $1 ]]
}

# Where the home cannot be written to, a directory beside the other temporary
# files, unless somebody else has put it there.
cache_dir() {
	local dir=${XDG_CACHE_HOME:-${HOME:+$HOME/.cache}}/vireo

	if [[ -n ${VIREO_CACHE:-} ]]; then
		dir=$VIREO_CACHE
	elif [[ $dir == /vireo ]] || ! is_ours "$dir"; then
		dir=${TMPDIR:-/tmp}/vireo-cache-$(id -u)
		is_ours "$dir" || {
			echo "no place for kernels: set VIREO_CACHE" >&2
			return 1
		}
	fi
	printf '%s\n' "$dir"
}

cache=$(cache_dir)
