/*
 * What skopeo is asked, and what its answers mean.
 *
 * Credentials never go through here: skopeo finds them itself, where people have put them for it,
 * podman and docker. Plain HTTP is allowed for registries on loopback alone; others may be named in
 * containers-registries.conf(5), as for any tool of that family.
 */
#include "runners/image_private.h"

#include "base/mem.h"

#include <string.h>

#define RETRIES  "1"
#define PATIENCE "2m" /* for a document; a registry that takes the call may not answer for ever */

void image_argv_release(struct image_argv *argv)
{
    arena_release(&argv->arena);
    vec_release(&argv->v);
}

static void add(struct image_argv *argv, const char *word)
{
    vec_push(&argv->v, word);
}

static void end(struct image_argv *argv)
{
    vec_push(&argv->v, NULL);
}

/* "docker://name@digest": with both a tag and a digest skopeo would not know which to take. */
static const char *remote(struct image_argv *argv, const struct image_ref *ref,
                          const struct digest *digest)
{
    char hex[DIGEST_HEX + 1];
    if (!digest || digest_is_null(digest))
        digest = &ref->digest;
    if (digest_is_null(digest))
        return arena_printf(&argv->arena, "docker://%s:%s", ref->path, ref->tag);
    digest_hex(digest, hex);
    return arena_printf(&argv->arena, "docker://%s@sha256:%s", ref->path, hex);
}

static void begin_inspect(struct image_argv *argv, const struct image_store *store,
                          const struct image_ref *ref)
{
    add(argv, store->skopeo);
    add(argv, "--command-timeout=" PATIENCE);
    add(argv, "inspect");
    add(argv, "--raw");
    add(argv, "--retry-times");
    add(argv, RETRIES);
    if (ref->loopback)
        add(argv, "--tls-verify=false");
}

void image_skopeo_manifest(struct image_argv *argv, const struct image_store *store,
                           const struct image_ref *ref, const struct digest *digest)
{
    begin_inspect(argv, store, ref);
    add(argv, remote(argv, ref, digest));
    end(argv);
}

void image_skopeo_config(struct image_argv *argv, const struct image_store *store,
                         const struct image_ref *ref, const struct digest *digest)
{
    begin_inspect(argv, store, ref);
    add(argv, "--config");
    add(argv, remote(argv, ref, digest));
    end(argv);
}

void image_skopeo_copy(struct image_argv *argv, const struct image_store *store,
                       const struct image_ref *ref, const struct digest *digest)
{
    add(argv, store->skopeo);
    add(argv, "--tmpdir");
    add(argv, ".");
    add(argv, "copy");
    add(argv, "--quiet");
    add(argv, "--remove-signatures");
    add(argv, "--retry-times");
    add(argv, RETRIES);
    /* Blobs are what the manifest says they are: not compressed, nor made smaller. */
    add(argv, "--dest-oci-accept-uncompressed-layers");
    add(argv, "--dest-shared-blob-dir");
    add(argv, arena_printf(&argv->arena, "%s/images/blobs", store->dir));
    if (ref->source == IMAGE_REGISTRY) {
        if (ref->loopback)
            add(argv, "--src-tls-verify=false");
        add(argv, remote(argv, ref, digest));
    } else {
        add(argv, arena_printf(&argv->arena, "docker-archive:%s%s%s", ref->path,
                               ref->tag ? ":" : "", ref->tag ? ref->tag : ""));
    }
    /* Relative, for a colon in the path would end it. */
    add(argv, "oci:" IMAGE_LAYOUT_DIR ":image");
    end(argv);
}

/* --- its words --- */

/* The text of the last msg="..." in what skopeo said, or all of it. */
static void message_of(const char *words, struct buf *out)
{
    const char *from = NULL;
    for (const char *at = words; (at = strstr(at, " msg=\"")); at++)
        from = at + strlen(" msg=\"");
    if (!from) {
        size_t n = strlen(words);
        while (n && words[n - 1] == '\n')
            n--;
        buf_add_shown(out, words, n);
        return;
    }
    for (; *from && *from != '"'; from++) {
        if (*from == '\\' && from[1])
            from++;
        buf_addc(out, *from == '\n' ? ' ' : *from);
    }
}

