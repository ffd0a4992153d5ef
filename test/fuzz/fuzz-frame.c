/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* ARP and neighbour discovery as they come from the network, for one address of each kind. */

#include "fuzz/fuzz.h"
#include "resource-agents/ip/frame.h"

static const char *const addresses[] = { "192.0.2.10/24", "2001:db8::10/64" };
static const Mac own = { { 2, 0, 0, 0, 0, 1 } }, others = { { 2, 0, 0, 0, 0, 2 } };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        FOREACH_ARRAY(text, addresses, ELEMENTSOF(addresses)) {
                char name[MAC_TEXT_MAX];
                IpAddress address;
                Mac other;

                assert(ip_address_parse(*text, &address) == 0);
                if (frame_judge(data, size, &address, &own, &other) == FRAME_OF_NO_CONCERN)
                        continue;
                /* What we send comes back from some switches, and is no conflict. */
                assert(memcmp(other.bytes, own.bytes, MAC_BYTES) != 0);
                (void) mac_format(&other, name);
        }
        return 0;
}

void fuzz_seeds(FuzzSeeds *s) {
        FOREACH_ARRAY(text, addresses, ELEMENTSOF(addresses))
                for (unsigned kind = FRAME_PROBE; kind <= FRAME_ANNOUNCE_REPLY; kind++) {
                        IpAddress address;
                        Frame f;

                        assert(ip_address_parse(*text, &address) == 0);
                        if (kind == FRAME_ANNOUNCE_REPLY && address.family != AF_INET)
                                continue;
                        frame_build((FrameKind) kind, &address, &others, &f);
                        fuzz_seed(s, f.bytes, f.size_bytes);
                }
}
