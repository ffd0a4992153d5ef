/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The Delta protocol of src/gcs/ and its flush (R4) among three nodes: every order in which its steps, late, lost and
 * doubled messages, a crash and changes of the membership can come. README.md beside this file says which function each
 * step stands for and what is left out. */

#ifndef CHANGES
#define CHANGES 1  /* memberships that CMS forms after the first, finished or not */
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef RESTARTS
#define RESTARTS 0 /* of those that crashed, how many start again */
#endif
#ifndef ANY_RANK
#define ANY_RANK 1 /* any member may coordinate; 0: the one of the lowest id */
#endif
#ifndef SENDS_0    /* messages that each node sends in each of its lives */
#define SENDS_0 1
#endif
#ifndef SENDS_1
#define SENDS_1 2
#endif
#ifndef SENDS_2
#define SENDS_2 0
#endif

#define N 3
#define ALL 7
#define SENDS(i) ((i) == 0 -> SENDS_0 : ((i) == 1 -> SENDS_1 : SENDS_2))
#define SENDS_MAX 2

/* Memberships are 1, the first one, and so on in the order of their numbers. */
#define LAST (1 + CHANGES)
#define VIEWS (LAST + 1)

#define BIT(i) (1 << (i))
#define HAS(set, i) (((set) >> (i)) & 1)
#define ADD(set, i) set = (set) | BIT(i)
#define REMOVE(set, i) set = (set) & (ALL ^ BIT(i))
#define COUNT(set) (HAS(set, 0) + HAS(set, 1) + HAS(set, 2))
#define IS_QUORUM(set) (2 * COUNT(set) > N)
#define IN(v, i) ((v) * N + (i))

/* An item: a message, or a NODE_CHANGE. */
#define MESSAGE(s, life, n) (1 + (s) + N * ((n) - 1) + N * SENDS_MAX * ((life) - 1))
#define SENDER(item) (((item) - 1) % N)
#define NUMBER(item) (((item) - 1) / N % SENDS_MAX + 1)
#define LIFE(item) (((item) - 1) / (N * SENDS_MAX) + 1)
#define NODE_CHANGE(v, who) (128 + 8 * (v) + (who))
#define IS_CHANGE(item) ((item) >= 128)
#define CHANGE_VIEW(item) (((item) - 128) / 8)
#define CHANGE_SURVIVORS(item) ((item) & 7)

/* Places of the order are 1 and so on. */
#define LENGTH ((SENDS_0 + SENDS_1 + SENDS_2) * LAST + CHANGES + 2)
#define PLACE(i, p) ((i) * LENGTH + (p))

/* The name of a property that fails is in what spin says. */
#define HOLDS(property, condition) assert(property || (condition))
hidden byte same_order, no_duplicate, no_invention, senders_order, everybody_has_it, survivors_deliver_what_one_has,
        the_lost_say_nothing_more, donor_still_has_it, plan_is_sound, what_was_sent_is_delivered;

/* ---- CMS: numbers and members. All of a membership have promised it before any installs it, and nobody does anything
 * of a lower one after that (R1): membership.pml. ---- */

byte created = 1;
byte members[VIEWS];
byte coordinator[VIEWS];
byte promised_by[VIEWS];

/* ---- what was ever sent in a membership: it can arrive at any time after, again and again, or never ---- */

byte submitted[VIEWS * N];          /* SUBMIT: the life whose messages they are; 0: none */
byte proposal[VIEWS * LENGTH];      /* PROPOSE, by its place */
byte announced[VIEWS];              /* COMMIT, on its own or on a proposal */
byte has[VIEWS * N];                /* ACK and FLUSH_DONE: up to which place */
byte informed[VIEWS];               /* FLUSH_INFO, from whom: */
byte info_history[VIEWS * N];       /* memory, and which history, */
byte info_memory[VIEWS];
byte info_held[VIEWS * N];          /* and how much of it */
byte planned[VIEWS];                /* FLUSH_PLAN */
byte survivors[VIEWS];
byte donor[VIEWS];                  /* N: a formation */
byte plan_held[VIEWS];
byte done[VIEWS];                   /* FLUSH_DONE, from whom */

/* ---- the nodes ---- */

#define WAITING 1
#define FETCHING 2
#define STORING 3
#define HOLDING 4
#define ACTIVE 5

