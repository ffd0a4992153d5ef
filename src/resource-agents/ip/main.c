/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* ha-ip: holds one IP address on one interface for as long as it runs.
 *
 *   ha-ip --address 192.0.2.10/24 --interface eth0
 *         [--probe-count 3] [--probe-window 60ms] [--carrier-grace 1s]
 *   ha-ip --remove --address 192.0.2.10/24 --interface eth0       for ExecStopPost=, idempotent, no notification
 *   ha-ip --help
 *
 * Exit status: 0 stopped when asked (or removed), 1 failed, 2 wrong command line, 3 no such interface or no carrier,
 * 4 address in use by another host, 5 carrier lost for longer than the grace.
 * Service: Type=notify, WatchdogSec= as wished, ExecStopPost=ha-ip --remove ..., KillMode=mixed is not needed. */
