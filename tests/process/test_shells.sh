#!/usr/bin/env bash
# Completion in the shells themselves, each where it is installed; and the manual.
. "$(dirname "$0")/lib.sh"

begin() { # SHELL
    type "$1" > /dev/null 2>&1 || {
        echo "(not tried: there is no $1)"
        return 1
    }
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "build": {"run": "true"}, "bundle": {"run": "true"}, "test:unit": {"run": "true"}}}'
    touch some-file
    mkdir -p "$T/bin"
    ln -sf "$KILN" "$T/bin/kiln"
    export PATH=$T/bin:$PATH
    kiln 0 completion "$1"
    cp "$T/out" "$T/script"
}

# -- bash: as readline calls it --------------------------------------------------------------------

# bash_completes WORD...: what comes of a TAB behind the last.
bash_completes() {
    bash --norc -c '
        source "$1"
        shift
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _kiln
        printf "%s\n" "${COMPREPLY[@]}"' bash "$T/script" "$@" | sort | paste -sd " "
}

test_bash() {
    begin bash || return 0
    assert_eq "$(bash_completes kiln com)" "compare completion"
    assert_eq "$(bash_completes kiln run bu)" "build bundle"
    assert_eq "$(bash_completes kiln run --jun)" "--junit="
    assert_eq "$(bash_completes kiln run --junit = some)" "some-file"
    assert_eq "$(bash_completes kiln run --junit =)" "kiln.json some-file"
    assert_eq "$(bash_completes kiln -k cache v)" "verify"
    assert_eq "$(bash_completes kiln help rep)" "replay"
    assert_eq "$(bash_completes kiln completion f)" "fish"
    assert_eq "$(bash_completes kiln hook in)" "install"
    assert_eq "$(bash_completes kiln hook install pre)" "pre-commit pre-merge-commit pre-push"
    assert_eq "$(bash_completes kiln hook run "")" "commit-msg pre-commit pre-merge-commit pre-push"
    assert_eq "$(bash_completes kiln ci init git)" "github gitlab"
    # What an option wants, behind a blank, too.
    assert_eq "$(bash_completes kiln debug --on-failure k)" "keep"
    assert_eq "$(bash_completes kiln debug --on-failure = k)" "keep"
    assert_eq "$(bash_completes kiln --color =)" "always auto never"
    assert_eq "$(bash_completes kiln debug --break bu)" "build bundle"
    assert_eq "$(bash_completes kiln run --force = bu)" "build bundle"
    assert_eq "$(bash_completes kiln -C "")" "kiln.json some-file"
    assert_eq "$(bash_completes kiln run -j "")" ""
    # Files where nothing else is meant.
    assert_eq "$(bash_completes kiln bundle imp)" "import"
    assert_eq "$(bash_completes kiln bundle import so)" "some-file"
    assert_eq "$(bash_completes kiln compare so)" "some-file"
    assert_eq "$(bash_completes kiln debug bundle --take so)" "some-file"
    assert_eq "$(bash_completes kiln run so)" ""
    # With a terminal, as a person.
    printf 'set enable-bracketed-paste off\n' > "$T/inputrc"
    assert_match "$(typed bash "source $T/script" "kiln expl	bui	 END")" "kiln explain build +END"
}

# -- in a terminal ---------------------------------------------------------------------------------

# typed SHELL FIRST LINE: types both into the shell, and waits for END to have come back; prints its screen.
typed() {
    INPUTRC=$T/inputrc python3 - "$@" << 'EOF'
import os, pty, re, select, signal, sys, time
shell, first, line = sys.argv[1:]
args = {"zsh": ["zsh", "-f", "-i"], "bash": ["bash", "--norc", "-i"]}[shell]
pid, fd = pty.fork()
if pid == 0:
    os.environ["TERM"] = "dumb"
    os.environ["PS1"] = "> "
    os.execvp(args[0], args)
seen = b""
def until(what):
    global seen
    end = time.time() + 60
    while not re.search(what, seen):
        if time.time() > end or not select.select([fd], [], [], 60)[0]:
            sys.exit("gave up: %r" % seen)
        try:
            seen += os.read(fd, 65536)
        except OSError:
            break
until(b"> ")
os.write(fd, (first + "; echo REA''DY\n").encode())
until(b"READY\r?\n")
until(b"READY\r?\n(.|\n)*> ")
for part in re.split("(\t)", line): # each TAB is answered before what comes next is typed
    before = len(seen)
    os.write(fd, part.encode())
    if part == "\t":
        while len(seen) == before:
            seen += os.read(fd, 65536)
    elif part:
        while len(seen) < before + len(part):
            seen += os.read(fd, 65536)
until(b"END")
os.kill(pid, signal.SIGKILL)
os.waitpid(pid, 0)
print(re.sub(r"\x07|\r|\x1b\[[0-9;?]*[a-zA-Z]|.\x08", "", seen.decode(errors="replace")).split("READY")[-1])
EOF
}

