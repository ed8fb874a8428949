import ShellLanguage
import Testing

/// `alias`: a name for other words, which are read when it is defined.
@Suite struct AliasTests {
    @Test("the words behind the name follow its text, wherever a command stands")
    func follows() {
        let lines = """
            alias e='echo said'
            e one two
            for i in 1 2; do e $i; done
            true && e yes || e no
            e piped | tr a-z A-Z
            x=$(e inside); echo $x
            e to a file > f; cat f
            e() { echo function; }
            e both
            """
        #expect(
            LabShell().run(lines).lines == [
                "said one two", "said 1", "said 2", "said yes", "SAID PIPED", "said inside", "said to a file",
                "said both",
            ])
    }

    @Test("an alias may be several commands, mention itself, be one of another, and is none in quotes")
    func forms() {
        #expect(LabShell().output("alias both='echo a; echo'; both b") == "a\nb\n")
        #expect(LabShell().output("alias last='seq 3 | tail -n'; last 1") == "3\n")
        #expect(LabShell().output("alias echo='echo -n'; echo x; echo y") == "xy")
        #expect(LabShell().output("alias a='echo x'; alias b='a y'; b z") == "x y z\n")
        #expect(LabShell().run("alias a='echo x'; 'a'; \\a").status == 127)
        #expect(LabShell().output("alias a='x=1'; a; echo $x") == "1\n")
        #expect(LabShell().output("alias v='echo'; x=1 v; echo \"<${x:-none}>\"") == "\n<none>\n")
    }

    @Test("two that mean one another end with a word, and not the lab")
    func circle() {
        let outcome = LabShell().run("alias a=b; alias b=a; a; echo after")
        #expect(outcome.output == "after\n" && outcome.errorOutput.contains("unknown command 'a'"))
        let longer = LabShell().run("alias a='b; a'; alias b='echo b; a'; a; echo $?")
        #expect(longer.output == "b\n127\n", "\(longer.errorOutput)")
    }

    @Test("alias lists, unalias forgets, and mistakes are known at once")
    func list() {
        #expect(
            LabShell().output("alias b='echo \"it'\\''s\"'; alias a=ls; alias")
                == "alias a='ls'\nalias b='echo \"it'\\''s\"'\n")
        #expect(LabShell().output("alias a=ls; unalias a; alias") == "")
        #expect(LabShell().output("alias a=ls; alias b=ls; unalias -a; alias") == "")
        for (line, text) in [
            ("alias a='echo $('", "alias: a: "), ("alias a=''", "alias: a: it stands for nothing"),
            ("alias a='for i in 1; do echo; done'", "no words can follow"), ("alias 'a b'=ls", "'a b' is not a name"),
            ("alias a='coproc x'", "'coproc' is bash's"), ("alias nosuch", "there is no alias 'nosuch'"),
            ("unalias nosuch", "there is no alias 'nosuch'"), ("alias =x", "'' is not a name"),
        ] {
            let outcome = LabShell().run(line)
            #expect(outcome.status != 0 && outcome.errorOutput.contains(text), "\(line): \(outcome.errorOutput)")
        }
        let many = LabShell().run("for i in {1..1100}; do alias a$i=ls; done; alias | wc -l")
        #expect(many.errorOutput.contains("no more than 1000 aliases"))
    }
}
