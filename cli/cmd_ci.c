/*
 * cmd_ci.c - kiln ci init: the few lines with which a CI installs kiln, keeps its cache, and calls
 * it.
 */
#include "cli/cli.h"

#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* In these, @C@ is how kiln is told where the project is. */

#define INSTALL(before)                                                             \
    before "if ! command -v kiln; then\n" before                                    \
           "  git clone --depth 1 \"${KILN_REPOSITORY:?where are its sources}\" "   \
           "\"$KILN_BUILD\"\n" before "  \"$KILN_BUILD/scripts/deps\" run\n" before \
           "  cmake -G Ninja -B \"$KILN_BUILD/build\" -S \"$KILN_BUILD\"\n" before  \
           "  cmake --build \"$KILN_BUILD/build\" -j 4\n"

static const char github[] =
    "# Runs the pipeline of kiln.json. Written by \"kiln ci init github\"; yours to change.\n"
    "name: kiln\n"
    "on:\n"
    "  push:\n"
    "  pull_request:\n"
    "permissions:\n"
    "  contents: read\n"
    "jobs:\n"
    "  kiln:\n"
    "    runs-on: ubuntu-latest\n"
    "    env:\n"
    "      # Where kiln's sources are: a variable of the repository, or write it here.\n"
    "      KILN_REPOSITORY: ${{ vars.KILN_REPOSITORY }}\n"
    "    steps:\n"
    "      - uses: actions/checkout@v4\n"
    "      - name: Begin with the newest of kiln's caches\n"
    "        uses: actions/cache/restore@v4\n"
    "        with:\n"
    "          path: |\n"
    "            ~/.cache/kiln\n"
    "            ~/.local/state/kiln\n"
    "          key: kiln-${{ runner.os }}-${{ github.run_id }}-${{ github.run_attempt }}\n"
    "          restore-keys: kiln-${{ runner.os }}-\n"
    "      - name: Install kiln\n"
    "        run: |\n"
    "          KILN_BUILD=$RUNNER_TEMP/kiln-source\n" INSTALL(
        "          ") "            sudo cmake --install \"$KILN_BUILD/build\"\n"
                      "          fi\n"
                      "      - name: Allow isolated steps\n"
                      "        run: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 "
                      "|| true\n"
                      "      - name: Run the pipeline\n"
                      "        run: >-\n"
                      "          kiln@C@ run --keep-going\n"
                      "          --junit \"$RUNNER_TEMP/kiln/junit.xml\" --trace "
                      "\"$RUNNER_TEMP/kiln/trace.json\"\n"
                      "      # To open what failed elsewhere: files and variables of its "
                      "steps go along.\n"
                      "      # - if: failure()\n"
                      "      #   run: kiln@C@ bundle export --output "
                      "\"$RUNNER_TEMP/kiln/run.bundle\"\n"
                      "      - name: Keep the reports\n"
                      "        if: always()\n"
                      "        uses: actions/upload-artifact@v4\n"
                      "        with:\n"
                      "          name: kiln\n"
                      "          path: ${{ runner.temp }}/kiln/\n"
                      "          if-no-files-found: ignore\n"
                      "      - name: Keep kiln's cache, also of a run that failed\n"
                      "        if: always()\n"
                      "        uses: actions/cache/save@v4\n"
                      "        with:\n"
                      "          path: |\n"
                      "            ~/.cache/kiln\n"
                      "            ~/.local/state/kiln\n"
                      "          key: kiln-${{ runner.os }}-${{ github.run_id }}-${{ "
                      "github.run_attempt }}\n";

static const char gitlab[] =
    "# Runs the pipeline of kiln.json. Written by \"kiln ci init gitlab\"; yours to change.\n"
    "kiln:\n"
    "  image: debian:12\n"
    "  variables:\n"
    "    # Where kiln's sources are: write it here. Not needed where the image has kiln.\n"
    "    KILN_REPOSITORY: \"\"\n"
    "    KILN_BUILD: /tmp/kiln-source\n"
    "    # What a job is to keep has to lie below its folder.\n"
    "    KILN_CACHE_DIR: $CI_PROJECT_DIR/.kiln/cache\n"
    "    XDG_STATE_HOME: $CI_PROJECT_DIR/.kiln/state\n"
    "  cache:\n"
    "    key: kiln\n"
    "    when: always\n"
    "    paths:\n"
    "      - .kiln/cache/\n"
    "      - .kiln/state/\n"
    "  before_script:\n"
    "    - mkdir -p .kiln && echo '*' > .kiln/.gitignore\n"
    "    - command -v kiln || command -v git || { apt-get update -q && apt-get install -q -y git "
    "ca-certificates; }\n"
    "    - |\n" INSTALL("      ") "        cmake --install \"$KILN_BUILD/build\"\n"
                                  "      fi\n"
                                  "  script:\n"
                                  "    - kiln@C@ run --keep-going --junit .kiln/junit.xml --trace "
                                  ".kiln/trace.json\n"
                                  "  # To open what failed elsewhere: files and variables of "
                                  "its steps go along.\n"
                                  "  # after_script:\n"
                                  "  #   - '[ \"$CI_JOB_STATUS\" = success ] || kiln@C@ bundle "
                                  "export --output .kiln/run.bundle'\n"
                                  "  artifacts:\n"
                                  "    when: always\n"
                                  "    paths:\n"
                                  "      - .kiln/trace.json\n"
                                  "      # - .kiln/run.bundle\n"
                                  "    reports:\n"
                                  "      junit: .kiln/junit.xml\n";

