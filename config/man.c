/* man.c - kiln.json(5), made from the table of keys. */
#include "config/config.h"

#include "base/roff.h"
#include "config/keys.h"

static const char *type_words(enum config_type type)
{
    switch (type) {
    case CONFIG_VERSION: return "the number 1";
    case CONFIG_STRING: return "a text";
    case CONFIG_BOOL: return "true or false";
    case CONFIG_INT: return "a number";
    case CONFIG_COMMAND: return "a text or a list of texts";
    case CONFIG_PATTERNS: return "a list of patterns";
    case CONFIG_PATHS: return "a list of paths";
    case CONFIG_NAMES: return "a list of steps";
    case CONFIG_VARS: return "a list of variables";
    case CONFIG_ENV: return "texts by variable";
    case CONFIG_DURATION: return "a duration, such as 1m30s";
    case CONFIG_PATH: return "a path";
    case CONFIG_RUNNERS:
    case CONFIG_CHOICE: return "one of";
    case CONFIG_CHOICES: return "a list of";
    case CONFIG_SIZE: return "a size, such as 512MiB";
    case CONFIG_CPUS: return "a number, such as 1.5";
    case CONFIG_BLOCK: return "an object";
    case CONFIG_SECRETS:
    case CONFIG_CACHES: return "an object, see below";
    }
    return "";
}

static void add_words(struct buf *out, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n && words[i]; i++)
        buf_addf(out, "%s%s", i ? ", " : " ", words[i]);
}

static void add_key(struct buf *out, const struct config_key *key, enum config_place place)
{
    struct buf type = BUF_INIT;
    buf_adds(&type, type_words(key->type));
    if (key->type == CONFIG_RUNNERS)
        add_words(&type, config_runners, config_n_available_runners);
    if (key->type == CONFIG_CHOICE || key->type == CONFIG_CHOICES)
        add_words(&type, config_choices((enum config_key_id)(key - config_keys)), SIZE_MAX);
    if (key->required_in & place)
        buf_adds(&type, "; required");
    else if (key->fallback)
        buf_addf(&type, "; else %s", key->fallback);
    buf_adds(out, ".It Sy ");
    roff_argument(out, key->name);
    buf_adds(out, " Pq ");
    roff_argument(out, buf_str(&type));
    buf_addc(out, '\n');
    roff_text(out, key->help);
    buf_release(&type);
}

static void add_keys(struct buf *out, const char *title, const char *text, enum config_place place)
{
    buf_adds(out, ".Ss ");
    roff_argument(out, title);
    buf_addc(out, '\n');
    roff_text(out, text);
    buf_adds(out, ".Bl -tag -width Ds\n");
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        if (config_keys[i].places & place)
            add_key(out, &config_keys[i], place);
    }
    buf_adds(out, ".El\n");
}

void config_man(const char *date, struct buf *out)
{
    buf_addf(out, ".Dd %s\n.Dt KILN.JSON 5\n.Os\n.Sh NAME\n.Nm kiln.json\n", date);
    buf_adds(out, ".Nd the pipeline that kiln runs\n.Sh DESCRIPTION\n");
    roff_text(out,
              "kiln.json describes the steps of a pipeline: what each runs, what it reads, what it "
              "makes and which others it needs. kiln takes the one in the current directory, or "
              "the nearest upwards, as far as the git repository reaches; the folder that it lies "
              "in is the project's. It is JSON in UTF-8, in which comments (// and /* */) and "
              "commas behind the last of a list are welcome. A key that is not known is an "
              "error.\n\n"
              "Paths are relative to the project's folder. \"kiln schema\" prints a JSON Schema, "
              "with which editors check and complete the file.");
    buf_adds(out, ".Sh KEYS\n");
    add_keys(out, "The file", "At the top there are:", CONFIG_IN_FILE);
    add_keys(out, "Steps", "Each of \"steps\" has:", CONFIG_IN_STEP);
    add_keys(out, "Defaults", "\"defaults\" has these, as a step does:", CONFIG_IN_DEFAULTS);
    add_keys(out, "Generate", "\"generate\" has:", CONFIG_IN_GENERATE);
    add_keys(out, "Limits", "\"limits\" has:", CONFIG_IN_LIMITS);
    add_keys(out, "Secrets",
             "\"secrets\" has an object for each, called by the variable or the absolute path that "
             "it is to the step. It has one of:",
             CONFIG_IN_SECRET);
    add_keys(out, "Cache directories",
             "\"caches\" has for each absolute path a name, or an object with:", CONFIG_IN_CACHE);
    add_keys(out, "Git hooks", "\"hook\" at the top has:", CONFIG_IN_HOOK);
    buf_adds(out, ".Sh EXAMPLES\n.Bd -literal\n"
                  "{\n"
                  "  \"version\": 1,\n"
                  "  \"steps\": {\n"
                  "    \"build\": {\n"
                  "      \"run\": \"make app\",\n"
                  "      \"inputs\": [\"src\", \"Makefile\"],\n"
                  "      \"outputs\": [\"app\"]\n"
                  "    },\n"
                  "    \"test\": {\n"
                  "      \"run\": [\"sh\", \"tests/run.sh\"],\n"
                  "      \"inputs\": [\"tests\"],\n"
                  "      \"needs\": [\"build\"],\n"
                  "      \"timeout\": \"5m\"\n"
                  "    }\n"
                  "  }\n"
                  "}\n"
                  ".Ed\n.Sh SEE ALSO\n.Xr kiln 1\n");
}
