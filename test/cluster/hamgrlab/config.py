# SPDX-License-Identifier: LGPL-2.1-or-later
"""The cluster's files, as an administrator of the lab's network would write them."""

from .network import CONTROLLER_ADDRESS, PREFIX, bmc_address

SHOP_ADDRESS = "192.0.2.100"


def cluster_conf(nodes, cluster=(), node=(), links=("private", "public"), fence=True, fence_keys=(),
                 redfish=False):
    """cluster.conf for nodes n1 to nN. cluster: more lines for [Cluster]; node: more lines by node name; fence_keys:
    more lines for the fence device. redfish: the nodes' management controllers are that, and not the power
    controller."""
    lines = ["[Cluster]", "Name=lab"] + list(cluster)
    if not any(line.startswith("RejoinHoldSec=") for line in cluster):
        # Here nodes are killed in a row, and are well each time.
        lines.append("RejoinHoldSec=0")
    more = dict(node)
    for number in range(1, nodes + 1):
        addresses = " ".join(PREFIX[link] + str(number) for link in links)
        lines += ["", "[Node n%d]" % number, "Id=%d" % number, "Address=" + addresses]
        lines += more.get("n%d" % number, [])
    if fence and redfish:
        lines += [
            "", "[Fence bmc]", "Type=redfish",
            "Nodes=" + " ".join("n%d:%s" % (number, bmc_address(number)) for number in range(1, nodes + 1)),
            "ParameterFile=/etc/hamgr/bmc.secret", "CAFile=/etc/hamgr/bmc-ca.pem",
        ]
        lines += list(fence_keys) or ["TimeoutSec=5s", "PowerOn=yes"]
    elif fence:
        lines += [
            "", "[Fence power]", "Agent=fence_lab",
            "Nodes=" + " ".join("n%d" % number for number in range(1, nodes + 1)),
            "Parameter=ip=" + CONTROLLER_ADDRESS,
        ]
        lines += list(fence_keys) or ["TimeoutSec=5s", "PowerOn=yes"]
    return "\n".join(lines) + "\n"


def group(name, domain, policy=None, standby=(), mount=None, address=None, unit=None, description=None):
    """A resource group: mount is (device, where, type), address "a.b.c.d/24"."""
    lines = ["[Group]", "Description=" + (description or "Group " + name), "Domain=" + " ".join(domain)]
    if policy:
        lines.append("Policy=" + policy)
    if standby:
        lines.append("Standby=" + " ".join(standby))
    if mount:
        device, where, kind = mount
        lines += ["", "[Mount data]", "What=" + device, "Where=" + where, "Type=" + kind]
        if kind == "xfs":
            # All nodes share one kernel in the lab, and it wants each xfs but once; separate servers need no nouuid.
            lines.append("Options=nouuid")
    if address:
        lines += ["", "[Address vip]", "Address=" + address, "Interface=public"]
    if unit:
        lines += ["", "[Unit app]", "Unit=" + unit]
    return "\n".join(lines) + "\n"


def shop(nodes=3, policy=None, filesystem="xfs", domain=None):
    """The shop: a file system on the shared disk, an address, a web service."""
    return group(
        "shop", domain or ["n%d" % number for number in range(1, nodes + 1)], policy,
        mount=("/dev/shared", "/srv/shop", filesystem), address=SHOP_ADDRESS + "/24", unit="shop.service",
        description="The shop",
    )


def web(name, domain, number, policy=None, standby=()):
    """A group without a disk: an address and a web service of its own."""
    return group(
        name, domain, policy, standby, address="192.0.2.%d/24" % (110 + number), unit="web@%d.service" % (8000 + number)
    )
