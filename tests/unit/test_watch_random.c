/*
 * Random operations on real directories, seen by a real watch, against a working tree that sees
 * them for the first time: after a barrier every view has the same digest in both, a view that was
 * not reported has the digest that it had, and nothing stays broken that would not be found broken
 * anew.
 *
 * KILN_SEED chooses other operations, KILN_OPS how many; what failed is told with its seed. In one
 * of four rounds the operations are another process's, while this one looks at the tree all the
 * time.
 */
#include "test_worktree.h"

#include "base/vec.h"
#include "watch/watch.h"

#include <sys/syscall.h>
#include <sys/wait.h>

#define DEADLINE_MS 60000
#define MAX_VIEWS   10
#define MAX_HELD    4
#define N(array)    (sizeof(array) / sizeof((array)[0]))

static const char *const names[] = {"a",   "b",      "c.o",       "d.c",    "out",
                                    "gen", "keep.o", "e~",        ".x.swp", "Makefile",
                                    "sub", "z",      "new\nline", "d.c.tmp"};
static const char *const rules[] = {"*.o\n", "!keep.o\n", "gen/\n", "/a\n", "*.o\n!keep.o\n",
                                    "b/\n",  "*\n!*.c\n", "",       "d.c\n"};

struct seen {
    enum worktree_answer answer;
    struct digest digest;
};

struct world {
    struct project project;
    char *outside;
    uv_loop_t loop;
    uv_timer_t deadline;
    struct watch *watch;
    bool answered, closed, late, git;
    unsigned rescans, gone;
    uint32_t views[MAX_VIEWS];
    size_t n_views;
    struct seen last[MAX_VIEWS];
    bool stale[MAX_VIEWS];
    int held[MAX_HELD]; /* files open for writing, or -1 */
    char *bad;          /* a file whose name is not UTF-8, or NULL */
    uint32_t random;
    unsigned long seed, ops;
};

static uint32_t pick(struct world *world, uint32_t n)
{
    world->random = world->random * 1664525 + 1013904223;
    return (world->random >> 8) % n;
}

/* --- operations; many fail, as what they need is not there: that is one way to do nothing -------
 */

/* In the project, or, for moving in and out, beside it. */
static char *any_path(struct world *world)
{
    struct buf path = BUF_INIT;
    bool beside = pick(world, 12) == 0;
    uint32_t depth = 1 + (pick(world, 15) ? pick(world, 4) : pick(world, 12));
    buf_adds(&path, beside ? world->outside : world->project.root);
    for (uint32_t i = 0; i < depth; i++) {
        buf_addc(&path, '/');
        buf_adds(&path, names[pick(world, N(names))]);
    }
    return buf_detach(&path);
}

static void put_text(struct world *world, const char *path, int flags, const char *text)
{
    int fd = open(path, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | flags, 0644);
    (void)world;
    if (fd < 0)
        return;
    (void)!write(fd, text, strlen(text));
    close(fd);
}

static void put_some(struct world *world, const char *path, int flags)
{
    char text[16];
    snprintf(text, sizeof(text), "%u", pick(world, 10));
    put_text(world, path, flags, text);
}

/* What a tool does that wants nobody to notice: other content of the same size and time. */
static void put_secretly(struct world *world, const char *path)
{
    struct stat st;
    if (lstat(path, &st) != 0 || !S_ISREG(st.st_mode))
        return;
    put_some(world, path, 0);
    struct timespec times[2] = {st.st_atim, st.st_mtim};
    utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW);
}

static void make_path(struct world *world, const char *path)
{
    (void)!file_mkdirs(path, 0755, NULL);
    char *file = path_join(path, names[pick(world, N(names))]);
    put_some(world, file, O_CREAT);
    free(file);
}

static void remove_all(struct world *world, const char *path)
{
    (void)world;
    struct stat st;
    if (lstat(path, &st) == 0)
        (void)!file_remove_tree(AT_FDCWD, path, NULL);
}

static void move(struct world *world, const char *from, unsigned flags)
{
    char *to = any_path(world);
    (void)!syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
    free(to);
}

static void link_to(struct world *world, const char *path)
{
    static const char *const targets[] = {"a", "../b", "nowhere/x", "d.c", "."};
    char *temporary = mem_printf("%s.link", path);
    if (symlink(targets[pick(world, N(targets))], temporary) == 0) {
        if (rename(temporary, path) != 0)
            unlink(temporary);
    }
    free(temporary);
}

/* As git does with a checkout: many files at once, then none of them. */
static void many(struct world *world, const char *path)
{
    bool put = pick(world, 2);
    for (int i = 0; i < 40; i++) {
        char *file = mem_printf("%s/m%d.c", path, i);
        if (put)
            put_some(world, file, O_CREAT | O_TRUNC);
        else
            unlink(file);
        free(file);
    }
}

