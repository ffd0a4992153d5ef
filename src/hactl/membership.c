/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* hactl membership: how the nodes hear each other, as this server sees it, and what changed of late. For the
 * hour in which the cluster does not form: it works without quorum. */

#include <glib.h>
#include <stdio.h>

#include "basic/macro.h"
#include "hactl/hactl.h"
#include "hactl/table.h"

/* So many fit a screen beside the rest. */
#define CHANGES_SHOWN 10

static bool is(const json_t *object, const char *key) {
        return json_is_true(json_object_get(object, key));
}

static bool has_state(const json_t *object, const char *state) {
        return streq(hactl_text(object, "state"), state);
}

static json_int_t number(const json_t *object, const char *key) {
        return json_integer_value(json_object_get(object, key));
}

static bool contains(const json_t *names, const char *name) {
        size_t i;
        json_t *n;

        json_array_foreach(names, i, n) {
                if (streq(json_string_value(n), name))
                        return true;
        }
        return false;
}

static char *join(const json_t *names, const char *between) {
        GString *s = g_string_new(NULL);
        size_t i;
        json_t *name;

        json_array_foreach(names, i, name)
                        g_string_append_printf(s, "%s%s", i > 0 ? between : "", json_string_value(name));
        return g_string_free(s, FALSE);
}

char *hactl_time_text(json_int_t usec) {
        g_autoptr(GDateTime) time = g_date_time_new_from_unix_local(usec / 1000000);

        return time ? g_date_time_format(time, "%F %T") : NULL;
}

char *hactl_age_text(json_int_t usec) {
        static const struct {
                const char *unit;
                json_int_t usec, below;
        } units[] = {
                { "ms", 1000, 1000 },
                { "s", 1000000, 120 },
                { "min", 60000000, 120 },
                { "h", INT64_C(3600000000), 48 },
                { "d", INT64_C(86400000000), INT64_MAX },
        };
        size_t i = 0;

        while (i + 1 < ELEMENTSOF(units) && usec / units[i].usec >= units[i].below)
                i++;
        return g_strdup_printf("%" JSON_INTEGER_FORMAT "%s", usec / units[i].usec, units[i].unit);
}

/* How long ago; NULL: never. */
static char *age_text(const json_t *object, const char *key) {
        const json_t *v = json_object_get(object, key);

        return v ? hactl_age_text(json_integer_value(v)) : NULL;
}

static char *rtt_text(const json_t *link) {
        const json_t *v = json_object_get(link, "rtt_usec");
        double msec = (double) json_integer_value(v) / 1000;

        return v ? g_strdup_printf("%.*fms", msec < 10 ? 2 : 0, msec) : NULL;
}

/* What is wrong with a link, in words; NULL: nothing. */
static char *link_problem(const json_t *link) {
        g_autofree char *age = age_text(link, "heard_age_usec");

        if (has_state(link, "silent"))
                return age ? g_strdup_printf("not heard for %s", age) : g_strdup("never heard");
        if (has_state(link, "one-way"))
                return g_strdup("it does not hear this server");
        if (has_state(link, "no-carrier"))
                return g_strdup("no carrier here, or the address is missing on this server");
        if (has_state(link, "narrow"))
                return g_strdup_printf(
                                "loses datagrams of more than %" JSON_INTEGER_FORMAT
                                " bytes from here: check the MTU on the way",
                                number(link, "longest_bytes"));
        if (has_state(link, "too-narrow"))
                return g_strdup("loses all but the shortest datagrams from here: check the MTU on the way");
        return NULL;
}

/* ---- The note for hactl status ---- */

typedef struct Note {
        char *first; /* owned */
        unsigned n_more;
} Note;

static void note(Note *n, char *text_taken) {
        if (n->first) {
                n->n_more++;
                g_free(text_taken);
        } else
                n->first = text_taken;
}

