/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Every number of the kdbus ABI, stated once more and checked by the compiler: if this file
 * compiles, the layout holds. The values are those of a program compiled for the kernel's header.
 */

#include <assert.h>
#include <stddef.h>

#include "shim/kdbus/kdbus-abi.h"

#define SIZE(type, n)        static_assert(sizeof(struct type) == (n), #type)
#define AT(type, field, off) static_assert(offsetof(struct type, field) == (off), #type "." #field)
#define CODE(name, n)        static_assert((name) == (n), #name)

CODE(KDBUS_CMD_BUS_MAKE, 0x40189500);
CODE(KDBUS_CMD_ENDPOINT_MAKE, 0x40189510);
CODE(KDBUS_CMD_ENDPOINT_UPDATE, 0x40189511);
CODE(KDBUS_CMD_HELLO, 0xc0609580);
CODE(KDBUS_CMD_UPDATE, 0x40189581);
CODE(KDBUS_CMD_BYEBYE, 0x40189582);
CODE(KDBUS_CMD_FREE, 0x40209583);
CODE(KDBUS_CMD_CONN_INFO, 0x80389584);
CODE(KDBUS_CMD_BUS_CREATOR_INFO, 0x80389585);
CODE(KDBUS_CMD_LIST, 0x80289586);
CODE(KDBUS_CMD_SEND, 0x40389590);
CODE(KDBUS_CMD_RECV, 0x80409591);
CODE(KDBUS_CMD_NAME_ACQUIRE, 0x401895a0);
CODE(KDBUS_CMD_NAME_RELEASE, 0x401895a1);
CODE(KDBUS_CMD_MATCH_ADD, 0x402095b0);
CODE(KDBUS_CMD_MATCH_REMOVE, 0x402095b1);

SIZE(kdbus_cmd, 0x18);
AT(kdbus_cmd, size, 0x00);
AT(kdbus_cmd, flags, 0x08);
AT(kdbus_cmd, return_flags, 0x10);
AT(kdbus_cmd, items, 0x18);

SIZE(kdbus_cmd_hello, 0x60);
AT(kdbus_cmd_hello, attach_flags_send, 0x18);
AT(kdbus_cmd_hello, attach_flags_recv, 0x20);
AT(kdbus_cmd_hello, bus_flags, 0x28);
AT(kdbus_cmd_hello, id, 0x30);
AT(kdbus_cmd_hello, pool_size, 0x38);
AT(kdbus_cmd_hello, offset, 0x40);
AT(kdbus_cmd_hello, items_size, 0x48);
AT(kdbus_cmd_hello, id128, 0x50);
AT(kdbus_cmd_hello, items, 0x60);

SIZE(kdbus_cmd_free, 0x20);
AT(kdbus_cmd_free, offset, 0x18);
AT(kdbus_cmd_free, items, 0x20);

SIZE(kdbus_cmd_info, 0x38);
AT(kdbus_cmd_info, id, 0x18);
AT(kdbus_cmd_info, attach_flags, 0x20);
AT(kdbus_cmd_info, offset, 0x28);
AT(kdbus_cmd_info, info_size, 0x30);
AT(kdbus_cmd_info, items, 0x38);

SIZE(kdbus_cmd_list, 0x28);
AT(kdbus_cmd_list, offset, 0x18);
AT(kdbus_cmd_list, list_size, 0x20);
AT(kdbus_cmd_list, items, 0x28);

SIZE(kdbus_cmd_send, 0x38);
AT(kdbus_cmd_send, msg_address, 0x18);
AT(kdbus_cmd_send, reply, 0x20);
AT(kdbus_cmd_send, items, 0x38);

SIZE(kdbus_cmd_recv, 0x40);
AT(kdbus_cmd_recv, priority, 0x18);
AT(kdbus_cmd_recv, dropped_msgs, 0x20);
AT(kdbus_cmd_recv, msg, 0x28);
AT(kdbus_cmd_recv, items, 0x40);

SIZE(kdbus_cmd_match, 0x20);
AT(kdbus_cmd_match, cookie, 0x18);
AT(kdbus_cmd_match, items, 0x20);

SIZE(kdbus_msg_info, 0x18);
AT(kdbus_msg_info, offset, 0x00);
AT(kdbus_msg_info, msg_size, 0x08);
AT(kdbus_msg_info, return_flags, 0x10);

SIZE(kdbus_msg, 0x40);
AT(kdbus_msg, size, 0x00);
AT(kdbus_msg, flags, 0x08);
AT(kdbus_msg, priority, 0x10);
AT(kdbus_msg, dst_id, 0x18);
AT(kdbus_msg, src_id, 0x20);
AT(kdbus_msg, payload_type, 0x28);
AT(kdbus_msg, cookie, 0x30);
AT(kdbus_msg, timeout_ns, 0x38);
AT(kdbus_msg, cookie_reply, 0x38);
AT(kdbus_msg, items, 0x40);

SIZE(kdbus_info, 0x18);
AT(kdbus_info, id, 0x08);
AT(kdbus_info, flags, 0x10);
AT(kdbus_info, items, 0x18);

SIZE(kdbus_item, 0x50);
AT(kdbus_item, type, 0x08);
AT(kdbus_item, data, 0x10);