static void save_as_editors_do(struct world *world, const char *path)
{
    char *other = mem_printf("%s~", path);
    if (pick(world, 2)) { /* the old one moved away, a new one written */
        if (rename(path, other) == 0) {
            put_some(world, path, O_CREAT | O_EXCL);
            unlink(other);
        }
    } else { /* a new one moved over it */
        put_some(world, other, O_CREAT | O_TRUNC);
        if (rename(other, path) != 0)
            unlink(other);
    }
    free(other);
}

/* Writes to a file that stays open. */
static void hold(struct world *world, const char *path)
{
    int *held = &world->held[pick(world, MAX_HELD)];
    if (*held < 0) {
        *held = open(path, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_APPEND | O_CLOEXEC);
        return;
    }
    (void)!write(*held, "h", 1);
    if (pick(world, 3) == 0) {
        close(*held);
        *held = -1;
    }
}

static void change_rules(struct world *world, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *place = pick(world, 2) ? path_join(world->project.root, ".gitignore")
                                 : mem_printf("%.*s/.gitignore", (int)(slash - path), path);
    if (pick(world, 4) == 0)
        unlink(place);
    else
        put_text(world, place, O_CREAT | O_TRUNC, rules[pick(world, N(rules))]);
    free(place);
}

static void change_mode(struct world *world, const char *path)
{
    struct stat st;
    if (lstat(path, &st) != 0 || S_ISLNK(st.st_mode))
        return;
    chmod(path, S_ISDIR(st.st_mode) ? (pick(world, 3) ? 0755 : 0600) : st.st_mode ^ 0100);
}

/* A name that no view can take, for a while: everything about it is broken, and whole again. */
static void name_badly(struct world *world, const char *path)
{
    if (world->bad) {
        unlink(world->bad);
        free(world->bad);
        world->bad = NULL;
    } else {
        world->bad = path_join(path, "\xff\xfe");
        put_text(world, world->bad, O_CREAT, "");
    }
}

static void operate(struct world *world)
{
    char *path = any_path(world);
    world->ops++;
    if (world->bad)
        name_badly(world, path);
    switch (pick(world, 33)) {
    case 0:
    case 1:
    case 2:
    case 3: put_some(world, path, O_CREAT | O_TRUNC); break;
    case 4: put_some(world, path, O_APPEND); break;
    case 5: (void)!truncate(path, pick(world, 3)); break;
    case 6: put_secretly(world, path); break;
    case 7:
    case 8:
    case 9: mkdir(path, 0755); break;
    case 10:
    case 11:
    case 12: make_path(world, path); break;
    case 13: unlink(path); break;
    case 14: rmdir(path); break;
    case 15: remove_all(world, path); break;
    case 16:
    case 17:
    case 18:
    case 19: move(world, path, 0); break;
    case 20: move(world, path, 1); break; /* RENAME_NOREPLACE */
    case 21:
    case 22: move(world, path, 2); break; /* RENAME_EXCHANGE */
    case 23: link_to(world, path); break;
    case 24: change_mode(world, path); break;
    case 25: many(world, path); break;
    case 26: save_as_editors_do(world, path); break;
    case 27:
    case 28: hold(world, path); break;
    case 29: change_rules(world, path); break;
    case 30: /* gone and back at once */
        remove_all(world, path);
        make_path(world, path);
        break;
    case 31: name_badly(world, path); break;
    default: mkfifo(path, 0600); break;
    }
    free(path);
}

/* More events than the kernel keeps, while nobody reads them. */
static void lose_events(struct world *world)
{
    long limit = 0;
    FILE *file = fopen("/proc/sys/fs/inotify/max_queued_events", "re");
    if (file && fscanf(file, "%ld", &limit) != 1)
        limit = 0;
    if (file)
        fclose(file);
    if (limit < 1 || limit > 100000)
        return;
    char *one = path_join(world->project.root, "one"), *two = path_join(world->project.root, "two");
    put_text(world, one, O_CREAT, "");
    put_text(world, two, O_CREAT, "");
    for (long i = 0; i < limit + 100; i++) /* the kernel merges equal neighbours */
        chmod(i & 1 ? one : two, 0644);
    for (int i = 0; i < 50; i++)
        operate(world);
    unlink(one);
    unlink(two);
    free(one);
    free(two);
}

/* --- the watch ----------------------------------------------------------------------------------
 */

static void on_entry(void *ctx, uint32_t dir, const char *name, enum watch_what what, uint64_t tick)
{
    struct world *world = ctx;
    (void)what;
    worktree_mark(world->project.tree, dir, name, tick);
}

static void on_rescan(void *ctx, const char *reason, struct watch_clock clock)
{
    struct world *world = ctx;
    (void)reason;
    world->rescans++;
    worktree_mark_all(world->project.tree, clock.tick);
}

