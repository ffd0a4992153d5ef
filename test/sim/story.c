/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/story.h"

static void listen_in(World *w, uint32_t node, const CmsNotification *n, void *userdata) {
        Story *t = userdata;
        Heard *h;

        /* The stories that read this are short. */
        if (t->n_heard == G_N_ELEMENTS(t->heard))
                return;
        h = &t->heard[t->n_heard++];
        *h = (Heard){ .at_usec = w->now_usec, .at_node = node, .n = *n };
        if (n->type == CMS_NOTIFICATION_STABLE)
                h->stable = *n->stable;
}

Story *story_new_links(unsigned n_nodes, unsigned n_links) {
        Story *t = g_new0(Story, 1);

        t->w = world_new(1, n_nodes, n_links);
        t->w->tracing = true;
        t->s = cms_sim_new(t->w, 100 * MSEC, 400 * MSEC);
        t->s->listener = listen_in;
        t->s->listener_userdata = t;
        cms_sim_init_stores(t->w, t->s);
        return t;
}

Story *story_new(unsigned n_nodes) {
        return story_new_links(n_nodes, 2);
}

void story_free(Story *t) {
        if (t->w->failed)
                world_print_trace(t->w, 200);
        g_assert_false(t->w->failed);
        world_free(t->w);
        cms_sim_free(t->s);
        g_free(t);
}

void story_run(Story *t, uint64_t usec) {
        world_run_until(t->w, t->w->now_usec + usec);
        if (t->w->failed) {
                world_print_trace(t->w, 200);
                g_error("%s", t->w->failure);
        }
}

void story_start_all(Story *t) {
        for (uint32_t id = 1; id <= t->w->n_nodes; id++)
                world_start(t->w, id, true);
}

Story *story_settled(unsigned n_nodes) {
        Story *t = story_new(n_nodes);

        story_start_all(t);
        story_run(t, 2 * USEC_PER_SEC);
        g_assert_true(cms_sim_is_settled(t->w, t->s, t->s->config.enabled));
        t->n_heard = 0;
        return t;
}

Cms *story_cms(Story *t, uint32_t node) {
        g_assert_nonnull(t->s->nodes[node - 1].cms);
        return t->s->nodes[node - 1].cms;
}

const Membership *story_membership(Story *t, uint32_t node) {
        return cms_membership(story_cms(t, node));
}

NodeSet story_members(Story *t, uint32_t node) {
        const Membership *m = story_membership(t, node);

        return m ? m->members : NODE_SET_EMPTY;
}

void story_feed(Story *t, uint32_t node, CmsEvent event) {
        cms_sim_feed(t->w, t->s, node, event);
}

/* How long until the set is settled; fails when it takes longer than the limit. */
uint64_t story_settle(Story *t, NodeSet set, uint64_t limit_usec) {
        uint64_t begin = t->w->now_usec;

        while (!cms_sim_is_settled(t->w, t->s, set)) {
                if (t->w->now_usec - begin > limit_usec) {
                        world_print_trace(t->w, 100);
                        g_error("not settled in time");
                }
                story_run(t, MSEC);
        }
        return t->w->now_usec - begin;
}

void story_cut(Story *t, NodeSet a, NodeSet b) {
        world_cut(t->w, a, b, WORLD_ALL_LINKS);
        world_cut(t->w, b, a, WORLD_ALL_LINKS);
}

CmsPeerView story_peer_view(Story *t, uint32_t at, uint32_t of) {
        CmsView *v = g_new0(CmsView, 1);
        CmsPeerView p;

        cms_view(story_cms(t, at), world_clock(t->w, at), v);
        p = v->peers[of - 1];
        g_free(v);
        return p;
}

static bool
lose(World *w,
     uint32_t from,
     uint32_t to,
     WorldChannel channel,
     const void *data,
     size_t size,
     void *userdata) {
        const Story *t = userdata;

        return node_set_contains(t->lost_from, from) && node_set_contains(t->lost_to, to) &&
               (t->lost_type == STORY_ANY_MESSAGE || ((const uint8_t *) data)[1] == t->lost_type);
}

void story_lose(Story *t, CmsMessageType type, NodeSet from, NodeSet to) {
        t->lost_type = type;
        t->lost_from = from;
        t->lost_to = to;
        t->w->filter = lose;
        t->w->filter_userdata = t;
}

void story_lose_nothing(Story *t) {
        t->w->filter = NULL;
}

const Heard *story_next_stable(const Story *t, const Heard *h) {
        for (h = h ? h + 1 : t->heard; h < t->heard + t->n_heard; h++)
                if (h->n.type == CMS_NOTIFICATION_STABLE)
                        return h;
        return NULL;
}
