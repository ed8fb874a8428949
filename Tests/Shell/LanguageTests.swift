import KernelStructures
import ShellLanguage
import Testing

/// What the language promises beyond or instead of what a POSIX shell does.
@Suite struct LanguageTests {
    // MARK: Deviations that the documented sessions need

    @Test(arguments: [
        "http://jaeger:16686/api/traces?service=orders&limit=10", "a&b", "a&", "x=1&y=2&z=3", "&b",
        "a&b&&c".replacing("&&c", with: ""),
    ])
    func anAmpersandInsideAWordIsText(_ word: String) {
        #expect(output("echo \(word)") == word + "\n")
    }

    @Test(arguments: [
        "sleep 1 &", "sleep 1 & ", "sleep 1 &\necho", "sleep 1 &;", "sleep 1 & echo a",
        "for i in 1; do sleep $i; done &",
    ])
    func anAmpersandOfItsOwnStartsAJob(_ text: String) throws {
        #expect(try Parser.parse(text).statements[0].isBackground)
    }

    @Test func twoAmpersandsJoinCommandsEvenWithoutBlanks() {
        #expect(output("true&&echo a") == "a\n")
        #expect(output("false&&echo a||echo b") == "b\n")
    }

    @Test(arguments: ["A->B", "A<->B", "a->b->c", "lb->{A,B}x".replacing("{A,B}", with: ""), "Server-A->lb"])
    func arrowsInsideWordsAreText(_ word: String) {
        let shell = LabShell()
        #expect(shell.output("echo \(word)") == word + "\n")
        #expect(shell.session.files.exists("B") == false)
    }

    @Test func aDashBeforeARedirectionIsNoArrowIfItStandsAlone() {
        #expect(output("echo - >f; cat f") == "-\n")
        #expect(output("echo a >f-; cat f-") == "a\n")
    }

    @Test(arguments: ["{A,B}|{C}", "{A}|{B}", "{Server-A,Server-B}|{lb,client}"])
    func aPartitionIsOneWord(_ word: String) {
        #expect(output("echo \(word)") == word + "\n")
    }

    @Test func programsResolveByTheirBaseName() {
        #expect(output("./echo a; /usr/bin/echo b; ../x/echo c") == "a\nb\nc\n")
    }

    @Test func aVariableWithoutAValueIsAnErrorThatNamesTheNearest() {
        let outcome = LabShell().run("token=1\necho $tokn")
        #expect(outcome.status == 2)
        #expect(outcome.errorOutput == "$tokn has no value; did you mean token?\n")
        #expect(outcome.output == "")
    }

    @Test func anAssignmentBeforeACommandIsForThatCommandOnly() {
        #expect(output("x=1; x=2 echo $x; echo $x") == "1\n1\n")
        #expect(output("IFS=: read a b <<< 1:2:3; echo \"$a|$b\"") == "1|2:3\n")
    }

    @Test func aLiteralTokenStandsForTheLastOneIssued() {
        let shell = LabShell()
        #expect(shell.output("echo eyJ...") == "eyJ...\n")
        shell.session.lastToken = "eyJhbGci.x.y"
        #expect(shell.output("echo 'Bearer eyJ...' eyJ...") == "Bearer eyJhbGci.x.y eyJhbGci.x.y\n")
    }