static void on_degraded(void *ctx, const char *reason)
{
    (void)ctx, (void)reason;
}

static void on_root_gone(void *ctx)
{
    ((struct world *)ctx)->gone++;
}

static void on_barrier(void *ctx, struct watch_clock clock)
{
    (void)clock;
    ((struct world *)ctx)->answered = true;
}

static void on_late(uv_timer_t *timer)
{
    ((struct world *)timer->data)->late = true;
}

static void on_closed(void *ctx)
{
    ((struct world *)ctx)->closed = true;
}

static void run_until(struct world *world, const bool *done)
{
    uv_timer_start(&world->deadline, on_late, DEADLINE_MS, 0);
    while (!*done && !world->late)
        uv_run(&world->loop, UV_RUN_ONCE);
    uv_timer_stop(&world->deadline);
    if (world->late)
        fail_msg("no answer within %d ms (seed %lu)", DEADLINE_MS, world->seed);
}

static void barrier(struct world *world)
{
    world->answered = false;
    watch_barrier(world->watch, on_barrier, world);
    run_until(world, &world->answered);
}

static void on_dir_opened(void *ctx, uint32_t dir, const char *path)
{
    watch_add(((struct world *)ctx)->watch, dir, path);
}

static void on_dir_closed(void *ctx, uint32_t dir)
{
    watch_remove(((struct world *)ctx)->watch, dir);
}

/* --- the truth ----------------------------------------------------------------------------------
 */

static size_t add_views(struct worktree *tree, uint32_t *views)
{
    size_t n = 0;
    views[n++] = INPUTS(tree, "**");
    views[n++] = INPUTS(tree, "a");
    views[n++] = INPUTS(tree, "a", "!a/b");
    views[n++] = INPUTS(tree, "**/*.c");
    views[n++] = INPUTS(tree, "a/**/*.o", "gen");
    views[n++] = INPUTS(tree, "b/c.o", "Makefile");
    views[n++] = INPUTS(tree, "**", "gen/a", "!b");
    views[n++] = INPUTS(tree, "sub/*");
    views[n++] = OUTPUTS(tree, "out");
    views[n++] = OUTPUTS(tree, "a/out", "gen/b");
    return n;
}

/* As answer_of(), but a tree that changes meanwhile may leave it PENDING. */
static struct seen look(struct worktree *tree, uint32_t view)
{
    struct seen seen = {.answer = WORKTREE_PENDING};
    for (int passes = 0; passes < 20 && seen.answer == WORKTREE_PENDING; passes++) {
        struct err err = ERR_INIT;
        worktree_prepare(tree, &view, 1);
        for (struct worktree_batch *batch; (batch = worktree_next_batch(tree));) {
            worktree_batch_work(batch);
            worktree_batch_done(tree, batch);
        }
        seen.answer = worktree_digest(tree, view, &seen.digest, NULL, &err);
        err_release(&err);
    }
    if (seen.answer != WORKTREE_READY)
        seen.digest = (struct digest){.size = 0};
    return seen;
}

static bool same(const struct seen *a, const struct seen *b)
{
    return a->answer == b->answer && digest_eq(&a->digest, &b->digest);
}

static bool take_dirty(struct world *world)
{
    const uint32_t *dirty;
    size_t n = worktree_take_dirty(world->project.tree, &dirty);
    for (size_t i = 0; i < n; i++)
        world->stale[dirty[i]] = true;
    return n > 0;
}

/* A round: what was reported is looked at, and what is found out by that. */
static void look_at_stale(struct world *world)
{
    worktree_prepare(world->project.tree, NULL, 0);
    for (int turns = 0; take_dirty(world) || turns == 0; turns++) {
        for (size_t i = 0; i < world->n_views; i++) {
            if (!world->stale[i])
                continue;
            world->last[i] = look(world->project.tree, world->views[i]);
            world->stale[i] = world->last[i].answer == WORKTREE_PENDING;
        }
        if (turns > 20)
            return;
    }
}

static void describe(struct world *world, struct worktree *tree, uint32_t view)
{
    struct digest digest;
    struct err err = ERR_INIT;
    (void)look(tree, view);
    enum worktree_answer answer = worktree_digest(tree, view, &digest, NULL, &err);
    if (answer == WORKTREE_READY) {
        char *list = list_of_view(&world->project, tree, view);
        print_error("-----\n%s", list);
        free(list);
    } else {
        print_error("----- %d: %s\n", answer, err_text(&err));
    }
    err_release(&err);
}

static void compare(struct world *world)
{
    barrier(world);
    look_at_stale(world);
    uint32_t views[MAX_VIEWS];
    struct worktree *fresh = project_open_other(&world->project, NULL);
    size_t n = add_views(fresh, views);
    for (size_t i = 0; i < n; i++) {
        struct seen expected = look(fresh, views[i]);
        if (same(&world->last[i], &expected))
            continue;
        print_error("view %zu: %d, expected %d\n", i, world->last[i].answer, expected.answer);
        describe(world, world->project.tree, world->views[i]);
        describe(world, fresh, views[i]);
        fail_msg("after %lu operations of seed %lu", world->ops, world->seed);
    }
    worktree_free(fresh);
}