static void note_node(Note *n, const json_t *node) {
        const char *name = hactl_text(node, "name");
        size_t i;
        json_t *link;

        json_array_foreach(json_object_get(node, "links"), i, link) {
                g_autofree char *problem = link_problem(link);

                if (problem)
                        note(n,
                             g_strdup_printf("link %" JSON_INTEGER_FORMAT " to %s: %s",
                                             number(link, "link"),
                                             name,
                                             problem));
        }
        if (is(node, "heard") && !is(node, "hears_us"))
                note(n, g_strdup_printf("%s is heard, but does not hear this server", name));
}

/* Members whose newest words do not name each other. */
static void note_others(Note *n, const json_t *node, const json_t *members, const char *self) {
        size_t i;
        json_t *other;

        if (!is(node, "heard"))
                return;
        json_array_foreach(members, i, other) {
                const char *name = json_string_value(other);

                if (!streq(name, hactl_text(node, "name")) && !streq(name, self) &&
                    !contains(json_object_get(node, "hears"), name))
                        note(n, g_strdup_printf("%s does not hear %s", hactl_text(node, "name"), name));
        }
}

char *hactl_link_note(const json_t *membership) {
        const json_t *members = json_object_get(membership, "members");
        const char *self = hactl_text(membership, "node");
        Note n = {};
        size_t i;
        json_t *node;
        char *text;

        json_array_foreach(json_object_get(membership, "nodes"), i, node) {
                const char *name = hactl_text(node, "name");

                if (streq(name, self) || !contains(members, name))
                        continue;
                note_node(&n, node);
                note_others(&n, node, members, self);
        }
        if (n.n_more == 0)
                return n.first;
        text = g_strdup_printf("%s (and %u more)", n.first, n.n_more);
        g_free(n.first);
        return text;
}

/* ---- The screen ---- */

/* Without quorum the question is who is missing. */
static void print_missing(const json_t *m) {
        GString *names = g_string_new(NULL);
        size_t i;
        json_t *node;

        json_array_foreach(json_object_get(m, "nodes"), i, node) {
                const char *name = hactl_text(node, "name");

                if (is(node, "enabled") && !streq(name, hactl_text(m, "node")) &&
                    !contains(json_object_get(m, "members"), name))
                        g_string_append_printf(names, "%s%s", names->len > 0 ? ", " : "", name);
        }
        if (names->len > 0)
                printf("Missing: %s\n", names->str);
        g_string_free(names, TRUE);
}

typedef struct Votes {
        json_int_t all, members, others; /* others: that are heard here */
} Votes;

static Votes count_votes(const json_t *m) {
        Votes votes = {};
        size_t i;
        json_t *node;

        json_array_foreach(json_object_get(m, "nodes"), i, node) {
                const char *name = hactl_text(node, "name");
                json_int_t v = is(node, "enabled") ? number(node, "votes") : 0;

                votes.all += v;
                if (contains(json_object_get(m, "members"), name))
                        votes.members += v;
                if (is(node, "heard") && !streq(name, hactl_text(m, "node")))
                        votes.others += v;
        }
        return votes;
}

const char *hactl_store_note(const json_t *m) {
        Votes votes = count_votes(m);

        if (is(m, "no_record"))
                return "The store of this server is empty: it does not count before the others have taken "
                       "it "
                       "in.";
        if (!is(m, "cannot_write"))
                return NULL;
        if (2 * votes.others > votes.all)
                return "The store of this server cannot be written (see \"journalctl -u hagcd-store\"): the "
                       "others go on without it.";
        return "The store of this server cannot be written (see \"journalctl -u hagcd-store\"), and those "
               "that "
               "it hears have no quorum without it: mend the store, or start the nodes that are missing.";
}

