/* References to images, and names of platforms, as people write them. */
#include "runners/image.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#define DEFAULT_HOST "docker.io"
#define MOST_NAME    255u
#define MOST_TAG     128u
#define SHA256       "sha256:"
#define DOCKER       "docker://"

static bool is_lower(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_word(char c)
{
    return is_lower(c) || (c >= 'A' && c <= 'Z') || c == '_';
}

static int wrong(struct err *err, const char *text, const char *why)
{
    struct buf shown = BUF_INIT;
    size_t n = strlen(text);
    buf_add_shown(&shown, text, n < 200 ? n : 200);
    int rc = err_set(err, ERR_CONFIG, "\"%s\" is no image: %s", buf_str(&shown), why);
    buf_release(&shown);
    return rc;
}

/* --- registries --- */

/* Lower-case words, with one ".", one or two "_", or any number of "-" between them. */
static bool is_component(const char *text, size_t n)
{
    size_t i = 0;
    for (;;) {
        size_t from = i;
        while (i < n && is_lower(text[i]))
            i++;
        if (i == from)
            return false;
        if (i == n)
            return true;
        from = i;
        if (text[i] == '.')
            i++;
        else if (text[i] == '_')
            i += i + 1 < n && text[i + 1] == '_' ? 2 : 1;
        else
            while (i < n && text[i] == '-')
                i++;
        if (i == from)
            return false;
    }
}

static bool is_repository(const char *text)
{
    for (;;) {
        size_t n = strcspn(text, "/");
        if (!is_component(text, n))
            return false;
        if (!text[n])
            return true;
        text += n + 1;
    }
}

/* "name", "name:port", "[address]:port" */
static bool is_host(const char *text)
{
    const char *port = NULL;
    if (*text == '[') {
        const char *end = strchr(text, ']');
        if (!end || strspn(text + 1, "0123456789abcdefABCDEF:.") != (size_t)(end - text - 1))
            return false;
        if (end[1] && end[1] != ':')
            return false;
        port = end[1] ? end + 2 : NULL;
    } else {
        size_t n = strcspn(text, ":");
        for (size_t i = 0; i < n; i++) {
            bool edge = i == 0 || i + 1 == n || text[i - 1] == '.' || text[i + 1] == '.';
            if (!(is_word(text[i]) && text[i] != '_') &&
                (edge || (text[i] != '-' && text[i] != '.')))
                return false;
        }
        if (!n)
            return false;
        port = text[n] ? text + n + 1 : NULL;
    }
    return !port || (*port && strlen(port) <= 5 && strspn(port, "0123456789") == strlen(port));
}

static bool is_loopback(const char *host)
{
    size_t n = strcspn(host, ":");
    if (*host == '[')
        return strncmp(host, "[::1]", 5) == 0;
    if (n == 9 && memcmp(host, "localhost", 9) == 0)
        return true;
    if (strncmp(host, "127.", 4) != 0)
        return false;
    /* Not a name that only begins so. */
    unsigned dots = 0;
    for (size_t i = 0; i < n; i++) {
        if (host[i] == '.')
            dots++;
        else if (host[i] < '0' || host[i] > '9')
            return false;
    }
    return dots == 3;
}

static bool is_tag(const char *text)
{
    size_t n = strlen(text);
    if (!n || n > MOST_TAG || !is_word(*text))
        return false;
    for (size_t i = 1; i < n; i++) {
        if (!is_word(text[i]) && text[i] != '.' && text[i] != '-')
            return false;
    }
    return true;
}

static int fail_registry(const char *text, const char *rest, struct err *err)
{
    for (const char *c = rest; *c && *c != ':'; c++) {
        if (*c >= 'A' && *c <= 'Z')
            return wrong(err, text, "the name of an image is in lower case");
    }
    return wrong(err, text,
                 "write \"debian:12\", \"registry.example.org/team/name:tag\", with "
                 "\"@sha256:…\" behind it if you like, \"oci:DIR:TAG\" or \"docker-archive:FILE\"");
}

static int parse_registry(const char *text, struct image_ref *out, struct err *err)
{
    char *whole = mem_strdup(text), *rest = whole, *host = NULL;
    char *at = strchr(whole, '@'), *slash, *tag = NULL;
    int rc = 0;
    if (at) {
        *at = '\0';
        if (strncmp(at + 1, SHA256, strlen(SHA256)) != 0 ||
            !digest_parse(at + 1 + strlen(SHA256), 0, &out->digest) ||
            digest_is_null(&out->digest)) {
            rc = wrong(err, text,
                       "behind \"@\" stands a digest: \"sha256:\" and 64 hexadecimal characters in "
                       "lower case");
            goto out;
        }
    }
    /* What comes before the first slash is a host when it looks like one. */
    slash = strchr(whole, '/');
    if (slash) {
        *slash = '\0';
        if (strpbrk(whole, ".:[") || strcmp(whole, "localhost") == 0) {
            host = whole;
            rest = slash + 1;
        } else {
            *slash = '/';
        }
    }
    char *colon = strrchr(rest, ':');
    if (colon && !strchr(colon, '/')) {
        *colon = '\0';
        tag = colon + 1;
    }
    if (host && !is_host(host)) {
        rc = wrong(err, text, "what stands before the first \"/\" is no registry's host");
    } else if (!is_repository(rest)) {
        rc = fail_registry(text, rest, err);
    } else if (tag && !is_tag(tag)) {
        rc = wrong(err, text,
                   "a tag is at most 128 letters, digits, \"_\", \".\" and \"-\", and does not "
                   "begin with the last two");
    } else {
        bool own = !host || strcmp(host, "index.docker.io") == 0 || strcmp(host, DEFAULT_HOST) == 0;
        out->path = mem_printf("%s/%s%s", own ? DEFAULT_HOST : host,
                               own && !strchr(rest, '/') ? "library/" : "", rest);
        out->tag = tag ? mem_strdup(tag) : at ? NULL : mem_strdup("latest");
        out->loopback = host && is_loopback(host);
        out->name = mem_printf("%s%s%s%s%s", out->path, out->tag ? ":" : "",
                               out->tag ? out->tag : "", at ? "@" : "", at ? at + 1 : "");
        if (strlen(out->path) > MOST_NAME)
            rc = wrong(err, text, "the name is longer than 255 characters");
    }
out:
    free(whole);
    return rc;
}

/* --- local ones --- */

/* "DIR[:TAG]", relative to root. The tag is what stands behind the first colon, as skopeo has it.
 */
static int parse_local(const char *text, const char *rest, const char *root, struct image_ref *out,
                       struct err *err)
{
    size_t n = strcspn(rest, ":");
    if (!n)
        return wrong(err, text,
                     out->source == IMAGE_LAYOUT ? "behind \"oci:\" stands a directory"
                                                 : "behind \"docker-archive:\" stands a file");
    if (rest[n] && !rest[n + 1])
        return wrong(err, text, "there is nothing behind the last \":\"; leave it out");
    char *path = mem_strndup(rest, n), *normal = *path == '/' ? NULL : path_normalize(path);
    out->path = normal ? path_join(root, normal) : path_join(root, path);
    out->tag = rest[n] ? mem_strdup(rest + n + 1) : NULL;
    out->name = mem_strdup(text);
    free(normal);
    free(path);
    return 0;
}

int image_ref_parse(const char *text, const char *root, struct image_ref *out, struct err *err)
{
    static const char *const others[] = {"containers-storage:",
                                         "dir:",
                                         "docker-daemon:",
                                         "oci-archive:",
                                         "sif:",
                                         "ostree:",
                                         "tarball:"};
    int rc;
    *out = (struct image_ref){.source = IMAGE_REGISTRY};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (strncmp(text, others[i], strlen(others[i])) == 0)
            return wrong(err, text,
                         "kiln takes images from registries, \"oci:DIR:TAG\" and "
                         "\"docker-archive:FILE\"; skopeo copy makes one of these of it");
    }
    if (strncmp(text, "oci:", 4) == 0) {
        out->source = IMAGE_LAYOUT;
        rc = parse_local(text, text + 4, root, out, err);
    } else if (strncmp(text, "docker-archive:", 15) == 0) {
        out->source = IMAGE_ARCHIVE;
        rc = parse_local(text, text + 15, root, out, err);
    } else {
        bool prefixed = strncmp(text, DOCKER, strlen(DOCKER)) == 0;
        rc = parse_registry(prefixed ? text + strlen(DOCKER) : text, out, err);
    }
    if (rc < 0)
        image_ref_release(out);
    return rc;
}

