/* system_packages.c - see system_packages.h. */
#include "engine/system_packages.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/vec.h"
#include "engine/system_tree.h"

#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_DATABASE ((size_t)256 << 20)

/* One line a package, in any order. */
typedef VEC(char *) lines;

/* How a database is read: as paragraphs of "Field: value" of which some fields count, by the names
 * of its entries, by where they lead, or not at all: its stats then stand for what it holds. */
enum form { PARAGRAPHS, ENTRIES, LINKS, STATS };

struct database {
    const char *path;
    enum form form;
    bool packages;         /* those of the system, rather than what was added by hand */
    const char *fields[4]; /* of a package, in this order */
};

static const struct database databases[] = {
    {"/var/lib/dpkg/status", PARAGRAPHS, true, {"Package", "Status", "Architecture", "Version"}},
    {"/lib/apk/db/installed", PARAGRAPHS, true, {"P", "V", "A", NULL}},
    {"/usr/lib/apk/db/installed", PARAGRAPHS, true, {"P", "V", "A", NULL}},
    {"/var/lib/pacman/local", ENTRIES, true, {NULL}},
    {"/usr/lib/sysimage/rpm/rpmdb.sqlite", STATS, true, {NULL}},
    {"/usr/lib/sysimage/rpm/Packages.db", STATS, true, {NULL}},
    {"/var/lib/rpm/rpmdb.sqlite", STATS, true, {NULL}},
    {"/var/lib/rpm/rpmdb.sqlite-wal", STATS, true, {NULL}},
    {"/var/lib/rpm/Packages", STATS, true, {NULL}},
    {"/var/lib/rpm/Packages.db", STATS, true, {NULL}},
    {"/etc/alternatives", LINKS, false, {NULL}}, /* which of several programs goes by a name */
};
/* Where software comes without packages. */
static const char *const by_hand[] = {"/usr/local", "/opt"};
/* What changes with it, nearly always. */
static const char *const by_hand_first[] = {"/usr/local",         "/usr/local/bin",
                                            "/usr/local/sbin",    "/usr/local/lib",
                                            "/usr/local/include", "/opt"};
/* Of a machine without any database of packages. */
static const char *const directories[] = {"/usr/bin",   "/usr/sbin", "/usr/lib", "/usr/lib64",
                                          "/usr/share", "/usr",      "/bin",     "/sbin",
                                          "/lib",       "/lib64",    "/etc"};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void add_stats(const char *root, const char *path, bool inode, struct buf *out)
{
    char *full = mem_printf("%s%s", root, path);
    struct stat st;
    if (stat(full, &st) == 0)
        buf_addf(out, "%s %jd %jd.%09ld %ju\n", path, (intmax_t)st.st_size,
                 (intmax_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec, inode ? (uintmax_t)st.st_ino : 0);
    free(full);
}

static struct digest glance_at(const char *root)
{
    struct buf stats = BUF_INIT;
    for (size_t i = 0; i < COUNT(by_hand_first); i++)
        add_stats(root, by_hand_first[i], true, &stats);
    for (size_t i = 0; i < COUNT(databases); i++)
        add_stats(root, databases[i].path, true, &stats);
    for (size_t i = 0; i < COUNT(directories); i++)
        add_stats(root, directories[i], true, &stats);
    struct digest glance = digest_of(buf_str(&stats), stats.len);
    buf_release(&stats);
    return glance;
}

/* outline: of what came by hand. */
static struct digest stamp_of(const struct digest *glance, const struct buf *outline)
{
    struct buf all = BUF_INIT;
    buf_add(&all, outline->data, outline->len);
    buf_add(&all, glance->hash, sizeof glance->hash);
    struct digest stamp = digest_of(buf_str(&all), all.len);
    buf_release(&all);
    return stamp;
}

/* Ends a paragraph: its fields are a package, unless one of them says that it is not installed. */
static void end_package(struct buf fields[4], size_t n, lines *out)
{
    struct buf line = BUF_INIT;
    bool any = false, installed = true;
    for (size_t i = 0; i < n; i++) {
        any |= fields[i].len > 0;
        if (!strncmp(buf_str(&fields[i]), "Status", 6))
            installed = strstr(buf_str(&fields[i]), " installed") != NULL;
        else
            buf_addf(&line, "%s\n", buf_str(&fields[i]));
        buf_reset(&fields[i]);
    }
    if (any && installed)
        vec_push(out, mem_strdup(buf_str(&line)));
    buf_release(&line);
}

static void read_paragraphs(const struct database *base, const struct buf *text, lines *out)
{
    struct buf fields[4] = {BUF_INIT, BUF_INIT, BUF_INIT, BUF_INIT};
    const char *line = buf_str(text), *end = line + text->len;
    size_t n = 0;
    while (n < COUNT(base->fields) && base->fields[n])
        n++;
    while (line < end) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        size_t len = (size_t)((newline ? newline : end) - line);
        const char *colon = memchr(line, ':', len);
        size_t name = colon ? (size_t)(colon - line) : len;
        for (size_t i = 0; i < n && colon; i++) {
            if (strlen(base->fields[i]) == name && !memcmp(base->fields[i], line, name))
                buf_add(&fields[i], line, len);
        }
        if (len == 0)
            end_package(fields, n, out);
        line += len + (newline != NULL);
    }
    end_package(fields, n, out);
    for (size_t i = 0; i < COUNT(fields); i++)
        buf_release(&fields[i]);
}

