import Testing

/// Descriptors above 2, and what `>( )` reads: what of it is the lab's own. What both do alike stands in
/// `scripts/test.d/bash-snippets.txt`.
@Suite struct DescriptorTests {
    /// `exec 3> f` holds for the lines that follow, in that terminal, and `exec > f` for its own.
    @Test func descriptorsAreATerminals() {
        let shell = LabShell()
        #expect(shell.run("exec 3> f; echo one >&3").output == "")
        #expect(shell.run("echo two >&3; cat f").output == "one\ntwo\n")
        #expect(shell.run("exec 3>&-").status == 0)
        #expect(shell.run("echo three >&3").errorOutput.contains("3: Bad file descriptor"))
        #expect(shell.run("exec 4< f").status == 0)
        #expect(shell.run("read -u 4 a").status == 0)
        #expect(shell.run("read -u 4 b; echo $a $b").output == "one two\n")
    }

    /// What `>( )` reads has been read when its command is over.
    @Test func aCommandIsOverWhenItsReadersAre() {
        let script = """
            echo a > >(sleep 5; tr a b)
            echo $SECONDS
            seq 3 | tee >(sleep 1; wc -l) >(sleep 2; tail -n 1) > /dev/null
            echo $SECONDS
            """
        #expect(LabShell().run(script).output == "b\n5\n3\n3\n7\n")
        #expect(LabShell().run("exec > >(sleep 9; tr a b); echo a; echo $SECONDS >&2; exit 4").status == 4)
        #expect(LabShell().run("f() { echo in; return 3; }; f > >(tr i o); echo $?").output == "on\n3\n")
    }

    /// A reader that ends early ends who writes to it, and what never ends is ended with the rest.
    @Test(.timeLimit(.minutes(5)))
    func nothingGoesOnForEver() {
        #expect(LabShell().run("yes > >(head -n 1); echo $?").output == "y\n141\n")
        #expect(LabShell().run("timeout 3s bash -c 'echo a > >(sleep 1000h)'; echo $? $SECONDS").output == "124 3\n")
        #expect(LabShell().run("yes | tr -d '\\n' > >(head -c 3); echo").output == "yyy\n")
    }

    @Test(arguments: [
        ("for i in {1..100}; do exec {fd}> f$i; done", "no more than 64 descriptors"),
        ("echo a 999> f", "999: Bad file descriptor"), ("echo a >&99", "99: Bad file descriptor"),
        ("exec 3< nosuch; echo a <&3", "nosuch: No such file or directory"),
        ("read -u 5 x", "5: invalid file descriptor"), ("cat /dev/fd/7", "/dev/fd/7: No such file or directory"),
        ("echo a > /dev/fd/7", "/dev/fd/7: No such file or directory"),
        ("x=3x; echo a 2>&$x", "ambiguous redirect"), ("f='a b'; echo a > $f", "$f: ambiguous redirect"),
        (
            "echo {1..40} >(cat) >(cat)$(printf ' %s' {1..3}) > /dev/null; for i in {1..40}; do exec {x}> >(cat); done",
            "no more than"
        ),
        ("echo a >&-", "write error"), ("f() { f > >(cat); }; f", "no more than 32 of >(…)"),
    ])
    func whatCannotBeIsSaid(_ script: String, _ complaint: String) {
        let outcome = LabShell().run(script)
        #expect(outcome.status != 0)
        #expect(outcome.errorOutput.contains(complaint), "\(outcome.errorOutput.prefix(300))")
    }

    /// Numbers from outside may be anything.
    @Test func extremesEndInOrder() {
        for number in ["9223372036854775807", "99999999999999999999", "256", "4294967296", "-1"] {
            let outcome = LabShell().run("echo a >&\(number); echo b <&\(number); exec 3>&\(number)-; echo end")
            #expect(outcome.output.hasSuffix("end\n"), "\(number): \(outcome.errorOutput)")
        }
    }

    /// What loops open is closed again.
    @Test func nothingIsLeftOpen() {
        let outcome = LabShell().run(
            "for i in {1..300}; do echo $i 3> f >&3; { echo $i >&4; } 4> g; exec 5> h; exec 5>&-; done; cat f g")
        #expect(outcome.output == "300\n300\n", "\(outcome.errorOutput.prefix(200))")
    }
}

/// Bytes without line ends, and files that have no end.
@Suite struct ByteStreamTests {
    /// What the reader wants is all that is made.
    @Test(
        .timeLimit(.minutes(5)),
        arguments: [
            "cat", "cat -n", "cat -A", "cat -s", "tee f", "tr y z", "head -c 100000", "tail -c +2", "fold -w 7",
            "expand",
            "unexpand", "base64", "base64 -w 0", "xxd", "xxd -p", "od -c", "hexdump -C", "head -c -5", "dd status=none",
        ])
    func streamsWithoutLinesFlow(_ tool: String) {
        let shell = LabShell()
        let script = "yes | tee made | tr -d '\\n' | \(tool) | head -c 5 | wc -c; echo ${PIPESTATUS[@]:0:3}"
        let outcome = shell.run("\(script); [ $(wc -c < made) -lt 1000000 ] && echo little")
        #expect(outcome.output == "5\n141 141 141\nlittle\n", "\(tool): \(outcome.errorOutput)")
    }

    @Test(.timeLimit(.minutes(5)))
    func devicesGiveBytes() {
        #expect(LabShell().run("head -c 100000 /dev/zero | tr '\\0' a | wc -c").output == "100000\n")
        #expect(
            LabShell().run("dd if=/dev/zero bs=1k count=3 status=none | od -An -v -tx1 | tr -d ' 0\\n' | wc -c").output
                == "0\n")
        let random = "head -c 16 /dev/urandom | xxd -p"
        #expect(LabShell().run(random).output == LabShell().run(random).output)
        #expect(LabShell().run("\(random) > a; \(random) > b; cmp -s a b; echo $?").output == "1\n")
        #expect(LabShell().run("timeout 1s cat /dev/zero > /dev/null; echo $?").output == "124\n")
        let whole = LabShell().run("cat /dev/zero | tail -c 3 | wc -c & sleep 1; kill %1; sort /dev/zero; echo $?")
        #expect(whole.output.hasSuffix("2\n"), "\(whole.errorOutput)")
    }

    @Test func whatCannotBeWrittenIsNoSuccess() {
        #expect(LabShell().run("echo a >&-; echo $?").output == "1\n")
        #expect(LabShell().run("seq 3 >&-; echo $?; true; echo $?").output == "1\n0\n")
        #expect(LabShell().run("for i in 1 2; do echo $i; done >&-; echo end").output == "end\n")
    }
}
