/* Reading what is around a step: its runner and what that one lets it see. Types are checked
 * already. */
#include "config/reader.h"

#include "base/file.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

static const struct config_node *at(const struct config_reader *r, uint32_t node)
{
    return &r->doc.nodes.v[node];
}

int config_read_choice(struct config_reader *r, uint32_t node, enum config_key_id id, size_t *out)
{
    const char *const *choices = config_choices(id);
    const char *word = config_string(r, node);
    struct buf list = BUF_INIT;

    for (*out = 0; choices[*out] && strcmp(choices[*out], word); (*out)++)
        buf_addf(&list, "%s\"%s\"", !*out ? "" : choices[*out + 1] ? ", " : " or ", choices[*out]);
    int code = choices[*out]
                   ? 0
                   : config_fail(r, at(r, node)->pos, "\"%s\" must be %s, not %s; %s",
                                 config_keys[id].name, buf_str(&list), config_quote(r, word),
                                 id == CONFIG_KEY_MOUNT
                                     ? "leave it out to have the project at " CONFIG_PROJECT
                                     : "write one of these");
    buf_release(&list);
    return code;
}

bool config_is_word(const char *text, size_t n)
{
    static const char good[] = "-.ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";

    return n > 0 && *text != '-' && *text != '.' && strspn(text, good) >= n;
}

static int read_image(struct config_reader *r, uint32_t node, const char **image)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    const char *text = config_string(r, node);
    bool good = *text && strchr(letters, *text);

    for (const char *c = text; *c; c++)
        good &= (unsigned char)*c > 0x20 && *c != 0x7f;
    if (!good)
        return config_fail(r, at(r, node)->pos,
                           "\"image\" %s is not an image's name; write it as "
                           "\"docker.io/library/debian:12\", \"oci:DIR\" or "
                           "\"docker-archive:FILE\"",
                           config_quote(r, text));
    *image = arena_strdup(&r->config->arena, text);
    return 0;
}

