# awk -f sql/assemble.awk pg_webhook.sql: the script that this file of sql/ describes.
#   \i FILE        the text of sql/FILE
#   \replace FILE  the functions, views and comments of sql/FILE and of the files that it names, in place of those that exist

BEGIN { include(ARGV[1], 0) }

function include(file, replacing,    got, line, word, open, quotes) {
    while ((got = (getline line < ("sql/" file))) > 0) {
        split(line, word)
        if (word[1] == "\\i" || word[1] == "\\replace") {
            include(word[2], replacing || word[1] == "\\replace")
        } else if (!replacing) {
            print line
        } else if (open || line ~ /^(CREATE (FUNCTION|VIEW)|COMMENT ON|SET LOCAL) /) {
            if (!open) sub(/^CREATE /, "CREATE OR REPLACE ", line)
            open = 1
            print line
            quotes += gsub(/\$\$/, "&", line)
            if (quotes % 2 == 0 && line ~ /;$/) open = 0
        }
    }
    if (got < 0) {
        print "there is no sql/" file > "/dev/stderr"
        exit 1
    }
    close("sql/" file)
}
