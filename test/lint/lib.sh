# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
#
# TAP for the checks of the tree: a check passes when it found nothing.

lint_count=0
lint_status=0

# NAME FOUND: FOUND is empty, or the lines that offend.
lint_result()
{
	lint_count=$((lint_count + 1))
	if [ -n "$2" ]; then
		printf '%s\n' "$2" | sed 's/^/# /'
		echo "not ok $lint_count - $1"
		lint_status=1
	else
		echo "ok $lint_count - $1"
	fi
}

lint_skip()
{
	echo "1..0 # SKIP $1"
	exit 77
}

lint_end()
{
	echo "1..$lint_count"
	exit $lint_status
}
