/* Layers as they are meant to be: what comes out of them, alone and on top of others. */
#include "test_unpack.h"

static void test_kinds(void **state)
{
    struct rig *rig = *state;
    tar_dir(&rig->tar, "./");
    tar_dir(&rig->tar, "bin/");
    tar_raw(&rig->tar, '0', "bin/prog", "code", 4);
    tar_header(&rig->tar, '0', "bin/su", "", 0, 04755, 0);
    tar_link(&rig->tar, '2', "bin/sh", "prog");
    tar_link(&rig->tar, '1', "bin/same", "bin/prog");
    tar_header(&rig->tar, '6', "pipe", "", 0, 0600, 0);
    tar_header(&rig->tar, '3', "null", "", 0, 0666, 0);
    tar_header(&rig->tar, '4', "disk", "", 0, 0660, 0);
    tar_link(&rig->tar, '1', "null2", "null");
    tar_header(&rig->tar, '5', "locked", "", 0, 0500, 0);
    tar_file(&rig->tar, "locked/in", "it");
    unpack_good(rig);
    holds(rig, "bin/prog", "code");
    assert_int_equal(look(rig, "bin/su").st_mode, S_IFREG | 04755);
    leads_to(rig, "bin/sh", "prog");
    assert_int_equal(look(rig, "bin/same").st_ino, look(rig, "bin/prog").st_ino);
    assert_int_equal(look(rig, "pipe").st_mode, S_IFIFO | 0600);
    assert_false(is_there(rig, "null"));
    assert_false(is_there(rig, "disk"));
    assert_int_equal(rig->counts.devices, 3);
    assert_int_equal(look(rig, "locked").st_mode, S_IFDIR | 0500);
    assert_int_equal(look(rig, "locked").st_mtime, 1000000000);
    assert_int_equal(look(rig, "bin").st_mtime, 1000000000);
    assert_int_equal(look(rig, "bin/prog").st_mtime, 1000000000);
    assert_int_equal(look(rig, "bin/sh").st_mtime, 1000000000);
    assert_int_equal(rig->counts.entries, 12);
}

static void test_names(void **state)
{
    struct rig *rig = *state;
    char deep[3000] = "", *at = deep;
    for (int i = 0; i < 140; i++)
        at += sprintf(at, "%s%04d-directory", i ? "/" : "", i);
    tar_pax(&rig->tar, "path", "e\xcc\x81", 3); /* decomposed */
    tar_file(&rig->tar, "x", "1");
    tar_file(&rig->tar, "\xc3\xa9", "2"); /* composed: another name */
    tar_file(&rig->tar, "\xff\xfe", "3"); /* no text at all */
    tar_raw(&rig->tar, 'L', "././@LongLink", deep, strlen(deep) + 1);
    tar_file(&rig->tar, "short", "deep");
    tar_pax(&rig->tar, "linkpath", deep, strlen(deep));
    tar_link(&rig->tar, '2', "long", "short");
    unpack_good(rig);
    holds(rig, "e\xcc\x81", "1");
    holds(rig, "\xc3\xa9", "2");
    holds(rig, "\xff\xfe", "3");
    holds(rig, deep, "deep");
    assert_false(is_there(rig, "short"));
    assert_int_equal(look(rig, "long").st_size, strlen(deep));
}

static void test_times_and_numbers(void **state)
{
    struct rig *rig = *state;
    char *header;
    tar_pax(&rig->tar, "mtime", "1234567890.25", 13);
    tar_file(&rig->tar, "pax", "");
    tar_pax(&rig->tar, "mtime", "-1.75", 5);
    tar_file(&rig->tar, "before", "");
    /* A size in binary. */
    tar_file(&rig->tar, "binary", "abc");
    header = rig->tar.data + rig->tar.len - 1024;
    memset(header + 124, 0, 12);
    header[124] = (char)0x80;
    header[135] = 3;
    tar_checksum(header);
    unpack_good(rig);
    assert_int_equal(look(rig, "pax").st_mtim.tv_sec, 1234567890);
    assert_int_equal(look(rig, "pax").st_mtim.tv_nsec, 250000000);
    assert_int_equal(look(rig, "before").st_mtim.tv_sec, -2);
    assert_int_equal(look(rig, "before").st_mtim.tv_nsec, 250000000);
    holds(rig, "binary", "abc");
}

