#!/bin/sh
# Fails when a file includes a header of a room that tools/rooms.txt does not allow its room.
bad=0
for f in $(find src -name '*.[ch]' | sort); do
    room=$(echo "$f" | cut -d/ -f2); case $room in *.c) room=api;; esac
    allowed=$(sed -n "s/^$room: *//p" tools/rooms.txt)
    grep -q "^$room:" tools/rooms.txt || { echo "$f: room '$room' is not in tools/rooms.txt"; bad=1; }
    for inc in $(sed -n 's/^#include "\([a-z_]*\)\/.*/\1/p' "$f" | sort -u); do
        case " $room $allowed " in *" $inc "*) ;; *) echo "$f: room '$room' may not include '$inc/'"; bad=1;; esac
    done
done
exit $bad