byte alive = ALL;
byte promised[N];
byte view[N];
byte phase[N];
byte history[N];
byte memory = ALL;
byte disk[N];
byte formation[N];
byte life[N];            /* the membership in which its numbers began */
byte log[N * LENGTH];
byte held[N];
byte delivered[N];       /* all that it knows to be committed, when it is not frozen */
byte seen[N * N];        /* last number of each sender in the log */
byte queued[N * N];      /* last number of each sender in the coordinator's queue */

byte n_crashes, n_restarts;

/* ---- what nobody can see ---- */

byte order[VIEWS * LENGTH]; /* what anybody ever delivered, by formation */

#define IS_FREE(i) (HAS(alive, i) && promised[i] == view[i])
#define DOES(i, what) (IS_FREE(i) && phase[i] == what)
#define LEADS(i) (coordinator[view[i]] == i)

#define HAS_IT(v, i, p) (!HAS(members[v], i) || has[IN(v, i)] >= (p))
#define ALL_HAVE(v, p) (HAS_IT(v, 0, p) && HAS_IT(v, 1, p) && HAS_IT(v, 2, p))

/* ---- faults: one of them is switched on, to see that it is found ---- */

#ifdef COMMIT_EARLY
#define MAY_COMMIT(v, i, p) (has[IN(v, i)] >= (p))
#else
#ifdef RING_EARLY
#define HAS_OR_IS_LOST(v, i, p) (!HAS(alive, i) || HAS_IT(v, i, p))
#define MAY_COMMIT(v, i, p) (HAS_OR_IS_LOST(v, 0, p) && HAS_OR_IS_LOST(v, 1, p) && HAS_OR_IS_LOST(v, 2, p))
#else
#define MAY_COMMIT(v, i, p) ALL_HAVE(v, p)
#endif
#endif

#ifdef NO_STREAM_CHECK
#define IS_NEXT(i, item) true
#else
#define IS_NEXT(i, item) (NUMBER(item) == seen[IN(i, SENDER(item))] + 1)
#endif

#ifdef ACK_BEFORE_STORE
#define IS_STORED(i) true
#else
#define IS_STORED(i) (disk[i] == view[i] || RESTARTS == 0)
#endif

/* ---- steps ---- */

inline append(i, what) {
        item = what;
        held[i]++;
        log[PLACE(i, held[i])] = item;
        if
        :: IS_CHANGE(item) ->
                seen[IN(i, 0)] = (HAS(CHANGE_SURVIVORS(item), 0) -> seen[IN(i, 0)] : 0);
                seen[IN(i, 1)] = (HAS(CHANGE_SURVIVORS(item), 1) -> seen[IN(i, 1)] : 0);
                seen[IN(i, 2)] = (HAS(CHANGE_SURVIVORS(item), 2) -> seen[IN(i, 2)] : 0)
        :: else -> seen[IN(i, SENDER(item))] = NUMBER(item)
        fi;
        item = 0
}

#define ORDERED(i, p) order[PLACE(formation[i], p)]

/* A new place of the order: what may come there. */
inline place(i, item) {
        p = 1;
        n = 0;
        do
        :: p < delivered[i] ->
                other = ORDERED(i, p);
                again = again || other == item;
                if
                :: IS_CHANGE(other) && !IS_CHANGE(item) ->
                        HOLDS(the_lost_say_nothing_more,
                              HAS(CHANGE_SURVIVORS(other), SENDER(item)) || LIFE(item) >= CHANGE_VIEW(other))
                :: !IS_CHANGE(other) && !IS_CHANGE(item) ->
                        n = n + (SENDER(other) == SENDER(item) && LIFE(other) == LIFE(item))
                :: else -> skip
                fi;
                p++
        :: else -> break
        od;
        HOLDS(no_duplicate, !again);
        HOLDS(senders_order, IS_CHANGE(item) || NUMBER(item) == n + 1);
        if
        :: IS_CHANGE(item) && CHANGE_VIEW(item) == view[i] ->
                HOLDS(survivors_deliver_what_one_has,
                      (!HAS(CHANGE_SURVIVORS(item), 0) || info_held[IN(view[i], 0)] < delivered[i]) &&
                      (!HAS(CHANGE_SURVIVORS(item), 1) || info_held[IN(view[i], 1)] < delivered[i]) &&
                      (!HAS(CHANGE_SURVIVORS(item), 2) || info_held[IN(view[i], 2)] < delivered[i]))
        :: else -> skip
        fi;
        ORDERED(i, delivered[i]) = item
}