static void test_xattrs(void **state)
{
    struct rig *rig = *state;
    char value[8] = "";
    tar_pax(&rig->tar, "SCHILY.xattr.user.note", "a\0b", 3);
    tar_file(&rig->tar, "note", "");
    tar_pax(&rig->tar, "SCHILY.xattr.user.overlay.opaque", "y", 1);
    tar_dir(&rig->tar, "dir/");
    tar_pax(&rig->tar, "SCHILY.xattr.user.overlay.redirect", "/", 1);
    tar_file(&rig->tar, "redirect", "");
    tar_pax(&rig->tar, "SCHILY.xattr.trusted.overlay.opaque", "y", 1);
    tar_dir(&rig->tar, "dir2/");
    unpack_good(rig);
    int fd = openat(last_layer(rig), "note", O_RDONLY | O_CLOEXEC);
    assert_int_equal(fgetxattr(fd, "user.note", value, sizeof value), 3);
    assert_memory_equal(value, "a\0b", 3);
    close(fd);
    assert_false(is_opaque(rig, "dir"));
    fd = openat(last_layer(rig), "redirect", O_RDONLY | O_CLOEXEC);
    assert_int_equal(flistxattr(fd, NULL, 0), 0);
    close(fd);
    assert_int_equal(rig->counts.xattrs, 3);
}

static void test_owners(void **state)
{
    struct rig *rig = *state;
    tar_header(&rig->tar, '0', "other", "", 0, 04755, 1234);
    tar_header(&rig->tar, '5', "dir", "", 0, 0755, 1234);
    tar_pax(&rig->tar, "uid", "4294967295", 10); /* "leave it" to chown */
    tar_file(&rig->tar, "none", "");
    unpack_good(rig);
    if (geteuid() == 0) {
        assert_int_equal(look(rig, "other").st_uid, 1234);
        assert_int_equal(look(rig, "dir").st_gid, 1234);
        assert_int_equal(rig->counts.owners, 1);
    } else {
        assert_int_equal(look(rig, "other").st_uid, geteuid());
        assert_int_equal(rig->counts.owners, 3 + (geteuid() != 0));
    }
    assert_int_equal(look(rig, "other").st_mode & 07777, 04755); /* after its owner */
    assert_int_equal(look(rig, "none").st_uid, geteuid());
}

/* The same entry twice: the last counts, whatever the first was. */
static void test_again(void **state)
{
    struct rig *rig = *state;
    tar_file(&rig->tar, "a", "first");
    tar_file(&rig->tar, "a", "second");
    tar_dir(&rig->tar, "b");
    tar_file(&rig->tar, "b/in", "");
    tar_file(&rig->tar, "b", "file");
    tar_file(&rig->tar, "c", "");
    tar_dir(&rig->tar, "c");
    tar_file(&rig->tar, "c/in", "it");
    tar_file(&rig->tar, "d", "kept");
    tar_link(&rig->tar, '1', "d", "d");
    tar_link(&rig->tar, '1', "d", "./d");
    unpack_good(rig);
    holds(rig, "a", "second");
    holds(rig, "b", "file");
    holds(rig, "c/in", "it");
    holds(rig, "d", "kept");
}

/* --- on top of others --- */

static void lower(struct rig *rig)
{
    tar_header(&rig->tar, '5', "etc", "", 0, 0710, 0);
    tar_file(&rig->tar, "etc/passwd", "root");
    tar_file(&rig->tar, "etc/group", "wheel");
    tar_dir(&rig->tar, "usr");
    tar_dir(&rig->tar, "usr/lib");
    tar_file(&rig->tar, "usr/lib/low", "low");
    tar_link(&rig->tar, '2', "lib", "usr/lib");
    tar_link(&rig->tar, '2', "abs", "/usr/../usr/lib");
    tar_link(&rig->tar, '2', "up", "../../../../etc");
    tar_dir(&rig->tar, "sub");
    tar_dir(&rig->tar, "sub/dir");
    tar_file(&rig->tar, "sub/dir/file", "x");
    unpack_good(rig);
}

static void test_parents_of_lower_layers(void **state)
{
    struct rig *rig = *state;
    lower(rig);
    tar_file(&rig->tar, "lib/new", "through");
    tar_file(&rig->tar, "abs/new2", "absolute");
    tar_file(&rig->tar, "up/new3", "clamped");
    tar_file(&rig->tar, "nowhere/at/all", "made");
    unpack_good(rig);
    holds(rig, "usr/lib/new", "through");
    holds(rig, "usr/lib/new2", "absolute");
    holds(rig, "etc/new3", "clamped");
    holds(rig, "nowhere/at/all", "made");
    assert_false(is_there(rig, "lib"));
    assert_false(is_there(rig, "up"));
    assert_int_equal(look(rig, "etc").st_mode & 07777, 0710); /* as below */
    assert_int_equal(look(rig, "etc").st_mtime, 1000000000);
    assert_int_equal(look(rig, "nowhere").st_mode & 07777, 0755);
    assert_false(is_opaque(rig, "etc"));
}

