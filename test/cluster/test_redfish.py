# SPDX-License-Identifier: LGPL-2.1-or-later
"""Nodes that are fenced by their management controllers, over Redfish."""

from conftest import REDFISH_CONF
from hamgrlab.bmc import RESET, SYSTEM
from hamgrlab.lab import boottime

SECRET = "/etc/hamgr/bmc.secret"


def orders(lab, node, since):
    return [request for request in lab.bmc_requests(node, since) if request[1:3] == ["POST", RESET]]


def await_note(cluster, name, part, timeout=15):
    """What the others say about a node, once it has this in it; and the node is not proven off by then."""
    node = cluster.await_view(
        "\"%s\" about %s" % (part, name), lambda view: part in view["nodes"][name]["note"], "n2", timeout
    )["nodes"][name]
    assert node["state"] == "unknown", node


def await_trouble(cluster, node, part):
    """What a node says of its fence devices: this, or nothing."""
    cluster.await_view(
        "\"%s\" about the fence devices" % part,
        lambda view: part in view["fence_trouble"] and bool(part) == bool(view["fence_trouble"]), node, 10,
    )


def told(cluster, node):
    """What a node's journal says of its fence device."""
    return [line.partition("fence device bmc ")[2] for line in cluster.log(node).splitlines() if "fence device bmc " in line]


def test_D06_redfish_proves_a_killed_node_off_and_switches_it_on_again(redfish):
    lab = redfish.lab
    lab.watch_shop()
    lab.first_answer(boottime())
    event = lab.kill("n1")
    outage, _ = lab.outage(event, moved_from="n1")
    assert outage < 5
    # Off was asked for after the order, and on came after that.
    asked = [request[1:3] for request in lab.bmc_requests("n1", event)]
    first = asked.index(["POST", RESET])
    assert ["GET", SYSTEM] in asked[first + 1:]
    assert lab.power_orders(event) == [], "the power controller is no device of this cluster"
    redfish.await_up()
    assert len(orders(lab, "n1", event)) >= 2
    for node in ("n2", "n3"):
        threads = lab.run(node, "sh", "-c", "ls /proc/$(systemctl show --property=MainPID --value hamgr)/task | wc -l")
        assert threads.strip() == "1", "looking a name up may block, in a thread or not"
    redfish.await_steady("shop")


def test_D06_no_controller_that_fails_lies_or_hangs_counts_as_fenced(redfish):
    """One node dies, and its controller is wrong in one way after another; then it is well."""
    lab = redfish.lab
    lab.watch_shop()
    lab.first_answer(boottime())
    for node in ("n2", "n3"):
        lab.run(node, "chmod", "0644", SECRET)
    for node in ("n2", "n3"):
        await_trouble(redfish, node, "has mode 0644")
    event = lab.kill("n1")
    dead = boottime()
    await_note(redfish, "n1", SECRET + " has mode 0644, others could read or change the secret")
    lab.bmc("n1", "expired")
    for node in ("n2", "n3"):
        lab.run(node, "chmod", "0600", SECRET)
    await_note(redfish, "n1", "SSL certificate problem: certificate has expired")
    assert orders(lab, "n1", event) == []
    lab.bmc("n1", "lie")
    await_note(redfish, "n1", "said yes (HTTP 204) to the order ForceOff, and PowerState is still \"On\"")
    assert orders(lab, "n1", event)
    lab.bmc("n1", "slow=60")
    await_note(redfish, "n1", "the controller did not answer in time")
    # All the while nothing was taken over.
    assert lab.client("first_after", name="shop", time=dead) is None
    assert lab.owners("address 192.0.2.100") == []
    lab.bmc("n1", "normal")
    redfish.await_group("shop", not_on="n1", node="n2", timeout=30)
    redfish.await_up()


def test_F08_fault_of_a_controller_is_known_before_it_is_needed(redfish):
    lab = redfish.lab
    for node in lab.nodes():
        await_trouble(redfish, node, "")
    since = boottime()
    n_before = len(told(redfish, "n1"))
    lab.bmc("n3", "expired")
    for node in lab.nodes():
        await_trouble(redfish, node, "bmc: n3: \"status\": the controller's certificate is not trusted: ")
    said = redfish.hactl("status", node="n1")
    assert "Fence devices, as n1 finds them: bmc: n3: " in said, said
    lab.bmc("n3", "normal")
    for node in lab.nodes():
        await_trouble(redfish, node, "")
    lines = told(redfish, "n1")[n_before:]
    assert lines[-1] == "is ready" and "certificate has expired" in lines[-2], lines
    # As one at another machine's address does, which would be switched off in the place of the node.
    lab.bmc("n3", "says-off")
    for node in lab.nodes():
        await_trouble(redfish, node, "bmc: n3: it says that the node is off, but the node is up: does Nodes= name")
    assert all(one != another for one, another in zip(lines, lines[1:])), "it is told when it changes: %s" % lines
    assert [request for node in lab.nodes() for request in lab.bmc_requests(node, since) if request[2] == RESET] == []


