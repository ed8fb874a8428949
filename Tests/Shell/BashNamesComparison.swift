import Testing

/// Names that have a value without being given one: the home directory, what `=~` has matched, chance.
@Suite(.enabled(if: HostTools.hasBash))
struct BashNamesComparison {
    @Test func homeAndMatchesAreThoseOfBash() throws {
        try BashComparison.compare([
            #"HOME=/x; echo ~ ~/a "~" ~x a~ \~ '~/b' ~"/c" ~/"d e""#, "HOME=/x; y=~/a; echo $y; z=\"~\"; echo $z",
            "HOME=/x; for d in ~/a ~; do echo $d; done", "HOME=/x; [[ ~ == /x && ~/b == /x/b ]] && echo same",
            "HOME=/x; case /x/a in ~/*) echo home;; *) echo no;; esac", "HOME=/x; echo ${y:-~/z} {~,~/b}",
            "HOME='/a b'; printf '<%s>' ~/c", "HOME=/x; cat <<< ~", "HOME=/x; echo $HOME ${HOME}/y",
            #"[[ a12b34 =~ ([0-9]+)b([0-9]+) ]] && echo ${BASH_REMATCH[1]} "${BASH_REMATCH[2]}""#,
            #"[[ a12b34 =~ [0-9]b[0-9] ]] && echo ${BASH_REMATCH[0]} $BASH_REMATCH"#,
            #"[[ ab =~ (x)?(b) ]]; echo "<${BASH_REMATCH[1]}>" ${#BASH_REMATCH[2]}"#,
            #"[[ k=v=w =~ ^([a-z]+)=(.*)$ ]]; k=${BASH_REMATCH[1]}; echo $k "${BASH_REMATCH[2]%=w}""#,
            #"[[ k=v =~ (k) ]]; echo ${BASH_REMATCH[3]:-none} ${#BASH_REMATCH[1]}"#,
            #"[[ abc =~ (b) ]]; [[ abc =~ x ]]; echo "<${BASH_REMATCH[0]:-}${BASH_REMATCH[1]:-}>""#,
            "x=$RANDOM; (( x >= 0 && x < 32768 )) && echo $((RANDOM < 32768))",
            "a=; for i in {1..20}; do a=$a.$RANDOM; done; [[ $a == *.*.* ]] && echo ${#a} | grep -c .",
        ])
        try BashComparison.compare(
            [
                #"[[ 日本語 =~ 本(.) ]]; echo ${BASH_REMATCH[1]} ${BASH_REMATCH[0]}"#
            ], locale: "C.UTF-8")
    }

    @Test func chanceIsTheLabs() {
        let script =
            "echo $RANDOM $RANDOM $((RANDOM % 6)); RANDOM=7; a=$RANDOM; RANDOM=7; [[ $a == $RANDOM ]] && echo again"
        let first = LabShell().run(script)
        #expect(first.status == 0 && first.output.hasSuffix("again\n") && first.output == LabShell().run(script).output)
        let numbers = first.output.split(separator: " ")
        #expect(numbers[0] != numbers[1])
        #expect(LabShell().run("echo ${x[1]}").status == 2 && LabShell().run("echo ${x[0]}").status == 2)
        #expect(LabShell().run("echo ~ $HOME").output == "/ /\n")
    }
}
