/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "hagcd/link-meter.h"
#include "basic/time-util.h"

/* Over a longer time two clocks run apart by more than a fast link takes. */
#define HELD_USEC_MAX USEC_PER_SEC

/* Each measurement counts for an eighth, as TCP does it. */
#define SMOOTHING 8U

/* Bits. */
#define CAME_MAX 32U

void link_meter_init(LinkMeter *m) {
        *m = (LinkMeter){ .rtt_usec = USEC_INFINITY };
}

void link_meter_forget(LinkMeter *m) {
        m->received_any = false;
        m->n_received = m->n_lost = 0;
        m->rtt_usec = USEC_INFINITY;
}

void link_meter_sent(LinkMeter *m, uint32_t number, uint64_t now_usec) {
        m->sent_any = true;
        m->sent = number;
        m->sent_usec[number % LINK_METER_SENT_MAX] = now_usec;
}

/* So many numbers on; the newest one so far came. */
static uint32_t came_after(uint32_t came, uint32_t ahead) {
        if (ahead == 0)
                return came;
        if (ahead > CAME_MAX)
                return 0;
        return (ahead < CAME_MAX ? came << ahead : 0) | 1U << (ahead - 1);
}

void link_meter_received(LinkMeter *m, uint32_t number, uint64_t now_usec) {
        uint32_t ahead = number - m->received;

        m->n_received++;
        /* It was overtaken, and so was counted as lost. */
        if (m->received_any && ahead > UINT32_MAX / 2) {
                if (-ahead <= CAME_MAX)
                        m->came |= 1U << (-ahead - 1);
                m->n_lost = m->n_lost > 0 ? m->n_lost - 1 : 0;
                return;
        }
        if (m->received_any && ahead > 0)
                m->n_lost += ahead - 1;
        m->came = m->received_any ? came_after(m->came, ahead) : 0;
        m->received_any = true;
        m->received = number;
        m->received_usec = now_usec;
}

PacketEcho link_meter_echo(const LinkMeter *m, uint64_t now_usec) {
        uint64_t held_usec = usec_sub(now_usec, m->received_usec);

        if (!m->received_any || held_usec > HELD_USEC_MAX)
                return PACKET_NO_ECHO;
        return (PacketEcho){ .message = m->received, .came = m->came, .held_usec = (uint32_t) held_usec };
}

void link_meter_echoed(LinkMeter *m, PacketEcho echo, uint64_t now_usec) {
        uint32_t behind = m->sent - echo.message;
        uint64_t away_usec;

        if (echo.held_usec > HELD_USEC_MAX || !m->sent_any || behind >= LINK_METER_SENT_MAX)
                return;
        if (m->rtt_usec != USEC_INFINITY && m->measured == echo.message)
                return;
        away_usec = usec_sub(now_usec, m->sent_usec[echo.message % LINK_METER_SENT_MAX]);
        /* Of a number that we used in an earlier life. */
        if (away_usec < echo.held_usec)
                return;
        away_usec -= echo.held_usec;
        m->measured = echo.message;
        if (m->rtt_usec == USEC_INFINITY)
                m->rtt_usec = away_usec;
        else
                m->rtt_usec = (m->rtt_usec * (SMOOTHING - 1) + away_usec) / SMOOTHING;
}
