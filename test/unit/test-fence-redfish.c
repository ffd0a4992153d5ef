/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Whole requests over HTTPS with a controller on loopback (bmc.h). */

#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "basic/time-util.h"
#include "bmc.h"
#include "hamgr/fence/fence.h"

#define WAIT_LIMIT_USEC (20 * USEC_PER_SEC)
#define SESSIONS "/redfish/v1/SessionService/Sessions"
#define SYSTEM "/redfish/v1/Systems/1"
#define RESET "POST /redfish/v1/Systems/1/Actions/ComputerSystem.Reset {\"ResetType\":"

typedef struct Fixture {
        char *folder, *ca_file, *secret_file;
        Bmc *bmc;
        sd_event *event;
        ClusterConf conf;
        ClusterNode node;
        ClusterFence fences[2];
        ClusterFenceNode fence_node;
        Fence *fence;
        FenceRequest *request;

        bool done, confirmed, power_on_done, device_told;
        char *reason, *device, *power_on_error, *device_error;
} Fixture;

static void write_secret(const Fixture *f, const char *text, int mode) {
        g_assert_true(g_file_set_contents(f->secret_file, text, -1, NULL));
        g_assert_cmpint(g_chmod(f->secret_file, mode), ==, 0);
}

static void set_plug(Fixture *f, const char *before, const char *after) {
        g_free(f->fence_node.plug);
        f->fence_node.plug =
                        g_strdup_printf("%s127.0.0.1:%u%s", before, f->bmc ? bmc_port(f->bmc) : 1, after);
}

static void fixture_init(Fixture *f, const BmcSpec *spec) {
        *f = (Fixture){
                .folder = g_dir_make_tmp("hamgr-redfish-XXXXXX", NULL),
                .node = { .id = 1, .name = "n1", .enabled = true },
                .fence_node = { .node_id = 1, .name = "n1" },
        };
        g_assert_nonnull(f->folder);
        f->ca_file = g_build_filename(f->folder, "ca.pem", NULL);
        f->secret_file = g_build_filename(f->folder, "secret", NULL);
        write_secret(f, "username=admin\npassword=s3cr3t\n", 0600);
        f->bmc = spec ? bmc_new(spec, f->ca_file) : NULL;
        set_plug(f, "", "");
        f->fences[0] = (ClusterFence){
                .name = "bmc",
                .level = 1,
                .type = CLUSTER_FENCE_REDFISH,
                .timeout_usec = 5 * USEC_PER_SEC,
                .nodes = &f->fence_node,
                .n_nodes = 1,
                .parameter_file = f->secret_file,
                .ca_file = spec ? f->ca_file : NULL,
        };
        f->conf = (ClusterConf){
                .name = "t", .nodes = &f->node, .n_nodes = 1, .fences = f->fences, .n_fences = 1
        };
        g_assert_cmpint(sd_event_new(&f->event), >=, 0);
}

static void fixture_done(Fixture *f) {
        g_autofree char *command = g_strdup_printf("rm -r '%s'", f->folder);

        fence_request_free(f->request);
        fence_free(f->fence);
        sd_event_unref(f->event);
        bmc_free(f->bmc);
        g_assert_true(g_spawn_command_line_sync(command, NULL, NULL, NULL, NULL));
        g_free(f->fence_node.plug);
        g_free(f->folder);
        g_free(f->ca_file);
        g_free(f->secret_file);
        g_free(f->reason);
        g_free(f->device);
        g_free(f->power_on_error);
        g_free(f->device_error);
}

static void on_result(FenceRequest *request, const FenceResult *result, void *userdata) {
        Fixture *f = userdata;

        g_assert_false(f->done);
        f->done = true;
        f->confirmed = result->confirmed_off;
        f->reason = g_strdup(result->reason);
        f->device = g_strdup(result->device);
        f->request = fence_request_free(f->request);
}

static void on_power_on(uint32_t node_id, const char *device, const char *error, void *userdata) {
        Fixture *f = userdata;

        f->power_on_done = true;
        f->power_on_error = g_strdup(error);
}

