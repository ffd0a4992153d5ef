/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a lost message costs: one membership of src/gcs/, from its flush to the last commit, around the ring or by
 * fan-out, over a network that loses and doubles so many messages. A time-out comes only when nothing is under way, and
 * each one has to be paid for by a message that was lost. README.md beside this file says which function each step stands
 * for and what is left out. */

#ifndef FANOUT
#define FANOUT 0
#endif
#ifndef FLUSH      /* from the flush on; 0: the flush is over */
#define FLUSH 1
#endif
#ifndef LOSSES
#define LOSSES 1
#endif
#ifndef DOUBLES    /* messages that come twice */
#define DOUBLES 0
#endif
#ifndef SENDS_0    /* messages that each node sends */
#define SENDS_0 1
#endif
#ifndef SENDS_1
#define SENDS_1 0
#endif
#ifndef SENDS_2
#define SENDS_2 1
#endif

#define N 3
#define ALL 7
#define SENDS(i) ((i) == 0 -> SENDS_0 : ((i) == 1 -> SENDS_1 : SENDS_2))
#define K (SENDS_0 + SENDS_1 + SENDS_2) /* 2 at most: a set of messages is one int */

#define BIT(i) (1 << (i))
#define HAS(set, i) (((set) >> (i)) & 1)
#define ADD(set, i) set = (set) | BIT(i)
#define REMOVE(set, i) set = (set) & ~BIT(i)
#define MIN(a, b) ((a) < (b) -> (a) : (b))
#define MAX(a, b) ((a) > (b) -> (a) : (b))

/* The name of a property that fails is in what spin says. */
#define HOLDS(property, condition) assert(property || (condition))
hidden byte everybody_has_it, each_loss_costs_one_timeout;

/* The coordinator is node 0. Place 0 is the NODE_CHANGE; before it there may be an item that not all have. */
#define NEXT(i) (((i) + 1) % N)

/* ---- the network: what is under way, from or to each node ---- */

byte ask, plan;         /* to whom */
byte info, done;        /* from whom */
byte fetching, items;   /* FETCH from whom, and the answer to whom */
byte submit[N];         /* from whom, a set of numbers */
byte resend[N];         /* from whom, a set of first places */

/* PROPOSE and COMMIT to each node: a set of (by fan-out, place or 0, commit). */
#define W (K + 1)
#define ORDER(fanout, place, commit) ((fanout) * W * W + (place) * W + (commit))
int order[N];
/* ACK from each node: a set of (lap, held, committed). */
#define ACK(lap, held, commit) ((lap) * W * W + (held) * W + (commit))
int ack[N];

#define IS_QUIET (!ask && !plan && !info && !done && !fetching && !items && \
                  !submit[1] && !submit[2] && !resend[1] && !resend[2] && !order[1] && !order[2] && !ack[1] && !ack[2])

byte n_losses, n_doubles, n_timeouts;

/* ---- the nodes ---- */

#define IDLE 0
#define WAITING 1
#define FETCHING 2
#define STORING 3
#define HOLDING 4
#define ACTIVE 5

byte phase[N];
byte lacks;             /* who lacks the item before the NODE_CHANGE, or all of the history */
byte held[N];
byte commit[N];
byte n_sent[N];         /* the client's messages, all of them pending until they are seen proposed */
byte told_gap;

byte informed, planned, all_done;
byte proposal[W + 1];   /* whose, by place: 1 and so on */
byte queued[N];
byte proposed[N];
byte held_by[N];
byte committed_by[N];
byte knows;             /* who knows the commit of the NODE_CHANGE, at least */
bool begun;             /* the first commit is announced */
byte announced;
byte n_resends;

#define HELD_BY_ALL MIN(held[0], MIN(held_by[1], held_by[2]))
#define COMMITTED_BY_ALL MIN(commit[0], MIN(committed_by[1], committed_by[2]))
#define IS_UNSETTLED (held[0] > commit[0] || commit[0] > COMMITTED_BY_ALL || knows != TO_ALL)
#define IS_BEHIND(i) (held_by[i] < held[0] || committed_by[i] < commit[0] || !HAS(knows, i))

/* Any one of a set that is not empty. */
inline pick(set) {
        b = 0;
        do
        :: HAS(set, b) -> break
        :: set >> (b + 1) -> b++
        od;
        arrive(set)
}