def test_check_names_what_is_wrong_with_a_controller(redfish):
    lab = redfish.lab

    def check(*parts):
        done = redfish.hactl("check", node="n2", check=False)
        for part in parts:
            assert part in done["err"], done
        assert (done["status"] != 0) == any(not part.startswith("Warning") for part in parts), done

    lab.bmc("n1", "sessions")
    lab.bmc("n2", "no-sessions")
    lab.bmc("n3", "slow=0.2")
    check()
    for mode, part in (
        ("expired", "certificate has expired; give the controller a new one"),
        ("other-ca", "unable to get local issuer certificate; name the certificate of who issued it by CAFile="),
    ):
        lab.bmc("n1", mode)
        check("fence device bmc: n1: \"status\": the controller's certificate is not trusted: ", part)
    for node in lab.nodes():
        lab.bmc(node, "normal")
    lab.run("n2", "chmod", "0640", SECRET)
    check("fence device bmc: ParameterFile=: %s has mode 0640, others could read or change the secret; run: chmod 0600" % SECRET)

    # And such a node refuses a configuration that would need the file.
    lab.write("n3", "/root/new.conf", REDFISH_CONF.replace("TimeoutSec=2s", "TimeoutSec=3s"))
    refused = redfish.hactl("apply", "/root/new.conf", node="n3", check=False)
    assert refused["status"] != 0 and "[Fence bmc] here: ParameterFile=: " in refused["err"], refused
    lab.run("n2", "chmod", "0600", SECRET)

    lab.write("n2", "/etc/hamgr/cluster.conf", REDFISH_CONF.replace("CAFile=/etc/hamgr/bmc-ca.pem", "VerifyCertificate=no"))
    check("Warning: fence device bmc has VerifyCertificate=no: whoever answers")
    lab.write("n2", "/etc/hamgr/cluster.conf", REDFISH_CONF)


def test_secret_in_a_credential_of_systemd(redfish):
    """And in no argument, environment or journal."""
    lab = redfish.lab
    lab.write("n2", "/root/new.conf", REDFISH_CONF.replace("ParameterFile=" + SECRET, "Credential=bmc"))
    refused = redfish.hactl("apply", "/root/new.conf", node="n2", check=False)
    assert refused["status"] != 0 and "hamgr.service needs LoadCredential=bmc:FILE in a drop-in" in refused["err"], refused
    for node in lab.nodes():
        lab.write(node, "/etc/systemd/system/hamgr.service.d/bmc.conf", "[Service]\nLoadCredential=bmc:/root/bmc.secret\n")
        lab.run(node, "sh", "-c", "mv %s /root/bmc.secret; systemctl daemon-reload; systemctl restart hamgr" % SECRET)
    redfish.await_up()
    redfish.hactl("apply", "/root/new.conf", node="n2")
    for node in lab.nodes():
        await_trouble(redfish, node, "")
    redfish.hactl("check", node="n2")
    event = lab.kill("n1")
    redfish.await_group("shop", not_on="n1", node="n2", timeout=30)
    assert orders(lab, "n1", event)
    for node in ("n2", "n3"):
        found = lab.run(node, "sh", "-c", "sed -n s/^password=//p /root/bmc.secret > /root/password; "
                        "[ -s /root/password ] || echo nothing to look for; "
                        "grep -l -F -f /root/password /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null; "
                        "journalctl | grep -c -F -f /root/password", check=False)["out"]
        assert found.split() == ["0"], found
        assert lab.run(node, "stat", "-c", "%a %u", "/run/credentials/hamgr.service/bmc").split() == ["400", "0"]
    redfish.await_up()
    for node in lab.nodes():
        lab.run(node, "cp", "-p", "/root/bmc.secret", SECRET)
    lab.write("n2", "/root/new.conf", REDFISH_CONF)
    redfish.hactl("apply", "/root/new.conf", node="n2")
