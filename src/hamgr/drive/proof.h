/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Is it really gone? What the kernel says of mounts, devices and addresses, whatever a unit's state says. */

#include <stdint.h>
#include <sys/types.h>

/* All return 1: still there, with a sentence in *ret_text (for g_free()); 0: not there; negative errno:
 * cannot tell. */

/* Something is mounted at where, or what is mounted anywhere in our mount namespace. */
int proof_mount(const char *what, const char *where, char **ret_text);

/* Somebody holds the block device for himself: it is still mounted, in some mount namespace. 0 for what is
 * no block device of this machine. */
int proof_device(const char *what, char **ret_text);

/* The address (text as getnameinfo() writes it) is on an interface; *ret_interface for g_free(). */
int proof_address(int family, const char *address, char **ret_interface);

/* The part of proof_mount() that reads /proc/self/mountinfo. Pure. device: 0 when there is none. */
int proof_find_mount(
                const char *mountinfo, const char *what, const char *where, dev_t device, char **ret_text);

/* The device file of What=: LABEL=, UUID=, PARTLABEL=, PARTUUID= by the links of udev. NULL when it is no
 * local device
 * ("server:/export", "tmpfs"). For g_free(). */
char *proof_device_path(const char *what);
