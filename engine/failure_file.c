/*
 * failure_file.c - the file that a failure on record is. One JSON object:
 *
 *     {"version": 1, "step", "shown": the command as people wrote it, "where": its definition's
 *      place, "attempt": 1, "key": hex, "input_root": "hex/size",
 *      "argv": [...], "env": [[name, value], ...] sorted by name, without the runner's own,
 *      "secrets": [a variable's name or a path inside, ...] sorted; their values are nowhere,
 *      "cwd", "outputs": [...], "runner": "host" | "sandbox" | "container", "interactive": bool,
 *      "machine": [isa, os],
 *      and where it was isolated: "network": bool, "mount_same": bool,
 *      "limits": [memory, file size, processes, cpu in thousandths], "caches": [[path, name,
 *      sharing], ...] sorted by path,
 *      and in a container: "image": the reference, "platform", "user": or null, "manifest": hex,
 *      "index": hex,
 *      "inputs": {"state": "kept" | "changed" | "too much" | "refused" | "unfinished",
 *      "why": text or null, "files": number, "bytes": number}}
 *
 * Bytes that are no UTF-8 (of a variable that was passed on) are U+FFFD. A file may be from
 * elsewhere (bundle.h), so what is read is checked for all that the graph takes for granted.
 */
#include "engine/failure.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/vec.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX ((size_t)16 << 20)

static const char *const states[FAILURE_INPUTS_N] = {
    [FAILURE_UNFINISHED] = "unfinished", [FAILURE_KEPT] = "kept",
    [FAILURE_CHANGED] = "changed",       [FAILURE_TOO_MUCH] = "too much",
    [FAILURE_REFUSED] = "refused",
};

void failure_name(const char *step, char name[DIGEST_HEX + 6])
{
    struct digest digest = digest_of(step, strlen(step));
    digest_hex(&digest, name);
    memcpy(name + DIGEST_HEX, ".json", 6);
}

/* -- writing ----------------------------------------------------------------------------------- */

static void put_name(struct buf *out, const char *name)
{
    buf_addf(out, "%s\"%s\":", out->data[out->len - 1] == '{' ? "" : ",", name);
}

static void put_text(struct buf *out, const char *name, const char *value)
{
    put_name(out, name);
    buf_add_json_str(out, value);
}

static void put_bool(struct buf *out, const char *name, bool value)
{
    put_name(out, name);
    buf_adds(out, value ? "true" : "false");
}

static void put_list(struct buf *out, const char *name, const char *const *list, size_t n)
{
    put_name(out, name);
    buf_addc(out, '[');
    for (size_t i = 0; i < n; i++) {
        buf_adds(out, i ? "," : "");
        buf_add_json_str(out, list[i]);
    }
    buf_addc(out, ']');
}

static void put_hex(struct buf *out, const char *name, const struct digest *digest)
{
    char hex[DIGEST_HEX + 1];
    digest_hex(digest, hex);
    put_text(out, name, hex);
}

static void put_box(struct buf *out, const struct op_exec *exec)
{
    put_bool(out, "network", exec->network);
    put_bool(out, "mount_same", exec->mount_same);
    put_name(out, "limits");
    buf_addf(out, "[%" PRIu64 ",%" PRIu64 ",%" PRIu32 ",%" PRIu32 "]", exec->limits.memory,
             exec->limits.file_size, exec->limits.pids, exec->limits.cpu_milli);
    put_name(out, "caches");
    buf_addc(out, '[');
    for (size_t i = 0; i < exec->n_caches; i++) {
        buf_adds(out, i ? ",[" : "[");
        buf_add_json_str(out, exec->caches[i].path);
        buf_addc(out, ',');
        buf_add_json_str(out, exec->caches[i].name);
        buf_addf(out, ",%d]", (int)exec->caches[i].sharing);
    }
    buf_addc(out, ']');
}

