/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The agreement of src/cms/ among three nodes: every order in which its steps, late, doubled and lost messages, crashes,
 * restarts and lost storage can come. README.md beside this file says which function each step stands for and what is
 * left out. */

#ifndef CALLS
#define CALLS 3   /* ballots that are called in all */
#endif
#ifndef CRASHES
#define CRASHES 1 /* crashes in all */
#endif
#ifndef WIPES
#define WIPES 1   /* of these, how many lose the stored record too */
#endif

#define N 3
#define ALL 7
#define RESERVE 1 /* a write keeps so many epochs beyond its own for ballots that are sent before they are written */
#define EPOCHS (CALLS + CRASHES * RESERVE)
#define BALLOTS (N * EPOCHS + 1)
#define BALLOT(epoch, i) (N * ((epoch) - 1) + (i) + 1) /* (epoch, node) in its order; 0: none */
#define EPOCH(b) (((b) + N - 1) / N)
#define CALLER(b) (((b) - 1) % N)
#define MAX(a, b) ((a) > (b) -> (a) : (b))

#define BIT(i) (1 << (i))
#define HAS(set, i) (((set) >> (i)) & 1)
#define ADD(set, i) set = (set) | BIT(i)
#define REMOVE(set, i) set = (set) & (ALL ^ BIT(i))
#define PUT(set, i, bit) set = ((set) & (ALL ^ BIT(i))) | ((bit) << (i))
#define COUNT(set) (HAS(set, 0) + HAS(set, 1) + HAS(set, 2))
#define IS_QUORUM(set) (2 * COUNT(set) > N)

/* ---- faults: one of them is switched on, to see that it is found ---- */

#ifdef QUORUM_OFF_BY_ONE
#define TAKEN_AS_QUORUM(set) (2 * COUNT(set) + 2 > N)
#else
#define TAKEN_AS_QUORUM(set) IS_QUORUM(set)
#endif

#ifdef NO_RECORD_COUNTS
#define WITHOUT_RECORD(i) 0
#else
#define WITHOUT_RECORD(i) HAS(wiped, i)
#endif

#ifdef INCARNATION_IGNORED
#define NAMES_THIS_LIFE(then, i) true
#else
#define NAMES_THIS_LIFE(then, i) (HAS(then, i) == HAS(lives, i))
#endif

#ifdef NUMBER_USED_TWICE
#define NOT_ABOVE(i) EPOCH(installed[i])
#else
#define NOT_ABOVE(i) MAX(EPOCH(promised[i]), floor[i])
#endif

#ifdef COMMIT_SKIPS_NODE
#define ALL_ACKNOWLEDGED(b) (COUNT(acknowledged[b]) + 1 >= COUNT(members[b]))
#else
#define ALL_ACKNOWLEDGED(b) (acknowledged[b] == members[b])
#endif

#ifdef LOWER_ACKNOWLEDGED
#define MAY_ACKNOWLEDGE(b, i) (b <= promised[i])
#else
#define MAY_ACKNOWLEDGE(b, i) (b == promised[i])
#endif

/* ---- what was ever sent, by ballot: it can arrive at any time after, again and again, or never ---- */

short inquired;               /* a set of ballots: for which there is an INQUIRE */
short committed;              /* COMMIT, or a heartbeat of somebody who has installed it */
byte answered[BALLOTS];       /* ANSWER: by whom, */
byte answered_lives[BALLOTS]; /* in which life (the bit alternates), */
byte answered_wiped[BALLOTS]; /* and who of them has no record */
byte members[BALLOTS];        /* PROPOSE; 0: none */
byte member_lives[BALLOTS];
byte uncounted[BALLOTS];      /* members without a record (R8) */
byte acknowledged[BALLOTS];   /* ACKNOWLEDGE, by whom */

/* ---- the nodes: a number or a bit for each ---- */

byte disk[N];    /* promise on disk; with it the epochs up to that of the promise and RESERVE are taken */
byte wiped_disk; /* no valid record there */
#define TAKEN(i) (disk[i] -> EPOCH(disk[i]) + RESERVE : 0)

byte lives;
byte wiped;      /* has no record, and was not taken in yet */
byte promised[N];
byte floor[N];   /* epochs that were taken at the start */
byte pledged;    /* gave its promise in this life, and neither acknowledged nor installed since */
byte calling;    /* inquires or proposes, for the ballot that it promised itself */
byte accepted;   /* acknowledged the proposal of the ballot that it promised */
byte installed[N];

