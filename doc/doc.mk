# SPDX-License-Identifier: Apache-2.0

dist_noinst_DATA += %D%/lab.md
