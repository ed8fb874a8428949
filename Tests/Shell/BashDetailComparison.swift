import Testing

/// Details that a script would get wrong without a word. bash says what is right, as in `BashComparison`.
@Suite(.enabled(if: HostTools.hasBash))
struct BashDetailComparison {
    private func compare(_ scripts: [String]) throws { try BashComparison.compare(scripts) }

    @Test func substitutionsReadWhatIsAroundThem() throws {
        try compare([
            "echo a | { x=$(cat); echo \"got $x\"; }", "echo a | { x=`cat`; echo \"got $x\"; }",
            "seq 3 > q; f() { y=$(wc -l); echo $y; }; f < q", "echo a | case $(cat) in a) echo ca;; esac",
            "while read l; do echo \"$l: $(cat)\"; done <<E\n1\n2\n3\nE",
            "seq 3 | { read a; x=$(read b; echo \"<$b>\"); echo $a $x; cat; }",
            "seq 9 | { x=$(head -n 1) y=$(wc -l); echo $x; }", "echo a | for i in $(cat) b; do echo $i; done",
            "echo a | if [ $(cat) = a ]; then echo y; fi", "echo a | (echo $(echo $(cat)))",
            "seq 3 > q; x=$(cat) < q; echo \"<$x>\"", "seq 3 > q; { x=$(cat); y=$(cat); } < q; echo $x \"<$y>\"",
            "echo a | echo $(cat < /dev/null; cat)", "echo a | { echo $(echo b | cat); cat; }",
            "echo 3 | echo $(( $(cat) + 1 ))", "echo a | cat <<E\n$(cat)\nE", "echo '$(cat)'; x=$(cat); echo \"<$x>\"",
        ])
    }
}