inline deliver(i, upto) {
        last = upto;
        do
        :: delivered[i] < last ->
                delivered[i]++;
                item = log[PLACE(i, delivered[i])];
                HOLDS(everybody_has_it, ALL_HAVE(view[i], delivered[i]));
                HOLDS(no_invention, item != 0 && (IS_CHANGE(item) || NUMBER(item) <= SENDS(SENDER(item))));
                if
                :: ORDERED(i, delivered[i]) == 0 -> place(i, item)
                :: else -> HOLDS(same_order, ORDERED(i, delivered[i]) == item)
                fi
        :: else -> break
        od;
        last = 0;
        item = 0;
        other = 0;
        n = 0;
        p = 0
}

/* Messages of a membership in which nobody takes any more are forgotten, so that states that differ in nothing else
 * are one. */
#define IS_OUT_OF(v, i) (!HAS(members[v], i) || !HAS(alive, i) || promised[i] > (v))
inline forget(v) {
        if
        :: IS_OUT_OF(v, 0) && IS_OUT_OF(v, 1) && IS_OUT_OF(v, 2) && members[v] ->
                members[v] = 0;
                coordinator[v] = 0;
                promised_by[v] = 0;
                announced[v] = 0;
                informed[v] = 0;
                info_memory[v] = 0;
                planned[v] = 0;
                survivors[v] = 0;
                donor[v] = 0;
                plan_held[v] = 0;
                done[v] = 0;
                p = 0;
                do
                :: p < N ->
                        submitted[IN(v, p)] = 0;
                        has[IN(v, p)] = 0;
                        info_history[IN(v, p)] = 0;
                        info_held[IN(v, p)] = 0;
                        p++
                :: else -> break
                od;
                p = 0;
                do
                :: p < LENGTH ->
                        proposal[PLACE(v, p)] = 0;
                        p++
                :: else -> break
                od
        :: else -> skip
        fi;
        p = 0
}

inline forget_old() {
        n = 1;
        do
        :: n <= created ->
                forget(n);
                n++
        :: else -> break
        od;
        n = 0
}

inline clear_log(i) {
        p = 0;
        do
        :: p < LENGTH ->
                log[PLACE(i, p)] = 0;
                p++
        :: else -> break
        od;
        p = 0;
        held[i] = 0;
        delivered[i] = 0;
        seen[IN(i, 0)] = 0;
        seen[IN(i, 1)] = 0;
        seen[IN(i, 2)] = 0
}

/* Only what is broken takes anything back. */
inline drop_last(i) {
        seen[IN(i, SENDER(log[PLACE(i, held[i])]))]--;
        log[PLACE(i, held[i])] = 0;
        held[i]--
}

inline clear_queue(i) {
        queued[IN(i, 0)] = 0;
        queued[IN(i, 1)] = 0;
        queued[IN(i, 2)] = 0
}

inline promise(i, v) {
        promised[i] = v;
        ADD(promised_by[v], i);
        forget_old()
}

inline install(i) {
        view[i] = promised[i];
        phase[i] = WAITING;
#ifdef PROPOSAL_DROPPED
        do
        :: held[i] > delivered[i] && !IS_CHANGE(log[PLACE(i, held[i])]) -> drop_last(i)
        :: else -> break
        od;
#endif
        clear_queue(i);
        info_held[IN(view[i], i)] = (HAS(memory, i) -> held[i] : 0);
        info_history[IN(view[i], i)] = history[i];
        if
        :: HAS(memory, i) -> ADD(info_memory[view[i]], i)
        :: else -> skip
        fi;
        ADD(informed[view[i]], i)
}