static void print_head(const json_t *m) {
        g_autofree char *awaited = join(json_object_get(m, "awaited_from"), ", ");
        const char *quorum = hactl_text(m, "quorum"), *note = hactl_store_note(m);
        Votes votes = count_votes(m);

        printf("Cluster %s as %s sees it: %s, %" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT
               " votes, membership %s\n",
               hactl_text(m, "cluster"),
               hactl_text(m, "node"),
               streq(quorum, "yes")    ? "quorate"
               : streq(quorum, "half") ? "NOT QUORATE (exactly half)"
                                       : "NOT QUORATE",
               votes.members,
               votes.all,
               hactl_text(m, "membership")[0] ? hactl_text(m, "membership") : "none");
        printf("Agreement: %s%s%s\n", hactl_text(m, "phase"), awaited[0] ? ", waits for " : "", awaited);
        if (hactl_text(m, "conf_waits")[0])
                printf("cluster.conf as it is on this server is not in force: %s\n",
                       hactl_text(m, "conf_waits"));
        if (!streq(quorum, "yes"))
                print_missing(m);
        if (is(m, "shut_out"))
                puts("This server is shut out: a quorate membership goes on without it.");
        if (note)
                puts(note);
}

static char *state_text(const json_t *node) {
        const char *reason = hactl_text(node, "reason");

        return g_strdup_printf(
                        "%s%s%s%s",
                        hactl_text(node, "state"),
                        reason[0] ? " (" : "",
                        reason,
                        reason[0] ? ")" : "");
}

static void link_row(Table *t, const json_t *node, const json_t *link, const char *state) {
        bool silent = has_state(link, "silent") || has_state(link, "no-carrier");
        json_int_t lost = number(link, "lost"), received = number(link, "received");
        g_autofree char *index = g_strdup_printf("%" JSON_INTEGER_FORMAT, number(link, "link")),
                        *age = age_text(link, "heard_age_usec"), *rtt = rtt_text(link), *losses = NULL,
                        *problem = link_problem(link);
        const char *why = hactl_text(node, "problem");

        losses = g_strdup_printf("%" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT, lost, lost + received);
        table_row(t,
                  ROW(hactl_text(node, "name"),
                      state,
                      index,
                      silent ? "no" : "yes",
                      silent                       ? "-"
                      : has_state(link, "one-way") ? "no"
                                                   : "yes",
                      age,
                      rtt,
                      losses,
                      number(link, "link") == 0 && why[0] ? why : problem));
}

static void print_nodes(const json_t *m) {
        _cleanup_(table_freep) Table *t = table_new(9);
        size_t i, l;
        json_t *node, *link;

        table_row(t, ROW("NODE", "STATE", "LINK", "HEARD", "HEARS US", "AGE", "RTT", "LOST", "PROBLEM"));
        json_array_foreach(json_object_get(m, "nodes"), i, node) {
                g_autofree char *state = state_text(node);
                const char *problem = hactl_text(node, "problem");

                if (json_array_size(json_object_get(node, "links")) == 0)
                        table_row(t,
                                  ROW(hactl_text(node, "name"),
                                      state,
                                      "-",
                                      "-",
                                      "-",
                                      "-",
                                      "-",
                                      "-",
                                      problem[0] ? problem : "(this server)"));
                json_array_foreach(json_object_get(node, "links"), l, link) link_row(t, node, link, state);
        }
        table_print(t);
}

/* Those of whom anything can be said. */
static bool is_there(const json_t *node) {
        return is(node, "heard") || has_state(node, "up");
}

static bool hears_all(const json_t *who, const json_t *nodes) {
        size_t i;
        json_t *other;

        json_array_foreach(nodes, i, other) {
                if (other == who || !is_there(other))
                        continue;
                if (!contains(json_object_get(who, "hears"), hactl_text(other, "name")))
                        return false;
        }
        return true;
}

static bool is_complete(const json_t *nodes) {
        size_t i;
        json_t *node;

        json_array_foreach(nodes, i, node) {
                if (is_there(node) && !hears_all(node, nodes))
                        return false;
        }
        return true;
}

static const char *cell(const json_t *who, const json_t *whom) {
        if (who == whom)
                return ".";
        if (!json_object_get(who, "hears_age_usec"))
                return "?";
        return contains(json_object_get(who, "hears"), hactl_text(whom, "name")) ? "x" : "-";
}

