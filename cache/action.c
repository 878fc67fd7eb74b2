/*
 * action.c - Command, Action and ActionResult between kiln's structs and the RE API's messages.
 *
 * Through protobuf-c, which writes fields by number and leaves defaults out; sorting the lists here
 * is what makes the encoding canonical. Messages and their strings live in an arena, so there is
 * nothing to free one by one.
 *
 * What an ActionResult of kiln's carries beyond the API's own fields, in
 * execution_metadata.auxiliary_metadata:
 *
 *     kiln.LogOrder  for each piece of the log in the order it came, the varint of the stream (1
 *                    stdout, 2 stderr) and the varint of how many bytes are next from it
 *     kiln.Origin    the step's name, a NUL, the project's absolute path
 */
#include "cache/action.h"

#include "base/file.h"
#include "base/text.h"
#include "base/vec.h"
#include "reapi.pb-c.h"

#include <stdlib.h>
#include <string.h>

#define MESSAGE(type)     Build__Bazel__Remote__Execution__V2__##type
#define DESCRIPTOR(lower) (&build__bazel__remote__execution__v2__##lower##__descriptor)

#define LOG_ORDER_TYPE "kiln.LogOrder"
#define LOG_TIMES_TYPE "kiln.LogTimes"
#define ORIGIN_TYPE    "kiln.Origin"

#define NS_PER_S UINT64_C(1000000000)

/* -- writing ----------------------------------------------------------------------------------- */

static void *message_new(struct arena *arena, const ProtobufCMessageDescriptor *descriptor)
{
    void *message = arena_zalloc(arena, 1, descriptor->sizeof_message);
    protobuf_c_message_init(descriptor, message);
    return message;
}

/* protobuf-c's structs have no const; it only reads what it packs. */
static char *lend(const char *s)
{
    union {
        const char *in;
        char *out;
    } cast = {.in = s ? s : ""};
    return cast.out;
}

static void pack(const void *message, struct buf *out)
{
    size_t n = protobuf_c_message_get_packed_size(message);
    protobuf_c_message_pack(message, (uint8_t *)buf_reserve(out, n));
    out->len += n;
    out->data[out->len] = '\0';
}

static MESSAGE(Digest) * digest_message(struct arena *arena, const struct digest *digest)
{
    MESSAGE(Digest) *message = message_new(arena, DESCRIPTOR(digest));
    message->hash = arena_alloc(arena, DIGEST_HEX + 1);
    digest_hex(digest, message->hash);
    message->size_bytes = (int64_t)digest->size;
    return message;
}

static int pair_cmp(const void *a, const void *b)
{
    const struct action_pair *pa = a, *pb = b;
    int order = strcmp(pa->name, pb->name);
    return order ? order : strcmp(pa->value, pb->value);
}

static struct action_pair *sorted_pairs(struct arena *arena, const struct action_pair *pairs,
                                        size_t n)
{
    struct action_pair *sorted = arena_zalloc(arena, n, sizeof(*sorted));
    if (n > 0) {
        memcpy(sorted, pairs, n * sizeof(*sorted));
        qsort(sorted, n, sizeof(*sorted), pair_cmp);
    }
    return sorted;
}

/* NULL when there are no properties: an absent platform is the canonical one. */
static MESSAGE(Platform) *
    platform_message(struct arena *arena, const struct action_pair *pairs, size_t n)
{
    if (n == 0)
        return NULL;
    struct action_pair *sorted = sorted_pairs(arena, pairs, n);
    MESSAGE(Platform) *message = message_new(arena, DESCRIPTOR(platform));
    message->n_properties = n;
    message->properties = arena_zalloc(arena, n, sizeof(*message->properties));
    for (size_t i = 0; i < n; i++) {
        message->properties[i] = message_new(arena, DESCRIPTOR(platform__property));
        message->properties[i]->name = lend(sorted[i].name);
        message->properties[i]->value = lend(sorted[i].value);
    }
    return message;
}

