/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "hagcd/link-size.h"

/* In a row: two of a long one may be chance on a bad path, and cost only length for a while; a link is given
 * up by more. */
#define LOST_LOWERS 2U
#define LOST_KILLS 3U
#define CAME_RAISES 2U

#define HASTY 4U

static const uint16_t sizes[LINK_SIZES_MAX] = { LINK_SIZE_LONGEST, 1372, 1232, 976, LINK_SIZE_SHORTEST };

void link_size_init(LinkSize *l) {
        *l = (LinkSize){ .sent = UINT32_MAX, .judged = UINT32_MAX };
}

void link_size_forget(LinkSize *l) {
        l->judged = l->sent;
        l->n_lost = l->n_came = 0;
}

uint32_t link_size_bytes(const LinkSize *l) {
        return sizes[l->step];
}

static bool is_shortest(const LinkSize *l) {
        return l->step == LINK_SIZES_MAX - 1;
}

/* ---- sending ---- */

static bool is_hasty(const LinkSize *l) {
        return l->busy || l->dead || l->n_hasty > 0 || l->n_lost > 0 || l->n_came > 0;
}

static unsigned pad_every(const LinkSize *l) {
        if (is_hasty(l))
                return LINK_SIZE_PAD_EVERY_BUSY;
        return l->step > 0 ? LINK_SIZE_PAD_EVERY_NARROW : LINK_SIZE_PAD_EVERY;
}

/* What is in use has to be certain before anything longer is tried. */
static bool wants_longer(const LinkSize *l) {
        if (l->step == 0 || l->dead || l->n_lost > 0)
                return false;
        return l->n_came > 0 || !l->tried_longer;
}

uint32_t link_size_next(LinkSize *l, uint32_t bytes) {
        if (++l->n_since < pad_every(l))
                return MIN(bytes, sizes[l->step]);
        l->n_since = 0;
        l->busy = false;
        l->n_hasty = l->n_hasty > 0 ? l->n_hasty - 1 : 0;
        l->tried_longer = wants_longer(l);
        return sizes[l->tried_longer ? l->step - 1 : l->step];
}

void link_size_sent(LinkSize *l, uint32_t number, uint32_t bytes) {
        l->sent = number;
        l->sent_bytes[number % LINK_SIZE_SENT_MAX] = (uint16_t) MIN(bytes, LINK_SIZE_LONGEST);
}

void link_size_busy(LinkSize *l, uint32_t bytes) {
        l->busy = l->busy || bytes > LINK_SIZE_SHORTEST;
}

/* ---- what became of it ---- */

static bool change(LinkSize *l, unsigned step, bool dead) {
        l->step = step;
        l->dead = dead;
        l->n_lost = l->n_came = 0;
        l->n_hasty = HASTY;
        l->tried_longer = true;
        return true;
}

static bool on_came(LinkSize *l, uint32_t bytes) {
        if (bytes < sizes[l->step])
                return false;
        l->n_lost = 0;
        if (l->dead)
                return change(l, l->step, false);
        if (bytes == sizes[l->step] || ++l->n_came < CAME_RAISES)
                return false;
        return change(l, l->step - 1, false);
}

static bool on_lost(LinkSize *l, uint32_t bytes) {
        if (bytes < sizes[l->step]) {
                l->n_lost = 0;
                return false;
        }
        if (bytes > sizes[l->step]) {
                l->n_came = 0;
                return false;
        }
        if (l->dead || ++l->n_lost < (is_shortest(l) ? LOST_KILLS : LOST_LOWERS))
                return false;
        return change(l, LINK_SIZES_MAX - 1, is_shortest(l));
}

static bool take_fate(LinkSize *l, uint32_t number, bool came) {
        uint32_t bytes = l->sent_bytes[number % LINK_SIZE_SENT_MAX];

        if (l->sent - number >= LINK_SIZE_SENT_MAX || bytes == 0)
                return false;
        return came ? on_came(l, bytes) : on_lost(l, bytes);
}

bool link_size_echoed(LinkSize *l, uint32_t newest, uint32_t came) {
        bool changed = false;

        /* Of a number that was not sent, or of what is known: of another life, or overtaken. */
        if (l->sent - newest >= LINK_SIZE_SENT_MAX || newest - l->judged > UINT32_MAX / 2)
                return false;
        if (newest - l->judged > LINK_SIZE_SENT_MAX)
                l->judged = newest - LINK_SIZE_SENT_MAX;
        while (l->judged != newest) {
                uint32_t behind = newest - ++l->judged;

                if (take_fate(l, l->judged, behind == 0 || (came & (1U << (behind - 1)))))
                        changed = true;
        }
        return changed;
}