test_zsh() {
    begin zsh || return 0
    local setup="autoload -Uz compinit; compinit -u -d $T/zcompdump; source $T/script; unsetopt beep; zstyle ':completion:*' list-prompt ''"
    assert_match "$(typed zsh "$setup" "kiln expl	bui	END")" "kiln explain build +END"
    assert_match "$(typed zsh "$setup" "kiln run --jun	so	END")" "kiln run --junit=some-file +END"
    assert_match "$(typed zsh "$setup" "kiln run --color=al	END")" "kiln run --color=always +END"
    assert_match "$(typed zsh "$setup" "kiln debug --on-failure=k	END")" "kiln debug --on-failure=keep +END"
    assert_match "$(typed zsh "$setup" "kiln debug --break=bui	END")" "kiln debug --break=build +END"
    assert_match "$(typed zsh "$setup" "kiln bundle import so	END")" "kiln bundle import some-file +END"
    assert_match "$(typed zsh "$setup" "kiln cache ver	END")" "kiln cache verify +END"
    assert_match "$(typed zsh "$setup" "kiln hook inst	com	END")" "kiln hook install commit-msg +END"
    assert_match "$(typed zsh "$setup" "kiln hook run pre-pu	END")" "kiln hook run pre-push +END"
    # As one of the functions that zsh looks for: works the first time.
    mkdir "$T/functions"
    cp "$T/script" "$T/functions/_kiln"
    assert_match "$(typed zsh "fpath=($T/functions \$fpath); autoload -Uz compinit; compinit -u -d $T/other; unsetopt beep" "kiln expl	bui	END")" \
        "kiln explain build +END"
}

# -- fish: it tells by itself what it would offer --------------------------------------------------

fish_completes() { # LINE
    fish --no-config -c 'source $argv[1]; complete -C $argv[2]' "$T/script" "$1" | cut -f 1 | sort | paste -sd " "
}

test_fish() {
    begin fish || return 0
    assert_eq "$(fish_completes 'kiln com')" "compare completion"
    assert_eq "$(fish_completes 'kiln run bu')" "build bundle"
    assert_eq "$(fish_completes 'kiln run --jun')" "--junit"
    assert_eq "$(fish_completes 'kiln run --junit some')" "some-file"
    assert_eq "$(fish_completes 'kiln run --color al')" "always"
    assert_eq "$(fish_completes 'kiln cache v')" "verify"
    assert_eq "$(fish_completes 'kiln compare some')" "some-file"
    assert_eq "$(fish_completes 'kiln bundle import some')" "some-file"
    assert_eq "$(fish_completes 'kiln debug --break bu')" "build bundle"
    assert_eq "$(fish_completes 'kiln hook in')" "install"
    assert_eq "$(fish_completes 'kiln hook install ')" "commit-msg pre-commit pre-merge-commit pre-push"
    assert_eq "$(fish_completes 'kiln hook run ')" "commit-msg pre-commit pre-merge-commit pre-push"
    assert_eq "$(fish_completes 'kiln ci init git')" "github gitlab"
    assert_eq "$(fish_completes 'kiln plan --jun')" ""
}

# -- the manual ------------------------------------------------------------------------------------

test_manual() {
    local page option
    for page in kiln.1 kiln.json.5; do
        "$KILN" internal man "$page" > "$T/$page"
        if type mandoc > /dev/null 2>&1; then
            # Those it refers to need not be installed.
            mandoc -Tlint -W style "$T/$page" | grep -v 'referenced manual not found' > "$T/lint" || :
            if [ -s "$T/lint" ]; then fail "mandoc: $(cat "$T/lint")"; fi
        else
            echo "(not tried: there is no mandoc)"
        fi
        if type groff > /dev/null 2>&1; then
            assert_eq "$(groff -ww -mandoc -Tutf8 -z "$T/$page" 2>&1 | head -5)" "" "groff's warnings"
        fi
    done
    # Every command and option, every key.
    "$KILN" help | awk '/^  [a-z]/ { print $1 }' | while read -r page; do
        if [ "$page" = kiln ]; then continue; fi
        grep -q "^.Ss \"\\\\&kiln $page" "$T/kiln.1" || fail "no command $page"
        "$KILN" help "$page" | grep -oE '^ +(-., )?--[a-z-]+' | grep -oE '[a-z][a-z-]+$' | while read -r option; do
            grep -q "Fl \"\\\\&.-${option//-/.*-}" "$T/kiln.1" || fail "no option --$option"
        done
    done
    "$KILN" schema | jq -r '.. | .properties? // empty | keys[]' | sort -u | while read -r page; do
        grep -q "^.It Sy \"\\\\&$page" "$T/kiln.json.5" || fail "no key $page"
    done
}

run_tests