inline plan(i) {
        v = view[i];
        planned[v] = 1;
        n = 0;
        p = 0;
        do
        :: p < N ->
                n = (HAS(members[v], p) && info_history[IN(v, p)] > n -> info_history[IN(v, p)] : n);
                p++
        :: else -> break
        od;
#ifdef OLDER_HISTORY
        p = 0;
        do
        :: p < N ->
                n = (HAS(info_memory[v], p) && info_history[IN(v, p)] < n -> info_history[IN(v, p)] : n);
                p++
        :: else -> break
        od;
#endif
#ifdef SHUT_OUT_DONATES
        n = (HAS(info_memory[v], i) -> info_history[IN(v, i)] : n);
#endif
        donor[v] = N;
        p = 0;
        do
        :: p < N ->
                if
                :: HAS(info_memory[v], p) && info_history[IN(v, p)] == n ->
                        ADD(survivors[v], p);
                        if
#ifdef SHORTEST_BUFFER
                        :: donor[v] == N || info_held[IN(v, p)] < plan_held[v] ->
#else
                        :: donor[v] == N || info_held[IN(v, p)] > plan_held[v] ->
#endif
                                donor[v] = p;
                                plan_held[v] = info_held[IN(v, p)]
                        :: else -> skip
                        fi
                :: else -> skip
                fi;
                p++
        :: else -> break
        od;
#ifdef OWN_COMMIT_ONLY
        if
        :: HAS(survivors[v], i) ->
                donor[v] = i;
                plan_held[v] = delivered[i]
        :: else -> skip
        fi;
#endif
        v = 0;
        n = 0;
        p = 0
}

inline adopt(i) {
        v = view[i];
        if
        :: HAS(survivors[v], i) ->
#ifdef OWN_COMMIT_ONLY
                do
                :: held[i] > plan_held[v] && !IS_CHANGE(log[PLACE(i, held[i])]) -> drop_last(i)
                :: else -> break
                od;
#endif
                HOLDS(plan_is_sound, HAS(memory, i) && held[i] <= plan_held[v]);
                phase[i] = (held[i] < plan_held[v] -> FETCHING : STORING)
        :: else ->
                clear_log(i);
                REMOVE(memory, i);
                life[i] = v;
                formation[i] = v;
                phase[i] = (donor[v] == N -> STORING : FETCHING)
        fi;
        v = 0
}

inline fetch(i) {
        v = view[i];
        other = donor[v];
        if
        :: HAS(memory, i) ->
                HOLDS(donor_still_has_it, held[i] >= delivered[other]);
                append(i, log[PLACE(other, held[i] + 1)])
        :: else ->
                p = 1;
                do
                :: p <= plan_held[v] ->
                        log[PLACE(i, p)] = log[PLACE(other, p)];
                        p++
                :: else -> break
                od;
                p = 0;
                held[i] = plan_held[v];
                delivered[i] = delivered[other];
                formation[i] = formation[other];
#ifndef STREAMS_NOT_DONATED
                seen[IN(i, 0)] = seen[IN(other, 0)];
                seen[IN(i, 1)] = seen[IN(other, 1)];
                seen[IN(i, 2)] = seen[IN(other, 2)]
#endif
        fi;
        phase[i] = (held[i] < plan_held[v] -> FETCHING : STORING);
        v = 0;
        other = 0
}

inline hold(i) {
        append(i, NODE_CHANGE(view[i], survivors[view[i]]));
        history[i] = view[i];
        ADD(memory, i);
        phase[i] = HOLDING;
        has[IN(view[i], i)] = held[i];
        ADD(done[view[i]], i);
#ifdef FLUSH_EARLY
        deliver(i, held[i])
#endif
}

inline activate(i) {
        phase[i] = ACTIVE;
#ifdef PENDING_NOT_SENT_AGAIN
        submitted[IN(view[i], i)] = (HAS(survivors[view[i]], i) -> 0 : life[i]);
#else
        submitted[IN(view[i], i)] = life[i];
#endif
        deliver(i, held[i])
}

#define CAN_PROMISE(i, v) (HAS(alive, i) && (v) <= created && promised[i] < (v) && HAS(members[v], i))
#define CAN_QUEUE(i, s) (submitted[IN(view[i], s)] && queued[IN(i, s)] < SENDS(s))
#define CAN_PROPOSE(i, s) (queued[IN(i, s)] > seen[IN(i, s)])

/* on_submit(), queue_own() */
#define QUEUE(i, s) \
        :: atomic { \
                DOES(i, ACTIVE) && LEADS(i) && CAN_QUEUE(i, s) -> \
                queued[IN(i, s)]++ \
        }