/* "linux/ARCHITECTURE[/VARIANT]": the architectures that Go, and so every registry, knows. */
static int read_platform(struct config_reader *r, uint32_t node, const char **platform)
{
    static const char *const known[] = {"386",    "amd64", "arm",     "arm64",   "loong64",
                                        "mips64", "mips",  "ppc64le", "riscv64", "s390x",
                                        "mipsle", "ppc64", "mips64le"};
    static const char other[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    const char *text = config_string(r, node), *part = text + strlen("linux/");

    if (strncmp(text, "linux/", strlen("linux/")) != 0)
        return config_fail(r, at(r, node)->pos,
                           "\"platform\" %s is not one of Linux; write it as \"linux/amd64\" or "
                           "\"linux/arm64\"",
                           config_quote(r, text));
    size_t n = strcspn(part, "/");
    char *name = mem_strndup(part, n);
    bool is_known = false;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        is_known |= !strcmp(name, known[i]);
    const char *nearest = !strcmp(name, "x86_64")    ? "amd64"
                          : !strcmp(name, "aarch64") ? "arm64"
                                                     : text_nearest(name, known, 13);
    free(name);
    if (is_known && (!part[n] || (part[n + 1] && !part[n + 1 + strspn(part + n + 1, other)]))) {
        *platform = arena_strdup(&r->config->arena, text);
        return 0;
    }
    return config_fail(r, at(r, node)->pos,
                       "\"platform\" %s names no architecture that images have; %s%s%s",
                       config_quote(r, text), nearest && !is_known ? "did you mean \"linux/" : "",
                       nearest && !is_known ? nearest : "write it as \"linux/arm/v7\"",
                       nearest && !is_known ? "\"?" : "");
}

static int read_user(struct config_reader *r, uint32_t node, const char **user)
{
    const char *text = config_string(r, node);
    size_t n = strcspn(text, ":");

    if (!config_is_word(text, n) ||
        (text[n] && !config_is_word(text + n + 1, strlen(text + n + 1))))
        return config_fail(r, at(r, node)->pos,
                           "\"user\" %s is not a user; write a name or a number, and a group "
                           "behind a colon, as \"node\" or \"1000:1000\"",
                           config_quote(r, text));
    *user = arena_strdup(&r->config->arena, text);
    return 0;
}

static int read_size(struct config_reader *r, uint32_t node, enum config_key_id id, uint64_t *bytes)
{
    if (!node || (text_parse_size(config_string(r, node), bytes) && *bytes > 0))
        return 0;
    return config_fail(r, at(r, node)->pos,
                       "\"%s\" %s is not a size; write it as \"512MiB\" or \"2GiB\", more than "
                       "zero",
                       config_keys[id].name, config_quote(r, config_string(r, node)));
}

static int read_limits(struct config_reader *r, uint32_t node, struct config_limits *limits)
{
    config_found found;

    if (config_read_keys(r, node, CONFIG_IN_LIMITS, found) < 0 ||
        read_size(r, found[CONFIG_KEY_MEMORY], CONFIG_KEY_MEMORY, &limits->memory) < 0 ||
        read_size(r, found[CONFIG_KEY_FILE_SIZE], CONFIG_KEY_FILE_SIZE, &limits->file_size) < 0)
        return -ERR_CONFIG;
    if (found[CONFIG_KEY_PIDS])
        limits->pids = (uint32_t)json_integer_value(at(r, found[CONFIG_KEY_PIDS])->json);
    if (found[CONFIG_KEY_CPU])
        limits->cpu_milli =
            (uint32_t)(json_number_value(at(r, found[CONFIG_KEY_CPU])->json) * 1000 + 0.5);
    return 0;
}

int config_read_surroundings(struct config_reader *r, const config_found found,
                             struct config_surroundings *set)
{
    size_t choice;

    if (found[CONFIG_KEY_RUNNER]) {
        if (config_read_runner(r, found[CONFIG_KEY_RUNNER], &set->runner) < 0)
            return -ERR_CONFIG;
    } else if (found[CONFIG_KEY_IMAGE]) {
        set->runner = CONFIG_RUNNER_CONTAINER;
    }
    if (found[CONFIG_KEY_IMAGE] && read_image(r, found[CONFIG_KEY_IMAGE], &set->image) < 0)
        return -ERR_CONFIG;
    if (found[CONFIG_KEY_PLATFORM] &&
        read_platform(r, found[CONFIG_KEY_PLATFORM], &set->platform) < 0)
        return -ERR_CONFIG;
    if (found[CONFIG_KEY_USER] && read_user(r, found[CONFIG_KEY_USER], &set->user) < 0)
        return -ERR_CONFIG;
    if (found[CONFIG_KEY_NETWORK]) {
        if (config_read_choice(r, found[CONFIG_KEY_NETWORK], CONFIG_KEY_NETWORK, &choice) < 0)
            return -ERR_CONFIG;
        set->network = choice == 1;
    }
    if (found[CONFIG_KEY_MOUNT]) {
        if (config_read_choice(r, found[CONFIG_KEY_MOUNT], CONFIG_KEY_MOUNT, &choice) < 0)
            return -ERR_CONFIG;
        set->mount_same = true;
    }
    return found[CONFIG_KEY_LIMITS] ? read_limits(r, found[CONFIG_KEY_LIMITS], &set->limits) : 0;
}

/* A key of the step that its runner can do nothing with. */
static int check_key(struct config_reader *r, uint32_t node, enum config_key_id id,
                     const struct config_surroundings *set)
{
    unsigned good = config_key_runners(id);

    if (!node || good & (1u << set->runner))
        return 0;
    return config_fail(r, at(r, node)->key_pos,
                       "\"%s\" has no meaning with runner \"%s\", which this step has; set "
                       "\"runner\": %s\"container\", or remove \"%s\"",
                       config_keys[id].name, config_runners[set->runner],
                       good & (1u << CONFIG_RUNNER_SANDBOX) ? "\"sandbox\" or " : "",
                       config_keys[id].name);
}

/* Of what "defaults" say, a step has what its runner can do something with. */
int config_surround(struct config_reader *r, const config_found found,
                    const struct config_surroundings *set, struct config_step *step)
{
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++)
        if (check_key(r, found[i], (enum config_key_id)i, set) < 0)
            return -ERR_CONFIG;
    step->runner = set->runner;
    step->network = step->mount_same = true;
    if (set->runner == CONFIG_RUNNER_HOST)
        return 0;
    step->network = set->network;
    step->mount_same = set->mount_same;
    step->limits = set->limits;
    if (set->runner != CONFIG_RUNNER_CONTAINER)
        return 0;
    if (!set->image)
        return config_fail(
            r, found[CONFIG_KEY_RUNNER] ? at(r, found[CONFIG_KEY_RUNNER])->pos : step->name.pos,
            "runner \"container\" has no image to run; add \"image\": "
            "\"docker.io/library/debian:12\"");
    step->image = set->image;
    step->platform = set->platform;
    step->user = set->user;
    return 0;
}
