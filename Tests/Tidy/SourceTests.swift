import Testing

/// Rules that the compiler does not know, with lists of exceptions that only get shorter.
@Suite struct SourceTests {
    // MARK: The one seam

    /// What belongs behind the World: clocks, sleeping, threads, sockets, files, and chance without a seed.
    private static let bannedWords: Set<String> = [
        "clock_gettime", "gettimeofday", "usleep", "nanosleep", "Thread", "DispatchQueue", "fopen", "FileManager",
        "Foundation", "SystemRandomNumberGenerator",
    ]
    /// Calls of functions; methods of these names are ours.
    private static let bannedCalls: Set<String> = ["time", "sleep", "socket", "open"]
    private static let bannedMethods: Set<String> = ["random", "shuffled", "randomElement"]
    private static let bannedPrefixes = ["epoll", "pthread_"]

    /// File and what stands in it, with the reason why it may.
    private static let allowed: [String: [String: String]] = [
        "Bench/ConnectionPoolBenchmarks.swift": ["Task": "the pool's run goes on beside what is measured"],
        "Engines/Kernel/Storage/FileDisk.swift": ["open": "the disk of a lab that keeps its files on the host"],
        "Engines/Kernel/Storage/NodeDisk.swift": ["open": "calls its own method of that name"],
        "Engines/Kernel/Storage/SimulatedDisk+PowerFailure.swift": [
            "random": "a case of PowerLossPolicy, which carries its seed"
        ],
        "Engines/LockCheck/CheckedWorld+Trouble.swift": ["random": "the same case"],
        "Engines/LockCheck/Service/ServedWorld+Trouble.swift": ["random": "the same case"],
    ]
    /// Rooms that are the seam itself.
    private static let exempt = ["Clock", "Coroutines", "World", "Loopback"].map { "Engines/Kernel/\($0)/" }

    @Test("only four rooms know the host's clock, threads, sockets, files, and chance without a seed")
    func seam() throws {
        var unused = Set(Self.allowed.flatMap { file, words in words.keys.map { "\(file) \($0)" } })
        for file in try Repository.swiftFiles(under: "Sources") where !Self.exempt.contains(where: file.hasPrefix) {
            for (number, line) in BareSource.of(try Repository.text("Sources/\(file)")).enumerated() {
                for word in Self.banned(in: line) {
                    if Self.allowed[file]?[word] != nil {
                        unused.remove("\(file) \(word)")
                    } else {
                        Issue.record("Sources/\(file):\(number + 1): \(word) is the World's: \(line)")
                    }
                }
            }
        }
        #expect(unused == [], "exceptions that nothing needs any more")
    }

    /// The banned words of a line of code.
    private static func banned(in line: Substring) -> [String] {
        var found: [String] = []
        var rest = line
        var before = Substring()
        while let start = rest.firstIndex(where: isOfName) {
            before = line[..<start]
            let word = rest[start...].prefix(while: isOfName)
            rest = line[word.endIndex...]
            let isCalled = rest.first == "("
            let isMember = before.last == "." && !before.hasSuffix("Glibc.")
            let isDeclared = before.hasSuffix("func ") || before.hasSuffix("case ")
            let name = String(word)
            if bannedWords.contains(name) || bannedPrefixes.contains(where: name.hasPrefix)
                || isCalled && !isMember && !isDeclared && bannedCalls.contains(name)
                || isCalled && isMember && bannedMethods.contains(name)
                || name == "Task" && (rest.hasPrefix(" {") || rest.hasPrefix(".detached") || rest.hasPrefix("("))
            {
                found.append(name)
            }
        }
        return found
    }

    private static func isOfName(_ character: Character) -> Bool {
        character == "_" || character.isLetter || character.isNumber
    }

    @Test("the check of the seam sees what it should, and nothing else")
    func seamOfSamples() {
        let samples: [(String, [String])] = [
            ("let t = time(nil)", ["time"]), ("a.time(1)", []), ("func time(_ x: Int)", []),
            ("Glibc.open(p, 0)", ["open"]),
            ("try disk.open(path)", []), ("Task { await x }", ["Task"]), ("Task.detached {}", ["Task"]),
            ("aTask {", []),
            ("import Foundation", ["Foundation"]), ("x.shuffled()", ["shuffled"]), ("// sleep(1)", []),
            ("print(\"sleep(1)\") /* open( */", []), ("Int.random(in: 0..<9)", ["random"]),
            ("static var sleep: Command", []), ("case time(LabTime)", []),
            ("epoll_create1(0)", ["epoll_create1"]), ("let a = \"\\\"\"; usleep(3)", ["usleep"]),
            ("Threads.start()", []),
        ]
        for (code, expected) in samples { #expect(BareSource.of(code).flatMap(Self.banned) == expected, "\(code)") }
    }

    // MARK: Sizes

    private static let lineLimit = 400
    private static let columnLimit = 120

    @Test("no source file is longer than 400 lines")
    func fileLength() throws {
        for file in try Repository.swiftFiles(under: "Sources") {
            let count = try Repository.lines("Sources/\(file)").count - 1
            #expect(count <= Self.lineLimit, "Sources/\(file) holds more than one idea")
        }
    }

    @Test("no line is wider than 120 columns, but for a line that is one string")
    func lineLength() throws {
        for directory in ["Sources", "Tests"] {
            for file in try Repository.swiftFiles(under: directory) {
                let path = "\(directory)/\(file)"
                for (index, line) in try Repository.lines(path).enumerated() where line.count > Self.columnLimit {
                    let text = line.drop { $0 == " " || $0 == "+" }
                    #expect(text.hasPrefix("\""), "\(path):\(index + 1) has \(line.count) columns")
                }
            }
        }
    }
}
