#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes ./configure from a git checkout.
set -e
cd "$(dirname "$0")"
exec autoreconf --install --force "$@"