/* One that overtakes the proposal before it, so that it is of no use, counts as lost. */
#define IN_TIME(i) (((1 << (W * (MIN(held[i] + 1, K) + 1))) - 1) * (1 + (1 << (W * W))))
#define MAY_COME(i) (n_losses < LOSSES || !(order[i] & IN_TIME(i)) -> order[i] : order[i] & IN_TIME(i))
inline pick_order(i) {
        set = MAY_COME(i);
        b = 0;
        do
        :: HAS(set, b) -> break
        :: set >> (b + 1) -> b++
        od;
        n_losses = n_losses + ((order[i] & IN_TIME(i)) && !HAS(IN_TIME(i), b));
        arrive(order[i])
}

/* It comes, or comes and will come again, or is lost. */
inline arrive(set) {
        lost = 0;
        if
        :: REMOVE(set, b)
        :: n_doubles < DOUBLES -> n_doubles++
        :: n_losses < LOSSES ->
                n_losses++;
                REMOVE(set, b);
                lost = 1
        fi
}

/* ---- the coordinator ---- */

#define TO_NEXT 2
#define TO_ALL 6

inline send_order(to, fanout, place) {
        if
        :: HAS(to, 1) -> ADD(order[1], ORDER(fanout, place, commit[0]))
        :: else -> skip
        fi;
        if
        :: HAS(to, 2) -> ADD(order[2], ORDER(fanout, place, commit[0]))
        :: else -> skip
        fi
}

inline advance() {
        commit[0] = MAX(commit[0], HELD_BY_ALL);
        HOLDS(everybody_has_it, held[1] >= commit[0] && held[2] >= commit[0])
}

inline propose(s) {
        do
        :: queued[s] > proposed[s] ->
                held[0]++;
                proposed[s]++;
                proposal[held[0]] = s;
                send_order((FANOUT -> TO_ALL : TO_NEXT), FANOUT, held[0]);
                announced = commit[0]
        :: else -> break
        od
}

/* lead() */
inline lead() {
        if
        :: phase[0] == ACTIVE ->
                queued[0] = n_sent[0];
                advance();
                if
                :: !begun ->
                        begun = 1;
                        send_order(TO_ALL, 1, 0);
                        announced = commit[0]
                :: else -> skip
                fi;
                propose(0);
                propose(1);
                propose(2);
                if
                :: announced < commit[0] ->
                        send_order((FANOUT -> TO_ALL : TO_NEXT), FANOUT, 0);
                        announced = commit[0]
                :: else -> skip
                fi
        :: else -> skip
        fi
}

/* All of the history that somebody has: the oldest of those donates. */
#define DONOR (!HAS(lacks, 0) -> 0 : (!HAS(lacks, 1) -> 1 : 2))

inline adopt(i) {
        if
        :: HAS(lacks, i) ->
                phase[i] = FETCHING;
                ADD(fetching, i)
        :: else -> phase[i] = STORING
        fi
}

inline take_info(i) {
        if
        :: !planned && phase[0] == WAITING ->
                ADD(informed, i);
                if
                :: informed == ALL ->
                        planned = 1;
                        plan = plan | TO_ALL;
                        adopt(0)
                :: else -> skip
                fi
        :: else -> skip
        fi
}

inline take_done(i) {
        ADD(all_done, i);
        if
        :: all_done == ALL && phase[0] == HOLDING ->
                phase[0] = ACTIVE;
                lead()
        :: else -> skip
        fi
}

/* send_again(): to `set` what follows `p` */
inline send_again() {
        do
        :: p < held[0] ->
                p++;
                send_order(set, fan, p)
        :: else -> break
        od
}

/* lead_again() */
inline lead_again() {
        n_resends++;
        fan = FANOUT || n_resends > 1;
        set = TO_NEXT;
        if
        :: fan ->
                set = (IS_BEHIND(1) << 1) | (IS_BEHIND(2) << 2)
        :: else -> skip
        fi;
        p = HELD_BY_ALL;
        if
        :: p < held[0] -> send_again()
#ifndef COMMIT_NOT_SENT_AGAIN
        :: else -> send_order(set, fan, 0)
#else
        :: else -> skip
#endif
        fi
}

/* on_ack() */
inline note_ack(j) {
        n_resends = (p > held_by[j] || n > committed_by[j] || !HAS(knows, j) -> 0 : n_resends);
        held_by[j] = MAX(held_by[j], p);
        committed_by[j] = MAX(committed_by[j], n);
        ADD(knows, j)
}

/* ---- the members ---- */