static void test_whiteouts(void **state)
{
    struct rig *rig = *state;
    lower(rig);
    tar_file(&rig->tar, "etc/.wh.passwd", "");
    tar_file(&rig->tar, "etc/.wh.never", "");
    tar_file(&rig->tar, ".wh.lib", "");
    tar_file(&rig->tar, "empty/.wh.x", "");
    tar_file(&rig->tar, ".wh..wh.plnk", "");
    tar_file(&rig->tar, ".wh..wh.aufs", "");
    unpack_good(rig);
    assert_true(is_whiteout(rig, "etc/passwd"));
    assert_true(is_whiteout(rig, "lib"));
    assert_false(is_there(rig, "etc/never")); /* there is nothing to hide */
    assert_false(is_there(rig, "etc/group"));
    assert_false(is_there(rig, "empty/x"));
    assert_false(is_there(rig, ".wh..wh.plnk"));
    assert_false(is_there(rig, ".wh..wh.aufs"));
    /* What is hidden comes again above, and shows nothing of what was. */
    tar_file(&rig->tar, "lib/own", "1");
    tar_file(&rig->tar, "etc/passwd", "new");
    unpack_good(rig);
    holds(rig, "lib/own", "1");
    holds(rig, "etc/passwd", "new");
}

static void test_whiteouts_do_not_touch_their_own_layer(void **state)
{
    struct rig *rig = *state;
    lower(rig);
    /* In either order. */
    tar_file(&rig->tar, "etc/.wh.passwd", "");
    tar_file(&rig->tar, "etc/passwd", "mine");
    tar_file(&rig->tar, "etc/group", "mine");
    tar_file(&rig->tar, "etc/.wh.group", "");
    tar_dir(&rig->tar, "sub");
    tar_file(&rig->tar, "sub/mine", "1");
    tar_file(&rig->tar, ".wh.sub", "");
    tar_file(&rig->tar, ".wh.usr", "");
    tar_file(&rig->tar, "usr/mine", "2");
    unpack_good(rig);
    holds(rig, "etc/passwd", "mine");
    holds(rig, "etc/group", "mine");
    holds(rig, "sub/mine", "1");
    assert_true(is_opaque(rig, "sub"));
    holds(rig, "usr/mine", "2");
    assert_true(is_opaque(rig, "usr"));
    /* Nothing below shows through an opaque directory, not even a link. */
    tar_file(&rig->tar, "lib/x", "y");
    unpack_good(rig);
    holds(rig, "usr/lib/x", "y");
    assert_int_equal(look(rig, "usr/lib").st_mode & 07777, 0755);
}

static void test_opaque(void **state)
{
    struct rig *rig = *state;
    lower(rig);
    tar_file(&rig->tar, "etc/.wh.group", ""); /* no longer needed by then */
    tar_file(&rig->tar, "etc/mine", "1");
    tar_file(&rig->tar, "etc/.wh..wh..opq", "");
    tar_file(&rig->tar, "sub/.wh..wh..opq", "");
    tar_file(&rig->tar, "sub/dir/mine", "2");
    unpack_good(rig);
    assert_true(is_opaque(rig, "etc"));
    holds(rig, "etc/mine", "1");
    assert_false(is_there(rig, "etc/group"));
    assert_true(is_opaque(rig, "sub"));
    assert_false(is_opaque(rig, "sub/dir"));
    assert_int_equal(look(rig, "sub/dir").st_mtime, 0); /* not the one below */
}

static void test_opaque_root(void **state)
{
    struct rig *rig = *state;
    lower(rig);
    tar_file(&rig->tar, ".wh..wh..opq", "");
    tar_file(&rig->tar, "etc/mine", "1");
    unpack_good(rig);
    assert_true(is_whiteout(rig, "usr"));
    assert_true(is_whiteout(rig, "lib"));
    assert_true(is_whiteout(rig, "sub"));
    holds(rig, "etc/mine", "1");
    assert_true(is_opaque(rig, "etc"));
}

