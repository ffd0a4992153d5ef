/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>

#include "basic/str-buf.h"
#include "hagcd/gasp.h"
#include "shared/file-util.h"

static void
add_line(StrBuf *b,
         const ClusterNode *self,
         const ClusterNode *peer,
         unsigned link,
         uint32_t key_id,
         const uint8_t *secret) {
        char own[CLUSTER_ADDRESS_TEXT_MAX], to[CLUSTER_ADDRESS_TEXT_MAX];
        uint8_t data[GASP_BYTES];
        PacketHeader h = {
                .kind = PACKET_LAST_GASP,
                .class = DTLS_CLASS_MEMBERSHIP,
                .from = self->id,
                .to = peer->id,
                .link = link,
                .key_id = key_id,
        };

        packet_header_encode(&h, data);
        memcpy(data + PACKET_HEADER_BYTES, secret, GASP_SECRET_BYTES);
        str_buf_printf(b,
                       "%s %s %u ",
                       cluster_address_format(&self->addresses[link], own),
                       cluster_address_format(&peer->addresses[link], to),
                       cluster_address_port(&peer->addresses[link]));
        for (size_t i = 0; i < sizeof(data); i++)
                str_buf_printf(b, "%02x", data[i]);
        str_buf_add_char(b, '\n');
}

int gasp_write(const char *path,
               const ClusterConf *conf,
               const ClusterNode *self,
               const ClusterKey *key,
               const uint8_t secret[static GASP_SECRET_BYTES]) {
        _cleanup_(str_buf_done) StrBuf b = { 0 };
        _cleanup_(dtls_context_freep) DtlsContext *dtls = NULL;
        int r;

        r = dtls_context_new(key->bytes, CLUSTER_KEY_BYTES, &dtls);
        if (r < 0)
                return r;
        FOREACH_ARRAY(peer, conf->nodes, conf->n_nodes)
                for (unsigned link = 0; peer->id != self->id && link < conf->n_links; link++)
                        add_line(&b, self, peer, link, dtls_context_key_id(dtls), secret);
        r = str_buf_result(&b);
        if (r < 0)
                return r;
        return write_file_atomic(path, str_buf_text(&b), b.length, 0600, WRITE_FILE_NO_SYNC);
}