static void on_device(const char *device, const char *error, void *userdata) {
        Fixture *f = userdata;

        f->device_told = true;
        g_free(f->device_error);
        f->device_error = g_strdup(error);
}

static void run_until(Fixture *f, const bool *flag) {
        uint64_t limit_usec = now_boottime_usec() + WAIT_LIMIT_USEC;

        while (!*flag && now_boottime_usec() < limit_usec)
                g_assert_cmpint(sd_event_run(f->event, 100 * USEC_PER_MSEC), >=, 0);
        g_assert_true(*flag);
}

static void await_log(Fixture *f, const char *part) {
        uint64_t limit_usec = now_boottime_usec() + WAIT_LIMIT_USEC;

        for (;;) {
                g_autofree char *log = bmc_log(f->bmc);

                if (strstr(log, part))
                        return;
                if (now_boottime_usec() > limit_usec)
                        g_error("\"%s\" is not in \"%s\"", part, log);
                g_assert_cmpint(sd_event_run(f->event, 10 * USEC_PER_MSEC), >=, 0);
        }
}

static void begin(Fixture *f) {
        g_assert_cmpint(fence_new(f->event, &f->conf, &f->fence), ==, 0);
        fence_set_handlers(f->fence, on_device, on_power_on, NULL, f);
        g_assert_cmpint(fence_request_new(f->fence, 1, on_result, f, &f->request), ==, 0);
}

static void fence(Fixture *f) {
        begin(f);
        run_until(f, &f->done);
}

static void assert_log(Fixture *f, const char *expected) {
        g_autofree char *log = bmc_log(f->bmc);

        g_assert_cmpstr(log, ==, expected);
}

static void assert_part(const char *text, const char *part) {
        if (!text || !strstr(text, part))
                g_error("\"%s\" is not in \"%s\"", part, strna(text));
        g_assert_null(strstr(text, "s3cr3t"));
}

/* Never counts as fenced, and says why. */
static void assert_fails(Fixture *f, const char *part) {
        fence(f);
        g_assert_false(f->confirmed);
        g_assert_null(f->device);
        assert_part(f->reason, part);
        g_assert_true(!f->bmc || bmc_is_on(f->bmc));
        fixture_done(f);
}

static void test_off_is_confirmed_and_on_comes_after(void) {
        Fixture f;

        fixture_init(&f, &(BmcSpec){});
        f.fences[0].power_on = true;
        fence(&f);
        g_assert_cmpstr(f.reason, ==, "");
        g_assert_true(f.confirmed);
        g_assert_cmpstr(f.device, ==, "bmc");
        g_assert_false(bmc_is_on(f.bmc));
        assert_log(&f,
                   "GET /redfish/v1/\nPOST " SESSIONS "\nGET /redfish/v1/Systems\nGET " SYSTEM "\n" RESET
                   "\"ForceOff\"}\nGET " SYSTEM "\n");
        run_until(&f, &f.power_on_done);
        g_assert_cmpstr(f.power_on_error, ==, NULL);
        g_assert_true(bmc_is_on(f.bmc));
        await_log(&f, RESET "\"On\"}\nGET " SYSTEM "\nDELETE " SESSIONS "/1\n");
        fixture_done(&f);
}

static void test_late_one_is_waited_for(void) {
        Fixture f;

        fixture_init(&f, &(BmcSpec){ .fault = BMC_LATE });
        fence(&f);
        g_assert_true(f.confirmed);
        g_assert_false(bmc_is_on(f.bmc));
        fixture_done(&f);
}

static void test_without_sessions(void) {
        Fixture f;

        fixture_init(&f, &(BmcSpec){ .no_sessions = true });
        fence(&f);
        g_assert_cmpstr(f.reason, ==, "");
        g_assert_true(f.confirmed);
        fixture_done(&f);
}

static void test_lying_one_is_caught(void) {
        Fixture f;

        fixture_init(&f, &(BmcSpec){ .fault = BMC_LYING });
        f.fences[0].timeout_usec = 1500 * USEC_PER_MSEC;
        assert_fails(&f,
                     "bmc: \"off\": the controller said yes (HTTP 204) to the order ForceOff, and "
                     "PowerState is still "
                     "\"On\" after 1s 500ms");
}