byte n_calls, n_crashes, n_wipes;

/* ---- what nobody can see ---- */

short proposed;           /* ballots that had a proposal, */
short proposed_quorate;   /* and a quorate one */
byte newest_installed[N]; /* in all lives with the same storage */
byte newest_word[N];      /* highest ballot of a quorate membership in which its word counted, in all lives */

#define COUNTED(b) (members[b] & (ALL ^ uncounted[b]))
/* A node stands by what it has installed until it promises something higher. */
#define STANDS_BY(i, b) (!HAS(members[b], i) || (installed[i] == b && promised[i] == b))
#define IS_LIVE(b) (TAKEN_AS_QUORUM(COUNTED(b)) && STANDS_BY(0, b) && STANDS_BY(1, b) && STANDS_BY(2, b))

/* ---- steps ---- */

/* Any ballot for which this holds, if there is one; else BALLOTS. */
inline pick(b, condition) {
        b = 1;
        do
        :: b < BALLOTS && (condition) -> break
        :: b < BALLOTS -> b++
        :: else -> break
        od
}

inline answer(i, b) {
        ADD(answered[b], i);
        PUT(answered_lives[b], i, HAS(lives, i));
        PUT(answered_wiped[b], i, WITHOUT_RECORD(i))
}

inline promise(i, b) {
        promised[i] = b;
        ADD(pledged, i);
        REMOVE(calling, i);
        REMOVE(accepted, i);
#ifdef ANSWER_BEFORE_WRITE
        answer(i, b)
#else
        if
        :: HAS(wiped, i) -> answer(i, b) /* its word counts for nothing, so nothing need be written */
        :: else -> skip
        fi
#endif
}

inline acknowledge(i, b) {
        ADD(acknowledged[b], i);
        ADD(accepted, i);
        REMOVE(pledged, i);
        if
        :: IS_QUORUM(COUNTED(b)) && !HAS(uncounted[b], i) ->
                assert(b >= newest_word[i]); /* whatever it lived through */
                newest_word[i] = b
        :: else -> skip
        fi
}

inline install(i, b) {
        assert(HAS(members[b], i) && HAS(member_lives[b], i) == HAS(lives, i));
        assert(acknowledged[b] == members[b]);
        assert(b > newest_installed[i]);
        newest_installed[i] = b;
        installed[i] = b;
        REMOVE(wiped, i);
        REMOVE(calling, i);
        REMOVE(accepted, i);
        pick(other, other != b && IS_LIVE(other) && IS_LIVE(b));
        assert(other == BALLOTS);
        other = 0
}

/* What everybody has promised to ignore is forgotten, so that states that differ in nothing else are one. */
#define LOWEST(i) (n_crashes == CRASHES -> promised[i] : \
                  (n_wipes < WIPES -> 0 : (disk[i] < promised[i] -> disk[i] : promised[i])))
inline forget() {
#ifndef LOWER_ACKNOWLEDGED
        b = 1;
        do
        :: b < BALLOTS && b < LOWEST(0) && b < LOWEST(1) && b < LOWEST(2) ->
                inquired = inquired & ~(1 << b);
                committed = committed & ~(1 << b);
                answered[b] = 0;
                answered_lives[b] = 0;
                answered_wiped[b] = 0;
                members[b] = 0;
                member_lives[b] = 0;
                uncounted[b] = 0;
                acknowledged[b] = 0;
                b++
        :: else -> break
        od;
#endif
        b = 0
}

