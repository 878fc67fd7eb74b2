/* References, platforms, manifests and configurations; what a step runs in an image. */
#include "test_cache.h"

#include "runners/image_manifest.h"
#include "runners/image_private.h"

#define HEX    "abababababababababababababababababababababababababababababababab"
#define DIGEST "sha256:" HEX

static void test_references(void **state)
{
    static const struct {
        const char *text, *name, *path, *tag;
        enum image_source source;
        bool loopback, locked;
    } good[] = {
        {"debian:12", "docker.io/library/debian:12", "docker.io/library/debian", "12", 0, false,
         true},
        {"debian", "docker.io/library/debian:latest", "docker.io/library/debian", "latest", 0,
         false, true},
        {"docker.io/debian", "docker.io/library/debian:latest", "docker.io/library/debian",
         "latest", 0, false, true},
        {"index.docker.io/team/x", "docker.io/team/x:latest", "docker.io/team/x", "latest", 0,
         false, true},
        {"team/x:1", "docker.io/team/x:1", "docker.io/team/x", "1", 0, false, true},
        {"docker://quay.io/a/b/c:v1.2_3-4", "quay.io/a/b/c:v1.2_3-4", "quay.io/a/b/c", "v1.2_3-4",
         0, false, true},
        {"localhost/x", "localhost/x:latest", "localhost/x", "latest", 0, true, true},
        {"localhost:5000/x:1", "localhost:5000/x:1", "localhost:5000/x", "1", 0, true, true},
        {"127.3.2.1:5000/x", "127.3.2.1:5000/x:latest", "127.3.2.1:5000/x", "latest", 0, true,
         true},
        {"[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x", "latest", 0, true, true},
        {"127.0.0.1.example.org/x", "127.0.0.1.example.org/x:latest", "127.0.0.1.example.org/x",
         "latest", 0, false, true},
        {"localhost.example.org/x", "localhost.example.org/x:latest", "localhost.example.org/x",
         "latest", 0, false, true},
        {"Example.org:80/x", "Example.org:80/x:latest", "Example.org:80/x", "latest", 0, false,
         true},
        {"x@" DIGEST, "docker.io/library/x@" DIGEST, "docker.io/library/x", NULL, 0, false, false},
        {"h.io/x:t@" DIGEST, "h.io/x:t@" DIGEST, "h.io/x", "t", 0, false, false},
        {"oci:dir", "oci:dir", "/root/dir", NULL, IMAGE_LAYOUT, false, false},
        {"oci:./a/../dir:tag:x", "oci:./a/../dir:tag:x", "/root/dir", "tag:x", IMAGE_LAYOUT, false,
         false},
        {"oci:../dir", "oci:../dir", "/root/../dir", NULL, IMAGE_LAYOUT, false, false},
        {"docker-archive:/f.tar:a/b:1", "docker-archive:/f.tar:a/b:1", "/f.tar", "a/b:1",
         IMAGE_ARCHIVE, false, false},
    };
    struct err err = ERR_INIT;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct image_ref ref;
        assert_ok(image_ref_parse(good[i].text, "/root", &ref, &err), &err);
        assert_string_equal(ref.name, good[i].name);
        assert_string_equal(ref.path, good[i].path);
        assert_int_equal(!ref.tag, !good[i].tag);
        if (ref.tag)
            assert_string_equal(ref.tag, good[i].tag);
        assert_int_equal(ref.source, good[i].source);
        assert_int_equal(ref.loopback, good[i].loopback);
        assert_int_equal(image_ref_is_locked(&ref), good[i].locked);
        image_ref_release(&ref);
    }
}

static void test_bad_references(void **state)
{
    static const char *const bad[][2] = {
        {"", "is no image"},
        {"Debian", "lower case"},
        {"a b", "is no image"},
        {"a//b", "is no image"},
        {"/a", "is no image"},
        {"a/", "is no image"},
        {"-a", "is no image"},
        {"a.", "is no image"},
        {"a___b", "is no image"},
        {"a:", "a tag is"},
        {"a:-x", "a tag is"},
        {"a:x/y", "is no image"},
        {"a@", "stands a digest"},
        {"a@sha256:abc", "stands a digest"},
        {"a@sha512:" HEX, "stands a digest"},
        {"h.io:port/a", "no registry's host"},
        {"h.io:999999/a", "no registry's host"},
        {"[zz]:1/a", "no registry's host"},
        {"-h.io/a", "no registry's host"},
        {"h..io/a", "no registry's host"},
        {"oci:", "stands a directory"},
        {"oci::x", "stands a directory"},
        {"oci:x:", "nothing behind"},
        {"docker-archive:", "stands a file"},
        {"containers-storage:x", "skopeo copy"},
        {"docker-daemon:x:1", "skopeo copy"},
    };
    struct err err = ERR_INIT;
    struct image_ref ref;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_fails(image_ref_parse(bad[i][0], "/root", &ref, &err), ERR_CONFIG, &err);
        assert_has(err_text(&err), bad[i][1]);
        err_release(&err);
    }
}

