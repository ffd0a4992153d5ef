/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Judges every step of every node by what the world knows. A broken rule is a failure of the world. */

#include "sim/cms-actor.h"

void cms_checker_started(World *w, CmsSim *s, uint32_t node, const CmsRecord *record);
void cms_checker_sent(World *w, CmsSim *s, uint32_t node, const CmsMessage *m);
void cms_checker_notified(World *w, CmsSim *s, uint32_t node, const CmsNotification *n);
/* All members of it live in it, and none has promised anything above it. */
bool cms_checker_is_at_work(const World *w, const CmsSim *s, const Membership *m);
void cms_checker_stepped(World *w, CmsSim *s, uint32_t node);
