import Testing

/// A script stops at its first command that fails: where bash with `set -e` does, and nowhere else.
struct ScriptFailureTests {
    /// Scripts for the lab, which stops by itself, and for bash, which has to be told.
    @Test(.enabled(if: HostTools.hasBash))
    func aScriptStopsWhereBashWithTheOptionDoes() throws {
        let scripts = [
            "echo a\nfalse\necho b", "f() {\ncat nofile\necho deployed\n}\nf\necho end", "f() { false; echo in; }; f",
            "for i in 1 2; do nosuchcommand; echo $i; done", "if true; then false; echo x; fi; echo b",
            "if false; then :; else false; echo x; fi; echo b", "while true; do false; echo x; break; done; echo b",
            "until false; do false; echo x; break; done; echo b", "case a in a) false; echo x;; esac; echo b",
            "for ((i=0; i<2; i++)); do false; echo $i; done; echo b", "{ false; echo x; }; echo b",
            "(false; echo x); echo b", "(exit 3) 2> e; echo b", "[[ a == b ]] 2> e; echo b", "{ false; } > o; echo b",
            "f() { g; echo f; }; g() { false; echo g; }; f; echo b", "true | { false; echo x; }; echo b",
            "{ false; echo x; } | cat; echo b", "false | true; echo b", "x=$(false); echo b",
            "echo $(false; echo in); echo b", "f() { return 4; }; f; echo b",
            // Conditions, lists and what is negated.
            "[ -f nofile ] && echo y\necho after", "x=3; ((x==4)) && echo no; echo yes", "{ false && true; }; echo yes",
            "! true\necho after", "! false; echo after", "false || echo y; echo b", "true && false; echo b",
            "false && true || echo z; echo b", "if false; then echo x; fi; echo b", "f() { false && true; }; f; echo b",
            "f() { false; echo in; }; f && echo y; echo b", "if { false; echo x; }; then echo y; fi; echo b",
            "while { false; echo x; ! true; }; do :; done; echo b", "! { false; echo x; }; echo b",
            "for i in 1 2; do [ $i = 2 ] && echo two; done; echo b", "(false && true); echo b",
            "for i in 1 2; do false && true; done; echo b", "f() { false; echo in; }; ! f; echo b",
            "(f() { false; echo in; }; f || echo c); echo b", "{ false; echo x; } | cat && echo y",
            "if (false; echo x); then echo y; fi; echo b",
            // What cannot begin.
            "while read x; do :; done < nofile; echo b", "{ echo x; } > nodir/x; echo b",
            "if { echo x; } < nofile; then echo y; fi; echo b", "for i in $((1/0)); do echo $i; done; echo b",
            "case $((1/0)) in *) echo x;; esac; echo b",
            // What lifts it.
            "set +e\nfalse\necho after", "set +e; f() { false; echo in; }; f; echo b; false",
            "set +e; false; set -e; echo b; false; echo c", "f() { set +e; }; f; false; echo b",
            "(set +e; false; echo x); false; echo b",
        ]
        let expected = try HostTools.bash(scripts.map { "set -e; " + $0 }, locale: "C")
        for (script, bash) in zip(scripts, expected) {
            let lab = LabShell().run(script, stopsAtFailure: true)
            // bash has 1 for its own errors where the lab has 2: only whether it is one matters.
            let isEqual = lab.status == bash.status || lab.status == 2 && bash.status == 1
            #expect(
                lab.output == bash.output && isEqual,
                """
                \(script)
                --- bash: \(bash.status) \(bash.output.debugDescription)
                --- here: \(lab.status.map(String.init) ?? "none") \(lab.output.debugDescription) \(lab.errorOutput)
                """)
        }
    }

    @Test func aVariableWithoutAValueStopsAScriptInALoop() {
        let outcome = LabShell().run("for i in 1 2; do echo $nosuch; echo $i; done; echo b", stopsAtFailure: true)
        #expect(outcome.output == "")
        #expect(outcome.status == 2)
        let words = LabShell().run("for i in $nosuch; do echo $i; done; echo b", stopsAtFailure: true)
        #expect(words.output == "")
        #expect(words.status == 2)
    }

    @Test func whatIsTypedGoesOn() {
        #expect(output("f() { false; echo in; }; f; for i in 1; do false; echo $i; done; echo b") == "in\n1\nb\n")
    }

    @Test func oneScriptsHabitIsNotTheNextOnes() {
        let shell = LabShell()
        #expect(shell.run("false; echo a", stopsAtFailure: true).output == "")
        #expect(shell.output("false; echo a") == "a\n")
    }

    @Test func whatAScriptLeavesInTheBackgroundStopsAsItDoes() {
        #expect(LabShell().run("{ false; echo x; } &\nwait\necho b", stopsAtFailure: true).output == "b\n")
        #expect(LabShell().run("{ false; echo x; } &\nwait\necho b").output == "x\nb\n")
    }

    @Test func theFirstFailureIsKnownWhereAScriptGoesOn() throws {
        let shell = LabShell()
        let submission = try shell.type("f() { (exit 3); true; }; [ -f nofile ] && echo y; ! true; f; (exit 4); true")
        #expect(submission.status == 0)
        #expect(submission.firstFailure == 3)
    }
}