void image_ref_release(struct image_ref *ref)
{
    free(ref->name);
    free(ref->path);
    free(ref->tag);
    *ref = (struct image_ref){.source = IMAGE_REGISTRY};
}

bool image_ref_is_locked(const struct image_ref *ref)
{
    return ref->source == IMAGE_REGISTRY && digest_is_null(&ref->digest);
}

/* --- platforms --- */

static const struct {
    const char *from, *arch, *variant; /* variant NULL: as it was */
} arches[] = {
    {"x86_64", "amd64", NULL},
    {"x86-64", "amd64", NULL},
    {"aarch64", "arm64", NULL},
    {"i386", "386", NULL},
    {"i486", "386", NULL},
    {"i586", "386", NULL},
    {"i686", "386", NULL},
    {"armhf", "arm", "v7"},
    {"armv7l", "arm", "v7"},
    {"armv8l", "arm", "v7"},
    {"armel", "arm", "v6"},
    {"armv6l", "arm", "v6"},
    {"loongarch64", "loong64", NULL},
};

/* os/arch[/variant] by usual names. */
static char *usual_platform(const char *os, const char *arch, const char *variant)
{
    for (size_t i = 0; i < sizeof arches / sizeof *arches; i++) {
        if (strcmp(arch, arches[i].from) == 0) {
            arch = arches[i].arch;
            if (arches[i].variant && !*variant)
                variant = arches[i].variant;
            break;
        }
    }
    if (strcmp(arch, "arm64") == 0 && strcmp(variant, "v8") == 0)
        variant = "";
    if (strcmp(arch, "amd64") == 0 && strcmp(variant, "v1") == 0)
        variant = "";
    if (strcmp(arch, "arm") == 0 && !*variant)
        variant = "v7";
    return mem_printf("%s/%s%s%s", os, arch, *variant ? "/" : "", variant);
}

