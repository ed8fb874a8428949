import Testing

/// What of the language's later additions is the lab's own: bounds, what is refused, and what the lab does otherwise
/// than bash. What both do alike stands in `scripts/test.d/bash-snippets.txt`.
@Suite struct BashLanguageTests {
    private func run(_ script: String) -> LabShell.Outcome { LabShell().run(script) }

    /// Each of these would take time in the square of the elements, or without an end.
    @Test(.timeLimit(.minutes(5)))
    func whatIsTakenFromArraysTakesItsShareOfTime() {
        #expect(
            run("a=({1..60000}); for ((i=0; i<60000; i++)); do unset 'a[i]'; done; echo ${#a[@]}").output == "0\n")
        #expect(
            run("a=({1..60000}); for ((i=59999; i>0; i--)); do unset 'a[i]'; done; echo ${!a[@]} ${#a[@]}").output
                == "0 1\n")
        #expect(
            run("a=({1..60000}); s=0; for ((i=0; i<60000; i+=2)); do ((s += ${a[@]:i:1})); done; echo $s").output
                == "900000000\n")
        let texts = "for i in {1..20000}; do m[k$i]=$i; done; for i in {1..20000}; do unset \"m[k$i]\"; done"
        #expect(run("declare -A m; \(texts); echo ${#m[@]}").output == "0\n")
        let holes = run("a=(a b c d e); unset 'a[1]' 'a[3]'; a[3]=x; a+=(y); echo ${!a[@]} ${a[@]}")
        #expect(holes.output == "0 2 3 4 5 a c x e y\n")
    }

    /// Names that have no value take memory as well.
    @Test(
        .timeLimit(.minutes(5)),
        arguments: [
            ("for ((i=0; i<20000; i++)); do declare x$i; done", "names may be declared"),
            ("for ((i=0; i<20000; i++)); do export x$i; done", "names may be declared"),
            ("for ((i=0; i<20000; i++)); do declare -n x$i=y; done", "no more than 10000 references"),
            ("declare -n r; r=$(printf '%05000d' 7)", "longer than 4096 bytes"),
        ])
    func namesHaveBounds(_ script: String, _ complaint: String) {
        let outcome = run(script)
        #expect(outcome.errorOutput.contains(complaint), "\(outcome.errorOutput.prefix(200))")
        #expect(outcome.status != 0)
    }

    @Test(.timeLimit(.minutes(5)))
    func alternativesOfPatternsTakeNoExponentialTime() {
        let long = String(repeating: "a", count: 1000)
        #expect(run("x=\(long); [[ $x == +(a|aa|aaa)b ]]; echo $?").output == "1\n")
        #expect(run("x=\(long); [[ $x == *(+(a)|+(aa))b ]]; echo $?").output == "1\n")
        #expect(run("x=\(long); [[ $x == !(b)!(c)!(d) ]]; echo $?").output == "0\n")
        #expect(run("x=\(long); echo ${x//+(a)/-}").output == "-\n")
        // As deep as this, it is text.
        let deep = String(repeating: "@(", count: 5000) + "a" + String(repeating: ")", count: 5000)
        #expect(run("p='\(deep)'; [[ a == $p ]]; echo $?").output == "1\n")
    }

    @Test(.timeLimit(.minutes(5)))
    func whatRepeatsItselfEnds() {
        #expect(run("yes | head -n 2").output == "y\ny\n")
        #expect(run("timeout 1s yes > f; echo $? $SECONDS").output == "124 1\n")
        let endless = run("yes > /dev/null; echo $?")
        #expect(endless.output == "2\n" && endless.errorOutput.contains("nobody stopped it"))
    }

    /// Numbers from outside may be anything.
    @Test(arguments: [
        "OPTIND=9223372036854775807; set -- -a; getopts a o; echo ok",
        "OPTIND=-9223372036854775808; set -- -a; getopts a o; echo ok",
        "a=(1 2); echo \"${a[@]:9223372036854775807:9223372036854775807}${a[@]: -9223372036854775808}\"ok",
        "(exit 9223372036854775807); (exit -9223372036854775808); echo ok",
        "f() { return 99999999999999999999; }; f 2> e; [ $? = 2 ] && echo ok",
        "shift 9223372036854775807 2> e; for i in 1; do break 9223372036854775807; done; echo ok",
        "kill -l 9223372036854775807 2> e; kill -l -9223372036854775808 2> e; wait 99999999999999999999 2> e; echo ok",
        "x=5; echo $((x << 99999999999999999999)) $((16#ffffffffffffffffffff)) > e; echo ok",
        "printf -v x '%*d' 99999999999999999999 1 2> e; printf -v x '%.99999999999999999999s' a 2> e; echo ok",
        "printf '%d %u' 99999999999999999999999999 -99999999999999999999999999 > e 2>&1; echo ok",
        "PS4='$((1/0))$(date)${x:?}'; set -x; :; set +x; echo ok", "declare -n a=b b=a 2> e; a=1; echo ok",
        "mktemp /tmp/$(printf 'X%.0s' {1..5000}) > e; echo ok",
    ])
    func extremesEndInOrder(_ script: String) {
        let outcome = run(script)
        #expect(outcome.output.hasSuffix("ok\n"), "\(outcome.errorOutput)")
    }

    /// Nothing of such a script runs.
    @Test(arguments: [
        ("caller", "'caller' is bash's and not known here"), ("coproc cat", "'coproc' is bash's and not known here"),
        ("echo $((1 +))", "a number or a variable is missing"), ("echo a >", "'>' needs the name of a file"),
    ])
    func whatIsNotThereIsRefusedFirst(_ line: String, _ complaint: String) {
        let outcome = run("echo first; \(line)")
        #expect(outcome.output == "" && outcome.status == 2)
        #expect(outcome.errorOutput.contains(complaint), "\(outcome.errorOutput)")
    }

    @Test(arguments: [
        ("shopt -s lastpipe", "lastpipe is never on here"), ("shopt -s nosuch", "invalid shell option name"),
        ("set -v", "the option 'v' is not known here"), ("f() { :; }; declare -f f", "is not written here"),
        ("bash -k -c x", "the option 'k' is not known here"), ("hash -p x", "-p is not known here"),
    ])
    func whatIsNotThereSaysSo(_ line: String, _ complaint: String) {
        let outcome = run(line)
        #expect(outcome.output == "" && outcome.status != 0)
        #expect(outcome.errorOutput.contains(complaint), "\(outcome.errorOutput)")
    }

    @Test func whatIsMeasuredIsTheLabsTime() {
        let outcome = run("time sleep 90; { time -p sleep 1.5 | cat; } 2>&1")
        #expect(outcome.errorOutput == "\nreal\t1m30.000s\nuser\t0m0.000s\nsys\t0m0.000s\n")
        #expect(outcome.output == "real 1.50\nuser 0.00\nsys 0.00\n")
    }

    @Test func aDirectoryForTemporaryFilesIsThereForThoseWhoUseIt() {
        #expect(run("echo a > /tmp/f; cat /tmp/f; cd /tmp; pwd; [ -d /tmp ] && echo is").output == "a\n/tmp\nis\n")
        #expect(run("[ -e /tmp ] && ls / | wc -l").output == "0\n")
    }

    /// A failing sum gives up its line, and not the lab.
    @Test func aLineThatIsGivenUpIsNotTheLast() {
        let shell = LabShell()
        #expect(shell.run("echo $((1/0)); echo same\necho next $?").output == "next 1\n")
        #expect(shell.run("echo still").output == "still\n")
        #expect(shell.run("f() { readonly r=1; r=2; echo in; }; f; echo same\necho $?").output == "1\n")
        #expect(shell.run("(echo $((1/0)); echo in); echo $?").output == "1\n")
    }

    /// What `exec` has redirected is so for its own line or script.
    @Test func streamsComeBack() {
        let shell = LabShell()
        #expect(shell.run("exec > f; echo hidden").output == "")
        #expect(shell.run("cat f").output == "hidden\n")
        #expect(shell.run("{ exec > g; echo in; }; echo out").output == "")
        #expect(shell.run("cat g").output == "in\nout\n")
    }
}
