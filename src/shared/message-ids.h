/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One MESSAGE_ID for each event that a person may wait for. The catalog says in plain words what happened,
 * what hamgr does now and what one can do; a test compares the two. */

/* hagcd started */
#define HAMGR_MESSAGE_HAGCD_STARTED "f4a9dbed32974ba2948bdd801f49e07e"
/* hagcd stopped on purpose */
#define HAMGR_MESSAGE_HAGCD_STOPPED "a106b15aed394e469e62a83058c3d012"
/* a new membership stands */
#define HAMGR_MESSAGE_MEMBERSHIP_CHANGED "a4234c14b0014a30aa60432b85eaae00"
/* the membership is not quorate */
#define HAMGR_MESSAGE_QUORUM_LOST "034342604dab447f92c60ddc42018bb5"
/* the membership is quorate again */
#define HAMGR_MESSAGE_QUORUM_GAINED "4401a57232f942d5b88048bfb9caa5d2"
/* a node is up */
#define HAMGR_MESSAGE_NODE_JOINED "1fd60bc04104442cac92d1f098019892"
/* a node was lost; its state is unknown */
#define HAMGR_MESSAGE_NODE_LOST "00b55ba0372f433dbc291fc6f19f011f"
/* a node left with nothing running */
#define HAMGR_MESSAGE_NODE_LEFT "08e6e4b1bbbd4144b7c22ebd917deef4"
/* a node is proven down */
#define HAMGR_MESSAGE_NODE_DOWN "206a44d482294a6abd58f50a17934820"
/* a node crashed too often and waits before it joins again */
#define HAMGR_MESSAGE_NODE_HELD_OFF "24541349e6b34fbc99816adadf1991cc"
/* a link to a node carries nothing */
#define HAMGR_MESSAGE_LINK_DOWN "71e366cbffda43688f8a9b9ef7dc91c3"
/* a link to a node works again */
#define HAMGR_MESSAGE_LINK_UP "3595469ad4404d019aa67b8ab47dd3db"
/* a link to a node loses what is long */
#define HAMGR_MESSAGE_LINK_NARROW "cc29033da89e42b0b6689b45d1c7a79c"
/* a peer has another cluster.conf */
#define HAMGR_MESSAGE_CONFIG_DIFFERS "7a47307f76ae4355ad5695d80941b04e"
/* cluster.conf was read anew, and this node goes on with the one of before */
#define HAMGR_MESSAGE_CLUSTER_CONF_REFUSED "c3fd11b8f3e94994a355098379c26ee3"
/* cluster.conf as it was read anew is in force */
#define HAMGR_MESSAGE_CLUSTER_CONF_IN_FORCE "b596d97ca55d4f78b2cf73fc9ccf3ccc"
/* a change of cluster.conf waits */
#define HAMGR_MESSAGE_CLUSTER_CONF_WAITS "26447b61e07946b1a7b5bd14961eeb33"
/* a peer has another cluster key */
#define HAMGR_MESSAGE_KEY_REFUSED "cee15a9898a04291a35cb387f9c75e48"
/* datagrams come from an address that no node has */
#define HAMGR_MESSAGE_STRANGER "7924a96bf77944b8992b4bc0947aef0c"
/* datagrams come from a node's address that it did not send, or not now */
#define HAMGR_MESSAGE_FORGED "b48214c41f0b4014bdeb1752cd68c7f8"
/* a stored record was damaged and put aside */
#define HAMGR_MESSAGE_STORE_DAMAGED "a1843f900fc2425eac6cc63e1437d306"
/* the system gives no real-time priority or locked memory */
#define HAMGR_MESSAGE_NO_REALTIME "52c9ac4c90e54cb8a7200f7134afeb9c"
/* a process that is a group member died or hung */
#define HAMGR_MESSAGE_MEMBER_LOST "409c27f9e79c40f58fab43fb360f4be5"
/* a process may not join a group, or not as a critical member */
#define HAMGR_MESSAGE_ACCESS_REFUSED "c32820c848d440e798f32ec0a7da5bea"
/* a critical member was lost; this node resets */
#define HAMGR_MESSAGE_NODE_RESET "fed710393ea343c3ab9e071f3c2576c4"
/* a node is being fenced */
#define HAMGR_MESSAGE_FENCE_STARTED "bfafc6fc7e5649ff8d9162300abc7148"
/* fencing was confirmed */
#define HAMGR_MESSAGE_FENCE_SUCCEEDED "e0b13648b2fa4582a711c6eb7f1b7c76"
/* fencing failed */
#define HAMGR_MESSAGE_FENCE_FAILED "7d133f64d66e46e9a46b73a86547cc31"
/* a fence device does not hold controllers to their certificates */
#define HAMGR_MESSAGE_FENCE_UNVERIFIED "5185c3117708447699c2fea0d3489fb8"
/* a group is being started here */
#define HAMGR_MESSAGE_GROUP_STARTING "2019dd4721f4465fb9f1e46e39dacaa6"
/* a group runs */
#define HAMGR_MESSAGE_GROUP_STARTED "2110c2025b484de193cd30c301a15297"
/* a group is being stopped here */
#define HAMGR_MESSAGE_GROUP_STOPPING "114020a66e4c4b93823e4133eec2cfc3"
/* a group is stopped */
#define HAMGR_MESSAGE_GROUP_STOPPED "0cba5454467941969a7a9d0e7c9c735a"
/* a group could not be started or failed */
#define HAMGR_MESSAGE_GROUP_FAILED "b8224c52fd654a45850ca3f9440b2234"
/* a group is blocked and waits for an operator */
#define HAMGR_MESSAGE_GROUP_BLOCKED "df887392565a4b0da6781a81589efe18"
/* no usable node is left for a group */
#define HAMGR_MESSAGE_GROUP_NO_NODE "ba17111bbbd44e4ba4b65cb0b28d2d5a"
/* a group was found running on two nodes */
#define HAMGR_MESSAGE_GROUP_TWICE "d3f48d8a731f4d328946d7c6541076e0"
/* a resource failed */
#define HAMGR_MESSAGE_RESOURCE_FAILED "1f52376817ce4ccfad1a22e3c79616b0"
/* a resource was restarted in place */
#define HAMGR_MESSAGE_RESOURCE_RESTARTED "6bf11ecab3d843dbb4c8a407870f224b"
/* a new configuration is in force */
#define HAMGR_MESSAGE_CONFIG_APPLIED "da925568d8f74a2c9b27f7b34ce1c4d6"
/* a configuration was refused */
#define HAMGR_MESSAGE_CONFIG_REFUSED "0a6d3ac88aaa45ca8d2003e02098fd68"
/* an operator ordered something */
#define HAMGR_MESSAGE_OPERATOR_ORDER "ab3633f42b214e728814b3c3f2b60552"
/* hamgr started */
#define HAMGR_MESSAGE_HAMGR_STARTED "518fcc2d4736493ab9a8534bd79f9d3e"
/* running units were adopted */
#define HAMGR_MESSAGE_ADOPTED "ecf45498d4b34a609b5e9ddd87f90e30"
/* an address is in use elsewhere */
#define HAMGR_MESSAGE_ADDRESS_CONFLICT "09385610ceef4dcca63cb1f87a941f08"
/* an address that somebody removed was put back */
#define HAMGR_MESSAGE_ADDRESS_RESTORED "893b21e72100496081ba0a87a85fdc7f"
/* processes held a file system that had to be unmounted */
#define HAMGR_MESSAGE_MOUNT_BUSY "6a00204ab6ef4f8f80c37a17887d1eb5"