static void test_hardlinks_to_lower_layers(void **state)
{
    struct rig *rig = *state;
    lower(rig);
    tar_link(&rig->tar, '1', "usr/link", "lib/low");
    tar_link(&rig->tar, '1', "link2", "/lib/../lib/low");
    tar_link(&rig->tar, '1', "link3", "lib"); /* a symbolic link can have several names too */
    unpack_good(rig);
    holds(rig, "usr/link", "low");
    assert_int_equal(look(rig, "usr/link").st_ino, look(rig, "usr/lib/low").st_ino);
    /* By the text of the name, as everybody does: "/lib". */
    holds(rig, "link2", "low");
    leads_to(rig, "link3", "usr/lib");
}

static void test_whole_layer(void **state)
{
    struct rig *rig = *state;
    struct err err = ERR_INIT;
    struct unpack_counts counts;
    char *blob = path_join(rig->dir, "blob"), *layers = path_join(rig->dir, "layers"), *path;
    assert_ok(file_mkdirs(layers, 0700, &err), &err);
    tar_file(&rig->tar, "file", "text");
    tar_end(&rig->tar);
    buf_adds(&rig->tar, "what is behind the end counts, too");
    struct digest digest = digest_of(rig->tar.data, rig->tar.len);
    assert_ok(file_write_atomic(blob, rig->tar.data, rig->tar.len, 0644, &err), &err);
    struct unpack_request request = {
        .blob = blob, .blob_digest = digest, .diff_id = digest, .layers = layers, .name = "one"};
    assert_ok(unpack_layer(&request, &counts, &err), &err);
    path = path_join(layers, "one/file");
    assert_int_equal(access(path, F_OK), 0);
    free(path);
    path = path_join(layers, "one.used");
    assert_int_equal(access(path, F_OK), 0);
    /* Again is nothing to do. */
    char *inside = path_join(layers, "one/file");
    struct stat before, after;
    assert_int_equal(stat(inside, &before), 0);
    assert_ok(unpack_layer(&request, &counts, &err), &err);
    assert_int_equal(stat(inside, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    /* What was unpacked before the machine was started anew may be there in parts only ... */
    struct unpack_note note;
    const char *const names[] = {"one"};
    int fd = open(layers, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    unpack_read_note(fd, "one", &note);
    assert_true(note.sound && !note.synced);
    write_text(layers, "one.used", "skipped 3\nboot another\n", 23, 0644);
    unpack_read_note(fd, "one", &note);
    assert_false(note.sound);
    assert_int_equal(unlink(inside), 0);
    assert_ok(unpack_layer(&request, &counts, &err), &err);
    assert_int_equal(stat(inside, &after), 0);
    /* ... unless all of it had got to the disk by then. */
    write_text(layers, "one.used", "skipped 3\nboot another\n", 23, 0644);
    unpack_sync(layers, names, 1);
    unpack_read_note(fd, "one", &note);
    assert_true(note.sound && note.synced);
    assert_int_equal(note.skipped, 3);
    write_text(layers, "one.used", "", 0, 0644);
    unpack_read_note(fd, "one", &note);
    assert_false(note.sound);
    unpack_read_note(fd, "none", &note);
    assert_false(note.sound);
    close(fd);
    free(inside);
    /* What somebody has left goes. */
    free(path);
    path = path_join(layers, ".new-left/sub");
    assert_ok(file_mkdirs(path, 0700, &err), &err);
    request.name = "two";
    request.diff_id.hash[0] ^= 1;
    assert_fails(unpack_layer(&request, &counts, &err), ERR_CONFIG, &err);
    assert_has(err_text(&err), "does not have the digest");
    err_release(&err);
    assert_int_not_equal(access(path, F_OK), 0);
    free(path);
    path = path_join(layers, "two");
    assert_int_not_equal(access(path, F_OK), 0);
    request.diff_id.hash[0] ^= 1;
    request.blob_digest.hash[0] ^= 1;
    assert_fails(unpack_layer(&request, &counts, &err), ERR_CORRUPT, &err);
    err_release(&err);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_ok(unpack_remove(layers, "one", &err), &err);
    assert_ok(unpack_remove(layers, "never", &err), &err);
    assert_int_equal(rmdir(layers), 0); /* nothing is left */
    free(path);
    free(layers);
    free(blob);
    buf_reset(&rig->tar);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(test_kinds),
        rig_test(test_names),
        rig_test(test_times_and_numbers),
        rig_test(test_xattrs),
        rig_test(test_owners),
        rig_test(test_again),
        rig_test(test_parents_of_lower_layers),
        rig_test(test_whiteouts),
        rig_test(test_whiteouts_do_not_touch_their_own_layer),
        rig_test(test_opaque),
        rig_test(test_opaque_root),
        rig_test(test_hardlinks_to_lower_layers),
        rig_test(test_whole_layer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
