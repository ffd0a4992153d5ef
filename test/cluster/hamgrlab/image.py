# SPDX-License-Identifier: LGPL-2.1-or-later
"""The software of a node, in layers: a small Debian made once (debootstrap, from the machine's own apt sources), on it
the project as `meson install` lays it out, on it each node's own changes. The first two are kept in a cache."""

import contextlib
import fcntl
import glob
import hashlib
import os
import re
import shutil
import subprocess
import tempfile

from . import progress
from .system import LabError, run

HERE = os.path.dirname(os.path.abspath(__file__))
CLUSTER = os.path.dirname(HERE)
SOURCE = os.path.dirname(os.path.dirname(CLUSTER))
CACHE = os.environ.get("HAMGR_LAB_CACHE", "/var/cache/hamgr-lab")

# Raised when customise() below changes.
RECIPE = 1
PACKAGES = """systemd systemd-sysv dbus iproute2 procps iputils-arping iputils-ping nftables libmnl0 libmount1
libjansson4 libssl3 libcurl4 libglib2.0-0 xfsprogs e2fsprogs python3-minimal""".split()

TOOLS = {
    "debootstrap": "debootstrap",
    "systemd-nspawn": "systemd-container",
    "nft": "nftables",
    "ip": "iproute2",
    "mkfs.xfs": "xfsprogs",
    "nsenter": "util-linux",
    "meson": "meson",
    "ninja": "ninja-build",
    "pkg-config": "pkg-config",
    "gcc": "gcc",
    "openssl": "openssl",
}
LIBRARIES = {
    "libsystemd": "libsystemd-dev",
    "glib-2.0": "libglib2.0-dev",
    "openssl": "libssl-dev",
    "libmnl": "libmnl-dev",
    "mount": "libmount-dev",
    "jansson": "libjansson-dev",
    "libcurl": "libcurl4-openssl-dev",
}

# Nothing of these helps in a node, and each costs boot time.
MASKED = """console-getty.service container-getty@.service getty@.service getty.target apt-daily.timer
apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer e2scrub_reap.service
systemd-update-utmp.service systemd-update-utmp-runlevel.service remote-fs.target systemd-pstore.service""".split()

# Optimised, and with symbols: what is measured is what would be shipped.
BUILD_OPTIONS = ["--buildtype=debugoptimized", "-Dtests=false"]


