#!/bin/sh
# Prints docs/commands.md from what the command says of itself: tools/docs_commands.sh build/dynyolo
set -eu
bin=${1:-build/dynyolo}
cat <<'HEAD'
# Commands

<!-- Made by tools/docs_commands.sh from `dynyolo help`; `make docs` writes it anew, `make check` compares. -->

```sh
dynyolo [detect] MODE key=value ...
```

Switches are `True` or `False`, and a switch alone means `True`; `None` means "not given". Sizes are a number or `[height,width]`;
lists are `[0,2]`. `cfg=FILE` reads options from a YAML file. An unknown key is an error that names the nearest ones. Results go to
standard output, progress and warnings to standard error. The exit status is 0, 1 after a failure, 2 for wrong usage, 130 after an
interrupt.
HEAD
modes=$("$bin" help | awk '/^modes$/ { on = 1; next } on && !NF { exit } on { print $1 }')
for mode in $modes; do
    "$bin" help "$mode" | awk -v mode="$mode" '
        NR == 1      { sub(/^[^:]*: /, ""); printf "\n## %s\n\n%s\n\n```sh\n", mode, toupper(substr($0, 1, 1)) substr($0, 2) "."; next }
        /^options/   { part = "options"; print "```\n\n| key | type | default | meaning |\n| --- | --- | --- | --- |"; next }
        /^for compat/ { sub(/^[^:]*: */, ""); if ($0) { gsub(/ /, "`, `"); printf "\nAccepted for compatibility, without effect: `%s`.\n", $0 } next }
        !NF          { next }
        part == ""   { sub(/^ */, ""); print; next }
        { key = $1; type = $2; def = $3; sub(/^ *[^ ]+ +[^ ]+ +[^ ]+ */, ""); gsub(/\|/, "\\|"); gsub(/</, "\\&lt;")
          printf "| `%s` | %s | %s | %s |\n", key, type, def == "-" ? "" : def, $0 }'
done
