# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the cluster tests share."""

import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

os.environ.setdefault("LAB", "test%d" % os.getpid())
