/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A management controller for tests: Redfish over TLS on loopback, in threads of its own, with a certificate
 * authority of its own, and as wrong as it is told to be. */

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

typedef enum BmcFault {
        BMC_GOOD,
        BMC_LYING,       /* says yes and does nothing */
        BMC_DEAF,        /* takes connections and says nothing on them */
        BMC_SILENT,      /* takes requests and answers none */
        BMC_FAILING,     /* 500 to everything */
        BMC_ENDLESS,     /* answers without end */
        BMC_BREAKING,    /* closes in the middle of an answer */
        BMC_COMPRESSING, /* gzip, whatever was asked for */
        BMC_CLOSING,     /* closes after each answer, and does not say so */
        BMC_LATE,        /* goes off a while after it was ordered to */
} BmcFault;

typedef enum BmcCertificate {
        BMC_CERTIFICATE_GOOD,  /* for 127.0.0.1 */
        BMC_CERTIFICATE_NAMED, /* for bmc.lab */
        BMC_CERTIFICATE_EXPIRED,
        BMC_CERTIFICATE_OF_OTHERS, /* another authority's */
        BMC_CERTIFICATE_OWN,       /* its own, for bmc-A1B2 in its common name */
} BmcCertificate;

typedef struct BmcSpec {
        BmcFault fault;
        BmcCertificate certificate;
        bool no_sessions;
} BmcSpec;

typedef struct Bmc Bmc;

/* Writes its authority's certificate, or its own, to ca_path. */
Bmc *bmc_new(const BmcSpec *spec, const char *ca_path);
void bmc_free(Bmc *b);

unsigned bmc_port(const Bmc *b);
bool bmc_is_on(Bmc *b);
/* Requests so far: "GET /path\n"..., with what an order said behind it. For g_free(). */
char *bmc_log(Bmc *b);
