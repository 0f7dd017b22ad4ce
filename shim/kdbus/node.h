/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Node
 *
 * What it is     The domain as a real directory tree that programs list, stat and open: control,
 *                one directory per bus, one file per endpoint, with owner and mode.
 * How            Files are empty; the permission to open one is judged by the kernel. A program
 *                that opened one shows the descriptor, and node_find() tells by its inode which
 *                node that is.
 * Not promised   The tree belongs to the daemon's user, who could change it behind our back; then
 *                nodes cannot be found any more, nothing worse.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uthash.h>

struct kep;

struct node_key {
        uint64_t dev, ino;
};

struct node {
        struct node_key key;
        struct kep *ep; /* NULL: the control file */
        char *dir;      /* name of the bus directory, or NULL */
        char *name;
        UT_hash_handle hh;
};

struct node_tree {
        char *path;
        int fd;
        struct node *nodes;
        struct node *control;
};

int node_tree_init(struct node_tree *tree, const char *path);
void node_tree_deinit(struct node_tree *tree);

int node_make_dir(struct node_tree *tree, const char *name, uint64_t access, uid_t uid, gid_t gid);
void node_remove_dir(struct node_tree *tree, const char *name);
int node_make_file(struct node_tree *tree, struct node **nodep, const char *dir, const char *name,
                   uint64_t access, uid_t uid, gid_t gid);
struct node *node_remove_file(struct node_tree *tree, struct node *node);

int node_find(struct node_tree *tree, int fd, struct node **nodep);
