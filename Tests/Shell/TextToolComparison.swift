import Testing

/// The text tools against the host's own: random input, the same flags, the same output and status.
///
/// Not compared: the widths of `wc`'s columns, messages on standard error, and `grep -v` of an empty pattern, which GNU
/// grep takes a short cut for.
@Suite(.enabled(if: HostTools.hasBash))
struct TextToolComparison {
    private static func randomText(_ dice: inout Dice) -> String {
        let words = [
            "a", "b", "ab", "abc", "A", "aB", "10", "9", "-3", "2.5", "007", "1e3", "x y", "", " ", "a.b",
            "[z]", "2023-12-20", "10.0.0.1", "foo bar baz", "\\n", "$", "*", "-", "+5", "  12", "0", "Z", "z9",
        ]
        var text = (0..<dice.roll(14)).map { _ in dice.pick(words) + "\n" }.joined()
        // Now and then the last line has no end.
        if dice.roll(4) == 0, text.hasSuffix("\n") { text.removeLast() }
        return text
    }

    private func compare(_ commands: [String], seed: UInt64, texts count: Int = 6) throws {
        var dice = Dice(seed)
        for _ in 0..<count {
            let files = ["f": Self.randomText(&dice), "g": Self.randomText(&dice), "empty": ""]
            let expected = try HostTools.bash(commands, files: files)
            let shell = LabShell()
            for (name, text) in files { shell.place(text, at: "/" + name) }
            for (command, gnu) in zip(commands, expected) {
                let lab = shell.run(command)
                let (mine, theirs) =
                    command.contains("wc")
                    ? (
                        Self.squeezed(lab.output),
                        Self.squeezed(gnu.output)
                    ) : (lab.output, gnu.output)
                #expect(
                    mine == theirs && lab.status == gnu.status,
                    """
                    \(command)
                    f: \(files["f"]!.debugDescription) g: \(files["g"]!.debugDescription)
                    --- host: \(gnu.status) \(gnu.output.debugDescription)
                    --- here: \(lab.status ?? -1) \(lab.output.debugDescription) \(lab.errorOutput)
                    """)
            }
        }
    }

    private static func squeezed(_ text: String) -> String {
        text.split(separator: "\n").map { $0.split(separator: " ").joined(separator: " ") }.joined(separator: "\n")
    }

    @Test func catIsAsOnTheHost() throws {
        try compare(
            [
                "cat f", "cat f g", "cat < f", "cat - < f", "cat f - g < empty", "cat empty", "cat -n f",
                "cat -n f g", "cat f | cat", "cat nosuch f", "cat f nosuch", "cat f f f | cat -n",
            ], seed: 1)
    }

    @Test func headAndTailAreAsOnTheHost() throws {
        let flags = ["", "-n 1", "-n 3", "-n3", "-2", "-n 0", "-n 100", "--lines=2"]
        let allBut = ["-n -1 f", "-n -2 f", "-n -0 f", "-n -100 f", "-n -1 f g", "-n -2 f nosuch", "-n-1 < f"]
        let commands = ["head", "tail"].flatMap { tool in
            flags.flatMap {
                [
                    "\(tool) \($0) f", "\(tool) \($0) < f", "\(tool) \($0) f g", "\(tool) \($0) empty f",
                    "cat f g | \(tool) \($0)", "\(tool) \($0) f nosuch",
                ]
            }
        }.filter { command in
            // GNU tail takes `-2` for one file only, and leaves out even the titles with `-n 0`.
            !(command.hasPrefix("tail -2") || command.hasPrefix("tail -n 0"))
                || !command.contains(" f g") && !command.contains("empty f") && !command.contains("nosuch")
        }
        try compare(commands + allBut.map { "head " + $0 }, seed: 2, texts: 3)
    }

    @Test func wcIsAsOnTheHost() throws {
        try compare(
            [
                "wc f", "wc -l f", "wc -w f", "wc -c f", "wc -lw f", "wc -l -c f", "wc f g", "wc -l f g empty",
                "wc < f", "wc -l < f", "wc -c < empty", "cat f | wc", "wc -l f nosuch",
                "wc -m f", "wc -lm f g", "wc -mc < f",
            ], seed: 3)
    }

    @Test func sortIsAsOnTheHost() throws {
        try compare(
            [
                "sort f", "sort -r f", "sort -n f", "sort -rn f", "sort -u f", "sort -nu f", "sort -ru f",
                "sort -rnu f", "sort f g", "sort < f", "sort -n f g", "cat f g | sort -u", "sort empty",
                "sort -f f", "sort -fu f", "sort -b f", "sort -s f", "sort -k 1 f", "sort -k 2 f", "sort -k 1,1 f",
                "sort -k 2,2 -k 1,1 f", "sort -k1,1n f", "sort -k 1,1nr f", "sort -t . -k 2 f", "sort -t. -k 2,2n f",
                "sort -t - -k 2,2n -k 1,1r f", "sort -k 1.2 f", "sort -k 1.2,1.3 f", "sort -k 1.2b,1.2b f",
                "sort -u -k 1,1 f", "sort -s -k 1,1n f", "sort -rs -k 1,1n f", "sort -r -k 1,1 f", "sort -n -k 2 f",
                "sort -k 2b,2f f", "sort -t ' ' -k 1,2 f", "sort -t - -k 1.1,1.2 f", "sort -nb -k 3 f",
                "sort -t . -k 1,1 -u f g",
                "sort -k 0 f", "sort -k x f", "sort -k 1,0 f",
            ], seed: 4, texts: 12)
    }

    @Test func uniqIsAsOnTheHost() throws {
        try compare(
            [
                "uniq f", "sort f | uniq", "sort f g | uniq -c", "sort f g | uniq -d", "sort f g | uniq -u",
                "sort f g | uniq -cd", "uniq < f", "uniq -c empty", "cat f f | sort | uniq -d -c",
            ], seed: 5)
    }

    @Test func grepIsAsOnTheHost() throws {
        let patterns = [
            "a", "'^a'", "'b$'", "'a.b'", "'[0-9]'", "'[^a]'", "'a*'", "'^$'", "''", "'\\.'", "-E 'a|1'",
            "-E '^(a|b)+$'", "-E '[0-9]{2}'", "-F 'a.b'", "-F '*'", "-F '$'", "-F '[z]'", "-e -3", "-e a",
            "nosuchtext", "-E 'x y|baz'", "'\\(a\\)\\(b\\)'", "-F ''",
        ]
        let flags = ["", "-i", "-v", "-n", "-c", "-o", "-q", "-in", "-vc", "-on", "-io", "-vn", "-oi"]
        var commands: [String] = []
        for pattern in patterns {
            for flag in flags
            where !(flag.contains("v") && pattern.hasSuffix("''")) {
                commands.append("grep \(flag) \(pattern) f")
            }
        }
        commands += [
            "grep a f g", "grep -c a f g", "grep -n a f g", "grep -o a f g", "grep a < f", "cat f | grep a",
            "grep a nosuch", "grep a f nosuch", "grep -q a f nosuch", "grep zz f nosuch", "grep -v a empty",
            "grep -c a empty", "grep a - < f", "grep a -", "grep -q '' f",
        ]
        try compare(commands, seed: 6, texts: 2)
    }

    @Test func grepShowsWhatIsAroundAsOnTheHost() throws {
        let patterns = ["a", "b", "'^a'", "-E 'a|1'", "-F a.b", "0", "nosuchtext", "-e a -e 9", "'[a-z]'", "-F '*'"]
        let flags = [
            "-w", "-x", "-l", "-ow", "-wn", "-wi", "-vw", "-vx", "-cw", "-xo", "-A 1", "-B 1", "-C 1", "-2", "-nA 2",
            "-nC1", "-vB 2", "-m 1", "-m 2 -A 1", "-cm 1", "-om 1", "-qm 1", "-lv", "-H", "-nH", "-lc", "-A 0",
            "-A 1 -B 2",
        ]
        var commands: [String] = []
        for pattern in patterns {
            for flag in flags {
                commands += [
                    "grep \(flag) \(pattern) f", "grep \(flag) \(pattern) f g", "cat f | grep \(flag) \(pattern)",
                ]
            }
        }
        commands += ["grep -h a f g", "grep -hn a f g", "grep -l a f g nosuch", "grep -l a - f < g"]
        try compare(commands, seed: 9, texts: 2)
    }

    @Test func seqIsAsOnTheHost() throws {
        var dice = Dice(7)
        var commands = [
            "seq 5", "seq 0", "seq -3", "seq 2 5", "seq 5 2", "seq 1 2 9", "seq 10 -3 0", "seq -5 5",
            "seq -5 2 5", "seq 3 3", "seq 0 0", "seq 1 100 1", "seq 5 -1 5",
        ]
        for _ in 0..<40 {
            let step = dice.pick([-3, -2, -1, 1, 2, 3])
            commands.append("seq \(dice.roll(40) - 20) \(step) \(dice.roll(40) - 20)")
        }
        try compare(commands, seed: 7, texts: 1)
    }

    @Test func toolsInAPipeAreAsOnTheHost() throws {
        try compare(
            [
                "cat f g | sort | uniq -c | sort -rn | head -n 3", "grep -v '^$' f | sort -n | tail -n 2",
                "cat f | head -n 3 | tail -n 1", "seq 100 | grep 7 | wc -l", "sort -u f | wc -l",
                "cat f g | grep -n a | head -n 2", "for l in $(cat f | grep -o '[a-z][a-z]*'); do echo \"<$l>\"; done",
                "x=$(sort f | head -n 1); echo \"[$x]\"", "cat f > h; cat g >> h; sort h | uniq -d",
                "while false; do cat f; done; wc -l < f",
            ], seed: 8, texts: 8)
    }
}