static void test_silent_one_is_given_up(void) {
        uint64_t begin_usec = now_boottime_usec();
        Fixture f;

        fixture_init(&f, &(BmcSpec){ .fault = BMC_SILENT });
        f.fences[0].timeout_usec = 1000 * USEC_PER_MSEC;
        assert_fails(&f,
                     "bmc: \"off\": the controller did not answer in time: GET /redfish/v1/: nothing, or "
                     "not all of "
                     "it, came within the time (gave up after 1s)");
        g_assert_cmpuint(now_boottime_usec() - begin_usec, <, 3 * USEC_PER_SEC);
}

static void test_deaf_one_is_given_up(void) {
        Fixture f;

        fixture_init(&f, &(BmcSpec){ .fault = BMC_DEAF });
        f.fences[0].timeout_usec = 300 * USEC_PER_MSEC;
        assert_fails(&f,
                     "bmc: \"off\": there is no connection to the controller: GET /redfish/v1/: none was "
                     "made within the time");
}

static void test_failing_one_is_given_up(void) {
        Fixture f;

        fixture_init(&f, &(BmcSpec){ .fault = BMC_FAILING });
        f.fences[0].timeout_usec = 1000 * USEC_PER_MSEC;
        assert_fails(&f, "bmc: \"off\": GET /redfish/v1/: HTTP 500 (gave up after 1s)");
}

static void test_endless_answer_is_cut(void) {
        Fixture f;

        fixture_init(&f, &(BmcSpec){ .fault = BMC_ENDLESS });
        assert_fails(&f, "bmc: \"off\": the controller's answer is too large");
}

static void test_answer_that_breaks_off(void) {
        Fixture f;

        fixture_init(&f, &(BmcSpec){ .fault = BMC_BREAKING });
        f.fences[0].timeout_usec = 1000 * USEC_PER_MSEC;
        assert_fails(&f, "bmc: \"off\": the controller's answer broke off: GET /redfish/v1/: ");
}

static void test_connection_that_is_closed_each_time(void) {
        Fixture f;

        fixture_init(&f, &(BmcSpec){ .fault = BMC_CLOSING });
        fence(&f);
        g_assert_cmpstr(f.reason, ==, "");
        g_assert_true(f.confirmed);
        g_assert_false(bmc_is_on(f.bmc));
        assert_log(&f,
                   "GET /redfish/v1/\nPOST " SESSIONS "\nGET /redfish/v1/Systems\nGET " SYSTEM "\n" RESET
                   "\"ForceOff\"}\nGET " SYSTEM "\n");
        fixture_done(&f);
}

/* An object without links in it: all is where it always is, but for the sessions, which it does not have. */
static void test_compressed_answer_is_read(void) {
        Fixture f;

        fixture_init(&f, &(BmcSpec){ .fault = BMC_COMPRESSING, .no_sessions = true });
        fence(&f);
        g_assert_cmpstr(f.reason, ==, "");
        g_assert_true(f.confirmed);
        fixture_done(&f);
}

static void test_nobody_is_there(void) {
        Fixture f;

        fixture_init(&f, NULL);
        f.fences[0].timeout_usec = 300 * USEC_PER_MSEC;
        assert_fails(&f,
                     "bmc: \"off\": there is no connection to the controller: GET /redfish/v1/: Connection "
                     "refused (");
}

static void test_certificates_are_verified(void) {
        static const struct {
                BmcCertificate certificate;
                const char *part;
        } cases[] = {
                { BMC_CERTIFICATE_EXPIRED, "certificate has expired; give the controller a new one" },
                { BMC_CERTIFICATE_OF_OTHERS,
                  "unable to get local issuer certificate; name the certificate of who issued it by "
                  "CAFile=" },
                { BMC_CERTIFICATE_NAMED,
                  "matches target host name '127.0.0.1'; say what name it is for by "
                  "Nodes=node:name@address" },
        };

        FOREACH_ARRAY(one, cases, ELEMENTSOF(cases)) {
                uint64_t begin_usec = now_boottime_usec();
                Fixture f;

                fixture_init(&f, &(BmcSpec){ .certificate = one->certificate });
                fence(&f);
                g_assert_false(f.confirmed);
                assert_part(f.reason,
                            "bmc: \"off\": the controller's certificate is not trusted: GET /redfish/v1/: ");
                assert_part(f.reason, one->part);
                assert_log(&f, "");
                g_assert_true(bmc_is_on(f.bmc));
                g_assert_cmpuint(
                                now_boottime_usec() - begin_usec, <, 2 * USEC_PER_SEC); /* not tried again */
                fixture_done(&f);
        }
}