/* Another process operates while this one looks. */
static void in_company(struct world *world)
{
    uint32_t next = pick(world, 1u << 20);
    unsigned n = 5 + pick(world, 60);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        world->random = next;
        for (int i = 0; i < MAX_HELD; i++)
            world->held[i] = -1;
        world->bad = NULL;
        for (unsigned i = 0; i < n; i++)
            operate(world);
        if (world->bad)
            unlink(world->bad);
        _exit(0);
    }
    world->ops += n;
    int status = 0;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        barrier(world);
        take_dirty(world);
        look_at_stale(world);
    }
    assert_int_equal(status, 0);
}

/* --- a life -------------------------------------------------------------------------------------
 */

static void begin(struct world *world, size_t max_watches)
{
    struct project *project = &world->project;
    struct err err = ERR_INIT;
    project_init(project);
    world->outside = path_join(project->base, "outside");
    assert_int_equal(mkdir(world->outside, 0755), 0);
    if (world->git)
        project_run(project, "git init -q .");
    project->outputs[project->n_outputs++] = "out";
    project->outputs[project->n_outputs++] = "a/out";
    for (int i = 0; i < MAX_HELD; i++)
        world->held[i] = -1;
    assert_int_equal(uv_loop_init(&world->loop), 0);
    uv_timer_init(&world->loop, &world->deadline);
    world->deadline.data = world;
    struct watch_options watch = {
        .root = project->root, .poll_ms = 600000, .max_watches = max_watches};
    static const struct watch_callbacks callbacks = {on_entry, on_rescan, on_degraded,
                                                     on_root_gone};
    if (watch_new(&world->loop, &watch, &callbacks, world, &world->watch, &err) < 0)
        fail_msg("%s", err_text(&err));
    struct worktree_options options = {.root = project->root,
                                       .outputs = project->outputs,
                                       .n_outputs = project->n_outputs,
                                       .trees = project->trees,
                                       .dir_opened = on_dir_opened,
                                       .dir_closed = on_dir_closed,
                                       .ctx = world};
    assert_int_equal(worktree_new(&options, &project->tree, NULL), 0);
    world->n_views = add_views(project->tree, world->views);
    for (size_t i = 0; i < world->n_views; i++)
        world->last[i] = look(project->tree, world->views[i]);
}

static void end(struct world *world)
{
    assert_int_equal(world->gone, 0);
    for (int i = 0; i < MAX_HELD; i++)
        if (world->held[i] >= 0)
            close(world->held[i]);
    watch_close(world->watch, on_closed, world);
    run_until(world, &world->closed);
    uv_close((uv_handle_t *)&world->deadline, NULL);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&world->loop), 0);
    project_run(&world->project, "chmod -R u+rwX . ../outside");
    project_release(&world->project);
    free(world->outside);
    free(world->bad);
}

static unsigned long number(const char *name, unsigned long otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtoul(text, NULL, 10) : otherwise;
}

static void live(unsigned which, bool git, size_t max_watches, unsigned share)
{
    struct world world = {.git = git, .seed = number("KILN_SEED", 1)};
    unsigned long ops = number("KILN_OPS", 6000) * share / 100;
    world.random = (uint32_t)(world.seed * 2654435761u + which * 97u);
    begin(&world, max_watches);
    bool lost = false;
    while (world.ops < ops) {
        unsigned kind = pick(&world, 4);
        for (unsigned i = 0, n = 1 + pick(&world, world.ops ? 12 : 60); i < n && kind; i++) {
            operate(&world);
            if (kind == 1 && pick(&world, 4) == 0) /* they are read meanwhile, and marked */
                uv_run(&world.loop, UV_RUN_NOWAIT);
        }
        if (kind == 0)
            in_company(&world);
        if (!lost && !max_watches && world.ops > ops / 2) {
            lose_events(&world);
            lost = true;
        }
        compare(&world);
    }
    if (lost)
        assert_true(world.rescans >= 1);
    if (getenv("KILN_OPS"))
        describe(&world, world.project.tree, world.views[0]);
    end(&world);
}

static void random_operations(void **state)
{
    (void)state;
    live(1, false, 0, 40);
}

static void random_operations_in_a_repository(void **state)
{
    (void)state;
    live(2, true, 0, 40);
}

static void random_operations_polled(void **state)
{
    (void)state;
    live(3, false, 3, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_operations),
                                       cmocka_unit_test(random_operations_in_a_repository),
                                       cmocka_unit_test(random_operations_polled)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