void failure_text(const struct failure *failure, struct buf *out)
{
    const struct op_exec *exec = &failure->exec;
    char hex[DIGEST_HEX + 1];
    buf_adds(out, "{\"version\":1");
    put_text(out, "step", exec->name);
    put_text(out, "shown", exec->shown);
    put_text(out, "where", exec->where);
    put_name(out, "attempt");
    buf_addf(out, "%" PRIu32, failure->attempt);
    put_hex(out, "key", &failure->key);
    digest_hex(&failure->input_root, hex);
    put_name(out, "input_root");
    buf_addf(out, "\"%s/%" PRIu64 "\"", hex, failure->input_root.size);
    put_list(out, "argv", exec->argv, exec->n_argv);
    put_name(out, "env");
    buf_addc(out, '[');
    for (size_t i = 0; i < exec->n_env; i++) {
        buf_adds(out, i ? ",[" : "[");
        buf_add_json_str(out, exec->env[i].name);
        buf_addc(out, ',');
        buf_add_json_str(out, exec->env[i].value);
        buf_addc(out, ']');
    }
    buf_addc(out, ']');
    put_name(out, "secrets");
    buf_addc(out, '[');
    for (size_t i = 0; i < exec->n_secrets; i++) {
        buf_adds(out, i ? "," : "");
        buf_add_json_str(out, exec->secrets[i].target);
    }
    buf_addc(out, ']');
    put_text(out, "cwd", exec->cwd);
    put_list(out, "outputs", exec->outputs, exec->n_outputs);
    put_text(out, "runner", exec->runner);
    put_bool(out, "interactive", exec->interactive);
    put_list(out, "machine", (const char *const[]){failure->isa, failure->os}, 2);
    if (strcmp(exec->runner, "host") != 0)
        put_box(out, exec);
    if (exec->image) {
        put_text(out, "image", exec->image);
        put_text(out, "platform", exec->platform);
        put_text(out, "user", exec->user);
        put_hex(out, "manifest", &failure->image);
        put_hex(out, "index", &failure->image_index);
    }
    put_name(out, "inputs");
    buf_addc(out, '{');
    put_text(out, "state", states[failure->inputs]);
    put_text(out, "why", failure->why);
    put_name(out, "files");
    buf_addf(out, "%zu", failure->files);
    put_name(out, "bytes");
    buf_addf(out, "%" PRIu64 "}}\n", failure->bytes);
}

/* -- reading ----------------------------------------------------------------------------------- */

struct parse {
    struct arena *arena;
    const char *bad; /* the first field that is not as it must be; or NULL */
};

static void refuse(struct parse *parse, const char *name)
{
    if (!parse->bad)
        parse->bad = name;
}

/* A string without NUL; "" where it is none. */
static const char *text_of(struct parse *parse, const json_t *value, const char *name)
{
    const char *text = json_string_value(value);
    if (!text || strlen(text) != json_string_length(value)) {
        refuse(parse, name);
        return "";
    }
    return arena_strdup(parse->arena, text);
}

static const char *get_text(struct parse *parse, const json_t *object, const char *name)
{
    return text_of(parse, json_object_get(object, name), name);
}

static const char *get_optional(struct parse *parse, const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return !value || json_is_null(value) ? NULL : text_of(parse, value, name);
}

static uint64_t number_of(struct parse *parse, const json_t *value, uint64_t most, const char *name)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        (uint64_t)json_integer_value(value) > most) {
        refuse(parse, name);
        return 0;
    }
    return (uint64_t)json_integer_value(value);
}

static bool get_bool(struct parse *parse, const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    if (!json_is_boolean(value))
        refuse(parse, name);
    return json_is_true(value);
}

static const json_t *get_array(struct parse *parse, const json_t *object, const char *name,
                               size_t *n)
{
    const json_t *value = json_object_get(object, name);
    if (!json_is_array(value))
        refuse(parse, name);
    *n = json_array_size(value);
    return value;
}

static const char *const *get_list(struct parse *parse, const json_t *object, const char *name,
                                   size_t *n)
{
    const json_t *array = get_array(parse, object, name, n);
    const char **list = arena_zalloc(parse->arena, *n + 1, sizeof(*list));
    for (size_t i = 0; i < *n; i++)
        list[i] = text_of(parse, json_array_get(array, i), name);
    return list;
}

static struct digest get_digest(struct parse *parse, const json_t *object, const char *name)
{
    struct digest digest = {0};
    if (!digest_parse(get_text(parse, object, name), 0, &digest))
        refuse(parse, name);
    return digest;
}

/* Relative and without ways out of where it is taken from. */
static void check_path(struct parse *parse, const char *path, const char *name)
{
    char *normal = path_normalize(path);
    if (!normal || strcmp(normal, path) != 0)
        refuse(parse, name);
    free(normal);
}

static void get_env(struct parse *parse, const json_t *object, struct op_exec *exec)
{
    const json_t *array = get_array(parse, object, "env", &exec->n_env);
    struct graph_env *env = arena_zalloc(parse->arena, exec->n_env + 1, sizeof(*env));
    for (size_t i = 0; i < exec->n_env; i++) {
        const json_t *pair = json_array_get(array, i);
        env[i].name = text_of(parse, json_array_get(pair, 0), "env");
        env[i].value = text_of(parse, json_array_get(pair, 1), "env");
        if (!*env[i].name || strchr(env[i].name, '=') ||
            (i && strcmp(env[i - 1].name, env[i].name) >= 0))
            refuse(parse, "env");
    }
    exec->env = env;
}