static void fence_again(Fixture *f) {
        f->done = false;
        g_clear_pointer(&f->reason, g_free);
        g_clear_pointer(&f->device, g_free);
        g_assert_cmpint(fence_request_new(f->fence, 1, on_result, f, &f->request), ==, 0);
        run_until(f, &f->done);
}

/* Those who issue certificates are replaced, and not by a restart of hamgr. */
static void test_ca_file_counts_as_it_is_now(void) {
        g_autofree char *others_path = NULL, *own = NULL, *others = NULL;
        Bmc *other;
        Fixture f;

        fixture_init(&f, &(BmcSpec){});
        others_path = g_build_filename(f.folder, "other.pem", NULL);
        other = bmc_new(&(BmcSpec){}, others_path);
        g_assert_true(g_file_get_contents(f.ca_file, &own, NULL, NULL));
        g_assert_true(g_file_get_contents(others_path, &others, NULL, NULL));
        fence(&f);
        g_assert_true(f.confirmed);

        g_assert_true(g_file_set_contents(f.ca_file, others, -1, NULL));
        fence_again(&f);
        g_assert_false(f.confirmed);
        assert_part(f.reason, "the controller's certificate is not trusted");
        g_assert_true(g_file_set_contents(f.ca_file, own, -1, NULL));
        fence_again(&f);
        g_assert_cmpstr(f.reason, ==, "");
        g_assert_true(f.confirmed);
        bmc_free(other);
        fixture_done(&f);
}

/* With the name only, as controllers sign their own. */
static void test_own_certificate_is_trusted_by_naming_it(void) {
        Fixture f;

        fixture_init(&f, &(BmcSpec){ .certificate = BMC_CERTIFICATE_OWN });
        set_plug(&f, "bmc-A1B2@", "");
        fence(&f);
        g_assert_cmpstr(f.reason, ==, "");
        g_assert_true(f.confirmed);
        fixture_done(&f);

        fixture_init(&f, &(BmcSpec){ .certificate = BMC_CERTIFICATE_OWN });
        assert_fails(&f, "say what name it is for by Nodes=node:name@address");

        if (!g_getenv("HAMGR_TEST_SLOW")) {
                fixture_init(&f, &(BmcSpec){ .certificate = BMC_CERTIFICATE_OWN });
                set_plug(&f, "bmc-A1B2@", "");
                f.fences[0].ca_file = NULL;
                f.fences[0].timeout_usec = 20 * USEC_PER_SEC; /* a busy machine reads them slowly */
                assert_fails(&f, "where it is the controller's own, name it by CAFile=");
        }
}