static int string_cmp(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void command_outputs(struct arena *arena, const struct action_command *command,
                            MESSAGE(Command) * message)
{
    char **paths = arena_zalloc(arena, command->n_outputs, sizeof(*paths));
    size_t n = 0;
    for (size_t i = 0; i < command->n_outputs; i++)
        paths[i] = lend(command->outputs[i]);
    if (command->n_outputs > 0)
        qsort(paths, command->n_outputs, sizeof(*paths), string_cmp);
    for (size_t i = 0; i < command->n_outputs; i++)
        if (n == 0 || strcmp(paths[n - 1], paths[i]) != 0)
            paths[n++] = paths[i];
    message->n_output_paths = n;
    message->output_paths = paths;
}

void action_command_encode(const struct action_command *command, struct buf *out)
{
    struct arena arena = ARENA_INIT;
    MESSAGE(Command) *message = message_new(&arena, DESCRIPTOR(command));
    message->n_arguments = command->n_argv;
    message->arguments = arena_zalloc(&arena, command->n_argv, sizeof(*message->arguments));
    for (size_t i = 0; i < command->n_argv; i++)
        message->arguments[i] = lend(command->argv[i]);

    struct action_pair *env = sorted_pairs(&arena, command->env, command->n_env);
    message->n_environment_variables = command->n_env;
    message->environment_variables =
        arena_zalloc(&arena, command->n_env, sizeof(*message->environment_variables));
    for (size_t i = 0; i < command->n_env; i++) {
        MESSAGE(Command__EnvironmentVariable) *variable =
            message_new(&arena, DESCRIPTOR(command__environment_variable));
        variable->name = lend(env[i].name);
        variable->value = lend(env[i].value);
        message->environment_variables[i] = variable;
    }
    command_outputs(&arena, command, message);
    message->working_directory = lend(command->cwd);
    message->platform = platform_message(&arena, command->platform, command->n_platform);
    pack(message, out);
    arena_release(&arena);
}

void action_encode(const struct digest *command, const struct digest *input_root, const char *salt,
                   const struct action_pair *platform, size_t n_platform, struct buf *out)
{
    struct arena arena = ARENA_INIT;
    MESSAGE(Action) *message = message_new(&arena, DESCRIPTOR(action));
    message->command_digest = digest_message(&arena, command);
    message->input_root_digest = digest_message(&arena, input_root);
    if (salt) {
        message->salt.data = (uint8_t *)lend(salt);
        message->salt.len = strlen(salt);
    }
    message->platform = platform_message(&arena, platform, n_platform);
    pack(message, out);
    arena_release(&arena);
}

static int output_cmp(const void *a, const void *b)
{
    return strcmp(((const struct action_output *)a)->path, ((const struct action_output *)b)->path);
}

static void result_outputs(struct arena *arena, const struct action_result *result,
                           MESSAGE(ActionResult) * message)
{
    size_t n = result->n_outputs;
    struct action_output *sorted = arena_zalloc(arena, n, sizeof(*sorted));
    if (n > 0) {
        memcpy(sorted, result->outputs, n * sizeof(*sorted));
        qsort(sorted, n, sizeof(*sorted), output_cmp);
    }
    message->output_files = arena_zalloc(arena, n, sizeof(*message->output_files));
    message->output_directories = arena_zalloc(arena, n, sizeof(*message->output_directories));
    message->output_symlinks = arena_zalloc(arena, n, sizeof(*message->output_symlinks));
    for (size_t i = 0; i < n; i++) {
        const struct action_output *output = &sorted[i];
        if (output->kind == OUTPUT_FILE) {
            MESSAGE(OutputFile) *file = message_new(arena, DESCRIPTOR(output_file));
            file->path = lend(output->path);
            file->digest = digest_message(arena, &output->digest);
            file->is_executable = output->executable;
            message->output_files[message->n_output_files++] = file;
        } else if (output->kind == OUTPUT_DIR) {
            MESSAGE(OutputDirectory) *dir = message_new(arena, DESCRIPTOR(output_directory));
            dir->path = lend(output->path);
            dir->tree_digest = digest_message(arena, &output->digest);
            dir->root_directory_digest = digest_message(arena, &output->root);
            message->output_directories[message->n_output_directories++] = dir;
        } else {
            MESSAGE(OutputSymlink) *link = message_new(arena, DESCRIPTOR(output_symlink));
            link->path = lend(output->path);
            link->target = lend(output->target);
            message->output_symlinks[message->n_output_symlinks++] = link;
        }
    }
}

static MESSAGE(Timestamp) * timestamp_message(struct arena *arena, uint64_t ns)
{
    if (ns == 0)
        return NULL;
    MESSAGE(Timestamp) *message = message_new(arena, DESCRIPTOR(timestamp));
    message->seconds = (int64_t)(ns / NS_PER_S);
    message->nanos = (int32_t)(ns % NS_PER_S);
    return message;
}

static void add_varint(struct buf *buf, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        buf_addc(buf, (char)(value | 0x80));
    buf_addc(buf, (char)value);
}

/* There are three kinds of it at most. */
static void add_auxiliary(struct arena *arena, MESSAGE(ExecutedActionMetadata) * metadata,
                          const char *type, const struct buf *value)
{
    MESSAGE(Any) *any = message_new(arena, DESCRIPTOR(any));
    any->type_url = lend(type);
    any->value.data = (uint8_t *)value->data;
    any->value.len = value->len;
    if (!metadata->auxiliary_metadata)
        metadata->auxiliary_metadata = arena_zalloc(arena, 3, sizeof(any));
    metadata->auxiliary_metadata[metadata->n_auxiliary_metadata++] = any;
}

void action_times_add(struct buf *times, uint64_t bytes, uint64_t ms)
{
    add_varint(times, bytes);
    add_varint(times, ms);
}

void action_result_encode(const struct action_result *result, struct buf *out)
{
    struct arena arena = ARENA_INIT;
    struct buf order = BUF_INIT, times = BUF_INIT, origin = BUF_INIT;
    MESSAGE(ActionResult) *message = message_new(&arena, DESCRIPTOR(action_result));
    MESSAGE(ExecutedActionMetadata) *metadata =
        message_new(&arena, DESCRIPTOR(executed_action_metadata));

    message->exit_code = result->exit_code;
    result_outputs(&arena, result, message);
    if (!digest_is_null(&result->stdout_digest))
        message->stdout_digest = digest_message(&arena, &result->stdout_digest);
    if (!digest_is_null(&result->stderr_digest))
        message->stderr_digest = digest_message(&arena, &result->stderr_digest);

    metadata->worker = lend(result->worker);
    metadata->execution_start_timestamp = timestamp_message(&arena, result->start_ns);
    metadata->execution_completed_timestamp = timestamp_message(&arena, result->end_ns);
    if (result->n_chunks > 0) {
        for (size_t i = 0; i < result->n_chunks; i++) {
            add_varint(&order, result->chunks[i].stream);
            add_varint(&order, result->chunks[i].bytes);
        }
        add_auxiliary(&arena, metadata, LOG_ORDER_TYPE, &order);
    }
    if (result->n_times > 0) {
        buf_add(&times, result->times, result->n_times);
        add_auxiliary(&arena, metadata, LOG_TIMES_TYPE, &times);
    }
    if (result->step && result->root) {
        buf_add(&origin, result->step, strlen(result->step) + 1);
        buf_adds(&origin, result->root);
        add_auxiliary(&arena, metadata, ORIGIN_TYPE, &origin);
    }
    if (protobuf_c_message_get_packed_size(&metadata->base) > 0)
        message->execution_metadata = metadata;

    pack(message, out);
    buf_release(&order);
    buf_release(&times);
    buf_release(&origin);
    arena_release(&arena);
}

/* -- reading ----------------------------------------------------------------------------------- */

static void *alloc_cb(void *arena, size_t size)
{
    return arena_alloc(arena, size);
}

static void free_cb(void *arena, void *p)
{
    (void)arena;
    (void)p;
}

static void *unpack(const ProtobufCMessageDescriptor *descriptor, const void *bytes, size_t n,
                    struct arena *arena)
{
    ProtobufCAllocator allocator = {alloc_cb, free_cb, arena};
    return protobuf_c_message_unpack(descriptor, &allocator, n, n ? bytes : (const uint8_t *)"");
}

static bool digest_from(const MESSAGE(Digest) * message, struct digest *out)
{
    return message && message->size_bytes >= 0 &&
           digest_parse(message->hash, (uint64_t)message->size_bytes, out);
}

static int malformed(struct err *err, const char *what, const char *why)
{
    return err_set(err, ERR_CORRUPT, "a stored %s is malformed: %s", what, why);
}

int action_command_decode(const void *bytes, size_t n, struct arena *arena,
                          struct action_command *out, struct err *err)
{
    MESSAGE(Command) *message = unpack(DESCRIPTOR(command), bytes, n, arena);
    *out = (struct action_command){0};
    if (!message)
        return malformed(err, "command", "it does not decode");
    out->argv = (const char *const *)message->arguments;
    out->n_argv = message->n_arguments;
    out->outputs = (const char *const *)message->output_paths;
    out->n_outputs = message->n_output_paths;
    out->cwd = message->working_directory;

    struct action_pair *env = arena_zalloc(arena, message->n_environment_variables, sizeof(*env));
    for (size_t i = 0; i < message->n_environment_variables; i++)
        env[i] = (struct action_pair){message->environment_variables[i]->name,
                                      message->environment_variables[i]->value};
    out->env = env;
    out->n_env = message->n_environment_variables;
    if (message->platform) {
        size_t n_platform = message->platform->n_properties;
        struct action_pair *platform = arena_zalloc(arena, n_platform, sizeof(*platform));
        for (size_t i = 0; i < n_platform; i++)
            platform[i] = (struct action_pair){message->platform->properties[i]->name,
                                               message->platform->properties[i]->value};
        out->platform = platform;
        out->n_platform = n_platform;
    }
    return 0;
}

/* A path that may be written to: below the project, as path_normalize() leaves it, and UTF-8. */
static bool path_ok(const char *path)
{
    if (*path == '\0' || !utf8_valid(path, strlen(path)))
        return false;
    char *normal = path_normalize(path);
    bool ok = normal && strcmp(normal, path) == 0;
    free(normal);
    return ok;
}

static int outputs_from(const MESSAGE(ActionResult) * message, struct arena *arena,
                        struct action_result *out, struct err *err)
{
    size_t n = 0;
    bool ok = true;
    struct action_output *outputs = arena_zalloc(
        arena, message->n_output_files + message->n_output_directories + message->n_output_symlinks,
        sizeof(*outputs));
    for (size_t i = 0; i < message->n_output_files; i++, n++) {
        const MESSAGE(OutputFile) *file = message->output_files[i];
        outputs[n] = (struct action_output){
            .kind = OUTPUT_FILE, .path = file->path, .executable = file->is_executable != 0};
        ok = ok && digest_from(file->digest, &outputs[n].digest);
    }
    for (size_t i = 0; i < message->n_output_directories; i++, n++) {
        const MESSAGE(OutputDirectory) *dir = message->output_directories[i];
        outputs[n] = (struct action_output){.kind = OUTPUT_DIR, .path = dir->path};
        ok = ok && digest_from(dir->tree_digest, &outputs[n].digest) &&
             digest_from(dir->root_directory_digest, &outputs[n].root);
    }
    for (size_t i = 0; i < message->n_output_symlinks; i++, n++) {
        const MESSAGE(OutputSymlink) *link = message->output_symlinks[i];
        outputs[n] = (struct action_output){
            .kind = OUTPUT_SYMLINK, .path = link->path, .target = link->target};
        ok = ok && *link->target && utf8_valid(link->target, strlen(link->target));
    }
    if (!ok)
        return malformed(err, "action result", "an output has no valid digest or target");
    if (n > 0)
        qsort(outputs, n, sizeof(*outputs), output_cmp);
    for (size_t i = 0; i < n; i++) {
        if (!path_ok(outputs[i].path))
            return malformed(err, "action result", "an output's path leads out or is not normal");
        if (i > 0 && strcmp(outputs[i - 1].path, outputs[i].path) == 0)
            return malformed(err, "action result", "it names an output twice");
    }
    out->outputs = outputs;
    out->n_outputs = n;
    return 0;
}

static bool read_varint(const uint8_t **p, const uint8_t *end, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 64 && *p < end; shift += 7) {
        uint8_t byte = *(*p)++;
        if (shift == 63 && byte > 1)
            return false;
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return true;
    }
    return false;
}

