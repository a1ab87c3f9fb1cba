# keeper <folder of a run>: waits for the end of the process that holds its standard input, then ends what that
# process left running (running/<pid> holds the signal that ends <pid>) and removes the folder.
trap '' INT TERM HUP
cat >/dev/null
for note in "$1"/running/*; do
  [ -e "$note" ] || continue
  pid=${note##*/}
  kill -"$(cat "$note")" "$pid" 2>/dev/null && kill -CONT "$pid" 2>/dev/null
done
for note in "$1"/running/*; do
  while [ -e "$note" ] && kill -0 "${note##*/}" 2>/dev/null; do sleep 0.1; done
done
[ -n "$WEBHOOK_TESTS_KEEP" ] || rm -rf "$1"
rmdir "${1%/*}" 2>/dev/null