/* propose() */
#define PROPOSE(i, s) \
        :: atomic { \
                DOES(i, ACTIVE) && LEADS(i) && CAN_PROPOSE(i, s) -> \
                propose(i, s, seen[IN(i, s)] + 1) \
        }
#define PROPOSE_TWICE(i, s) \
        :: atomic { \
                DOES(i, ACTIVE) && LEADS(i) && seen[IN(i, s)] && held[i] + CHANGES < LENGTH - 2 -> \
                propose(i, s, seen[IN(i, s)]) \
        }

inline propose(i, s, number) {
        v = view[i];
        append(i, MESSAGE(s, submitted[IN(v, s)], number));
#ifdef NUMBER_USED_TWICE
        if
        :: held[i] > delivered[i] + 1 && !IS_CHANGE(log[PLACE(i, held[i] - 1)]) ->
                log[PLACE(i, held[i] - 1)] = log[PLACE(i, held[i])];
                log[PLACE(i, held[i])] = 0;
                held[i]--
        :: skip
        fi;
#endif
        proposal[PLACE(v, held[i])] = log[PLACE(i, held[i])];
        has[IN(v, i)] = held[i];
        v = 0
}

#define OFFERED(v, i) proposal[PLACE(v, held[i] + 1)]
/* take_items(), acknowledge() */
#define TAKE(i, v) \
        :: atomic { \
                DOES(i, ACTIVE) && !LEADS(i) && OFFERED(v, i) && IS_NEXT(i, OFFERED(v, i)) -> \
                take(i, v) \
        }
inline take(i, v) {
        append(i, OFFERED(v, i));
        has[IN(view[i], i)] = held[i];
#ifdef DELIVERED_WHEN_PROPOSED
        deliver(i, held[i])
#endif
}

proctype node(byte i) {
        byte item, last, other, n, p, v;
        bool again;

end:    do
        QUEUE(i, 0)
        QUEUE(i, 1)
        QUEUE(i, 2)
        PROPOSE(i, 0)
        PROPOSE(i, 1)
        PROPOSE(i, 2)
#ifdef NO_STREAM_CHECK
        PROPOSE_TWICE(i, 0)
        PROPOSE_TWICE(i, 1)
        PROPOSE_TWICE(i, 2)
#endif
        TAKE(i, view[i])
#ifdef STALE_TAKEN
        TAKE(i, 1)
#endif
#ifdef GAP_TAKEN
        :: atomic {
                DOES(i, ACTIVE) && !LEADS(i) && OFFERED(view[i], i) && proposal[PLACE(view[i], held[i] + 2)] ->
                held[i]++;
                take(i, view[i])
        }
#endif
        /* on_ack(), advance(), announce() */
        :: atomic {
                DOES(i, ACTIVE) && LEADS(i) && delivered[i] < held[i] && MAY_COMMIT(view[i], i, delivered[i] + 1) ->
                announced[view[i]] = delivered[i] + 1;
                deliver(i, delivered[i] + 1)
        }
        /* on_order(): the commit */
        :: atomic {
                DOES(i, ACTIVE) && !LEADS(i) && delivered[i] < held[i] && announced[view[i]] > delivered[i] ->
                deliver(i, delivered[i] + 1)
        }

        /* CMS */
        :: atomic { CAN_PROMISE(i, 2) -> promise(i, 2) }
#if CHANGES > 1
        :: atomic { CAN_PROMISE(i, 3) -> promise(i, 3) }
#endif
#if CHANGES > 2
        :: atomic { CAN_PROMISE(i, 4) -> promise(i, 4) }
#endif
        :: atomic {
                HAS(alive, i) && promised[i] > view[i] && members[promised[i]] &&
                promised_by[promised[i]] == members[promised[i]] ->
                install(i)
        }

        /* The flush */
        :: atomic {
                DOES(i, WAITING) && LEADS(i) && !planned[view[i]] && informed[view[i]] == members[view[i]] ->
                plan(i);
                adopt(i)
        }
        :: atomic { DOES(i, WAITING) && !LEADS(i) && planned[view[i]] -> adopt(i) }
        :: atomic {
                DOES(i, FETCHING) && HAS(memory, donor[view[i]]) && IS_FREE(donor[view[i]]) &&
                view[donor[view[i]]] == view[i] ->
                fetch(i)
        }
        :: atomic { DOES(i, STORING) && disk[i] != view[i] && RESTARTS > 0 -> disk[i] = view[i] }
        :: atomic { DOES(i, STORING) && IS_STORED(i) -> hold(i) }
        :: atomic {
                DOES(i, HOLDING) && LEADS(i) && done[view[i]] == members[view[i]] ->
                announced[view[i]] = held[i];
                activate(i);
                queued[IN(i, 0)] = seen[IN(i, 0)];
                queued[IN(i, 1)] = seen[IN(i, 1)];
                queued[IN(i, 2)] = seen[IN(i, 2)]
#ifdef QUEUE_KEPT
                ;
                submitted[IN(view[i], 0)] = (submitted[IN(view[i], 0)] -> submitted[IN(view[i], 0)] : 1);
                submitted[IN(view[i], 1)] = (submitted[IN(view[i], 1)] -> submitted[IN(view[i], 1)] : 1);
                submitted[IN(view[i], 2)] = (submitted[IN(view[i], 2)] -> submitted[IN(view[i], 2)] : 1)
#endif
        }
        :: atomic { DOES(i, HOLDING) && !LEADS(i) && announced[view[i]] >= held[i] -> activate(i) }

        :: atomic {
                HAS(alive, i) && n_crashes < CRASHES ->
                n_crashes++;
                REMOVE(alive, i);
                REMOVE(memory, i);
                promised[i] = 0;
                view[i] = 0;
                phase[i] = 0;
                history[i] = 0;
                formation[i] = 0;
                life[i] = 0;
                clear_log(i);
                clear_queue(i);
                forget_old()
        }
#if RESTARTS
        :: atomic {
                !HAS(alive, i) && n_restarts < RESTARTS && created < LAST ->
                n_restarts++;
                ADD(alive, i);
                promised[i] = created; /* what is older names another life of it */
                view[i] = created;
                history[i] = disk[i]
        }
#endif
        od
}