/* The pieces may not take more from a stream than it has. */
static bool chunks_from(const ProtobufCBinaryData *value, struct arena *arena,
                        struct action_result *out)
{
    const uint8_t *p = value->data, *end = value->len ? p + value->len : p;
    uint64_t left[3] = {0, out->stdout_digest.size, out->stderr_digest.size};
    struct action_chunk *chunks = arena_zalloc(arena, value->len / 2, sizeof(*chunks));
    size_t n = 0;
    while (p < end) {
        uint64_t stream, bytes;
        if (!read_varint(&p, end, &stream) || !read_varint(&p, end, &bytes) || stream < 1 ||
            stream > 2 || bytes > left[stream])
            return false;
        left[stream] -= bytes;
        chunks[n++] = (struct action_chunk){(uint8_t)stream, bytes};
    }
    out->chunks = n ? chunks : NULL;
    out->n_chunks = n;
    return true;
}

bool action_times_next(const struct action_result *result, size_t *at, uint64_t *bytes,
                       uint64_t *ms)
{
    const uint8_t *start = result->times, *p = start + *at, *end = start + result->n_times;
    if (*at >= result->n_times || !read_varint(&p, end, bytes) || !read_varint(&p, end, ms))
        return false;
    *at = (size_t)(p - start);
    return true;
}