const char *image_platform(void)
{
    static const char *const known[] = {
        "linux/amd64",   "linux/arm64",   "linux/arm/v7", "linux/arm/v6",  "linux/386",
        "linux/riscv64", "linux/ppc64le", "linux/s390x",  "linux/loong64", "linux/mips64le"};
    const char *found = known[0];
    struct utsname name;
    if (uname(&name) < 0)
        return found;
    char *platform = usual_platform("linux", name.machine, "");
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(platform, known[i]) == 0)
            found = known[i];
    }
    free(platform);
    return found;
}

int image_platform_parse(const char *text, char **out, struct err *err)
{
    char *copy = mem_strdup(text), *parts[3] = {copy, NULL, NULL};
    size_t n = 1;
    for (char *c = copy; *c && n <= 3; c++) {
        if (*c == '/') {
            *c = '\0';
            if (n < 3)
                parts[n] = c + 1;
            n++;
        }
    }
    bool good = n == 2 || n == 3;
    for (size_t i = 0; i < n && good; i++)
        good = *parts[i] && is_component(parts[i], strlen(parts[i]));
    int rc = 0;
    if (!good)
        rc = err_set(err, ERR_CONFIG,
                     "a platform is written \"linux/amd64\" or \"linux/arm/v7\": system, "
                     "architecture, and its variant if there is one");
    else if (strcmp(parts[0], "linux") != 0)
        rc = err_set(err, ERR_CONFIG, "kiln runs images of linux, not of %s", parts[0]);
    else
        *out = usual_platform(parts[0], parts[1], n == 3 ? parts[2] : "");
    free(copy);
    return rc;
}