#define SEEN(i) ((held[i] >= 1 && proposal[1] == i) + (K >= 2 && held[i] >= 2 && proposal[2] == i) + \
                 (K >= 3 && held[i] >= 3 && proposal[K] == i))

/* submit(): what is pending and was not sent, or all that is pending */
inline submit_from(i, first) {
        n = first;
        do
        :: n < n_sent[i] ->
                n++;
                ADD(submit[i], n)
        :: else -> break
        od
}

inline submit_all(i) {
        sent = n;
        submit_from(i, SEEN(i));
        n = sent
}

inline pass_on(i) {
        if
        :: NEXT(i) == 0 -> ADD(ack[i], ACK(1, (p -> p : n), n))
        :: else -> ADD(order[NEXT(i)], ORDER(0, p, n))
        fi
}

/* take_items(), then pass_on() or acknowledge() */
inline take_order(i) {
        fan = b / (W * W);
        p = b / W % W;
        n = b % W;
        if
        :: phase[i] == HOLDING ->
                phase[i] = ACTIVE;
                submit_all(i)
        :: else -> skip
        fi;
        if
        :: phase[i] != ACTIVE -> skip
        :: phase[i] == ACTIVE && p > held[i] + 1 ->
                if
                :: !HAS(told_gap, i) ->
                        ADD(told_gap, i);
                        ADD(resend[i], held[i] + 1)
                :: else -> skip
                fi;
                if
                :: n <= held[i] -> commit[i] = MAX(commit[i], n)
                :: else -> skip
                fi;
#ifdef PASSED_ON_UNHELD
                pass_on(i)
#endif
        :: phase[i] == ACTIVE && p <= held[i] + 1 ->
#ifdef HELD_NOT_PASSED_ON
                set = (p > held[i] || n > commit[i]);
#else
                set = 1;
#endif
                if
                :: p == held[i] + 1 ->
                        held[i]++;
                        REMOVE(told_gap, i)
                :: else -> skip
                fi;
                commit[i] = MAX(commit[i], n);
                if
                :: fan -> ADD(ack[i], ACK(0, held[i], commit[i]))
                :: !fan && set -> pass_on(i)
                :: else -> skip
                fi
        fi
}

#define CLEAR() b = 0; p = 0; n = 0; set = 0; fan = 0; lost = 0; sent = 0

/* What comes from and goes to a member. */
proctype node(byte i) {
        byte b, p, n, fan, lost, sent;
        int set;

end:    do
        /* gcs_flush_begin() */
        :: atomic {
                phase[i] == IDLE ->
                phase[i] = WAITING;
                if
                :: i == 0 ->
                        ask = ask | TO_ALL;
                        take_info(0)
                :: else -> ADD(info, i)
                fi
        }
        /* hold() */
        :: atomic {
                phase[i] == STORING ->
                phase[i] = HOLDING;
                if
                :: i == 0 -> take_done(0)
                :: else -> ADD(done, i)
                fi;
                CLEAR()
        }
        /* on_send() */
        :: atomic {
                n_sent[i] < SENDS(i) ->
                n_sent[i]++;
                if
                :: i == 0 -> lead()
                :: i != 0 && phase[i] == ACTIVE -> ADD(submit[i], n_sent[i])
                :: else -> skip
                fi;
                CLEAR()
        }
        /* FLUSH_FETCH to the donor, FLUSH_ITEMS back */
        :: atomic {
                HAS(fetching, i) ->
                b = i;
                arrive(fetching);
                if
                :: !lost && phase[DONOR] != IDLE && phase[DONOR] != ACTIVE -> ADD(items, i)
                :: else -> skip
                fi;
                CLEAR()
        }
        :: atomic {
                HAS(items, i) ->
                b = i;
                arrive(items);
                if
                :: !lost && phase[i] == FETCHING ->
                        phase[i] = STORING
                :: else -> skip
                fi;
                CLEAR()
        }
        /* To a member */
        :: atomic {
                HAS(ask, i) ->
                b = i;
                arrive(ask);
                if
                :: !lost && phase[i] == WAITING -> ADD(info, i)
                :: else -> skip
                fi;
                CLEAR()
        }
        :: atomic {
                HAS(plan, i) ->
                b = i;
                arrive(plan);
                if
                :: !lost && phase[i] == WAITING -> adopt(i)
                :: !lost && phase[i] == HOLDING -> ADD(done, i)
                :: else -> skip
                fi;
                CLEAR()
        }
        :: atomic {
                order[i] ->
                pick_order(i);
                if
                :: !lost -> take_order(i)
                :: else -> skip
                fi;
                CLEAR()
        }
        /* To the coordinator */
        :: atomic {
                HAS(info, i) ->
                b = i;
                arrive(info);
                if
                :: !lost -> take_info(i)
                :: else -> skip
                fi;
                CLEAR()
        }
        :: atomic {
                HAS(done, i) ->
                b = i;
                arrive(done);
                if
                :: !lost && planned -> take_done(i)
                :: else -> skip
                fi;
                CLEAR()
        }
        :: atomic {
                submit[i] ->
                pick(submit[i]);
                if
                :: !lost && phase[0] == ACTIVE && b == queued[i] + 1 ->
                        queued[i]++;
                        lead()
                :: else -> skip
                fi;
                CLEAR()
        }
        :: atomic {
                ack[i] ->
                pick(ack[i]);
                if
                :: !lost ->
                        fan = b / (W * W); /* it is a lap: it holds for all */
                        p = b / W % W;
                        n = b % W;
                        set = (fan -> TO_ALL : BIT(i));
                        if
                        :: HAS(set, 1) -> note_ack(1)
                        :: else -> skip
                        fi;
                        if
                        :: HAS(set, 2) -> note_ack(2)
                        :: else -> skip
                        fi;
                        lead()
                :: else -> skip
                fi;
                CLEAR()
        }
        /* on_resend() */
        :: atomic {
                resend[i] ->
                pick(resend[i]);
                if
                :: !lost && b > commit[0] ->
                        p = b - 1;
                        fan = FANOUT;
                        set = (FANOUT -> BIT(i) : TO_NEXT);
                        send_again()
                :: else -> skip
                fi;
                CLEAR()
        }
        od
}

