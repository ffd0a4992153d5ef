# SPDX-License-Identifier: LGPL-2.1-or-later
"""Says what is being done, and how long it took: a person should never look at a screen that says nothing."""

import contextlib
import sys
import threading
import time

quiet = False
_lock = threading.Lock()


def say(text=""):
    with _lock:
        print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def step(what):
    """What takes longer: a line that counts on a terminal, a line at start and end elsewhere."""
    if quiet:
        yield
        return
    began = time.monotonic()
    ended = threading.Event()
    terminal = sys.stderr.isatty()

    def count():
        shown = False
        while not ended.wait(1):
            if terminal:
                with _lock:
                    print("\r  %s ... %d s" % (what, time.monotonic() - began), end="", file=sys.stderr, flush=True)
            elif not shown:
                shown = True
                say("  %s ..." % what)

    thread = threading.Thread(target=count, daemon=True)
    thread.start()
    verdict = "failed"
    try:
        yield
        verdict = "done"
    finally:
        ended.set()
        thread.join()
        say("%s  %s: %s (%.1f s)" % ("\r" if terminal else "", what, verdict, time.monotonic() - began))
