/*
 * git.h - libgit2, loaded when it is first asked for. It brings a dozen other libraries along, and
 * loading all of them takes longer than most commands of kiln do; mostly what was remembered of an
 * earlier answer still holds, and git is not asked at all.
 *
 * The library stays loaded and initialised. Any thread.
 */
#ifndef KILN_CACHE_GIT_H
#define KILN_CACHE_GIT_H

#include <git2.h>
#include <stdbool.h>

#define GIT_CALLS(call)                                                                           \
    call(blob_rawcontent) call(blob_rawsize) call(buf_dispose) call(config_free)                  \
        call(config_get_bool) call(config_get_path) call(config_iterator_free)                    \
            call(config_iterator_new) call(config_next) call(diff_options_init)                   \
                call(index_find_prefix) call(index_free) call(index_get_bypath) call(index_read)  \
                    call(libgit2_init) call(libgit2_opts) call(libgit2_shutdown) call(merge_file) \
                        call(merge_file_result_free) call(object_free) call(object_type)          \
                            call(patch_free) call(patch_from_buffers) call(patch_get_hunk)        \
                                call(patch_get_line_in_hunk) call(patch_num_hunks)                \
                                    call(patch_to_buf) call(repository_config_snapshot)           \
                                        call(repository_free) call(repository_index)              \
                                            call(repository_item_path) call(repository_open_ext)  \
                                                call(repository_path) call(repository_workdir)    \
                                                    call(revparse_single)                         \
                                                        call(status_list_entrycount)              \
                                                            call(status_list_free)                \
                                                                call(status_list_new)

/* Its functions: git_NAME is git->NAME. */
struct git {
#define GIT_MEMBER(name) __typeof__(git_##name) *name;
    GIT_CALLS(GIT_MEMBER)
#undef GIT_MEMBER
};

/* Loads the library, ready to be used, and fills in git. An installation without it is no
 * installation of kiln, and one that may open no more files can't go on: says so and ends kiln with
 * exit code 3. */
void git_load(struct git *git);

#endif