static void get_secrets(struct parse *parse, const json_t *object, struct op_exec *exec)
{
    const char *const *names = get_list(parse, object, "secrets", &exec->n_secrets);
    struct graph_secret *secrets =
        arena_zalloc(parse->arena, exec->n_secrets + 1, sizeof(*secrets));
    for (size_t i = 0; i < exec->n_secrets; i++) {
        secrets[i].target = names[i];
        if (!*names[i] || (i && strcmp(names[i - 1], names[i]) >= 0))
            refuse(parse, "secrets");
    }
    exec->secrets = secrets;
}

static void get_caches(struct parse *parse, const json_t *object, struct op_exec *exec)
{
    const json_t *array = get_array(parse, object, "caches", &exec->n_caches);
    struct graph_cache *caches = arena_zalloc(parse->arena, exec->n_caches + 1, sizeof(*caches));
    for (size_t i = 0; i < exec->n_caches; i++) {
        const json_t *item = json_array_get(array, i);
        caches[i].path = text_of(parse, json_array_get(item, 0), "caches");
        caches[i].name = text_of(parse, json_array_get(item, 1), "caches");
        caches[i].sharing = (enum graph_sharing)number_of(parse, json_array_get(item, 2),
                                                          GRAPH_SHARING_LOCKED, "caches");
        if (*caches[i].path != '/' || !*caches[i].name ||
            (i && strcmp(caches[i - 1].path, caches[i].path) >= 0))
            refuse(parse, "caches");
    }
    exec->caches = caches;
}

static void get_box(struct parse *parse, const json_t *object, struct op_exec *exec)
{
    const json_t *limits = json_object_get(object, "limits");
    exec->network = get_bool(parse, object, "network");
    exec->mount_same = get_bool(parse, object, "mount_same");
    exec->limits = (struct graph_limits){
        .memory = number_of(parse, json_array_get(limits, 0), INT64_MAX, "limits"),
        .file_size = number_of(parse, json_array_get(limits, 1), INT64_MAX, "limits"),
        .pids = (uint32_t)number_of(parse, json_array_get(limits, 2), UINT32_MAX, "limits"),
        .cpu_milli = (uint32_t)number_of(parse, json_array_get(limits, 3), UINT32_MAX, "limits")};
    get_caches(parse, object, exec);
}

static void get_exec(struct parse *parse, const json_t *object, struct op_exec *exec)
{
    exec->name = get_text(parse, object, "step");
    exec->shown = get_text(parse, object, "shown");
    exec->where = get_text(parse, object, "where");
    exec->argv = get_list(parse, object, "argv", &exec->n_argv);
    get_env(parse, object, exec);
    get_secrets(parse, object, exec);
    exec->cwd = get_text(parse, object, "cwd");
    exec->outputs = get_list(parse, object, "outputs", &exec->n_outputs);
    exec->runner = get_text(parse, object, "runner");
    exec->interactive = get_bool(parse, object, "interactive");
    exec->input = OP_NONE;
    if (!*exec->name)
        refuse(parse, "step");
    if (!exec->n_argv || !*exec->argv[0])
        refuse(parse, "argv");
    check_path(parse, exec->cwd, "cwd");
    for (size_t i = 0; i < exec->n_outputs; i++) {
        check_path(parse, exec->outputs[i], "outputs");
        if (!*exec->outputs[i])
            refuse(parse, "outputs");
    }
    bool container = !strcmp(exec->runner, "container");
    if (!strcmp(exec->runner, "sandbox") || container)
        get_box(parse, object, exec);
    else if (strcmp(exec->runner, "host") != 0)
        refuse(parse, "runner");
    if (container) {
        exec->image = get_text(parse, object, "image");
        exec->platform = get_optional(parse, object, "platform");
        exec->user = get_optional(parse, object, "user");
    }
}