static void test_platforms(void **state)
{
    static const char *const usual[][2] = {
        {"linux/amd64", "linux/amd64"},     {"linux/x86_64", "linux/amd64"},
        {"linux/aarch64", "linux/arm64"},   {"linux/arm64/v8", "linux/arm64"},
        {"linux/arm", "linux/arm/v7"},      {"linux/armhf", "linux/arm/v7"},
        {"linux/arm/v6", "linux/arm/v6"},   {"linux/amd64/v3", "linux/amd64/v3"},
        {"linux/riscv64", "linux/riscv64"},
    };
    static const char *const bad[] = {"",
                                      "linux",
                                      "linux/",
                                      "/amd64",
                                      "windows/amd64",
                                      "linux/a/b/c",
                                      "Linux/amd64",
                                      "linux/amd 64"};
    struct err err = ERR_INIT;
    char *out = NULL;
    (void)state;
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++) {
        assert_ok(image_platform_parse(usual[i][0], &out, &err), &err);
        assert_string_equal(out, usual[i][1]);
        free(out);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_fails(image_platform_parse(bad[i], &out, &err), ERR_CONFIG, &err);
        err_release(&err);
    }
    assert_ok(image_platform_parse(image_platform(), &out, &err), &err);
    assert_string_equal(out, image_platform());
    free(out);
    assert_true(manifest_runs_on("linux/amd64", "linux/amd64"));
    assert_true(manifest_runs_on("linux/arm64/v8", "linux/arm64"));
    assert_true(manifest_runs_on("linux/arm/v6", "linux/arm/v7"));
    assert_true(manifest_runs_on("linux/amd64", "linux/amd64/v3"));
    assert_false(manifest_runs_on("linux/amd64/v3", "linux/amd64"));
    assert_false(manifest_runs_on("linux/arm/v7", "linux/arm/v6"));
    assert_false(manifest_runs_on("linux/arm64", "linux/arm/v7"));
    assert_false(manifest_runs_on("linux/arm", "linux/arm64"));
    assert_false(manifest_runs_on("windows/amd64", "linux/amd64"));
    assert_false(manifest_runs_on("", "linux/amd64"));
}

static char *entry(const char *platform, char c)
{
    char hex[DIGEST_HEX + 1];
    memset(hex, c, DIGEST_HEX);
    hex[DIGEST_HEX] = '\0';
    return mem_printf("{\"digest\": \"sha256:%s\", \"size\": 1, \"platform\": %s}", hex, platform);
}

static void test_choices(void **state)
{
    struct arena arena = ARENA_INIT;
    struct err err = ERR_INIT;
    struct manifest index;
    struct digest chosen;
    char *a = entry("{\"os\": \"linux\", \"architecture\": \"amd64\", \"variant\": \"v3\"}", 'a');
    char *b = entry("{\"os\": \"linux\", \"architecture\": \"arm\", \"variant\": \"v6\"}", 'b');
    char *c = entry("{\"os\": \"linux\", \"architecture\": \"arm\", \"variant\": \"v7\"}", 'c');
    char *d = entry("{\"os\": \"linux\", \"architecture\": \"amd64\"}", 'd');
    char *e = entry("{\"os\": \"unknown\", \"architecture\": \"unknown\"}", 'e');
    char *text =
        mem_printf("{\"schemaVersion\": 2, \"manifests\": [%s, %s, %s, %s, %s]}", a, b, c, d, e);
    static const struct {
        const char *platform;
        unsigned char byte;
    } want[] = {{"linux/amd64", 0xdd},  {"linux/amd64/v3", 0xaa}, {"linux/amd64/v2", 0xdd},
                {"linux/arm/v7", 0xcc}, {"linux/arm/v6", 0xbb},   {"linux/arm/v8", 0xcc}};
    (void)state;
    assert_ok(manifest_parse(text, strlen(text), &arena, &index, &err), &err);
    assert_true(index.is_index);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        assert_ok(manifest_choose(&index, want[i].platform, &chosen, &err), &err);
        assert_int_equal(chosen.hash[0], want[i].byte);
    }
    assert_fails(manifest_choose(&index, "linux/s390x", &chosen, &err), ERR_CONFIG, &err);
    assert_string_equal(err_text(&err), "it is not there for linux/s390x, but for: linux/amd64/v3, "
                                        "linux/arm/v6, linux/arm/v7, linux/amd64");
    err_release(&err);
    arena_release(&arena);
    free(text);
    free(a);
    free(b);
    free(c);
    free(d);
    free(e);
}

