import Foundation
import KernelClock
import KernelRegularExpressions
import KernelStructures
import Testing

@Suite("Regular expressions")
struct RegularExpressionTests {
    @Test("find the leftmost match in bytes, the longest where POSIX wants it")
    func matching() throws {
        let expression = try RegularExpression("b+|bc", .extended)
        #expect(expression.firstRange(in: "aabbc") == 2..<4)
        #expect(expression.firstRange(in: "é bbb") == 3..<6, "é is two bytes")
        #expect(expression.firstRange(in: "bab", from: 1) == 2..<3)
        #expect(expression.firstRange(in: "aaa") == nil && expression.firstRange(in: "b", from: 2) == nil)
        #expect(try RegularExpression("^a").firstMatch(in: "ba", from: 1) == nil, "an offset is no beginning of a line")
        #expect(try RegularExpression("a|ab").firstRange(in: "ab") == 0..<1)
        #expect(try RegularExpression("a|ab", .extended).firstRange(in: "ab") == 0..<2)
    }

    @Test("match as a whole only what they describe whole")
    func whole() throws {
        #expect(try RegularExpression("a|ab").matchesWhole("ab"))
        #expect(!(try RegularExpression("a").matchesWhole("ab")))
        #expect(try RegularExpression("[0-9]+ms").matchesWhole("20ms"))
        #expect(try RegularExpression("").matchesWhole(""))
        #expect(try RegularExpression("\\d+(?:ms|s) [[:alpha:]]+ [\\w-]+").matchesWhole("20ms done a-1"))
    }

    @Test("tell what each group captured")
    func groups() throws {
        let expression = try RegularExpression("(?P<key>\\w+)=(?:(\\d+)|(\\w+))")
        let match = try #require(expression.firstMatch(in: "a, rate=fast"))
        #expect(match.range == 3..<12 && match.groups == [3..<7, nil, 8..<12] && match[0] == 3..<12 && match[9] == nil)
        #expect(expression.groupCount == 3 && expression.groupNumber("key") == 1 && expression.groupNumber("x") == nil)
        let many = try RegularExpression(String(repeating: "(.)", count: 40))
        #expect(many.firstMatch(in: String(repeating: "é", count: 40))?[40] == 78..<80)
    }

    @Test("know case, lines and bytes")
    func options() throws {
        #expect(try RegularExpression("SERVER", .perl, .init(ignoresCase: true)).matches("server-a"))
        for dialect in [RegularExpression.Dialect.perl, .extended] {
            #expect(!(try RegularExpression("^b$", dialect).matches("a\nb\nc")))
            #expect(try RegularExpression("^b$", dialect, .init(matchesLines: true)).matches("a\nb\nc"))
        }
        var options = RegularExpression.Options()
        let bytes: [UInt8] = [97, 0xFF, 98]
        #expect(bytes.withUnsafeBytes { try? RegularExpression("a.b").matches($0) } == false)
        options.matchesBytes = true
        #expect(bytes.withUnsafeBytes { try? RegularExpression("a.b", .perl, options).matches($0) } == true)
        #expect(try RegularExpression("a.+", .literal).firstRange(in: "aaa.+") == 2..<5)
    }

    @Test("all matches, empty ones included, and what replaces them")
    func all() throws {
        #expect(try RegularExpression("a*").allMatches(in: "baac").map(\.range) == [0..<0, 1..<3, 4..<4])
        #expect(try RegularExpression("").allMatches(in: "é€").map(\.range) == [0..<0, 2..<2, 5..<5])
        #expect(try RegularExpression("a").allMatches(in: "aaa", limit: 2).count == 2)
        let path = try RegularExpression("^/v(\\d)/(?P<rest>.*)$")
        let template = try RegularExpressionReplacement("/${rest}?v=$1&$$", for: path)
        #expect(path.replacing(in: "/v2/users", with: template) == "/users?v=2&$")
        let swap = try RegularExpression("(\\w)(\\w)|(x)")
        #expect(
            swap.replacing(in: "ab cd!", with: try RegularExpressionReplacement("$2$1$3", for: swap), limit: 1)
                == "ba cd!")
        for bad in ["$4", "$", "${no}", "${", "$x"] {
            #expect(throws: RegularExpressionError.self) { try RegularExpressionReplacement("a" + bad, for: swap) }
        }
    }

    @Test(
        "explain what is malformed, and where",
        arguments: [
            ("(a|b", "'(a|b': missing ) at character 1"),
            ("a(b)(c", "'a(b)(c': missing ) at character 5"),
            ("xé[a", "'xé[a': missing ]: '[a' at character 3"),
            ("ab)", "'ab)': unexpected ) at character 3"),
            ("*a", "'*a': no argument for repetition operator: '*' at character 1"),
            ("a{2000}", "'a{2000}': invalid repetition size: '{2000}' at character 2"),
            ("ab\\", "'ab\\': a backslash at the end at character 3"),
            ("a\\1", "'a\\1': invalid escape sequence: '\\1' at character 2"),
            ("(?=a)", "'(?=a)': invalid perl operator: '(?=' at character 1"),
            ("[z-a]", "'[z-a]': invalid character class range: 'z-a' at character 2"),
            ("\\pL{1000}", "'\\pL{1000}': pattern too large - compile failed"),
        ])
    func malformed(pattern: String, message: String) {
        do throws(RegularExpressionError) {
            _ = try RegularExpression(pattern)
            Issue.record("accepted")
        } catch {
            #expect(error.description.hasPrefix(message), "\(error)")
        }
    }

    @Test("take time that grows as the text does", .timeLimit(.minutes(5)))
    func linear() throws {
        for pattern in ["(a*)*b", "^(a+)+$", "(a|a)*b", "(.*)(.*)(.*)(.*)(.*)b$"] {
            for dialect in [RegularExpression.Dialect.perl, .extended] {
                let expression = try RegularExpression(pattern, dialect)
                let text = String(repeating: "a", count: 1_000_000) + "c"
                let began = HostClock.threadProcessorTime
                #expect(!expression.matches(text))
                // A backtracking engine needs longer for thirty letters than the universe is old.
                #expect(HostClock.threadProcessorTime - began < .seconds(10), "\(pattern)")
            }
        }
    }

    @Test("several threads may use one")
    func threads() async throws {
        let expression = try RegularExpression("(\\d+)-(\\d+)")
        let found = await withTaskGroup(of: Int.self) { group in
            for index in 0..<8 {
                group.addTask {
                    (0..<500).count { expression.firstMatch(in: "x \($0)-\(index)")?.groups.count == 2 }
                }
            }
            return await group.reduce(0, +)
        }
        #expect(found == 4_000)
    }

    @Test("random patterns are refused with a reason or match what they say they match")
    func fuzz() throws {
        var random = SeededRandom(seed: 12)
        let pieces = [
            "a", "b", "é", ".", "*", "+", "?", "(", ")", "[", "]", "^", "$", "|", "{2}", "{,3}", "\\", "\\d", "-", "[^",
            "[:alpha:]", "\0",
        ]
        var validCount = 0
        for _ in 0..<20_000 {
            let pattern = (0..<random.below(10)).map { _ in pieces[random.below(pieces.count)] }.joined()
            let dialect = [RegularExpression.Dialect.perl, .extended, .basic, .literal][random.below(4)]
            let text = (0..<random.below(12)).map { _ in pieces[random.below(4)] }.joined()
            do throws(RegularExpressionError) {
                let expression = try RegularExpression(pattern, dialect)
                validCount += 1
                let all = expression.allMatches(in: text)
                #expect(all.first?.range == expression.firstRange(in: text))
                #expect(zip(all, all.dropFirst()).allSatisfy { $0.range.upperBound <= $1.range.lowerBound })
                #expect(all.allSatisfy { $0.range.upperBound <= text.utf8.count })
                if dialect == .literal, !pattern.isEmpty { #expect(all.isEmpty != text.utf8.contains(pattern.utf8)) }
            } catch {
                #expect(!error.problem.isEmpty && (1...max(1, pattern.count)).contains(error.character ?? 1))
            }
        }
        #expect(validCount > 5_000)
    }
}

