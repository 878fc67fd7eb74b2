/* Files from elsewhere into the working tree: what is planned, and what then happens. */
#include "test_cache_cas.h"

#include "cache/merge.h"
#include "cache/take.h"

#include <sys/stat.h>
#include <sys/syscall.h>

/* How renameat2() goes wrong here. */
static struct {
    int errnum;       /* 0: it works */
    size_t from, n;   /* from that one on, counted from 1; how many there were */
    const char *edit; /* a file that somebody writes to just before the first of those */
} renames;

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    renames.n++;
    if (renames.edit && renames.n == renames.from) {
        int fd = open(renames.edit, O_WRONLY | O_APPEND | O_CLOEXEC);
        assert_true(fd >= 0 && write(fd, "edited", 6) == 6);
        close(fd);
    }
    if (renames.errnum && renames.n >= renames.from) {
        errno = renames.errnum;
        return -1;
    }
    return (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
}

/* -- the plan ---------------------------------------------------------------------------------- */

/* "-": absent, "d": something else, "a", "b", "c": files of that content, "A", "B", "C": that can
 * be run, ">a": a link. */
static struct file_state state_of(const char *word)
{
    struct file_state state = {.kind = FILE_ABSENT};
    if (*word == '>') {
        state.kind = FILE_LINK;
        state.target = word + 1;
    } else if (*word == 'd') {
        state.kind = FILE_OTHER;
    } else if (*word != '-') {
        char content = (char)(*word | 0x20);
        state.kind = FILE_REGULAR;
        state.executable = *word < 'a';
        state.digest = digest_of(&content, 1);
    }
    return state;
}