static const char jenkins[] =
    "// Runs the pipeline of kiln.json. Written by \"kiln ci init jenkins\"; yours to change.\n"
    "pipeline {\n"
    "    agent any\n"
    "    environment {\n"
    "        // Where kiln's sources are. Not needed where the agent has kiln.\n"
    "        KILN_REPOSITORY = ''\n"
    "        KILN_BUILD = \"${WORKSPACE_TMP}/kiln-source\"\n"
    "        CI = 'true'\n"
    "    }\n"
    "    stages {\n"
    "        stage('Install kiln') {\n"
    "            steps {\n"
    "                // Its cache stays with the agent, in ~/.cache/kiln.\n"
    "                sh '''\n" INSTALL(
        "                    ") "                      sudo cmake --install \"$KILN_BUILD/build\"\n"
                                "                    fi\n"
                                "                '''\n"
                                "            }\n"
                                "        }\n"
                                "        stage('Run the pipeline') {\n"
                                "            steps {\n"
                                "                sh 'mkdir -p .kiln && echo \"*\" > "
                                ".kiln/.gitignore'\n"
                                "                sh 'kiln@C@ run --keep-going --junit "
                                ".kiln/junit.xml --trace "
                                ".kiln/trace.json'\n"
                                "            }\n"
                                "        }\n"
                                "    }\n"
                                "    post {\n"
                                "        always {\n"
                                "            // To open what failed elsewhere (files and variables "
                                "of its steps go along):\n"
                                "            // sh 'kiln@C@ bundle export --output "
                                ".kiln/run.bundle'\n"
                                "            // archiveArtifacts artifacts: '.kiln/run.bundle'\n"
                                "            junit testResults: '.kiln/junit.xml', "
                                "allowEmptyResults: true\n"
                                "            archiveArtifacts artifacts: '.kiln/trace.json', "
                                "allowEmptyArchive: true\n"
                                "            // With the Warnings plugin, what compilers say is "
                                "shown "
                                "at its lines:\n"
                                "            // recordIssues enabledForFailure: true, "
                                "tools: [gcc()]\n"
                                "        }\n"
                                "    }\n"
                                "}\n";

static const struct form {
    const char *name, *path, *text, *next;
} forms[] = {
    {"github", ".github/workflows/kiln.yml", github,
     "set the repository's variable KILN_REPOSITORY to where kiln's sources are, and commit it"},
    {"gitlab", ".gitlab-ci.yml", gitlab,
     "write into KILN_REPOSITORY where kiln's sources are, and commit it"},
    {"jenkins", "Jenkinsfile", jenkins,
     "write into KILN_REPOSITORY where kiln's sources are, and commit it"},
};

/* The folder of the repository that the project is in; its own where there is none. New string. */
static char *find_repository(const char *root)
{
    char *at = mem_strdup(root);
    for (;;) {
        struct stat st;
        char *git = path_join(at, ".git");
        bool found = stat(git, &st) == 0;
        free(git);
        char *slash = strrchr(at, '/');
        if (found || slash == at || !slash) {
            if (!found) {
                free(at);
                at = mem_strdup(root);
            }
            return at;
        }
        *slash = '\0';
    }
}

/* Adds the form's text for the project in that folder below the repository's ("": it is that). */
static int make_text(const struct form *form, const char *below, struct buf *out, struct err *err)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "._-/+";
    const char *at = form->text;
    if (below[strspn(below, plain)] || *below == '-')
        return err_set(err, ERR_USAGE,
                       "the project's folder has a name that would have to be quoted in %s: \"%s\"",
                       form->path, below);
    for (const char *mark; (mark = strstr(at, "@C@")); at = mark + 3) {
        buf_add(out, at, (size_t)(mark - at));
        if (*below)
            buf_addf(out, " -C %s", below);
    }
    buf_adds(out, at);
    return 0;
}

static int save(const char *repository, const struct form *form, const struct buf *text,
                bool overwrite, struct err *err)
{
    char *path = path_join(repository, form->path);
    struct stat st;
    int rc = 0;
    if (!overwrite && lstat(path, &st) == 0) {
        rc = err_set(err, ERR_USAGE,
                     "%s is there already; --overwrite replaces it, --dry-run prints what it would "
                     "become",
                     path);
    } else {
        char *parent = mem_strndup(path, (size_t)(strrchr(path, '/') - path));
        rc = file_mkdirs(parent, 0777, err);
        free(parent);
        if (rc == 0)
            rc = file_write_atomic(path, text->data, text->len, 0644, err);
    }
    free(path);
    return rc;
}

int command_ci(const struct options *options)
{
    const struct form *form = forms;
    struct buf text = BUF_INIT;
    struct err err = ERR_INIT;
    char *config = NULL, *root = NULL, *repository = NULL;
    while (strcmp(form->name, options->args[0]) != 0)
        form++;
    int rc = app_find(options, &config, &root, &err);
    if (rc == 0) {
        repository = find_repository(root);
        const char *below = root + strlen(repository);
        rc = make_text(form, *below == '/' ? below + 1 : below, &text, &err);
    }
    if (rc == 0 && options->dry_run) {
        fwrite(text.data, 1, text.len, stdout);
    } else if (rc == 0) {
        rc = save(repository, form, &text, options->overwrite, &err);
        if (rc == 0)
            printf("wrote  %s/%s\nnext   %s\n", repository, form->path, form->next);
    }
    if (rc < 0)
        complain(options, err_text(&err));
    int code = rc == 0                                           ? EXIT_OK
               : err.kind == ERR_USAGE || err.kind == ERR_CONFIG ? EXIT_USAGE
                                                                 : EXIT_KILN;
    err_release(&err);
    buf_release(&text);
    free(config);
    free(root);
    free(repository);
    return output_end(options, code);
}
