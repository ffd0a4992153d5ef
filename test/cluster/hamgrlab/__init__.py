# SPDX-License-Identifier: LGPL-2.1-or-later
"""The lab: a cluster of real systemd machines in containers, with everything around them that can fail."""