/* A membership of any nodes that live and have quorum, in any rank. */
#define FORM(set, first) \
        :: atomic { \
                created < LAST && (alive & (set)) == (set) -> \
                created++; \
                members[created] = set; \
                coordinator[created] = first \
        }

proctype cms() {
end:    do
        FORM(7, 0)
        FORM(3, 0)
        FORM(5, 0)
        FORM(6, 1)
#ifdef MINORITY
        FORM(1, 0)
        FORM(2, 1)
        FORM(4, 2)
#endif
#if ANY_RANK
        FORM(7, 1)
        FORM(7, 2)
        FORM(3, 1)
        FORM(5, 2)
        FORM(6, 2)
#endif
        od
}

#define IS_DONE_WITH(i, s) (!HAS(members[created], s) || seen[IN(i, s)] == SENDS(s))
#define IS_DONE(i) (!HAS(members[created], i) || (DOES(i, ACTIVE) && view[i] == created && delivered[i] == held[i] && \
                   held[i] == held[coordinator[created]] && IS_DONE_WITH(i, 0) && IS_DONE_WITH(i, 1) && IS_DONE_WITH(i, 2)))
#define IS_THERE(i) (!HAS(members[created], i) || (HAS(alive, i) && phase[i] != 0 && HAS(promised_by[created], i)))

init {
        atomic {
                byte i = 0;
                do
                :: i < N ->
                        promised[i] = 1;
                        view[i] = 1;
                        phase[i] = ACTIVE;
                        history[i] = 1;
                        disk[i] = 1;
                        formation[i] = 1;
                        life[i] = 1;
                        submitted[IN(1, i)] = 1;
                        i++
                :: else -> break
                od;
                i = 0;
                members[1] = ALL;
                promised_by[1] = ALL;
                run node(0);
                run node(1);
                run node(2);
                run cms()
        }
        /* Nothing more happens: without more faults, all that was sent was delivered by all, unless the membership has
         * lost somebody. */
        atomic {
                timeout ->
                HOLDS(what_was_sent_is_delivered,
                      !(IS_THERE(0) && IS_THERE(1) && IS_THERE(2)) || (IS_DONE(0) && IS_DONE(1) && IS_DONE(2)))
        }
}