/* Agents are started meanwhile. */
static void test_no_socket_is_left_to_children(void) {
        unsigned n_sockets = 0;
        Fixture f;

        fixture_init(&f, &(BmcSpec){ .fault = BMC_LYING });
        begin(&f);
        await_log(&f, RESET);
        for (int fd = 3; fd < 256; fd++) {
                struct sockaddr_in peer = { .sin_family = AF_UNSPEC };
                socklen_t length = sizeof peer;

                if (getpeername(fd, (struct sockaddr *) &peer, &length) < 0 || peer.sin_family != AF_INET)
                        continue;
                g_assert_cmpint(fcntl(fd, F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
                n_sockets++;
        }
        g_assert_cmpuint(n_sockets, ==, 2); /* both ends */
        fixture_done(&f);
}

static void test_certificate_of_a_name(void) {
        Fixture f;

        fixture_init(&f, &(BmcSpec){ .certificate = BMC_CERTIFICATE_NAMED });
        set_plug(&f, "bmc.lab@", SYSTEM);
        fence(&f);
        g_assert_cmpstr(f.reason, ==, "");
        g_assert_true(f.confirmed);
        assert_log(&f, "POST " SESSIONS "\nGET " SYSTEM "\n" RESET "\"ForceOff\"}\nGET " SYSTEM "\n");
        fixture_done(&f);
}

static void test_system_authorities_do_not_know_it(void) {
        Fixture f;

        if (g_getenv("HAMGR_TEST_SLOW")) {
                g_test_skip("reading the system's authorities takes Valgrind longer than a connection may "
                            "take");
                return;
        }
        fixture_init(&f, &(BmcSpec){});
        f.fences[0].ca_file = NULL;
        f.fences[0].timeout_usec = 20 * USEC_PER_SEC; /* a busy machine reads them slowly */
        assert_fails(&f, "the controller's certificate is not trusted");
}

static void test_verification_can_be_turned_off(void) {
        Fixture f;

        fixture_init(&f, &(BmcSpec){ .certificate = BMC_CERTIFICATE_OF_OTHERS });
        f.fences[0].ca_file = NULL;
        f.fences[0].no_verification = true;
        fence(&f);
        g_assert_cmpstr(f.reason, ==, "");
        g_assert_true(f.confirmed);
        fixture_done(&f);
}

static void test_secret_that_others_can_read(void) {
        char error[FENCE_ERROR_MAX] = "";
        Fixture f;

        fixture_init(&f, &(BmcSpec){});
        write_secret(&f, "username=admin\npassword=s3cr3t\n", 0644);
        g_assert_cmpint(fence_check(&f.fences[0], 0, error), ==, -EINVAL);
        assert_part(error, "has mode 0644, others could read or change the secret");
        fence(&f);
        g_assert_false(f.confirmed);
        assert_part(f.reason, "has mode 0644");
        assert_log(&f, "");
        fixture_done(&f);
}

static void test_secrets_are_checked(void) {
        static const struct {
                const char *text, *part;
        } cases[] = {
                { "username=admin\n", "there is no password= for n1" },
                { "password=x\n", "there is no username= for n1" },
                { "username=admin\npasword=s3cr3t\n",
                  "line 2 that counts is neither username= nor password=" },
                { "username=admin\npassword.n2=s3cr3t\n", "line 2 that counts is neither" },
        };
        char error[FENCE_ERROR_MAX] = "";
        Fixture f;

        fixture_init(&f, &(BmcSpec){});
        FOREACH_ARRAY(one, cases, ELEMENTSOF(cases)) {
                write_secret(&f, one->text, 0600);
                g_assert_cmpint(fence_check(&f.fences[0], 0, error), ==, -EINVAL);
                assert_part(error, one->part);
        }
        assert_log(&f, "");
        write_secret(&f, "# for all but one\nusername=admin\npassword=x\npassword.n1=s3cr3t\n", 0600);
        g_assert_cmpint(fence_check(&f.fences[0], 0, error), ==, 0);
        await_log(&f, "GET " SYSTEM "\nDELETE " SESSIONS "/1\n");
        fixture_done(&f);
}

static void test_wrong_password_is_told(void) {
        Fixture f;

        fixture_init(&f, &(BmcSpec){});
        write_secret(&f, "username=admin\npassword=s3cr3t!\n", 0600);
        fence(&f);
        assert_part(f.reason, "POST " SESSIONS ": HTTP 401: it does not take this username and password");
        assert_log(&f, "GET /redfish/v1/\nPOST " SESSIONS "\n");
        fixture_done(&f);
}

/* Changed on the controller and in the file: it is read again when what was known has failed. */
static void test_changed_password_is_taken(void) {
        Fixture f;

        fixture_init(&f, &(BmcSpec){});
        write_secret(&f, "username=admin\npassword=old\n", 0600);
        fence(&f);
        assert_part(f.reason, "it does not take this username and password");
        write_secret(&f, "username=admin\npassword=s3cr3t\n", 0644);
        fence_again(&f);
        g_assert_false(f.confirmed);
        assert_part(f.reason, "has mode 0644");
        g_assert_cmpint(g_chmod(f.secret_file, 0600), ==, 0);
        fence_again(&f);
        g_assert_cmpstr(f.reason, ==, "");
        g_assert_true(f.confirmed);
        fixture_done(&f);
}

static void test_credential_of_systemd(void) {
        char error[FENCE_ERROR_MAX] = "";
        g_autofree char *path = NULL;
        Fixture f;

        fixture_init(&f, &(BmcSpec){});
        f.fences[0].parameter_file = NULL;
        f.fences[0].credential = (char *) "bmc";
        g_setenv("CREDENTIALS_DIRECTORY", f.folder, TRUE);
        g_assert_cmpint(fence_check(&f.fences[0], 0, error), ==, -EINVAL);
        assert_part(error, "hamgr.service needs LoadCredential=bmc:FILE");
        path = g_build_filename(f.folder, "bmc", NULL);
        g_assert_cmpint(g_rename(f.secret_file, path), ==, 0);
        g_assert_cmpint(g_chmod(path, 0440), ==, 0);
        g_assert_cmpint(fence_check(&f.fences[0], 0, error), ==, -EINVAL);
        assert_part(error, "has mode 0440");
        g_assert_cmpint(g_chmod(path, 0400), ==, 0);
        fence(&f);
        g_assert_cmpstr(f.reason, ==, "");
        g_assert_true(f.confirmed);
        g_unsetenv("CREDENTIALS_DIRECTORY");
        fixture_done(&f);
}

static void test_ca_file_is_checked(void) {
        char error[FENCE_ERROR_MAX] = "";
        Fixture f;

        fixture_init(&f, &(BmcSpec){});
        f.fences[0].ca_file = f.secret_file;
        g_assert_cmpint(fence_check(&f.fences[0], 0, error), ==, -EINVAL);
        assert_part(error, "has no certificate in PEM format");
        f.fences[0].ca_file = (char *) "/nonexistent/ca.pem";
        g_assert_cmpint(fence_check(&f.fences[0], 0, error), ==, -EINVAL);
        assert_part(error, "cannot read CAFile=/nonexistent/ca.pem");
        f.fences[0].ca_file = f.ca_file;
        g_assert_cmpint(g_chmod(f.ca_file, 0664), ==, 0);
        g_assert_cmpint(fence_check(&f.fences[0], 0, error), ==, -EINVAL);
        assert_part(error, "can be changed by others");
        fence(&f);
        g_assert_false(f.confirmed);
        assert_part(f.reason, "can be changed by others");
        assert_log(&f, "");
        fixture_done(&f);
}

/* Known before it is needed. */
static void test_loading_asks_each_controller(void) {
        Fixture f;

        fixture_init(&f, &(BmcSpec){ .certificate = BMC_CERTIFICATE_EXPIRED });
        g_assert_cmpint(fence_new(f.event, &f.conf, &f.fence), ==, 0);
        fence_set_handlers(f.fence, on_device, on_power_on, NULL, &f);
        g_assert_cmpint(fence_load(f.fence), ==, 0);
        run_until(&f, &f.device_told);
        assert_part(f.device_error, "n1: \"status\": the controller's certificate is not trusted");
        fixture_done(&f);

        fixture_init(&f, &(BmcSpec){});
        g_assert_cmpint(fence_new(f.event, &f.conf, &f.fence), ==, 0);
        fence_set_handlers(f.fence, on_device, on_power_on, NULL, &f);
        g_assert_cmpint(fence_load(f.fence), ==, 0);
        run_until(&f, &f.device_told);
        g_assert_cmpstr(f.device_error, ==, NULL);
        g_assert_true(bmc_is_on(f.bmc));
        fixture_done(&f);
}

static void test_next_level_is_tried(void) {
        Fixture f;

        fixture_init(&f, &(BmcSpec){ .certificate = BMC_CERTIFICATE_NAMED });
        f.fences[1] = f.fences[0];
        f.fences[0].level = 1;
        f.fences[1].level = 2;
        (void) g_strlcpy(f.fences[0].name, "first", sizeof f.fences[0].name);
        f.fences[1].no_verification = true;
        f.conf.n_fences = 2;
        fence(&f);
        g_assert_true(f.confirmed);
        g_assert_cmpstr(f.device, ==, "bmc");
        assert_part(f.reason, "first: \"off\": the controller's certificate is not trusted");
        fixture_done(&f);
}

static void test_freeing_a_request_ends_its_session(void) {
        Fixture f;

        fixture_init(&f, &(BmcSpec){ .fault = BMC_LYING });
        begin(&f);
        await_log(&f, RESET);
        f.request = fence_request_free(f.request);
        await_log(&f, "DELETE " SESSIONS "/1\n");
        g_assert_false(f.done);
        fixture_done(&f);
}

int main(int argc, char **argv) {
        /* The controller's threads write to connections that are closed. */
        (void) signal(SIGPIPE, SIG_IGN);
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/fence/redfish/off-is-confirmed-and-on-comes-after",
                        test_off_is_confirmed_and_on_comes_after);
        g_test_add_func("/fence/redfish/late-one-is-waited-for", test_late_one_is_waited_for);
        g_test_add_func("/fence/redfish/without-sessions", test_without_sessions);
        g_test_add_func("/fence/redfish/lying-one-is-caught", test_lying_one_is_caught);
        g_test_add_func("/fence/redfish/silent-one-is-given-up", test_silent_one_is_given_up);
        g_test_add_func("/fence/redfish/deaf-one-is-given-up", test_deaf_one_is_given_up);
        g_test_add_func("/fence/redfish/failing-one-is-given-up", test_failing_one_is_given_up);
        g_test_add_func("/fence/redfish/endless-answer-is-cut", test_endless_answer_is_cut);
        g_test_add_func("/fence/redfish/answer-that-breaks-off", test_answer_that_breaks_off);
        g_test_add_func("/fence/redfish/connection-that-is-closed-each-time",
                        test_connection_that_is_closed_each_time);
        g_test_add_func("/fence/redfish/compressed-answer-is-read", test_compressed_answer_is_read);
        g_test_add_func("/fence/redfish/nobody-is-there", test_nobody_is_there);
        g_test_add_func("/fence/redfish/certificates-are-verified", test_certificates_are_verified);
        g_test_add_func("/fence/redfish/ca-file-counts-as-it-is-now", test_ca_file_counts_as_it_is_now);
        g_test_add_func("/fence/redfish/own-certificate-is-trusted-by-naming-it",
                        test_own_certificate_is_trusted_by_naming_it);
        g_test_add_func("/fence/redfish/no-socket-is-left-to-children", test_no_socket_is_left_to_children);
        g_test_add_func("/fence/redfish/certificate-of-a-name", test_certificate_of_a_name);
        g_test_add_func("/fence/redfish/system-authorities-do-not-know-it",
                        test_system_authorities_do_not_know_it);
        g_test_add_func("/fence/redfish/verification-can-be-turned-off",
                        test_verification_can_be_turned_off);
        g_test_add_func("/fence/redfish/secret-that-others-can-read", test_secret_that_others_can_read);
        g_test_add_func("/fence/redfish/secrets-are-checked", test_secrets_are_checked);
        g_test_add_func("/fence/redfish/wrong-password-is-told", test_wrong_password_is_told);
        g_test_add_func("/fence/redfish/changed-password-is-taken", test_changed_password_is_taken);
        g_test_add_func("/fence/redfish/credential-of-systemd", test_credential_of_systemd);
        g_test_add_func("/fence/redfish/ca-file-is-checked", test_ca_file_is_checked);
        g_test_add_func("/fence/redfish/loading-asks-each-controller", test_loading_asks_each_controller);
        g_test_add_func("/fence/redfish/next-level-is-tried", test_next_level_is_tried);
        g_test_add_func("/fence/redfish/freeing-a-request-ends-its-session",
                        test_freeing_a_request_ends_its_session);
        return g_test_run();
}