static void test_the_plan(void **state)
{
    static const struct {
        const char *was, *is, *now;
        enum take_action action;
        bool executable;
    } cases[] = {
        /* nothing was changed, or the tree has it */
        {"a", "a", "b", TAKE_NOTHING, false},
        {"a", "b", "b", TAKE_NOTHING, false},
        {"a", "B", "B", TAKE_NOTHING, true},
        {"a", "-", "-", TAKE_NOTHING, false},
        {"-", "a", "a", TAKE_NOTHING, false},
        {">x", ">y", ">y", TAKE_NOTHING, false},
        /* the tree has what was there before */
        {"a", "b", "a", TAKE_CONTENT, false},
        {"A", "B", "A", TAKE_CONTENT, true},
        {"a", "B", "a", TAKE_CONTENT, true},
        {"a", ">x", "a", TAKE_CONTENT, false},
        {">x", "a", ">x", TAKE_CONTENT, false},
        {">x", ">y", ">x", TAKE_CONTENT, false},
        {"-", "a", "-", TAKE_CONTENT, false},
        {"-", "A", "-", TAKE_CONTENT, true},
        {"-", ">x", "-", TAKE_CONTENT, false},
        {"a", "-", "a", TAKE_REMOVE, false},
        {">x", "-", ">x", TAKE_REMOVE, false},
        /* content and mode are taken apart */
        {"a", "A", "a", TAKE_MODE, true},
        {"a", "A", "b", TAKE_MODE, true},
        {"A", "a", "B", TAKE_MODE, false},
        {"a", "B", "b", TAKE_MODE, true},
        {"a", "b", "A", TAKE_CONTENT, true},
        {"A", "B", "a", TAKE_CONTENT, false},
        {"a", "b", "c", TAKE_MERGE, false},
        {"a", "B", "c", TAKE_MERGE, true},
        {"a", "b", "C", TAKE_MERGE, true},
        /* both were changed */
        {"a", "-", "b", TAKE_CONFLICT, false},
        {"a", "b", "-", TAKE_CONFLICT, false},
        {"-", "a", "b", TAKE_CONFLICT, false},
        {"-", "a", ">x", TAKE_CONFLICT, false},
        {"a", "b", ">x", TAKE_CONFLICT, false},
        {"a", ">x", "b", TAKE_CONFLICT, false},
        {">x", ">y", ">z", TAKE_CONFLICT, false},
        {"a", "b", "d", TAKE_CONFLICT, false},
        {"-", "a", "d", TAKE_CONFLICT, false},
        {"a", "d", "a", TAKE_CONFLICT, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct file_state was = state_of(cases[i].was), is = state_of(cases[i].is),
                          now = state_of(cases[i].now);
        struct take_plan plan = take_plan(&was, &is, &now);
        if (plan.action != cases[i].action || plan.executable != cases[i].executable)
            fail_msg("%s %s %s: %d, executable %d", cases[i].was, cases[i].is, cases[i].now,
                     (int)plan.action, plan.executable);
        assert_int_equal(plan.why != NULL, plan.action == TAKE_CONFLICT);
    }
}

/* -- texts ------------------------------------------------------------------------------------- */

static void check_merge(const char *was, const char *mine, const char *theirs, const char *want,
                        size_t want_line)
{
    struct buf texts[3] = {BUF_INIT, BUF_INIT, BUF_INIT}, out = BUF_INIT;
    size_t line;
    buf_adds(&texts[0], was);
    buf_adds(&texts[1], mine);
    buf_adds(&texts[2], theirs);
    enum merge_answer answer = merge_texts(&texts[0], &texts[1], &texts[2], &out, &line);
    assert_int_equal(answer, want ? MERGE_CLEAN : MERGE_CONFLICT);
    assert_string_equal(buf_str(&out), want ? want : "");
    assert_int_equal(line, want_line);
    for (size_t i = 0; i < 3; i++)
        buf_release(&texts[i]);
    buf_release(&out);
}

static void test_merging(void **state)
{
    (void)state;
    check_merge("1\n2\n3\n4\n5\n", "one\n2\n3\n4\n5\n", "1\n2\n3\n4\nfive\n",
                "one\n2\n3\n4\nfive\n", 0);
    check_merge("1\n2\n3\n", "1\nx\n3\n", "1\nx\n3\n", "1\nx\n3\n", 0);
    check_merge("1\n2\n3\n", "1\nx\n3\n", "1\ny\n3\n", NULL, 2);
    /* The line is that of mine, which has more above. */
    check_merge("1\n2\n3\n4\n5\n6\n", "0\n0\n1\n2\n3\n4\nfive\n6\n", "1\n2\n3\n4\nfünf\n6\n", NULL,
                7);
    /* The first that both changed, not the first. */
    check_merge("1\n2\n3\n4\n5\n6\n7\n", "x\n2\n3\n4\n5\n6\nx\n", "1\n2\n3\n4\n5\n6\ny\n", NULL, 7);
    check_merge("1\n2\n", "1\n", "1\ntwo\n", NULL, 1);
    check_merge("", "a\n", "b\n", NULL, 1);
    check_merge("1\n2\n3", "one\n2\n3", "1\n2\n3\n", "one\n2\n3\n", 0);
}

/* -- files ------------------------------------------------------------------------------------- */

struct scene {
    struct fixture *f;
    char *box, *tree;
    int box_fd;
    struct arena arena;
    struct take_item items[8];
    size_t n;
    const char *was[8]; /* contents */
    struct take_request request;
};

static void place(const char *dir, const char *path, const char *text)
{
    char *full = path_join(dir, path);
    char *folder = mem_strndup(full, (size_t)(strrchr(full, '/') - full));
    struct err err = ERR_INIT;
    assert_ok(file_mkdirs(folder, 0755, &err), &err);
    assert_int_equal(unlink(full) == 0 || errno == ENOENT, true);
    if (*text == '>')
        assert_int_equal(symlink(text + 1, full), 0);
    else
        write_text(folder, strrchr(full, '/') + 1, text, strlen(text), 0644);
    free(folder);
    free(full);
}

static struct file_state text_state(const char *text)
{
    if (!text)
        return (struct file_state){.kind = FILE_ABSENT};
    if (*text == '>')
        return (struct file_state){.kind = FILE_LINK, .target = text + 1};
    return (struct file_state){.kind = FILE_REGULAR, .digest = digest_of(text, strlen(text))};
}

static void add_file(struct scene *s, const char *path, const char *was, const char *is,
                     const char *now)
{
    s->was[s->n] = was;
    s->items[s->n++] =
        (struct take_item){.path = path, .was = text_state(was), .is = text_state(is)};
    if (is)
        place(s->box, path, is);
    if (now)
        place(s->tree, path, now);
}

static bool was_cb(void *ctx, const char *path, const struct digest *digest, struct buf *out)
{
    struct scene *s = ctx;
    for (size_t i = 0; i < s->n; i++) {
        if (strcmp(s->items[i].path, path) == 0) {
            struct digest is = digest_of(s->was[i], strlen(s->was[i]));
            assert_true(digest_eq(&is, digest));
            buf_adds(out, s->was[i]);
            return true;
        }
    }
    return false;
}

static void open_scene(struct scene *s, struct fixture *f)
{
    struct err err = ERR_INIT;
    *s = (struct scene){.f = f,
                        .arena = ARENA_INIT,
                        .box = path_join(f->dir, "box"),
                        .tree = path_join(f->dir, "tree")};
    assert_ok(file_mkdirs(s->box, 0755, &err), &err);
    assert_ok(file_mkdirs(s->tree, 0755, &err), &err);
    s->box_fd = open(s->box, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int take(struct scene *s, struct err *err)
{
    s->request = (struct take_request){.cache = s->f->cache,
                                       .root = s->tree,
                                       .from_fd = s->box_fd,
                                       .items = s->items,
                                       .n = s->n,
                                       .was = was_cb,
                                       .ctx = s,
                                       .arena = &s->arena};
    return take_files(&s->request, err);
}

static void check(const struct scene *s, const char *path, const char *want)
{
    char *full = path_join(s->tree, path);
    char target[100] = ">";
    struct stat st;
    struct buf text = BUF_INIT;
    struct err err = ERR_INIT;
    if (lstat(full, &st) != 0) {
        if (want)
            fail_msg("%s is not there", path);
    } else if (!want) {
        fail_msg("%s is there", path);
    } else if (S_ISLNK(st.st_mode)) {
        assert_true(readlink(full, target + 1, sizeof target - 2) > 0);
        assert_string_equal(target, want);
    } else {
        assert_ok(file_read(full, 1000, &text, &err), &err);
        assert_string_equal(buf_str(&text), want);
    }
    buf_release(&text);
    free(full);
}

/* No name of kiln's is left in the tree. */
static void check_clean(const struct scene *s)
{
    DIR *dir = opendir(s->tree);
    for (const struct dirent *entry; (entry = readdir(dir));)
        assert_int_not_equal(strncmp(entry->d_name, ".kiln", 5), 0);
    closedir(dir);
}

static void close_scene(struct scene *s)
{
    check_clean(s);
    close(s->box_fd);
    free(s->box);
    free(s->tree);
    arena_release(&s->arena);
}

static void test_all_of_it(void **state)
{
    struct scene s;
    struct stat st;
    struct err err = ERR_INIT;
    open_scene(&s, *state);
    add_file(&s, "replaced", "old", "new", "old");
    add_file(&s, "merged", "1\n2\n3\n4\n", "1\n2\n3\nfour\n", "one\n2\n3\n4\n");
    add_file(&s, "link", ">a", ">b", ">a");
    add_file(&s, "dir/sub/removed", "x", NULL, "x");
    add_file(&s, "new/sub/file", NULL, "made", NULL);
    add_file(&s, "there", "old", "new", "new");
    add_file(&s, "now-a-link", "file", ">to", "file");
    char *path = path_join(s.tree, "replaced");
    assert_int_equal(chmod(path, 0640), 0);
    assert_ok(take(&s, &err), &err);
    assert_int_equal(s.request.conflicts, 0);
    assert_int_equal(s.request.taken, 6);
    check(&s, "replaced", "new");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    check(&s, "merged", "one\n2\n3\nfour\n");
    check(&s, "link", ">b");
    check(&s, "dir", NULL); /* with its last file */
    check(&s, "new/sub/file", "made");
    check(&s, "now-a-link", ">to");
    check_clean(&s);
    /* Again: there is nothing to do. */
    assert_ok(take(&s, &err), &err);
    assert_int_equal(s.request.conflicts + s.request.taken, 0);
    free(path);
    close_scene(&s);
}

/* A file system that can neither exchange nor refuse to replace. */
static void test_plain_renames(void **state)
{
    renames.n = 0;
    renames.from = 1;
    renames.errnum = EINVAL;
    test_all_of_it(state);
    renames.errnum = 0;
    assert_int_equal(renames.n, 5); /* and one that is a plain rename everywhere */
}

static void check_untouched(struct scene *s, struct err *err, const char *why)
{
    assert_true(take(s, err) < 0);
    assert_non_null(strstr(err_text(err), why));
    assert_null(strstr(err_text(err), "could not be put back"));
    err_release(err);
    assert_int_equal(s->request.taken, 0);
    check(s, "b", "old");
    check(s, "link", ">a");
    check(s, "removed", "x");
    check(s, "new", NULL);
    check_clean(s);
}

/* Whichever rename fails, those before it are put back; and so is what was edited after the last
 * look at it, and what was placed before. */
static void test_a_rename_fails(void **state)
{
    struct scene s;
    struct err err = ERR_INIT;
    open_scene(&s, *state);
    add_file(&s, "a", "old", "new", "old");
    add_file(&s, "b", "old", "new", "old");
    add_file(&s, "link", ">a", ">b", ">a");
    add_file(&s, "removed", "x", NULL, "x");
    add_file(&s, "new/file", NULL, "made", NULL);
    char *path = path_join(s.tree, "a");
    for (renames.from = 1; renames.from <= 4; renames.from++) {
        renames.n = 0;
        renames.errnum = EIO;
        check_untouched(&s, &err, "cannot put it into place");
        check(&s, "a", "old");
    }
    renames.errnum = 0;
    renames.edit = path;
    renames.from = 1;
    renames.n = 0;
    check_untouched(&s, &err, "a: it was edited just now");
    renames.edit = NULL;
    check(&s, "a", "oldedited");
    free(path);
    close_scene(&s);
}

static void test_a_conflict_leaves_all(void **state)
{
    struct scene s;
    struct err err = ERR_INIT;
    open_scene(&s, *state);
    add_file(&s, "fine", "old", "new", "old");
    add_file(&s, "edited", "1\n2\n3\n", "1\n2\nthree\n", "1\n2\ndrei\n");
    add_file(&s, "new/file", NULL, "made", NULL);
    add_file(&s, "gone", "x", "y", NULL);
    assert_ok(take(&s, &err), &err);
    assert_int_equal(s.request.conflicts, 2);
    assert_int_equal(s.request.taken, 0);
    assert_int_equal(s.items[1].line, 3);
    assert_non_null(s.items[3].conflict);
    check(&s, "fine", "old");
    check(&s, "new", NULL);
    close_scene(&s);
}

/* What lies behind a link is not the project's. */
static void test_links_lead_nowhere(void **state)
{
    struct scene s;
    struct err err = ERR_INIT;
    open_scene(&s, *state);
    place(s.f->dir, "outside/file", "old");
    add_file(&s, "dir/file", "old", "new", NULL);
    add_file(&s, "fine", "old", "new", "old");
    place(s.tree, "dir", ">../outside");
    assert_ok(take(&s, &err), &err);
    assert_int_equal(s.request.conflicts, 1);
    assert_non_null(strstr(s.items[0].conflict, "symbolic link"));
    check(&s, "../outside/file", "old");
    check(&s, "fine", "old");
    /* A file, where a directory was. */
    s.items[0].conflict = NULL;
    place(s.tree, "dir", "a file");
    assert_ok(take(&s, &err), &err);
    assert_int_equal(s.request.conflicts, 1);
    /* What changes in the box after it was looked at is not taken. */
    place(s.tree, "elsewhere/file", "x");
    char *dir = path_join(s.tree, "dir");
    assert_int_equal(unlink(dir), 0);
    place(s.tree, "dir/file", "old");
    place(s.box, "dir/file", "newer");
    assert_true(take(&s, &err) < 0);
    assert_non_null(strstr(err_text(&err), "dir/file: it changed while it was read"));
    err_release(&err);
    check(&s, "dir/file", "old");
    check(&s, "fine", "old");
    free(dir);
    close_scene(&s);
}

/* A directory in which nothing can be renamed: what came before it is put back. */
static void test_a_directory_that_can_not_be_written(void **state)
{
    struct scene s;
    struct err err = ERR_INIT;
    if (geteuid() == 0)
        skip(); /* permissions stop nobody */
    open_scene(&s, *state);
    add_file(&s, "a", "old", "new", "old");
    add_file(&s, "dir/b", "old", "new", "old");
    char *dir = path_join(s.tree, "dir");
    assert_int_equal(chmod(dir, 0555), 0);
    assert_true(take(&s, &err) < 0);
    assert_non_null(strstr(err_text(&err), "dir/b: cannot write it"));
    err_release(&err);
    check(&s, "a", "old");
    check(&s, "dir/b", "old");
    assert_int_equal(chmod(dir, 0755), 0);
    free(dir);
    close_scene(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_plan),
        cmocka_unit_test(test_merging),
        cmocka_unit_test_setup_teardown(test_all_of_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_plain_renames, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_rename_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_conflict_leaves_all, setup, teardown),
        cmocka_unit_test_setup_teardown(test_links_lead_nowhere, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_directory_that_can_not_be_written, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
