#!/bin/sh
# Fails when the documentation is stale: docs/commands.md is not what the command says of itself, a path that a document
# names in `backticks` is not there, a link leads nowhere, or the C of the README does not compile.
# tools/docs_check.sh build/dynyolo
bad=0
sh tools/docs_commands.sh "$1" | diff -u docs/commands.md - || { echo "docs/commands.md is stale: make docs"; bad=1; }
awk '/^```/ { on = /^```c$/; next } on' README.md |
    ${CC:-cc} -std=c11 -Wall -Wextra -Werror -Iinclude -fsyntax-only -x c - || { echo "README.md: its C does not compile"; bad=1; }
for doc in *.md docs/*.md; do
    # Names in capitals stand for something (src/ops/NAME.c); build/ is made.
    for path in $(grep -o '`[a-z./][A-Za-z0-9_./-]*`' "$doc" | tr -d '\140' | grep -E '^(src|tests|tools|bench|fuzz|include|docs)/' |
        grep -v '[A-Z]\{4\}' | sort -u); do
        [ -e "$path" ] || { echo "$doc: there is no $path"; bad=1; }
    done
    for link in $(grep -o '](\([^)#:]*\))' "$doc" | sed 's/^](//; s/)$//' | sort -u); do
        [ -e "$(dirname "$doc")/$link" ] || { echo "$doc: the link $link leads nowhere"; bad=1; }
    done
done
exit $bad
