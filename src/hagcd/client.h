/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One connected process: its socket, what waits in both directions, what is known of it. clients.c decides.
 */

#include "basic/buffer.h"
#include "hagcd/admission.h"
#include "hagcd/clients.h"
#include "hagcd/grace.h"
#include "hagcd/tally.h"
#include "shared/log.h"

/* gcs makes senders slow down long before this. */
#define CLIENT_QUEUE_BYTES_MAX (64U * 1024U * 1024U)
/* Of one that is no member and so has nobody who slows down, beside what it was given as a member. */
#define CLIENT_ANSWERS_BYTES_MAX (256U * 1024U)

typedef struct Client Client;

/*      NEW --hello--> CONNECTED --register--> REGISTERING <--> MEMBER --unregister--> UNREGISTERING -->
 * CONNECTED WAITING ------^ (a successor whose predecessor still runs) each --> LOST */
typedef enum ClientState {
        CLIENT_NEW,
        CLIENT_CONNECTED,
        CLIENT_WAITING,
        CLIENT_REGISTERING, /* not a member yet, or not again after a shut-out */
        CLIENT_MEMBER,
        CLIENT_UNREGISTERING,
        CLIENT_LOST,
} ClientState;

typedef struct ClientFrame ClientFrame;

struct ClientFrame {
        ClientFrame *next; /* owned */
        uint64_t since_usec;
        bool message;  /* ends with it */
        bool delivery; /* counts as consumed when written */
        uint32_t payload_bytes;
        size_t size_bytes;
        uint8_t data[]; /* behind room for its length */
};

typedef struct ClientQueue {
        ClientFrame *first; /* owned */
        ClientFrame *last;  /* weak */
} ClientQueue;

/* Payload that gcs has not taken yet. */
typedef struct InFrame InFrame;

struct InFrame {
        InFrame *next; /* owned */
        uint64_t since_usec;
        ProtoType type;
        uint32_t generation;
        uint32_t cost;
        bool later, more;
        GcsMemberId newcomer;
        uint64_t point;
        Buffer *payload; /* ref */
};

/* What is given has a queue of its own: messages may have to wait for the very newcomer that waits for it.
 */
typedef struct InQueue {
        InFrame *first; /* owned */
        InFrame *last;  /* weak */
        bool full;      /* gcs said so */
} InQueue;

struct Client {
        Clients *clients; /* weak */
        Client *next, *previous;

        int fd;
        sd_event_source *source; /* owned */
        pid_t pid;
        int pidfd;
        sd_event_source *pidfd_source; /* owned */
        bool exited;

        ClientState state;
        bool dirty;      /* clients_settle() is to look at it */
        bool no_memory;  /* a frame was lost: it cannot go on */
        bool registered; /* was told so */

        /* Registration */
        GraceIdentity identity; /* uid and unit are known from the beginning */
        bool critical;
        bool snapshot;
        bool hands_over; /* said that a successor takes its place */
        bool successor;  /* came within a grace: matters before it is a member */
        uint64_t liveliness_usec;
        uint64_t grace_usec;
        uint64_t gcs_id;
        GcsMemberId id;
        uint32_t generation;

        /* To the client */
        ClientQueue urgent; /* pings and credit */
        ClientQueue out;
        ClientQueue held;      /* until its snapshot is whole */
        bool membership_asked; /* answered in one when all before it is taken */
        bool reload_asked;
        bool groups_asked;    /* likewise; each is told in a frame of its own, */
        unsigned groups_told; /* so many by now */
        size_t queued_bytes;
        size_t left_bytes; /* of these, what it had yet to take when it ceased to be a member */
        bool blocked;
        uint32_t consumed_messages;
        uint64_t consumed_bytes;

        /* From the client */
        InQueue sent;  /* messages, and UNREGISTER, which waits until what is given is taken */
        InQueue given; /* pieces of snapshots */
        uint64_t in_cost;
        uint64_t credit_back;
        bool credit_awaited; /* for the next piece of a snapshot */

        Tally tally;

        /* Liveliness */
        bool pinging;
        uint64_t ping_number;
        uint64_t ping_due_usec; /* of the answer, or of the next ping */
};

struct Clients {
        sd_event *event; /* weak */
        const ClientsHandlers *handlers;
        void *userdata;

        int listen_fd;
        sd_event_source *source; /* owned */
        sd_event_source *timer;  /* owned */
        uint64_t due_usec;

        Client *first; /* owned */
        unsigned n_clients;
        const ClusterConf *conf; /* weak */
        LogRate lost_rate, access_rate;
        ClientLimits limits;
        LogRate admission_rate;
        TallyGroups tally;
        uint64_t now_usec; /* of gcs */
        uint64_t last_gcs_id;
        Graces graces;
        bool stopped;

        ProtoFrame frame; /* to be encoded */
        ProtoFrame in;    /* decoded */
        ProtoView view;
        ProtoCluster cluster; /* told last */
        bool cluster_known;
        ProtoMembership membership; /* to be encoded */
        ProtoGroup counted;         /* likewise */
        uint8_t buf[PROTO_FRAME_MAX];
        uint8_t out_buf[PROTO_FRAME_MAX];
};

/* The descriptor is the client's on success. */
int client_new(Clients *c, int fd, sd_event_io_handler_t on_io, sd_event_io_handler_t on_exit, Client **ret);
Client *client_free(Client *i);

void client_mark_dirty(Client *i);

/* Closes the socket and drops all that waits. */
void client_disconnect(Client *i);

/* ---- To the client ---- */

void client_put(Client *i, const ProtoFrame *f);
void client_deliver(Client *i, const ProtoFrame *f, bool held, size_t payload_bytes);
void client_release_held(Client *i);
void client_drop_held(Client *i);
void client_welcome(Client *i);
void client_registered(Client *i, int error, const char *text);
void client_not_member(Client *i);
void client_unregistered(Client *i);
void client_shut_out(Client *i);
void client_ping(Client *i);
/* Written at once, as far as that is possible. */
void client_goodbye(Client *i, int error, const char *text);

/* 0, or the errno that ends the connection. */
int client_write(Client *i);

/* ---- From the client ---- */

/* Queues payload or UNREGISTER. -EPROTO: it had no credit for it, or asked to leave already. -ENOMEM. */
int client_take_in(Client *i, const ProtoFrame *f);
/* Drops the first one and gives its credit back. */
void client_drop_in(Client *i, InQueue *q);
bool client_asked_to_leave(const Client *i);