static bool time_from(const MESSAGE(Timestamp) * message, uint64_t *ns)
{
    *ns = 0;
    if (!message)
        return true;
    if (message->seconds < 0 || (uint64_t)message->seconds >= UINT64_MAX / NS_PER_S ||
        message->nanos < 0 || (uint64_t)message->nanos >= NS_PER_S)
        return false;
    *ns = (uint64_t)message->seconds * NS_PER_S + (uint64_t)message->nanos;
    return true;
}

/* Words for people: what is odd is left out. */
static void origin_from(const ProtobufCBinaryData *value, struct arena *arena,
                        struct action_result *out)
{
    const char *text = (const char *)value->data;
    const char *nul = value->len ? memchr(text, '\0', value->len) : NULL;
    if (!nul || !utf8_valid(text, (size_t)(nul - text)))
        return;
    out->step = text;
    out->root = arena_strndup(arena, nul + 1, value->len - (size_t)(nul - text) - 1);
}

static int metadata_from(const MESSAGE(ExecutedActionMetadata) * metadata, struct arena *arena,
                         struct action_result *out, struct err *err)
{
    if (!metadata)
        return 0;
    if (*metadata->worker)
        out->worker = metadata->worker;
    if (!time_from(metadata->execution_start_timestamp, &out->start_ns) ||
        !time_from(metadata->execution_completed_timestamp, &out->end_ns))
        return malformed(err, "action result", "a time stamp is out of range");
    for (size_t i = 0; i < metadata->n_auxiliary_metadata; i++) {
        const MESSAGE(Any) *any = metadata->auxiliary_metadata[i];
        if (strcmp(any->type_url, LOG_ORDER_TYPE) == 0 && !chunks_from(&any->value, arena, out))
            return malformed(err, "action result", "the order of its log is not valid");
        if (strcmp(any->type_url, LOG_TIMES_TYPE) == 0) {
            out->times = any->value.data; /* the arena's */
            out->n_times = any->value.len;
        }
        if (strcmp(any->type_url, ORIGIN_TYPE) == 0)
            origin_from(&any->value, arena, out);
    }
    return 0;
}

int action_result_decode(const void *bytes, size_t n, struct arena *arena,
                         struct action_result *out, struct err *err)
{
    MESSAGE(ActionResult) *message = unpack(DESCRIPTOR(action_result), bytes, n, arena);
    *out = (struct action_result){0};
    if (!message)
        return malformed(err, "action result", "it does not decode");
    out->exit_code = message->exit_code;
    int rc = outputs_from(message, arena, out, err);
    if (rc != 0)
        return rc;
    if ((message->stdout_digest && !digest_from(message->stdout_digest, &out->stdout_digest)) ||
        (message->stderr_digest && !digest_from(message->stderr_digest, &out->stderr_digest)))
        return malformed(err, "action result", "the digest of a log is no SHA-256");
    return metadata_from(message->execution_metadata, arena, out, err);
}