static void get_failure(struct parse *parse, const json_t *object, struct failure *out)
{
    const json_t *inputs = json_object_get(object, "inputs");
    const char *root = get_text(parse, object, "input_root");
    const char *state = get_text(parse, inputs, "state");
    const char *slash = strchr(root, '/');
    char *end = NULL;
    if (json_integer_value(json_object_get(object, "version")) != 1)
        refuse(parse, "version");
    get_exec(parse, object, &out->exec);
    out->key = get_digest(parse, object, "key");
    uint64_t size = slash && slash[1] >= '0' && slash[1] <= '9' ? strtoull(slash + 1, &end, 10) : 0;
    char *hex = slash ? arena_strndup(parse->arena, root, (size_t)(slash - root)) : NULL;
    if (!hex || !end || *end || !digest_parse(hex, size, &out->input_root))
        refuse(parse, "input_root");
    out->attempt =
        (uint32_t)number_of(parse, json_object_get(object, "attempt"), UINT32_MAX, "attempt");
    size_t n;
    const char *const *machine = get_list(parse, object, "machine", &n);
    if (n != 2)
        refuse(parse, "machine");
    out->isa = n == 2 ? machine[0] : "";
    out->os = n == 2 ? machine[1] : "";
    if (out->exec.image) {
        out->image = get_digest(parse, object, "manifest");
        out->image_index = get_digest(parse, object, "index");
    }
    out->inputs = FAILURE_INPUTS_N;
    for (int i = 0; i < FAILURE_INPUTS_N; i++) {
        if (!strcmp(state, states[i]))
            out->inputs = (enum failure_inputs)i;
    }
    if (out->inputs == FAILURE_INPUTS_N)
        refuse(parse, "inputs");
    out->why = get_optional(parse, inputs, "why");
    out->files = (size_t)number_of(parse, json_object_get(inputs, "files"), SIZE_MAX / 2, "inputs");
    out->bytes = number_of(parse, json_object_get(inputs, "bytes"), INT64_MAX, "inputs");
}

int failure_parse(const char *text, size_t n, struct failure *out, struct err *err)
{
    json_error_t error;
    json_t *object = json_loadb(text, n, JSON_REJECT_DUPLICATES, &error);
    struct parse parse = {.arena = &out->arena};
    *out = (struct failure){.arena = ARENA_INIT};
    if (!json_is_object(object)) {
        json_decref(object);
        return err_set(err, ERR_CORRUPT, "a failure's record is no JSON object");
    }
    get_failure(&parse, object, out);
    json_decref(object);
    if (!parse.bad)
        return 0;
    err_set(err, ERR_CORRUPT, "\"%s\" in a failure's record is not as kiln writes it", parse.bad);
    failure_release(out);
    return -(int)ERR_CORRUPT;
}

static int read_file(const char *path, struct failure *out, struct err *err)
{
    struct buf text = BUF_INIT;
    int rc = file_read(path, FILE_MAX, &text, err);
    if (rc == 0)
        rc = failure_parse(buf_str(&text), text.len, out, err);
    buf_release(&text);
    return rc;
}

int failure_read(const char *run_dir, const char *step, struct failure *out, bool *found,
                 struct err *err)
{
    struct err own = ERR_INIT;
    char name[DIGEST_HEX + 6];
    failure_name(step, name);
    char *path = mem_printf("%s/failed/%s", run_dir, name);
    int rc = read_file(path, out, &own);
    free(path);
    *found = rc == 0 && !strcmp(out->exec.name, step);
    if (rc == 0 && !*found)
        failure_release(out);
    if (rc < 0 && own.errnum == ENOENT) {
        err_release(&own);
        return 0;
    }
    return err_move(err, &own);
}

static int by_step(const void *a, const void *b)
{
    return strcmp(((const struct failure *)a)->exec.name, ((const struct failure *)b)->exec.name);
}

void failure_each(const char *run_dir, failure_cb *cb, void *ctx)
{
    VEC(struct failure) list = VEC_INIT;
    char *folder = path_join(run_dir, "failed");
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        char *path = path_join(folder, entry->d_name), name[DIGEST_HEX + 6];
        struct failure failure;
        if (strlen(entry->d_name) == DIGEST_HEX + 5 &&
            !strcmp(entry->d_name + DIGEST_HEX, ".json") && read_file(path, &failure, NULL) == 0) {
            failure_name(failure.exec.name, name);
            if (!strcmp(name, entry->d_name))
                vec_push(&list, failure);
            else
                failure_release(&failure);
        }
        free(path);
    }
    if (dir)
        closedir(dir);
    if (list.n)
        qsort(list.v, list.n, sizeof(*list.v), by_step);
    vec_each (struct failure, failure, &list) {
        cb(ctx, failure);
        failure_release(failure);
    }
    vec_release(&list);
    free(folder);
}

void failure_release(struct failure *failure)
{
    arena_release(&failure->arena);
    *failure = (struct failure){.arena = ARENA_INIT};
}