#define CONFIG                                                                               \
    "\"config\": {\"mediaType\": \"application/vnd.oci.image.config.v1+json\", \"digest\": " \
    "\"" DIGEST "\", \"size\": 2}"
#define LAYER(type) "{\"mediaType\": \"" type "\", \"digest\": \"" DIGEST "\", \"size\": 3}"
#define OCI         "application/vnd.oci.image.layer."

static void test_manifests(void **state)
{
    static const char good[] =
        "{\"schemaVersion\": 2, " CONFIG ", \"layers\": [" LAYER(OCI "v1.tar") ", " LAYER(
            "application/vnd.docker.image.rootfs.diff.tar.gzip") ", " LAYER(OCI "v1.tar+zstd") "]}";
    static const char *const bad[][2] = {
        {"", "no JSON object"},
        {"[]", "no JSON object"},
        {"{\"a\": 1, \"a\": 1}", "no JSON object"},
        {"{\"schemaVersion\": 1}", "schema 1"},
        {"{\"schemaVersion\": 2}", "no configuration or no layers"},
        {"{\"schemaVersion\": 2, \"manifests\": [], \"layers\": []}", "at the same time"},
        {"{\"manifests\": [{\"digest\": \"x\"}]}", "without a SHA-256 digest"},
        {"{" CONFIG ", \"layers\": []}", "no layers"},
        {"{" CONFIG ", \"layers\": [{\"digest\": \"sha256:1\"}]}", "without a SHA-256 digest"},
        {"{" CONFIG
         ", \"layers\": [" LAYER("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip") "]}",
         "foreign"},
        {"{" CONFIG ", \"layers\": [" LAYER(OCI "nondistributable.v1.tar") "]}", "foreign"},
        {"{" CONFIG ", \"layers\": [" LAYER(OCI "v1.tar+encrypted") "]}", "cannot unpack"},
        {"{\"config\": {\"mediaType\": \"application/vnd.cncf.helm.config.v1+json\", \"digest\": "
         "\"" DIGEST "\", \"size\": 1}, \"layers\": []}",
         "not an image of a container"},
    };
    struct arena arena = ARENA_INIT;
    struct err err = ERR_INIT;
    struct manifest manifest;
    (void)state;
    assert_ok(manifest_parse(good, strlen(good), &arena, &manifest, &err), &err);
    assert_int_equal(manifest.n_layers, 3);
    assert_int_equal(manifest.layers[1].digest.size, 3);
    assert_int_equal(manifest.config.digest.size, 2);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_fails(manifest_parse(bad[i][0], strlen(bad[i][0]), &arena, &manifest, &err),
                     ERR_CONFIG, &err);
        assert_has(err_text(&err), bad[i][1]);
        err_release(&err);
    }
    arena_release(&arena);
}