/* A row for who hears, a column for whom; columns by id, so that they are narrow. */
static void print_matrix(const json_t *nodes) {
        size_t i, k, width = strlen("WHO HEARS WHOM");
        json_t *who, *whom;

        json_array_foreach(nodes, i, who) {
                width = MAX(width, strlen(hactl_text(who, "name")) + strlen(" (64)"));
        }
        printf("\n%-*s", (int) width, "WHO HEARS WHOM");
        json_array_foreach(nodes, i, whom) {
                printf(" %3" JSON_INTEGER_FORMAT, number(whom, "id"));
        }
        putchar('\n');
        json_array_foreach(nodes, i, who) {
                g_autofree char *age = age_text(who, "hears_age_usec"), *name = NULL;

                name = g_strdup_printf(
                                "%s (%" JSON_INTEGER_FORMAT ")", hactl_text(who, "name"), number(who, "id"));
                printf("%-*s", (int) width, name);
                json_array_foreach(nodes, k, whom) {
                        printf(" %3s", cell(who, whom));
                }
                if (age && !is(who, "heard"))
                        printf("   as it was %s ago", age);
                putchar('\n');
        }
}

/* "n1, n2 joined; n3 left (last-gasp)" */
static char *moves_text(const json_t *change) {
        GString *joined = g_string_new(NULL), *others = g_string_new(NULL);
        size_t i;
        json_t *one;

        json_array_foreach(json_object_get(change, "moved"), i, one) {
                const char *name = hactl_text(one, "node"), *reason = hactl_text(one, "reason"),
                           *move = hactl_text(one, "move");

                if (streq(move, "joined"))
                        g_string_append_printf(joined, "%s%s", joined->len > 0 ? ", " : "", name);
                else if (hactl_text(change, "membership")[0] == '\0')
                        g_string_append_printf(
                                        others, "%s was shut out: the others went on without it", name);
                else
                        g_string_append_printf(
                                        others,
                                        "%s%s %s%s%s%s",
                                        others->len > 0 ? "; " : "",
                                        name,
                                        streq(move, "left") ? "left" : "is ",
                                        streq(move, "left") ? "" : hactl_text(one, "state"),
                                        reason[0] ? ": " : "",
                                        reason);
        }
        if (joined->len > 0)
                g_string_append_printf(others, "%s%s joined", others->len > 0 ? "; " : "", joined->str);
        g_string_free(joined, TRUE);
        return g_string_free(others, FALSE);
}

static void print_changes(const json_t *changes, bool all) {
        _cleanup_(table_freep) Table *t = table_new(5);
        size_t n = json_array_size(changes), i;
        json_t *change;

        if (n == 0)
                return;
        table_row(t, ROW("LAST CHANGES", "MEMBERSHIP", "QUORUM", "NODES", "WHAT"));
        json_array_foreach(changes, i, change) {
                g_autofree char *time = hactl_time_text(number(change, "time_usec")),
                                *moves = moves_text(change), *count = NULL;

                if (!all && i + CHANGES_SHOWN < n)
                        continue;
                count = g_strdup_printf("%zu", json_array_size(json_object_get(change, "members")));
                table_row(t,
                          ROW(time,
                              hactl_text(change, "membership"),
                              hactl_text(change, "quorum"),
                              count,
                              moves));
        }
        putchar('\n');
        table_print(t);
}

int verb_membership(Hactl *h, int argc, char **argv) {
        json_auto_t *m = NULL;
        const json_t *nodes;
        int r;

        if (argc > 0) {
                hactl_error("usage: hactl membership [--all]");
                return HACTL_USAGE;
        }
        r = hactl_read_membership(h, true, &m);
        if (r != HACTL_OK)
                return r;
        if (h->json) {
                hactl_print_json(m);
                return HACTL_OK;
        }
        nodes = json_object_get(m, "nodes");
        print_head(m);
        putchar('\n');
        print_nodes(m);
        if (h->all || !is_complete(nodes))
                print_matrix(nodes);
        print_changes(json_object_get(m, "changes"), h->all);
        return HACTL_OK;
}