static bool read_entries(const char *path, lines *out)
{
    DIR *dir = opendir(path);
    if (!dir)
        return false;
    for (const struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] != '.')
            vec_push(out, mem_printf("%s\n", entry->d_name));
    }
    closedir(dir);
    return true;
}

/* But for those of manuals, which machines without them do not have. */
static void read_links(const char *path, lines *out)
{
    DIR *dir = opendir(path);
    for (const struct dirent *entry; dir && (entry = readdir(dir));) {
        char target[PATH_MAX];
        const char *dot = strrchr(entry->d_name, '.');
        ssize_t n = dot && !strcmp(dot, ".gz")
                        ? -1
                        : readlinkat(dirfd(dir), entry->d_name, target, sizeof target);
        if (n > 0)
            vec_push(out, mem_printf("%s -> %.*s\n", entry->d_name, (int)n, target));
    }
    if (dir)
        closedir(dir);
}

/* False when it is not there, or cannot be read. */
static bool read_database(const struct database *base, const char *root, lines *out)
{
    struct buf text = BUF_INIT;
    struct err err = ERR_INIT;
    char *path = mem_printf("%s%s", root, base->path);
    bool found = false;
    switch (base->form) {
    case PARAGRAPHS:
        found = file_read(path, MAX_DATABASE, &text, &err) == 0;
        if (found)
            read_paragraphs(base, &text, out);
        break;
    case ENTRIES: found = read_entries(path, out); break;
    case LINKS: read_links(path, out); break;
    case STATS:
        add_stats(root, base->path, false, &text);
        found = text.len > 0;
        if (found)
            vec_push(out, mem_strdup(buf_str(&text)));
        break;
    }
    err_release(&err);
    buf_release(&text);
    free(path);
    return found && base->packages;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static struct digest read_all(const char *root, const struct buf *outline)
{
    lines all = VEC_INIT;
    struct buf text = BUF_INIT;
    bool found = false;
    for (size_t i = 0; i < COUNT(databases); i++)
        found |= read_database(&databases[i], root, &all);
    for (size_t i = 0; i < COUNT(directories) && !found; i++)
        add_stats(root, directories[i], false, &text);
    if (all.n)
        qsort(all.v, all.n, sizeof *all.v, by_text);
    vec_each (char *, line, &all) {
        buf_adds(&text, *line);
        free(*line);
    }
    buf_add(&text, outline->data, outline->len);
    struct digest digest = digest_of(buf_str(&text), text.len);
    vec_release(&all);
    buf_release(&text);
    return digest;
}

bool system_packages_look(struct system_packages *packages, const char *root)
{
    struct buf outline = BUF_INIT;
    size_t left = SYSTEM_TREE_MAX;
    bool other = false;
    struct digest glance = glance_at(root);
    for (size_t i = 0; i < COUNT(by_hand); i++)
        system_tree_outline(root, by_hand[i], &left, &outline);
    struct digest stamp = stamp_of(&glance, &outline);
    if (!packages->known || !digest_eq(&stamp, &packages->stamp)) {
        struct digest digest = read_all(root, &outline);
        other = !packages->known || !digest_eq(&digest, &packages->digest);
        *packages = (struct system_packages){
            .known = true, .glance = glance, .stamp = stamp, .digest = digest};
    }
    buf_release(&outline);
    return other;
}

bool system_packages_stand(const struct system_packages *packages, const char *root)
{
    struct digest glance = glance_at(root);
    struct system_packages now = *packages;
    return digest_eq(&glance, &packages->glance) || !system_packages_look(&now, root);
}