SIZE(kdbus_vec, 0x10);
AT(kdbus_vec, address, 0x08);
AT(kdbus_vec, offset, 0x08);
SIZE(kdbus_memfd, 0x18);
AT(kdbus_memfd, start, 0x00);
AT(kdbus_memfd, size, 0x08);
AT(kdbus_memfd, fd, 0x10);
AT(kdbus_memfd, __pad, 0x14);
SIZE(kdbus_bloom_parameter, 0x10);
AT(kdbus_bloom_parameter, n_hash, 0x08);
SIZE(kdbus_bloom_filter, 0x08);
AT(kdbus_bloom_filter, data, 0x08);
SIZE(kdbus_name, 0x08);
AT(kdbus_name, name, 0x08);
SIZE(kdbus_creds, 0x40);
AT(kdbus_creds, euid, 0x08);
AT(kdbus_creds, suid, 0x10);
AT(kdbus_creds, fsuid, 0x18);
AT(kdbus_creds, gid, 0x20);
AT(kdbus_creds, egid, 0x28);
AT(kdbus_creds, sgid, 0x30);
AT(kdbus_creds, fsgid, 0x38);
SIZE(kdbus_pids, 0x18);
AT(kdbus_pids, tid, 0x08);
AT(kdbus_pids, ppid, 0x10);
AT(kdbus_caps, caps, 0x04);
SIZE(kdbus_audit, 0x08);
AT(kdbus_audit, loginuid, 0x04);
SIZE(kdbus_timestamp, 0x18);
AT(kdbus_timestamp, monotonic_ns, 0x08);
AT(kdbus_timestamp, realtime_ns, 0x10);
SIZE(kdbus_policy_access, 0x18);
AT(kdbus_policy_access, access, 0x08);
AT(kdbus_policy_access, id, 0x10);
SIZE(kdbus_notify_id_change, 0x10);
SIZE(kdbus_notify_name_change, 0x20);
AT(kdbus_notify_name_change, new_id, 0x10);
AT(kdbus_notify_name_change, name, 0x20);

CODE(KDBUS_ITEM_NEGOTIATE, 0x1);
CODE(KDBUS_ITEM_PAYLOAD_VEC, 0x2);
CODE(KDBUS_ITEM_PAYLOAD_OFF, 0x3);
CODE(KDBUS_ITEM_PAYLOAD_MEMFD, 0x4);
CODE(KDBUS_ITEM_FDS, 0x5);
CODE(KDBUS_ITEM_CANCEL_FD, 0x6);
CODE(KDBUS_ITEM_BLOOM_PARAMETER, 0x7);
CODE(KDBUS_ITEM_BLOOM_FILTER, 0x8);
CODE(KDBUS_ITEM_BLOOM_MASK, 0x9);
CODE(KDBUS_ITEM_DST_NAME, 0xa);
CODE(KDBUS_ITEM_MAKE_NAME, 0xb);
CODE(KDBUS_ITEM_ATTACH_FLAGS_SEND, 0xc);
CODE(KDBUS_ITEM_ATTACH_FLAGS_RECV, 0xd);
CODE(KDBUS_ITEM_ID, 0xe);
CODE(KDBUS_ITEM_NAME, 0xf);
CODE(KDBUS_ITEM_DST_ID, 0x10);
CODE(KDBUS_ITEM_TIMESTAMP, 0x1000);
CODE(KDBUS_ITEM_CREDS, 0x1001);
CODE(KDBUS_ITEM_PIDS, 0x1002);
CODE(KDBUS_ITEM_AUXGROUPS, 0x1003);
CODE(KDBUS_ITEM_OWNED_NAME, 0x1004);
CODE(KDBUS_ITEM_TID_COMM, 0x1005);
CODE(KDBUS_ITEM_PID_COMM, 0x1006);
CODE(KDBUS_ITEM_EXE, 0x1007);
CODE(KDBUS_ITEM_CMDLINE, 0x1008);
CODE(KDBUS_ITEM_CGROUP, 0x1009);
CODE(KDBUS_ITEM_CAPS, 0x100a);
CODE(KDBUS_ITEM_SECLABEL, 0x100b);
CODE(KDBUS_ITEM_AUDIT, 0x100c);
CODE(KDBUS_ITEM_CONN_DESCRIPTION, 0x100d);
CODE(KDBUS_ITEM_POLICY_ACCESS, 0x2000);
CODE(KDBUS_ITEM_NAME_ADD, 0x8000);
CODE(KDBUS_ITEM_NAME_REMOVE, 0x8001);
CODE(KDBUS_ITEM_NAME_CHANGE, 0x8002);
CODE(KDBUS_ITEM_ID_ADD, 0x8003);
CODE(KDBUS_ITEM_ID_REMOVE, 0x8004);
CODE(KDBUS_ITEM_REPLY_TIMEOUT, 0x8005);
CODE(KDBUS_ITEM_REPLY_DEAD, 0x8006);

CODE(KDBUS_HELLO_MONITOR, 0x8);
CODE(KDBUS_MSG_SIGNAL, 0x4);
CODE(KDBUS_RECV_USE_PRIORITY, 0x4);
CODE(KDBUS_RECV_RETURN_DROPPED_MSGS, 0x2);
CODE(KDBUS_LIST_QUEUED, 0x8);
CODE(KDBUS_MAKE_ACCESS_WORLD, 0x2);
CODE(KDBUS_NAME_ACQUIRED, 0x40);
CODE(KDBUS_ATTACH_CONN_DESCRIPTION, 0x2000);
CODE(_KDBUS_ATTACH_ALL, 0x3fff);
CODE(KDBUS_POLICY_ACCESS_WORLD, 3);
CODE(KDBUS_POLICY_OWN, 2);
CODE(KDBUS_PAYLOAD_DBUS, 0x4442757344427573);
CODE(KDBUS_FLAG_NEGOTIATE, 0x8000000000000000);

int main(void)
{
        return 0;
}
