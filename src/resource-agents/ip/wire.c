/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <sys/socket.h>

#include "resource-agents/ip/wire.h"

#define DROP BPF_STMT(BPF_RET | BPF_K, 0)
#define ACCEPT BPF_STMT(BPF_RET | BPF_K, UINT16_MAX)
#define LOAD_BYTE(at) BPF_STMT(BPF_LD | BPF_B | BPF_ABS, at)
#define LOAD_WORD(at) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at)
#define IF_EQUAL(value, steps_if_true, steps_if_false)                                                      \
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, steps_if_true, steps_if_false)

static uint32_t word_of(const IpAddress *a, size_t i) {
        uint32_t v;

        memcpy(&v, a->bytes + 4 * i, sizeof v);
        return ntohl(v);
}

/* Without a filter every IPv6 packet of the interface would wake us. Only what is cheap to ask is asked
 * here; frame_judge() looks at the rest. */
static int attach_filter(int fd, const IpAddress *address) {
        struct sock_filter arp[] = {
                LOAD_WORD(28), /* sender */
                IF_EQUAL(word_of(address, 0), 2, 0),
                LOAD_WORD(38), /* target */
                IF_EQUAL(word_of(address, 0), 0, 1),
                ACCEPT,
                DROP,
        };
        struct sock_filter nd[] = {
                LOAD_BYTE(20), /* next header: ICMPv6 */
                IF_EQUAL(58, 0, 12),
                LOAD_BYTE(54), /* solicitation or advertisement */
                IF_EQUAL(135, 1, 0),
                IF_EQUAL(136, 0, 9),
                LOAD_WORD(62), /* target */
                IF_EQUAL(word_of(address, 0), 0, 7),
                LOAD_WORD(66),
                IF_EQUAL(word_of(address, 1), 0, 5),
                LOAD_WORD(70),
                IF_EQUAL(word_of(address, 2), 0, 3),
                LOAD_WORD(74),
                IF_EQUAL(word_of(address, 3), 0, 1),
                ACCEPT,
                DROP,
        };
        struct sock_fprog program = { .filter = arp, .len = ELEMENTSOF(arp) };

        if (address->family == AF_INET6)
                program = (struct sock_fprog){ .filter = nd, .len = ELEMENTSOF(nd) };
        if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0)
                return -errno;
        return 0;
}

/* Others' probes for our IPv6 address go to its solicited-node group, which the kernel joins only with the
 * address. */
static int join_group(int fd, int ifindex, const Mac *group) {
        struct packet_mreq request = {
                .mr_ifindex = ifindex,
                .mr_type = PACKET_MR_MULTICAST,
                .mr_alen = MAC_BYTES,
        };

        memcpy(request.mr_address, group, MAC_BYTES);
        if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &request, sizeof request) < 0)
                return -errno;
        return 0;
}

int wire_open(int ifindex, const IpAddress *address) {
        struct sockaddr_ll where = {
                .sll_family = AF_PACKET,
                .sll_protocol = htons(address->family == AF_INET ? ETH_P_ARP : ETH_P_IPV6),
                .sll_ifindex = ifindex,
        };
        _cleanup_close_ int fd = -EBADF;
        int r;

        /* Protocol 0: hears nothing before it is bound to the interface. */
        fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        r = attach_filter(fd, address);
        if (r < 0)
                return r;
        if (bind(fd, (struct sockaddr *) &where, sizeof where) < 0)
                return -errno;
        if (address->family == AF_INET6) {
                Mac group = frame_solicited_mac(address);

                r = join_group(fd, ifindex, &group);
                if (r < 0)
                        return r;
        }
        return TAKE_FD(fd);
}

int wire_send(int fd, const Frame *frame) {
        return send(fd, frame->bytes, frame->size_bytes, 0) < 0 ? -errno : 0;
}

int wire_receive(int fd, uint8_t *buf, size_t buf_bytes) {
        for (;;) {
                struct sockaddr_ll from = { 0 };
                socklen_t n_from = sizeof from;
                ssize_t n = recvfrom(fd, buf, buf_bytes, 0, (struct sockaddr *) &from, &n_from);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (from.sll_pkttype != PACKET_OUTGOING)
                        return (int) n;
        }
}
