/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Traces of the membership core as text, for the journal and the simulator. Apart from the core, which
 * prints nothing. */

#include "cms/cms.h"

#define CMS_TRACE_TEXT_MAX 400U

/* One line without its end, such as "installed 17.2 {1 2 3} quorate"; returns buf. */
char *cms_trace_format(const CmsTrace *trace, char buf[static CMS_TRACE_TEXT_MAX]);