@contextlib.contextmanager
def locked(name):
    os.makedirs(CACHE, exist_ok=True)
    with open(os.path.join(CACHE, name + ".lock"), "w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def missing_packages():
    needed = [package for tool, package in TOOLS.items() if not shutil.which(tool)]
    if shutil.which("pkg-config"):
        needed += [
            package for name, package in LIBRARIES.items()
            if subprocess.run(["pkg-config", "--exists", name], check=False).returncode != 0
        ]
    else:
        needed += LIBRARIES.values()
    if "gcc" in needed:
        needed += ["libc6-dev"]
    return sorted(set(needed))


def install_tools():
    """Install what the lab and the build need and this machine does not have, and say so."""
    needed = missing_packages()
    if not needed:
        return
    progress.say("  installing with apt-get: " + " ".join(needed))
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    with progress.step("apt-get install"):
        for command in (["apt-get", "-qq", "update"], ["apt-get", "-qq", "-y", "--no-install-recommends", "install"] + needed):
            done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
            if done.returncode != 0 and command[2] != "update":
                raise LabError("%s failed: %s" % (" ".join(command), done.stdout[-2000:]))


def apt_source():
    """(suite, mirror) from which this machine installs its own packages."""
    with open("/etc/os-release", encoding="utf-8") as file:
        release = dict(line.rstrip().split("=", 1) for line in file if "=" in line)
    suite = release.get("VERSION_CODENAME", "").strip('"')
    if release.get("ID", "").strip('"') != "debian" or not suite:
        raise LabError("the lab makes its nodes from this machine's Debian, and this is no Debian")
    for path in ["/etc/apt/sources.list"] + sorted(glob.glob("/etc/apt/sources.list.d/*")):
        try:
            with open(path, encoding="utf-8") as file:
                text = file.read()
        except OSError:
            continue
        if path.endswith(".sources"):
            for stanza in re.split(r"\n\s*\n", text):
                fields = dict(
                    (key.lower(), value.split())
                    for key, value in re.findall(r"^([A-Za-z-]+):[ \t]*(.*)$", stanza, re.MULTILINE)
                )
                if "deb" in fields.get("types", []) and suite in fields.get("suites", []) and fields.get("uris"):
                    return suite, fields["uris"][0]
        else:
            for match in re.finditer(r"^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)", text, re.MULTILINE):
                if match.group(2) == suite:
                    return suite, match.group(1)
    return suite, "http://deb.debian.org/debian"


def apt_proxy():
    status, out, _ = run("apt-config", "shell", "P", "Acquire::http::Proxy", check=False)
    match = re.match(r"P='(.*)'", out) if status == 0 else None
    return match.group(1) if match else None


def base_image():
    """The cached Debian for nodes; made when it is not there. Returns its directory."""
    suite, mirror = apt_source()
    recipe = "%d %s %s %s" % (RECIPE, suite, " ".join(sorted(PACKAGES)), " ".join(sorted(MASKED)))
    path = os.path.join(CACHE, "base-" + hashlib.sha256(recipe.encode()).hexdigest()[:12])
    with locked("base"):
        if os.path.isdir(path):
            return path
        for stale in glob.glob(os.path.join(CACHE, "making-*")):
            shutil.rmtree(stale)
        making = tempfile.mkdtemp(prefix="making-", dir=CACHE)
        os.chmod(making, 0o755)
        environment = dict(os.environ)
        proxy = apt_proxy()
        if proxy:
            environment.setdefault("http_proxy", proxy)
        with progress.step("making the nodes' Debian (once): debootstrap %s from %s" % (suite, mirror)):
            log = os.path.join(CACHE, "debootstrap.log")
            with open(log, "w", encoding="utf-8") as file:
                done = subprocess.run(
                    ["debootstrap", "--variant=minbase", "--include=" + ",".join(PACKAGES), suite, making, mirror],
                    env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, check=False,
                )
            if done.returncode != 0:
                with open(log, encoding="utf-8", errors="replace") as file:
                    raise LabError("debootstrap failed, see %s: %s" % (log, file.read()[-500:]))
            customise(making)
            os.rename(making, path)
    return path


def customise(root):
    for unit in MASKED:
        link = os.path.join(root, "etc/systemd/system", unit)
        if not os.path.lexists(link):
            os.symlink("/dev/null", link)
    for name in glob.glob(root + "/var/cache/apt/archives/*.deb") + glob.glob(root + "/var/lib/apt/lists/*_*"):
        os.unlink(name)
    for name in ("var/log/journal", "srv/shop", "etc/systemd/journald.conf.d"):
        os.makedirs(os.path.join(root, name), exist_ok=True)
    with open(root + "/etc/systemd/journald.conf.d/lab.conf", "w", encoding="utf-8") as file:
        file.write("[Journal]\nStorage=persistent\nRateLimitIntervalSec=0\nSystemMaxUse=64M\n")
    for name in ("hostname", "machine-id", "resolv.conf"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(root, "etc", name))


def build_directory():
    return os.path.join(CACHE, "build-" + hashlib.sha256(SOURCE.encode()).hexdigest()[:12])


def _lab_files(root):
    """What the lab adds to a node: the shop, its units, the fence agent, who pets its watchdog."""
    def put(source, target, mode):
        target = os.path.join(root, target)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copyfile(source, target)
        os.chmod(target, mode)

    put(os.path.join(CLUSTER, "fence/fence_lab"), "usr/sbin/fence_lab", 0o755)
    for unit in glob.glob(os.path.join(CLUSTER, "shop/*.service")):
        put(unit, "etc/systemd/system/" + os.path.basename(unit), 0o644)
    for folder in ("usr/lib/hamgr-lab", "srv/shop", "srv/left", "srv/right", "var/lib/teller"):
        os.makedirs(os.path.join(root, folder), exist_ok=True)
    put(os.path.join(CLUSTER, "watchdog/lab-watchdog.service"), "usr/lib/systemd/system/lab-watchdog.service", 0o644)
    for program in ("shop/shop", "watchdog/pet"):
        run(
            "gcc", "-O2", "-std=gnu17", "-D_GNU_SOURCE",
            "-o", os.path.join(root, "usr/lib/hamgr-lab", os.path.basename(program)),
            os.path.join(CLUSTER, program + ".c"),
        )


def _teller(root):
    """The lab's member of groups, built as any application is: on what is installed."""
    library = glob.glob(os.path.join(root, "usr/lib/**/libhagcs.so.0"), recursive=True)[0]
    run(
        "gcc", "-O2", "-std=gnu17", "-D_GNU_SOURCE", "-I" + os.path.join(root, "usr/include"),
        "-o", os.path.join(root, "usr/lib/hamgr-lab/teller"), os.path.join(CLUSTER, "teller/teller.c"), library,
    )


def _digest(root):
    digest = hashlib.sha256()
    for folder, folders, files in os.walk(root):
        folders.sort()
        for name in sorted(files):
            path = os.path.join(folder, name)
            digest.update(os.path.relpath(path, root).encode() + b"\0%o\0" % os.lstat(path).st_mode)
            if os.path.islink(path):
                digest.update(os.readlink(path).encode())
            else:
                with open(path, "rb") as file:
                    digest.update(file.read())
    return digest.hexdigest()[:12]


def build():
    """Build the project as it would be shipped. Returns the build directory."""
    where = build_directory()
    again = os.path.exists(os.path.join(where, "build.ninja"))
    if not again:
        shutil.rmtree(where, ignore_errors=True)
    # Where Debian has its libraries; meson knows only where dpkg-dev is installed.
    libraries = "--libdir=lib/" + run("gcc", "-print-multiarch")[1].strip()
    with progress.step("meson setup"):
        # Again too: files that came or went are seen at set-up only.
        again = ["--reconfigure"] if again else []
        run("meson", "setup", *again, *BUILD_OPTIONS, libraries, where, SOURCE, timeout=300)
    with progress.step("building hamgr"):
        status, out, error = run("ninja", "-C", where, check=False, timeout=1800)
        if status != 0:
            raise LabError("the build failed:\n" + (out + error)[-4000:])
    return where


def project_layer(with_project=True):
    """Build and install the project and the lab's own files into a layer. A layer that is in use never changes: each
    content has a directory of its own. Returns (directory, an open descriptor that keeps it)."""
    with locked("layer"):
        os.makedirs(CACHE, exist_ok=True)
        making = tempfile.mkdtemp(prefix="making-layer-", dir=CACHE)
        try:
            os.chmod(making, 0o755)
            _lab_files(making)
            if with_project:
                where = build()
                with progress.step("installing it into the nodes' image"):
                    run("meson", "install", "--no-rebuild", "--quiet", "-C", where, "--destdir", making, timeout=300)
                _teller(making)
            path = os.path.join(CACHE, "layer-" + _digest(making))
            if not os.path.isdir(path):
                os.rename(making, path)
        finally:
            shutil.rmtree(making, ignore_errors=True)
        keep = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(keep, fcntl.LOCK_SH)
        os.utime(path)
        _forget_layers(path)
        return path, keep


def _forget_layers(current):
    """Remove layers that no running lab holds."""
    for path in glob.glob(os.path.join(CACHE, "layer-*")):
        if path == current or not os.path.isdir(path):
            continue
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        except BlockingIOError:
            pass
        finally:
            os.close(fd)
