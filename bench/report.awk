# Markdown of what a row found: its bounds, its figures, its notes.
#
#     awk -v row=N -v full=1 -f report.awk bounds figures notes

BEGIN { FS = "\t" }

function number(v) {
    if (v == "")
        return "–"
    if (v != int(v) || v ~ /\./)
        v = sprintf(v + 0 >= 100 ? "%.0f" : v + 0 >= 10 ? "%.1f" : "%.2f", v)
    return v
}

function with_unit(v, unit) {
    return number(v) (unit == "" ? "" : " " unit)
}

$1 != row { next }

FILENAME ~ /bounds$/ {
    if (!bounds++)
        print "| row | bound | measured | |\n|---|---|---|---|"
    measured = $3 == "" ? "–" : $6 ~ /^×/ ? sprintf("%.2f", $3) " " $6 : with_unit($3, $6)
    printf "| %s | %s %s %s | %s | %s |\n", row, $2, $4 == "<=" ? "≤" : "≥", $5 ($6 == "" ? "" : " " $6), measured, $7 == "PASS" ? $7 : "**" $7 "**"
}

FILENAME ~ /figures$/ {
    if (!figures++)
        print "\n| what | who | n | median | min – max | p99 | user + sys | kiln ÷ it |\n|---|---|---|---|---|---|---|---|"
    # The first of a case is kiln's own; a wall time (with CPU time beside it, or p99) is comparable with its like.
    if ($2 != what) {
        what = $2
        first = $6
        kind = $4 ($9 == "") ($10 == "")
    }
    comparable = ($3 !~ /^kiln/ && $6 > 0 && kind == $4 ($9 == "") ($10 == ""))
    printf("| %s | %s | %s | %s | %s | %s | %s | %s |\n", $2, $3, $5, with_unit($6, $4), \
        ($5 > 1 ? number($7) " – " number($8) : ""), ($10 == "" ? "" : number($10)), \
        ($9 == "" ? "" : number($9) " ms"), (comparable ? sprintf("%.2f", first / $6) : ""))
}

FILENAME ~ /notes$/ { print "\n" $2 }
