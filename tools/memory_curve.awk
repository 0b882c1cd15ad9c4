# memory.csv of memory_curve.sh to an SVG on standard output, a summary on standard error; fails where memory grew.
function mean(from, to,    i, s) { for (i = from; i < to; i++) s += rss[i]; return s / (to - from) }
function x(i) { return 60 + 560 * t[i] / t[n - 1] }
function y(v) { return 220 - 190 * v / (1.25 * max) }
BEGIN { n = 0 }
NR > 1 { t[n] = $1; rss[n] = $2; if ($2 > max) max = $2; if (files == "" || $5 > files) files = $5; epochs = $6; n++ }
END {
    if (n < 20) { print "memory_curve: too few samples" > "/dev/stderr"; exit 1 }
    half = int(n / 2); tenth = int(n / 10)
    early = mean(half, half + tenth); late = mean(n - tenth, n)
    print "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"640\" height=\"260\" font-family=\"sans-serif\" font-size=\"11\">"
    print "<rect width=\"640\" height=\"260\" fill=\"white\"/>"
    for (k = 0; k <= 4; k++) {
        v = 1.25 * max * k / 4
        printf "<path d=\"M60 %.1fH620\" stroke=\"#ddd\"/><text x=\"54\" y=\"%.1f\" text-anchor=\"end\">%.0f MB</text>\n", y(v), y(v) + 4, v / 1024
        printf "<text x=\"%.1f\" y=\"238\" text-anchor=\"middle\">%.0f min</text>\n", 60 + 140 * k, t[n - 1] / 60 * k / 4
    }
    printf "<path fill=\"none\" stroke=\"#06c\" stroke-width=\"1.5\" d=\"M"
    for (i = 0; i < n; i++) printf "%s%.1f %.1f", i ? "L" : "", x(i), y(rss[i])
    printf "\"/>\n<text x=\"340\" y=\"20\" text-anchor=\"middle\">resident memory, %d epochs of training</text>\n</svg>\n", epochs
    printf "%d samples over %d s, %d epochs: first %.1f MB, highest %.1f MB, last %.1f MB, at most %d open files\n", n, t[n - 1],
        epochs, rss[0] / 1024, max / 1024, rss[n - 1] / 1024, files > "/dev/stderr"
    printf "middle of the run %.1f MB, end %.1f MB: %+.2f %%\n", early / 1024, late / 1024, 100 * (late / early - 1) > "/dev/stderr"
    exit late > 1.02 * early
}
