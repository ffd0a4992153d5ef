/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* ha-mount: holds one file system mounted for as long as it runs.
 *
 *   ha-mount --what /dev/disk/by-label/shop --where /srv/shop [--type xfs] [--options noatime,...]
 *            [--fsck] [--fsck-timeout 60s] [--stop-timeout 10s]
 *   ha-mount --remove --what ... --where ... [--stop-timeout 10s]  for ExecStopPost=, idempotent, no notification
 *   ha-mount --help
 *
 * Exit status: 0 stopped when asked (or removed), 1 failed, 2 wrong command line, 3 source or target missing,
 * 4 refused: in use elsewhere, or something else is mounted there, 5 the file system failed or was unmounted by someone
 * else, 6 could not be unmounted.
 * Service: Type=notify, WatchdogSec= as wished, ExecStopPost=ha-mount --remove ..., no sandboxing options (Protect*=,
 * Private*=, ReadOnlyPaths=), which would hide the mount from the host. */