extension String.UTF8View {
    fileprivate func contains(_ part: String.UTF8View) -> Bool {
        let (whole, part) = (Array(self), Array(part))
        return part.count <= whole.count
            && (0...(whole.count - part.count)).contains { whole[$0...].starts(with: part) }
    }
}

@Suite("Patterns of grep")
struct GrepPatternTests {
    @Test(
        "match what GNU grep matches, in both dialects",
        arguments: [
            "a+", "a\\+", "a\\{2\\}", "a{2}", "a{,2}b", "*a", "\\(*a\\)", "^*a", "a^b", "a$b", "\\(^a\\)", "a\\|b",
            "a|b", "(a)", "\\(a\\)",
            "[a\\]", "[]a]", "[^]a]", "[[:digit:]]x", "[[.-.]]", "[[=a=]]b", "[\\d]", "\\.", "\\w\\W", "\\bab", "ab\\b",
            "\\<ab", "ab\\>", "a.b",
            "[a-c]", "x*", "a\\?b", "a?b", "^$", "a\\/b", "[.]", "a**", "\\$", "\\^", "[a^]", "[[]", "a\\-b", "()a",
            "-b",
        ])
    func agreement(pattern: String) throws {
        guard FileManager.default.isExecutableFile(atPath: "/usr/bin/grep") else { return }
        let lines = [
            "", "a", "aa", "aab", "ab", "b", "a+", "a{2}", "*a", "a^b", "a$b", "(a)", "a|b", "\\", "]", "d", "1x", "-",
            "a.b", "a-b", "x", "$", "^", "[",
            "ab cd", "cabd", "a/b", "a?b", "a{,2}b", "()a", "=",
        ]
        for (dialect, flag) in [(RegularExpression.Dialect.basic, "-G"), (.extended, "-E")] {
            let process = Process()
            let (input, output) = (Pipe(), Pipe())
            process.executableURL = URL(fileURLWithPath: "/usr/bin/grep")
            process.arguments = [flag, "-e", pattern]
            process.environment = ["LC_ALL": "C.UTF-8"]
            process.standardInput = input
            process.standardOutput = output
            process.standardError = FileHandle.nullDevice
            try process.run()
            input.fileHandleForWriting.write(Data(lines.joined(separator: "\n").utf8 + [10]))
            try input.fileHandleForWriting.close()
            let found = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
                .split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
            process.waitUntilExit()
            // Extended patterns that begin with a repetition are undefined; GNU's grep takes them, RE2 does not.
            if dialect == .extended, pattern.contains("*a") && !pattern.contains("\\(*") { continue }
            guard process.terminationStatus < 2 else {
                #expect(throws: RegularExpressionError.self, "\(flag) \(pattern)") {
                    try RegularExpression(pattern, dialect)
                }
                continue
            }
            let expression = try RegularExpression(pattern, dialect)
            #expect(lines.filter(expression.matches) == found, "\(flag) \(pattern)")
        }
    }

    @Test("what cannot be linear is refused with the reason")
    func refused() {
        for pattern in ["\\(a\\)\\1", "a\\", "[a", "[[:alpha]", "[[.ab.]]"] {
            #expect(throws: RegularExpressionError.self) { try RegularExpression(pattern, .basic) }
        }
    }
}