/* gcs_flush_timeout(), gcs_order_timeout() */
inline member_timeout(i) {
        if
        :: phase[i] == WAITING -> ADD(info, i)
#ifndef FETCH_NOT_SENT_AGAIN
        :: phase[i] == FETCHING -> ADD(fetching, i)
#endif
#ifndef DONE_NOT_TOLD_AGAIN
        :: phase[i] == HOLDING -> ADD(done, i)
#endif
#ifndef SUBMIT_NOT_SENT_AGAIN
        :: phase[i] == ACTIVE -> submit_from(i, SEEN(i))
#endif
        :: else -> skip
        fi
}

#define IS_STILL(i) (phase[i] != IDLE && phase[i] != STORING && n_sent[i] == SENDS(i))
#define IS_DONE (phase[0] == ACTIVE && phase[1] == ACTIVE && phase[2] == ACTIVE && held[0] == K && commit[0] == K && \
                 commit[1] == K && commit[2] == K && COMMITTED_BY_ALL == K && knows == TO_ALL)

proctype clock() {
        byte b, p, n, fan, lost, sent;
        int set;

end:    do
        :: atomic {
                IS_QUIET && IS_STILL(0) && IS_STILL(1) && IS_STILL(2) && !IS_DONE ->
                n_timeouts++;
                HOLDS(each_loss_costs_one_timeout, n_timeouts <= n_losses);
                told_gap = 0;
                if
                :: phase[0] == ACTIVE && IS_UNSETTLED -> lead_again()
                :: phase[0] == FETCHING || phase[0] == STORING || phase[0] == HOLDING ->
#ifndef PLAN_NOT_SENT_AGAIN
                        plan = plan | (TO_ALL & ~all_done);
#endif
                        if
                        :: phase[0] == FETCHING -> ADD(fetching, 0)
                        :: else -> skip
                        fi
                :: phase[0] == WAITING -> ask = ask | (TO_ALL & ~informed)
                :: else -> skip
                fi;
                member_timeout(1);
                member_timeout(2);
                CLEAR()
        }
        od
}

init {
        atomic {
                /* Somebody has all of the history. */
                if
                :: !FLUSH ->
                        phase[0] = ACTIVE;
                        phase[1] = ACTIVE;
                        phase[2] = ACTIVE;
                        begun = 1;
                        knows = TO_ALL
#if FLUSH
                :: lacks = 0
                :: lacks = 1
                :: lacks = 2
                :: lacks = 4
                :: lacks = 3
                :: lacks = 5
                :: lacks = 6
#endif
                fi;
                run node(0);
                run node(1);
                run node(2);
                run clock()
        }
}