static void test_configuration(void **state)
{
    static const char text[] =
        "{\"architecture\": \"arm64\", \"os\": \"linux\", \"variant\": \"v8\", \"config\": {"
        "\"User\": \"u:g\", \"Env\": [\"A=1\", \"=x\", \"B\", \"A=2\"], \"Entrypoint\": [\"/e\", "
        "\"-x\"],"
        "\"Cmd\": [\"c\"], \"WorkingDir\": \"w/./x/\"}, \"rootfs\": {\"diff_ids\": [\"" DIGEST
        "\"]}}";
    static const char nothing[] = "{\"config\": {\"Env\": null, \"Cmd\": null}}";
    struct image image = {.name = ""}, empty = {.name = ""};
    struct arena arena = ARENA_INIT;
    struct err err = ERR_INIT;
    const struct digest *ids;
    size_t n;
    (void)state;
    assert_ok(manifest_config(text, strlen(text), &image, &ids, &n, &err), &err);
    assert_string_equal(image.platform, "linux/arm64/v8");
    assert_string_equal(image.user, "u:g");
    assert_string_equal(image.workdir, "/w/x");
    assert_int_equal(image.n_entrypoint, 2);
    assert_string_equal(image.cmd[0], "c");
    assert_int_equal(image.n_env, 3);
    assert_true(strncmp(image.env[2], "PATH=/", 6) == 0); /* it has none */
    assert_int_equal(n, 1);

    const char *const step[] = {"B=own", "PATH=/mine", NULL};
    const char *const *env = image_environment(&image, step, &arena);
    assert_string_equal(env[0], "A=2");
    assert_string_equal(env[1], "B=own");
    assert_string_equal(env[2], "PATH=/mine");
    assert_null(env[3]);
    const char *const shell[] = {"/bin/sh", "-ec", "echo", NULL};
    const char *const *argv = image_command(&image, shell, true, &arena);
    assert_string_equal(argv[0], "/bin/sh");
    assert_null(argv[3]);
    argv = image_command(&image, shell, false, &arena);
    assert_string_equal(argv[0], "/e");
    assert_string_equal(argv[1], "-x");
    assert_string_equal(argv[2], "/bin/sh");
    assert_null(argv[5]);

    assert_ok(manifest_config(nothing, strlen(nothing), &empty, &ids, &n, &err), &err);
    assert_string_equal(empty.user, "");
    assert_string_equal(empty.workdir, "/");
    assert_int_equal(empty.n_env, 1);
    assert_int_equal(empty.n_entrypoint + empty.n_cmd + n, 0);
    arena_release(&image.arena);
    arena_release(&empty.arena);
    arena_release(&arena);
}

/* By what skopeo says, never by the names that it says it of. */
static void test_failures(void **state)
{
    static const struct {
        const char *path, *said, *words;
        enum err_kind kind;
    } cases[] = {
        {"127.0.0.1:40489/app",
         "Error parsing image name \\\"docker://127.0.0.1:40489/app:1\\\": pinging container "
         "registry "
         "127.0.0.1:40489: Get \\\"http://127.0.0.1:40489/v2/\\\": dial tcp 127.0.0.1:40489: "
         "connect: "
         "connection refused",
         "does not answer", ERR_SYSTEM},
        {"h.io/access/denied",
         "Error parsing image name \\\"docker://h.io/access/denied:x509\\\": reading manifest x509 "
         "in "
         "h.io/access/denied: manifest unknown",
         "does not have it", ERR_CONFIG},
        {"h.io/app",
         "Error parsing image name \\\"docker://h.io/app:1\\\": reading manifest 1 in h.io/app: "
         "StatusCode: 404, 404 page not found",
         "does not have it", ERR_CONFIG},
        {"h.io/app",
         "reading manifest denied in h.io/app: received unexpected HTTP status: 500 Internal "
         "Server Error",
         "could not get it", ERR_SYSTEM},
        {"h.io/app",
         "Error parsing image name \\\"docker://h.io/app:1\\\": reading manifest 1 in h.io/app: "
         "denied: "
         "requested access to the resource is denied",
         "not logged in", ERR_CONFIG},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct image_store store = {.skopeo = NULL};
        struct image_run run = {.exit_code = 1};
        struct image_ref ref = {.source = IMAGE_REGISTRY, .path = mem_strdup(cases[i].path)};
        struct err err = ERR_INIT;
        buf_addf(&run.words, "time=\"2020-01-01T00:00:00Z\" level=fatal msg=\"%s\"\n",
                 cases[i].said);
        assert_int_equal(image_skopeo_failed(&store, &ref, &run, &err), -(int)cases[i].kind);
        if (!strstr(err_text(&err), cases[i].words))
            fail_msg("%s", err_text(&err));
        err_release(&err);
        free(ref.path);
        image_run_release(&run);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failures),       cmocka_unit_test(test_references),
        cmocka_unit_test(test_bad_references), cmocka_unit_test(test_platforms),
        cmocka_unit_test(test_choices),        cmocka_unit_test(test_manifests),
        cmocka_unit_test(test_configuration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
