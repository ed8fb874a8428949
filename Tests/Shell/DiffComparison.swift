import Foundation
import KernelStructures
import Testing

/// `diff` beside the real one, byte for byte: random pairs of small and large files, and how they are shown.
@Suite(.enabled(if: HostTools.hasBash && FileManager.default.isExecutableFile(atPath: "/usr/bin/diff")))
struct DiffComparison {
    private static let styles = [
        "", "-u --label x --label y", "-U1 --label x --label y", "-U0 --label x --label y", "-q", "-s", "-i", "-w",
        "-b",
        "-B", "-uB --label x --label y", "-Z", "-iw",
    ]

    private struct Pairs {
        var random: SeededRandom

        private mutating func lines(_ count: Int, _ alphabet: [String]) -> [String] {
            (0..<count).map { _ in alphabet[random.below(alphabet.count)] }
        }

        mutating func next() -> (String, String) {
            let alphabet = (0..<[2, 3, 5, 20, 200][random.below(5)]).map { number in
                random.below(10) == 0 ? "" : "w\(number)" + ["", "", "", " ", "\t", "A", "a"][random.below(7)]
            }
            let most = [4, 12, 80, 300][random.below(4)]
            let a = lines(random.below(most), alphabet)
            var b = random.below(3) == 0 ? lines(random.below(most), alphabet) : a
            for _ in 0..<(1 + random.below(2 + a.count / 5)) {
                let place = random.below(b.count + 1)
                let end = min(b.count, place + random.below(4))
                switch random.below(4) {
                case 0: b.insert(contentsOf: lines(1 + random.below(4), alphabet), at: place)
                case 1: b.removeSubrange(place..<end)
                case 2: b.insert(contentsOf: b[max(0, place - 4)..<place], at: place)
                default: b.replaceSubrange(place..<end, with: lines(1, alphabet))
                }
            }
            return (text(a), text(b))
        }

        private mutating func text(_ lines: [String]) -> String {
            lines.joined(separator: "\n") + (lines.isEmpty || random.below(6) == 0 ? "" : "\n")
        }
    }

    @Test(arguments: 0..<4)
    func randomPairsAreShownAlike(_ seed: Int) throws {
        var pairs = Pairs(random: SeededRandom(seed: UInt64(seed)))
        let shell = LabShell()
        var script = ""
        var documents: [(String, String)] = []
        for number in 0..<30 {
            let (a, b) = pairs.next()
            documents += [("a\(number)", a), ("b\(number)", b)]
            for style in Self.styles { script += "diff \(style) a\(number) b\(number); echo $?\n" }
        }
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("diff-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        for (name, text) in documents {
            shell.place(text, at: "/" + name)
            try Data(text.utf8).write(to: directory.appendingPathComponent(name))
        }
        let process = Foundation.Process()
        process.executableURL = URL(fileURLWithPath: "/bin/bash")
        process.arguments = ["-c", script]
        process.currentDirectoryURL = directory
        process.environment = ["LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"]
        let pipe = Foundation.Pipe()
        process.standardOutput = pipe
        process.standardInput = FileHandle.nullDevice
        try process.run()
        let wanted = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        let found = shell.run("set +e\n" + script).output
        if found != wanted {
            let (mine, theirs) = (found.split(separator: "\n"), wanted.split(separator: "\n"))
            let place = zip(mine, theirs).enumerated().first { $0.element.0 != $0.element.1 }?.offset ?? 0
            Issue.record("line \(place): \(mine.dropFirst(place).prefix(6)), not \(theirs.dropFirst(place).prefix(6))")
        }
        #expect(wanted.utf8.count > 10_000)
    }

    /// Where there are more changes than anybody counts, a good way is as good as the best.
    @Test(.timeLimit(.minutes(5)))
    func muchThatDiffersTakesLittleTime() {
        let script =
            "seq 60000 | awk '{print $1 % 997 + 13 * ($1 % 7)}' > a; seq 60000 | awk '{print $1 % 991 * 3}' > b"
        let outcome = LabShell().run("\(script); diff -q a b; diff a b | wc -l | grep -q '^[0-9]*$' && echo done")
        #expect(outcome.output == "Files a and b differ\ndone\n", "\(outcome.errorOutput)")
    }
}