/* The message but for the names in it, which may be anything: "denied", or a port 4040. */
static void without_names(const char *message, const char *host, struct buf *out)
{
    static const char before_tag[] = "reading manifest";
    char *copy = mem_strdup(message), *rest = NULL;
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        size_t n = sizeof before_tag - 1;
        bool is_tag = out->len >= n && strcmp(buf_str(out) + out->len - n, before_tag) == 0;
        if (is_tag)
            buf_adds(out, " ..."); /* once */
        else if (!strstr(word, host) && !strstr(word, "://"))
            buf_addf(out, "%s%s", out->len ? " " : "", word);
    }
    free(copy);
}

static bool says(const char *text, const char *const *parts)
{
    for (; *parts; parts++) {
        if (strcasestr(text, *parts))
            return true;
    }
    return false;
}

static const struct {
    const char *parts[12]; /* of the message, any case; NULL terminated */
    enum err_kind kind;
    const char *words; /* %s: the registry's host */
} meanings[] = {
    {{"invalid username/password", "incorrect username or password", NULL},
     ERR_CONFIG,
     "the registry %s does not take the user name and password that are kept for it; log in again "
     "(skopeo login %s)"},
    {{"unauthorized", "authentication required", "denied", "no basic auth credentials", NULL},
     ERR_CONFIG,
     "the registry %s does not give it to who is not logged in, or it is not there; log in "
     "(skopeo login %s, or what podman and docker have for that)"},
    {{"manifest unknown", "name unknown", "repository name not known", "tag does not exist",
      "not found: manifest", "StatusCode: 404", "404 Not Found", "404 (Not Found)", NULL},
     ERR_CONFIG,
     "the registry %s does not have it; is the name right, and the tag?"},
    {{"server gave HTTP response to HTTPS client", NULL},
     ERR_CONFIG,
     "the registry %s speaks plain HTTP, which is taken from this machine's own alone; allow it in "
     "/etc/containers/registries.conf (insecure = true)"},
    {{"certificate", "x509", NULL},
     ERR_CONFIG,
     "the certificate of the registry %s is not one that this machine trusts; put its authority "
     "into /etc/containers/certs.d/%s"},
    {{"toomanyrequests", "too many requests", NULL},
     ERR_SYSTEM,
     "the registry %s has been asked too often from here; wait, or log in (skopeo login %s)"},
    {{"no such host", "connection refused", "i/o timeout", "network is unreachable",
      "no route to host", "connection reset", "unexpected EOF", "TLS handshake timeout",
      "name resolution", "deadline exceeded", "dial tcp", NULL},
     ERR_SYSTEM,
     "the registry %s does not answer"},
    {{"policy.json", NULL},
     ERR_SYSTEM,
     "skopeo's configuration is not there; install what it comes with (Debian: "
     "golang-github-containers-common)"},
    {{"no space left", NULL},
     ERR_SYSTEM,
     "the cache's disk is full; make room (kiln cache gc), or put the cache elsewhere "
     "(KILN_CACHE_DIR)"},
};

int image_skopeo_failed(const struct image_store *store, const struct image_ref *ref,
                        const struct image_run *run, struct err *err)
{
    struct buf message = BUF_INIT, said = BUF_INIT;
    int rc = 0;
    if (run->lost)
        return err_set(err, ERR_SYSTEM, "skopeo could not be run: %s", buf_str(&run->words));
    if (run->exit_code == 126 || run->exit_code == 127)
        return err_set(err, ERR_SYSTEM,
                       "%s, which fetches images, cannot be run; install it (Debian: skopeo)",
                       store->skopeo);
    message_of(buf_str(&run->words), &message);
    char *host = mem_strndup(ref->path, strcspn(ref->path, "/"));
    without_names(buf_str(&message), host, &said);
    for (size_t i = 0;
         rc == 0 && ref->source == IMAGE_REGISTRY && i < sizeof meanings / sizeof *meanings; i++) {
        if (!says(buf_str(&said), meanings[i].parts))
            continue;
        struct buf words = BUF_INIT;
        for (const char *c = meanings[i].words; *c; c++) {
            if (c[0] == '%' && c[1] == 's') {
                buf_adds(&words, host);
                c++;
            } else {
                buf_addc(&words, *c);
            }
        }
        rc = err_set(err, meanings[i].kind, "%s (%s)", buf_str(&words), buf_str(&message));
        buf_release(&words);
    }
    if (rc == 0)
        rc = err_set(err, ref->source == IMAGE_REGISTRY ? ERR_SYSTEM : ERR_CONFIG,
                     "skopeo could not get it: %s",
                     message.len ? buf_str(&message) : "it does not say why");
    free(host);
    buf_release(&said);
    buf_release(&message);
    return rc;
}