    @Test func theRestOfAHostCommandsLineBelongsToTheHost() throws {
        let outcome = LabShell().run("!date +%s; echo \"x | y\necho after")
        #expect(outcome.output == "after\n")
        #expect(
            outcome.errorOutput.hasPrefix("!date +%s; echo \"x | y: commands of the machine are refused in scripts"))
    }

    // MARK: Lines

    @Test func linesMayEndInCRLF() {
        #expect(output("echo a\r\necho b\r\n") == "a\nb\n")
        #expect(output("for i in 1 2\r\ndo\r\necho $i\r\ndone\r\n") == "1\n2\n")
        #expect(output("cat <<E\r\na\r\nb\r\nE\r\necho c\r\n") == "a\nb\nc\n")
        #expect(output("echo a \\\r\n b\r\n") == "a b\n")
        #expect(output("if true\r\nthen\r\necho y # c\r\nfi\r\n") == "y\n")
    }

    @Test func textInAnyScriptPasses() {
        #expect(output("echo 'Grüße, 世界 🙂 👩‍👩‍👧'") == "Grüße, 世界 🙂 👩‍👩‍👧\n")
        #expect(output("x=ü; echo $x-é") == "ü-é\n")
        #expect(output("echo ü > ä; cat ä; echo ?") == "ü\nä\n")
        #expect(output("cat <<ÉND\nä\nÉND") == "ä\n")
    }

    @Test func anEmptyScriptIsFine() throws {
        for text in ["", "\n", " \t\n\r\n", "# only\n# comments"] {
            #expect(try Parser.parse(text).statements.isEmpty)
            #expect(LabShell().run(text).status == 0)
        }
    }

    @Test func parenthesesInPairsAreTextInWords() {
        #expect(output("echo sum(rate(x[1m])) / (a + b)") == "sum(rate(x[1m])) / (a + b)\n")
        #expect(output("echo '(' \\) \")(\"") == "( ) )(\n")
    }

    // MARK: Errors

    @Test(arguments: [
        ("echo a |", "1:8: nothing follows '|'", true), ("echo a &&", "1:8: nothing follows '&&'", true),
        ("echo (", "1:6: '(' is never closed; as a character it needs quotes: '('", false),
        ("echo a b)c", "1:8: ')' closes nothing; as a character it needs quotes: ')'", false),
        ("echo :) (:", "1:6: ')' closes nothing; as a character it needs quotes: ')'", false),
        ("| echo", "1:1: unexpected '|'", false), ("&& echo", "1:1: unexpected '&'", false),
        (
            "echo a | | b",
            "1:10: unexpected '|'", false
        ),
        ("echo 'a", "1:6: an open ' quote", true), ("echo \"a", "1:7: an open \" quote", true),
        ("echo a\n\n  echo \"b", "3:9: an open \" quote", true),
        ("echo $(a", "1:6: an open $(", true), ("echo $((1", "1:6: an open $((", true),
        (
            "echo ${",
            "1:6: ${ needs the name of a variable and a }", true
        ),
        ("echo ${x", "1:6: an open ${x", true),
        (
            "echo ${x@Z}",
            "1:6: ${x@…} is not known here; there are @Q @U @u @L @E @A @K @k @P @a", false
        ), ("echo ${x[0", "1:6: x[ needs a subscript and a ]", true),
        ("for", "1:4: 'for' needs the name of a variable", true), ("for i", "1:1: 'for' needs a 'in'", true),
        ("for i in a", "1:1: 'for' needs a 'do'", true),
        ("for i in a; do echo", "1:1: 'for' needs a 'done'", true),
        (
            "for i of a; do",
            "1:7: 'for' needs a 'in', not 'of'", false
        ),
        ("for i in a; echo", "1:13: 'for' needs a 'do', not 'echo'", false),
        (
            "while true",
            "1:1: 'while' needs a 'do'", true
        ),
        ("until true; do echo", "1:1: 'until' needs a 'done'", true), ("if true", "1:1: 'if' needs a 'then'", true),
        ("if true; then echo", "1:1: 'if' needs a 'fi'", true),
        ("if true; then echo; else", "1:1: 'if' needs a 'fi'", true),
        (
            "done", "1:1: 'done' without its beginning",
            false
        ), ("echo a; fi", "1:9: 'fi' without its beginning", false),
        ("then", "1:1: 'then' without its beginning", false),
        (
            "for i in a; do echo; fi",
            "1:22: 'fi' without its beginning", false
        ), ("while; do echo; done", "1:6: nothing stands before the ';'", false),
        ("cat <<E\na", "1:5: the here-document never comes to its end, a line 'E'", true),
        (
            "cat <<",
            "1:5: '<<' needs the name of a file", true
        ),
        ("echo > ", "1:6: '>' needs the name of a file", true),
        (
            "echo >\nx", "1:6: '>' needs the name of a file",
            false
        ), ("echo > ; x", "1:6: '>' needs the name of a file", false),
        ("cat <", "1:5: '<' needs the name of a file", true),
        ("echo $(cat <<E\na\n)", "1:12: the here-document never comes to its end, a line 'E'", true),
        (";;", "1:1: ';;' outside of a 'case'", false), (";", "1:1: nothing stands before the ';'", false),
        ("echo a; ; echo b", "1:9: nothing stands before the ';'", false),
        ("echo a\n; echo b", "2:1: nothing stands before the ';'", false),
        ("if true; then ; fi", "1:15: nothing stands before the ';'", false),
        ("for i in a; ; do echo; done", "1:13: nothing stands before the ';'", false),
        ("x=$(;)", "1:5: nothing stands before the ';'", false),
        ("case a in a) ; esac", "1:14: nothing stands before the ';'", false),
        (
            "echo \\",
            "1:6: nothing follows '\\'", true
        ),
        ("echo $((1+))", "1:6: $((1+)): a number or a variable is missing", false),
        (
            "echo $((1 2))",
            "1:6: $((1 2)): unexpected '2'", false
        ),
        ("echo $((1=a))", "1:6: $((1=a)): '=' needs a variable before it", false),
        (
            "cat <<$x\n",
            "1:5: the end of a here-document must be a plain word", false
        ),
        ("cat <<E\n$(echo\nE\n", "2:1: an open $(", false),
        (
            "if true; then echo; elif", "1:1: 'if' needs a 'then'",
            true
        ), ("echo a 3>", "1:8: '>' needs the name of a file", true),
        ("for i in a; do\n  for j in b; do\n    echo\n  don\ndone", "1:1: 'for' needs a 'done'", true),
    ])
    func errorsSayWhereAndWhat(_ text: String, _ message: String, _ isIncomplete: Bool) {
        #expect {
            _ = try Parser.parse(text)
        } throws: { error in
            guard let error = error as? SyntaxError else { return false }
            if error.description != message || error.isIncomplete != isIncomplete {
                print("\(text.debugDescription): \(error) \(error.isIncomplete)")
            }
            return error.description == message && error.isIncomplete == isIncomplete
        }
    }

    @Test func nothingOfAScriptWithAnErrorIsRun() {
        let outcome = LabShell().run("echo a > f\necho b\nfor i in 1; do\n")
        #expect(outcome.status == 2)
        #expect(outcome.output == "")
        #expect(outcome.errorOutput == "3:1: 'for' needs a 'done'\n")
    }

    @Test func anUnknownCommandSuggestsTheNearest() {
        #expect(LabShell().run("kil %2").errorOutput == "unknown command 'kil'; did you mean kill?\n")
        #expect(LabShell().run("bakend --port 1").errorOutput == "unknown command 'bakend'; did you mean backend?\n")
        #expect(
            LabShell().run("./lodbalancer").errorOutput == "unknown command './lodbalancer'; did you mean "
                + "loadbalancer?\n")
        let outcome = LabShell().run("xyzzy")
        #expect(outcome.errorOutput == "unknown command 'xyzzy'\n")
        #expect(outcome.status == 127)
    }

    @Test func anUnknownCommandInAFileSaysWhere() {
        let shell = LabShell()
        shell.session.scriptName = "demo.sdl"
        #expect(shell.run("echo a\n  xyzzy b").errorOutput == "demo.sdl:2:3: unknown command 'xyzzy'\n")
    }

    // MARK: Incomplete text

    static let completeScripts = [
        "for i in 1 2 3; do\n  if [ $i = 2 ]; then\n    echo \"two $(echo \"$i\")\" | cat\n  elif false; then"
            + "\n    echo no\n  else\n    echo '$i' > f\n  fi\ndone\n",
        "i=0\nwhile [ $i -lt 3 ]; do\n  i=$((i+1))\n  echo ${i} && continue || break\ndone\nuntil true; do sle"
            + "ep 1; done &\nwait\n",
        "cat <<E >out.txt\nsome $(echo text) $((1+2))\nE\ncat <<-'X' | sort\n\tb\n\ta\n\tX\n",
        "inject partition {A,B}|{C} for 30s; echo A->B {1..3} a\\ b \\\n  c # end\n",
        "backend --port 8081 --name \"Server-A\" &\ncurl -s 'http://localhost:8081/?a=1&b=2' 2>&1 >> log"
            + "\n!date\nx=\"a\nb\"\n",
    ]

    @Test(arguments: completeScripts)
    func everyPrefixOfAScriptParsesOrSaysThatMoreIsNeeded(_ text: String) throws {
        _ = try Parser.parse(text)
        for end in text.indices {
            do throws(SyntaxError) {
                _ = try Parser.parse(String(text[..<end]))
            } catch {
                // A prefix may end in the middle of an operator or of a keyword, and then be another, wrong thing.
                let isMidWord = text[end].isLetter || text[end].isNumber || "|&<>{}()".contains(text[end])
                #expect(error.isIncomplete || isMidWord, "\(text[..<end].debugDescription): \(error)")
            }
        }
    }

    @Test(arguments: [
        "for", "for i", "for i in", "for i in a b", "for i in a b;", "for i in a b\n", "for i in a; do",
        "for i in a; do echo", "for i in a; do echo;", "while", "while true", "while true;", "while true; do",
        "while true; do echo\n",
        "until", "until false; do", "if", "if true", "if true;", "if true; then", "if true; then echo",
        "if true; then echo;", "if true; then echo; elif", "if true; then echo; elif false",
        "if true; then echo; elif false; then", "if true; then echo; else",
        "if true; then echo; else echo;", "echo '", "echo \"", "echo \"a $(", "echo $(echo", "echo $(echo a;",
        "echo $((", "echo $((1 +", "echo ${", "echo ${a", "echo a |", "echo a | ", "echo a |\n", "echo a &&",
        "echo a ||", "echo a && \n", "echo \\",
        "cat <<E", "cat <<E\n", "cat <<E\na\n", "cat <<'E'\na", "cat <<A <<B\n1\nA\n", "for i in $(echo", "x='a",
        "x=$(", "if [ \"a", "for i in 1; do cat <<E\n", "echo \"$(echo '", "cat <", "echo >", "echo >>", "echo 2>",
        "cat <<-",
    ])
    func openConstructsAskForMore(_ text: String) {
        #expect { try Parser.parse(text) } throws: { ($0 as? SyntaxError)?.isIncomplete == true }
    }

    // MARK: Limits

    @Test func nestingIsBounded() throws {
        func nested(_ depth: Int, _ open: String, _ middle: String, _ close: String) -> String {
            String(repeating: open, count: depth) + middle + String(repeating: close, count: depth)
        }
        _ = try Parser.parse(nested(50, "if true; then ", "echo a", "; fi"))
        #expect(output("echo " + nested(40, "$(echo ", "deep", ")")) == "deep\n")
        for text in [
            nested(5000, "if true; then ", "echo a", "; fi"), nested(5000, "for i in a; do ", "echo", "; done"),
            "echo " + nested(5000, "$(echo ", "a", ")"),
            "echo " + nested(5000, "\"$(echo ", "a", ")\""), "echo $((" + nested(5000, "(", "1", ")") + "))",
            "echo $((" + nested(5000, "-", "1", "") + "))", "echo " + nested(5000, "{a,", "b", "}"),
        ] {
            #expect { try Parser.parse(text) } throws: {
                ($0 as? SyntaxError).map { $0.description.contains("deep") && !$0.isIncomplete } ?? false
            }
        }
    }

    @Test func longExpressionsAreRefusedRatherThanCrash() {
        let text = "echo $((" + Array(repeating: "1", count: 200_000).joined(separator: "+") + "))"
        #expect(LabShell().run(text).errorOutput.hasSuffix("more than 1000 operators\n"))
        #expect(output("echo $((" + Array(repeating: "1", count: 1000).joined(separator: "+") + "))") == "1000\n")
    }

    @Test func divisionByZeroIsAnError() {
        for text in ["echo $((1/0))", "echo $((1%0))", "x=0; echo $((5/x))", "echo $((1/(2-2)))"] {
            let outcome = LabShell().run(text + "; echo never\necho $?")
            #expect(outcome.output == "1\n")
            #expect(outcome.errorOutput.hasSuffix("division by zero\n"), "\(text): \(outcome.errorOutput)")
        }
    }

    @Test func arithmeticWrapsInsteadOfTrapping() {
        #expect(
            output("echo $((9223372036854775807+1)) $((-9223372036854775807-2)) $((4611686018427387904*4))")
                == "-9223372036854775808 9223372036854775807 0\n")
        #expect(
            output("x=-9223372036854775808; echo $((x/-1)) $((x%-1)) $((-x)) $((x*-1))") == "-922337203685"
                + "4775808 0 -9223372036854775808 -9223372036854775808\n")
        #expect(output("echo $((9223372036854775808)) $((18446744073709551617))") == "-9223372036854775808 1\n")
    }

    @Test func bracesThatWouldMakeTooMuchAreRefused() {
        for text in [
            "{1..1000000}", "{1..1000}{1..1000}", "{-9223372036854775808..9223372036854775807}",
            String(repeating: "{a,b}", count: 40),
            "{1..100000}" + String(repeating: "x", count: 1000), String(repeating: "{1..9}", count: 100_000),
        ] {
            let outcome = LabShell().run("echo \(text)")
            #expect(outcome.status == 2)
            #expect(outcome.errorOutput.contains("1:6: more than"), "\(outcome.errorOutput)")
        }
        #expect(
            output("echo {9223372036854775805..9223372036854775807}") == "9223372036854775805 922337203685"
                + "4775806 9223372036854775807\n")
        #expect(
            output("echo {-9223372036854775808..9223372036854775807..-9223372036854775808}") == "-92233720"
                + "36854775808 0\n")
        #expect(output("for i in {1..100000}; do true; done; echo $i") == "100000\n")
    }

    @Test(.timeLimit(.minutes(5)))
    func veryLongInputTakesTimeInProportion() throws {
        let word = String(repeating: "x", count: 300_000)
        #expect(output("echo \(word)") == word + "\n")
        #expect(output("x='\(word)'; echo \"$x\" | wc -c") == "300001\n")
        for text in [
            String(repeating: "{", count: 200_000), String(repeating: "}", count: 200_000),
            String(
                repeating: "[",
                count: 200_000), String(repeating: "{a..a}", count: 20_000),
            String(repeating: "*", count: 200_000), String(repeating: "{},", count: 60_000),
            String(
                repeating: "\\",
                count: 200_000), String(repeating: "\"\"", count: 100_000), String(repeating: "$.", count: 100_000),
        ] {
            #expect(LabShell().run("echo \(text)").status == 0)
        }
        #expect(LabShell().run(String(repeating: "true\n", count: 50_000)).status == 0)
        #expect(LabShell().run(String(repeating: "true && ", count: 50_000) + "true").status == 0)
        #expect(output(String(repeating: "echo a | ", count: 200) + "wc -l") == "1\n")
        #expect(
            LabShell().run(
                "echo "
                    + String(
                        repeating: "a ",
                        count: 100_001)
            ).errorOutput == "more than 100000 arguments\n")
    }

    @Test func aPatternOfManyStarsDoesNotExplode() {
        let shell = LabShell()
        shell.place("", at: String(repeating: "a", count: 200))
        #expect(
            shell.output("echo " + String(repeating: "*a", count: 60) + "b") == String(
                repeating: "*a",
                count: 60) + "b\n")
    }

    @Test func outputOfASubstitutionIsBounded() {
        let outcome = LabShell().run(
            "x=$(while true; do echo \(String(repeating: "x", count: 100_000)); done)"
                + "; echo $?")
        #expect(outcome.errorOutput.contains("$(…) gave more than"), "\(outcome.errorOutput)")
        #expect(outcome.failure == nil)
    }

    // MARK: Positions

    @Test func theTextOfAJobIsWhatWasTyped() throws {
        #expect(try Parser.parse("  backend --port 8081   &\n").statements[0].text == "backend --port 8081")
        #expect(try Parser.parse("a 'b  c' |  d && e &").statements[0].text == "a 'b  c' |  d && e")
    }
}
