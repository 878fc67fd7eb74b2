/* What differs between a tree and a layer that was written over it. */
#include "test_cache_cas.h"

#include "cache/box_changes.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

struct layer {
    char *path;
    int fd;
    struct trees *trees;
    struct digest root;
    struct box_changes changes;
};

static void make(struct layer *l, const char *path, enum tree_kind kind, const char *text)
{
    struct err err = ERR_INIT;
    struct tree_entry entry = {.kind = kind, .name = ""};
    if (kind == TREE_FILE) {
        entry.executable = *text == '!';
        entry.digest = digest_of(text, strlen(text));
    } else {
        entry.target = text;
    }
    assert_ok(trees_make(l->trees, &l->root, path, &entry, &l->root, &err), &err);
}

static void open_layer(struct layer *l, struct fixture *f)
{
    struct err err = ERR_INIT;
    *l = (struct layer){.path = path_join(f->dir, "upper"), .trees = trees_new()};
    l->root = trees_put(l->trees, NULL, 0);
    assert_ok(file_mkdirs(l->path, 0755, &err), &err);
    l->fd = open(l->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    make(l, "a", TREE_FILE, "a");
    make(l, "b", TREE_FILE, "b");
    make(l, "link", TREE_SYMLINK, "a");
    make(l, "d/1", TREE_FILE, "1");
    make(l, "d/2", TREE_FILE, "2");
    make(l, "d/e/3", TREE_FILE, "3");
    make(l, "run", TREE_FILE, "!");
}

static void write_at(const struct layer *l, const char *path, const char *text, mode_t mode)
{
    char *full = path_join(l->path, path);
    char *folder = mem_strndup(full, (size_t)(strrchr(full, '/') - full));
    struct err err = ERR_INIT;
    assert_ok(file_mkdirs(folder, 0755, &err), &err);
    write_text(folder, strrchr(full, '/') + 1, text, strlen(text), mode);
    assert_int_equal(chmod(full, mode), 0);
    free(folder);
    free(full);
}

static bool hide_at(const struct layer *l, const char *path)
{
    return mknodat(l->fd, path, S_IFCHR, makedev(0, 0)) == 0;
}

static char letter(const struct file_state *state)
{
    return state->kind == FILE_ABSENT    ? '-'
           : state->kind == FILE_LINK    ? 'l'
           : state->kind == FILE_REGULAR ? (state->executable ? 'x' : 'f')
                                         : '?';
}

/* All that is found, as "path:wasis path:wasis". */
static void check(struct layer *l, box_wants_cb *wants, const char *want)
{
    struct buf text = BUF_INIT;
    struct err err = ERR_INIT;
    box_changes_release(&l->changes);
    assert_ok(box_changes_find(l->fd, l->trees, &l->root, wants, l, &l->changes, &err), &err);
    vec_each (struct box_change, change, &l->changes.v)
        buf_addf(&text, "%s%s:%c%c%s", text.len ? " " : "", change->path, letter(&change->was),
                 letter(&change->is), change->problem ? "!" : "");
    assert_string_equal(buf_str(&text), want);
    buf_release(&text);
}

static void close_layer(struct layer *l)
{
    box_changes_release(&l->changes);
    trees_free(l->trees);
    close(l->fd);
    free(l->path);
}

static bool not_scratch(void *ctx, const char *path)
{
    (void)ctx;
    return strcmp(path, "scratch") != 0;
}

static void test_files(void **state)
{
    struct layer l;
    open_layer(&l, *state);
    check(&l, NULL, "");
    write_at(&l, "a", "a", 0600); /* touched, and that is all */
    write_at(&l, "run", "!", 0755);
    write_at(&l, "d/e/3", "3", 0644);
    check(&l, NULL, "");
    write_at(&l, "b", "B", 0644);
    write_at(&l, "d/1", "1", 0755);
    write_at(&l, "run", "?", 0755);
    write_at(&l, "d/new", "x", 0644);
    write_at(&l, "scratch", "x", 0644);
    assert_int_equal(symlinkat("b", l.fd, "link"), 0);
    assert_int_equal(mkfifoat(l.fd, "fifo", 0600), 0);
    check(&l, not_scratch, "b:ff d/1:fx d/new:-f fifo:-? link:ll run:xx");
    assert_int_equal(l.changes.more, 1);
    close_layer(&l);
}

static void test_other_kinds(void **state)
{
    struct layer l;
    open_layer(&l, *state);
    assert_int_equal(symlinkat("b", l.fd, "a"), 0);
    write_at(&l, "link", "text", 0644);
    write_at(&l, "b/below", "x", 0644);
    write_at(&l, "d", "a file now", 0644);
    check(&l, NULL, "a:fl b:f- b/below:-f d:-f d/1:f- d/2:f- d/e/3:f- link:lf");
    close_layer(&l);
}

static void test_what_is_hidden(void **state)
{
    struct layer l;
    open_layer(&l, *state);
    if (!hide_at(&l, "a")) {
        close_layer(&l);
        skip(); /* a kernel that keeps whiteouts for root */
    }
    assert_true(hide_at(&l, "nothing"));
    check(&l, NULL, "a:f-");
    assert_true(hide_at(&l, "d"));
    check(&l, NULL, "a:f- d/1:f- d/2:f- d/e/3:f-");
    assert_int_equal(unlinkat(l.fd, "d", 0), 0);
    /* Removed and made anew: nothing of what was below shows, at any depth. */
    write_at(&l, "d/1", "1", 0644);
    write_at(&l, "d/e/4", "4", 0644);
    char *dir = path_join(l.path, "d");
    if (setxattr(dir, "user.overlay.opaque", "y", 1, 0) == 0)
        check(&l, NULL, "a:f- d/2:f- d/e/3:f- d/e/4:-f");
    free(dir);
    close_layer(&l);
}

/* Nothing is known below: all is new. */
static void test_over_nothing(void **state)
{
    struct layer l;
    open_layer(&l, *state);
    l.root = tree_empty();
    write_at(&l, "d/1", "x", 0644);
    check(&l, NULL, "d/1:-f");
    close_layer(&l);
}

static void test_what_can_not_be_read(void **state)
{
    struct layer l;
    if (geteuid() == 0)
        skip(); /* permissions stop nobody */
    open_layer(&l, *state);
    write_at(&l, "a", "x", 0);
    write_at(&l, "d/1", "x", 0644);
    assert_int_equal(fchmodat(l.fd, "d", 0, 0), 0);
    check(&l, NULL, "a:ff! d:-?!");
    assert_int_equal(fchmodat(l.fd, "d", 0755, 0), 0);
    close_layer(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_kinds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_hidden, setup, teardown),
        cmocka_unit_test_setup_teardown(test_over_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_can_not_be_read, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
