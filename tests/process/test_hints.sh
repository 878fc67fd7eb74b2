#!/usr/bin/env bash
# What an isolated step missed of the project, told from the words of the programs that missed it.
. "$(dirname "$0")/lib.sh"

# case_of NAME INPUTS TEXT HINT [CWD [VARIABLE]]: a step that writes TEXT (@ is the project inside) and fails; HINT is the file
# that it is told to add, or nothing.
case_of() {
    jq -n --arg name "$1" --argjson inputs "$2" --arg text "${3//@//src}" --arg cwd "${5:-.}" --arg env "${6:-}" '
        {($name): {run: "printf \"%s\\n\" \"$TEXT\"; exit 1", inputs: $inputs, cwd: $cwd,
            env: ({TEXT: $text} + (if $env == "" then {} else {($env | split("=")[0]): ($env | split("=")[1])} end))}}' >> "$T/cases"
    printf '%s\t%s\n' "$1" "$4" >> "$T/want"
}

run_cases() {
    jq -s '{version: 1, defaults: {runner: "sandbox"}, steps: add}' "$T/cases" > kiln.json
    mine
    kiln 1 run -k --json
    local name want
    while IFS=$'\t' read -r name want; do
        [ -z "$want" ] || want="$want exists in the project, but is not among the inputs of \"$name\"; add \"$want\" to its \"inputs\""
        assert_eq "$(events "select(.type == \"step.finished\" and .step == \"$name\") | .hints[]?")" "$want" "$name"
    done < "$T/want"
}

node() { # MODULE FROM
    printf "node:internal/modules/cjs/loader:1210\n  throw err;\n  ^\n\nError: Cannot find module '%s'\nRequire stack:\n- %s\n    at Module._resolveFilename (node:internal/modules/cjs/loader:1207:15)\n  code: 'MODULE_NOT_FOUND'" "$1" "$2"
}