proctype node(byte i) {
        byte b, other, set;

        do
        /* cms_ballot_call(); with an epoch that is taken on disk the INQUIRE goes out at once */
        :: atomic {
                !WITHOUT_RECORD(i) && n_calls < CALLS && NOT_ABOVE(i) < EPOCHS ->
                n_calls++;
                b = BALLOT(NOT_ABOVE(i) + 1, i);
                /* A number is for one proposal. Who lost its storage may come to one again that nobody but itself has
                 * ever acted on. */
                assert(!HAS(proposed_quorate, b));
                assert(!HAS(proposed, b) || n_wipes > 0);
                inquired = inquired & ~(1 << b);
                committed = committed & ~(1 << b);
                answered[b] = 0;
                members[b] = 0;
                uncounted[b] = 0;
                acknowledged[b] = 0;
                promise(i, b);
                ADD(calling, i);
                if
                :: EPOCH(b) <= TAKEN(i) -> inquired = inquired | (1 << b)
                :: else -> skip
                fi;
                b = 0
        }
        /* CMS_EVENT_STORED: the record is on disk, and what waited for it is sent */
        :: atomic {
                !HAS(wiped, i) && (disk[i] != promised[i] || HAS(wiped_disk, i)) ->
#ifndef EPOCH_NOT_STORED
                disk[i] = promised[i];
#endif
                REMOVE(wiped_disk, i);
                b = promised[i];
                if
                :: HAS(calling, i) -> inquired = inquired | (1 << b)
                :: else -> skip
                fi;
                if
                :: HAS(pledged, i) -> answer(i, b)
                :: else -> skip
                fi;
                forget()
        }
        /* cms_on_inquire() */
        :: atomic {
                pick(b, HAS(inquired, b) && b > promised[i] && CALLER(b) != i);
                if
                :: b < BALLOTS -> promise(i, b)
                :: else -> skip
                fi;
                forget()
        }
        /* propose(): the best set may be any of these */
        :: atomic {
                HAS(calling, i) && HAS(pledged, i) && HAS(answered[promised[i]], i) ->
                b = promised[i];
                set = BIT(i);
                if
                :: HAS(answered[b], (i + 1) % N) -> ADD(set, (i + 1) % N)
                :: skip
                fi;
                if
                :: HAS(answered[b], (i + 2) % N) -> ADD(set, (i + 2) % N)
                :: skip
                fi;
                if
                :: !(set & answered_wiped[b]) || TAKEN_AS_QUORUM(set & (ALL ^ answered_wiped[b])) ->
                        members[b] = set;
                        member_lives[b] = answered_lives[b] & set;
                        uncounted[b] = answered_wiped[b] & set;
                        proposed = proposed | (1 << b);
                        proposed_quorate = (IS_QUORUM(COUNTED(b)) -> proposed_quorate | (1 << b) : proposed_quorate);
                        acknowledge(i, b)
                :: else -> skip
                fi;
                b = 0;
                set = 0
        }
        /* cms_on_propose(). Who has no record writes the number first (R8); the record is valid with the next write. */
        :: atomic {
                HAS(pledged, i) && !HAS(calling, i) ->
                pick(b, MAY_ACKNOWLEDGE(b, i) && HAS(members[b], i) && CALLER(b) != i &&
                        NAMES_THIS_LIFE(member_lives[b], i) && HAS(answered[b], i) &&
                        (!HAS(wiped, i) || HAS(uncounted[b], i) || !WITHOUT_RECORD(i)));
                if
                :: b < BALLOTS ->
                        disk[i] = (HAS(wiped, i) -> b : disk[i]);
                        acknowledge(i, b)
                :: else -> skip
                fi;
                forget()
        }
        /* commit() */
        :: atomic {
                HAS(calling, i) && HAS(accepted, i) && ALL_ACKNOWLEDGED(promised[i]) ->
                b = promised[i];
                committed = committed | (1 << b);
                install(i, b);
                b = 0
        }
        /* cms_on_commit(), cms_recover_commit() */
        :: atomic {
                HAS(accepted, i) && !HAS(calling, i) && HAS(committed, promised[i]) ->
                b = promised[i];
                install(i, b);
                b = 0
        }
        /* A crash, with or without the loss of the disk, and on_start(). A node that is down is one that does nothing
         * after its start. */
        :: atomic {
                n_crashes < CRASHES ->
                n_crashes++;
                if
                :: n_wipes < WIPES ->
                        n_wipes++;
                        disk[i] = 0;
                        newest_installed[i] = 0;
                        ADD(wiped_disk, i)
                :: skip
                fi;
                PUT(lives, i, 1 - HAS(lives, i));
                promised[i] = disk[i];
                floor[i] = TAKEN(i);
                installed[i] = 0;
                PUT(wiped, i, HAS(wiped_disk, i));
#ifdef INCARNATION_IGNORED
                PUT(pledged, i, (promised[i] -> 1 : 0));
#else
                REMOVE(pledged, i);
#endif
                REMOVE(calling, i);
                REMOVE(accepted, i);
                forget()
        }
        od
}

init {
        atomic {
                run node(0);
                run node(1);
                run node(2)
        }
}
