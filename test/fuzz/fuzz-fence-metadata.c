/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a fence agent says of itself. */

#include <stdlib.h>

#include "fuzz/fuzz.h"
#include "hamgr/fence/metadata.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(fence_metadata_freep) FenceMetadata *m = NULL;
        _cleanup_free_ char *text = strndup((const char *) data, size), *error = NULL;
        int r;

        assert(text);
        r = fence_metadata_parse(text, &m, &error);
        assert(r == 0 || r == -EBADMSG);
        assert((r < 0) == (error != NULL));
        assert((r < 0) == (m == NULL));
        if (r < 0)
                return 0;
        assert(m->n_parameters <= FENCE_METADATA_PARAMETERS_MAX);
        assert(m->n_actions <= FENCE_METADATA_ACTIONS_MAX);
        FOREACH_ARRAY(p, m->parameters, m->n_parameters)
                assert(fence_metadata_parameter(m, p->name));
        (void) fence_metadata_has_action(m, "off");
        (void) fence_metadata_plug_parameter(m);
        return 0;
}

void fuzz_seeds(FuzzSeeds *s) {
        static const char *const texts[] = {
                "<?xml version=\"1.0\" ?>\n<resource-agent name=\"a\" shortdesc=\"b\"><longdesc>c &lt; "
                "d</longdesc>\n<parameters>\n<parameter name=\"action\" required=\"1\"><content "
                "type=\"string\" default=\"reboot\"/></parameter>\n<parameter name=\"plug\" required=\"1\" "
                "obsoletes=\"port\"><content type=\"string\"/></parameter>\n<parameter name=\"port\" "
                "required=\"1\" deprecated=\"1\"/></parameters><actions><action name=\"on\"/><action "
                "name=\"off\"/><action name=\"status\"/></actions></resource-agent>\n",
                "<resource-agent><parameters><parameter name=\"a\"></parameters></resource-agent>",
                "Traceback (most recent call last):",
        };

        FOREACH_ARRAY(text, texts, ELEMENTSOF(texts))
                fuzz_seed(s, *text, strlen(*text));
}