what_programs_say() {
    : > "$T/cases"
    : > "$T/want"
    mkdir -p app/util app/deep lib sub/dir crate/src src/pkg target any
    touch x.js app/main.js app/x.js app/m.mjs app/x.mjs app/a.ts app/b.ts app/util/index.js app/util/u.go lib/l.js \
        Makefile sub/Makefile sub/in sub/dir/in b.c CMakeLists.txt sub/CMakeLists.txt sub/dir/CMakeLists.txt \
        crate/Cargo.toml crate/src/main.rs src/pkg/__init__.py mod.py target/t any/a go.sum app/deep/main.go top.h
    printf '// of the example\nmodule example.com/app // it\n\ngo 1.20\n' > go.mod

    case_of node '["app/main.js"]' "$(node ./x @/app/main.js)" app/x.js
    case_of node-up '["app/main.js"]' "$(node ../x @/app/main.js)" x.js
    case_of node-dir '["app/main.js"]' "$(node ./util @/app/main.js)" app/util/index.js
    case_of node-path '["app/main.js"]' "$(node l @/app/main.js)" lib/l.js . NODE_PATH=lib
    case_of node-given '["app"]' "$(node ./gone @/app/main.js)" ""
    case_of node-main '["lib"]' "Error: Cannot find module '@/app/main.js'" app/main.js
    case_of node-esm '["app/m.mjs"]' "Error [ERR_MODULE_NOT_FOUND]: Cannot find module '@/app/x.mjs' imported from @/app/m.mjs" app/x.mjs
    case_of tsc '["app/a.ts"]' "app/a.ts(1,19): error TS2307: Cannot find module './b' or its corresponding type declarations." app/b.ts
    case_of webpack '["app/main.js"]' "ERROR in ./app/main.js 1:0-13
Module not found: Error: Can't resolve './x' in '@/app'" app/x.js

    case_of make '["b.c"]' 'make: *** No targets specified and no makefile found.  Stop.' Makefile
    case_of make-sub '["sub/in"]' "make: Entering directory '@/sub'
make: *** No targets specified and no makefile found.  Stop.
make: Leaving directory '@/sub'" sub/Makefile
    case_of make-cwd '["sub/in"]' 'make: *** No targets specified and no makefile found.  Stop.' sub/Makefile sub
    case_of make-rule '["Makefile"]' "make: *** No rule to make target 'b.c', needed by 'any'.  Stop." b.c
    case_of make-target '["Makefile"]' "make: *** No rule to make target 'gone'.  Stop." ""
    case_of make-c '["Makefile"]' 'make: *** sub: No such file or directory.  Stop.' sub

    case_of cmake '["sub/in"]' 'CMake Error: The source directory "@/sub" does not appear to contain CMakeLists.txt.' sub/CMakeLists.txt
    case_of cmake-top '["sub/in"]' 'CMake Error: The source directory "@" does not appear to contain CMakeLists.txt.' CMakeLists.txt
    case_of cmake-gone '["b.c"]' 'CMake Error: The source directory "@/sub" does not exist.' sub
    case_of cmake-add '["CMakeLists.txt", "sub/in"]' 'CMake Error at CMakeLists.txt:3 (add_subdirectory):
  The source directory

    @/sub

  does not contain a CMakeLists.txt file.' sub/CMakeLists.txt
    case_of cmake-given '["CMakeLists.txt"]' 'CMake Error at CMakeLists.txt:4 (add_subdirectory):
  add_subdirectory given source "sub" which is not an existing directory.' sub

    case_of go '["app/deep"]' "go: go.mod file not found in current directory or any parent directory; see 'go help modules'" go.mod app/deep
    case_of go-package '["app/deep", "go.mod"]' 'app/deep/main.go:2:8: no required module provides package example.com/app/app/util; to add it:
	go get example.com/app/app/util' app/util
    case_of go-other '["app/deep", "go.mod"]' 'app/deep/main.go:2:8: no required module provides package example.com/app/gone; to add it:' ""
    case_of go-sum '["app/deep", "go.mod"]' 'main.go:2:8: missing go.sum entry for module providing package golang.org/x/text; to add:' go.sum

    case_of cargo '["crate/src"]' 'error: could not find `Cargo.toml` in `@/crate` or any parent directory' crate/Cargo.toml crate
    case_of cargo-file '["crate/Cargo.toml"]' 'error: couldn'"'"'t read `crate/src/main.rs`: No such file or directory (os error 2)' crate/src/main.rs

    case_of python "[\"b.c\"]" "python3: can't open file '@/mod.py': [Errno 2] No such file or directory" mod.py
    case_of python-file '["b.c"]' "ModuleNotFoundError: No module named 'mod'" mod.py
    case_of python-path '["b.c"]' "ModuleNotFoundError: No module named 'pkg'" src/pkg . PYTHONPATH=/nowhere:/src/src
    case_of python-m '["b.c"]' "/usr/bin/python3: Error while finding module specification for 'mod.x' (ModuleNotFoundError: No module named 'mod')" mod.py
    case_of python-other '["b.c"]' "ModuleNotFoundError: No module named 'requests'" ""
    run_cases
}

test_what_programs_say() { as_both what_programs_say; }

# The programs themselves, where they are in the sandbox.
test_the_programs() {
    boxes || return 0
    local program
    for program in make cmake node; do
        [ -x "/usr/bin/$program" ] || { echo "(not tried: there is no $program)"; return 0; }
    done
    mkdir -p sub/dir app
    printf 'all: a.txt\n\techo ok\n' > sub/Makefile
    touch sub/a.txt sub/in sub/dir/in
    printf 'cmake_minimum_required(VERSION 3.10)\nproject(x NONE)\nadd_subdirectory(dir)\n' > sub/CMakeLists.txt
    : > sub/dir/CMakeLists.txt
    echo "require('./x')" > app/main.js
    : > app/x.js
    project '{"version": 1, "defaults": {"runner": "sandbox"}, "steps": {
        "none": {"run": "make -C sub", "inputs": ["sub/in"]},
        "rule": {"run": "make", "cwd": "sub", "inputs": ["sub/Makefile"]},
        "list": {"run": "cmake -S sub -B /tmp/b", "inputs": ["sub/in"]},
        "deep": {"run": "cmake -S sub -B /tmp/b", "inputs": ["sub/CMakeLists.txt", "sub/dir/in"]},
        "node": {"run": "node app/main.js", "inputs": ["app/main.js"]}}}'
    kiln 1 run -k --json
    for program in none:sub/Makefile rule:sub/a.txt list:sub/CMakeLists.txt deep:sub/dir/CMakeLists.txt node:app/x.js; do
        assert_match "$(events "select(.type == \"step.finished\" and .step == \"${program%:*}\") | .hints[0]")" "^${program#*:} exists"
    done
}

run_tests
