import Foundation

/// One command of a vector file, with what is expected of it.
struct VectorCase {
    let line: Int
    let command: String
    /// `name=value`, `name=(a,b)` and bare words (whose value is empty), in order.
    let arguments: [(name: String, values: [String])]
    let input: [String]
    let expected: [String]

    func values(_ name: String) -> [String]? { arguments.first { $0.name == name }?.values }
    func value(_ name: String) -> String? { values(name)?.first }
    func numbers(_ name: String) -> [Int] { (values(name) ?? []).compactMap { Int($0) } }
    /// Bare numbers.
    var ids: [Int] { arguments.filter { $0.values.isEmpty }.compactMap { Int($0.name) } }
}

/// Files of commands and expected output that a team of another implementation published; they are not in this
/// repository.
enum VectorFile {
    static let root =
        "/" + #filePath.split(separator: "/").dropLast(4).joined(separator: "/") + "/../shared/vectors"

    static func exists(_ folder: String) -> Bool { FileManager.default.fileExists(atPath: root + "/" + folder) }

    static func names(_ folder: String) -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: root + "/" + folder)) ?? []).sorted()
    }

    static func text(_ path: String) throws -> String { try String(contentsOfFile: root + "/" + path, encoding: .utf8) }

    static func cases(_ path: String) throws -> [VectorCase] {
        let lines = try text(path).split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        var cases: [VectorCase] = []
        var at = 0
        while at < lines.count {
            if lines[at].isEmpty || lines[at].hasPrefix("#") {
                at += 1
                continue
            }
            let first = at
            while lines[at] != "----" { at += 1 }
            let head = lines[first..<at].filter { !$0.hasPrefix("#") }
            at += 1
            let isDoubled = at < lines.count && lines[at] == "----"
            if isDoubled { at += 1 }
            let start = at
            while at < lines.count, isDoubled ? lines[at] != "----" : !lines[at].isEmpty { at += 1 }
            let expected = Array(lines[start..<at])
            if isDoubled { at += 2 }
            cases.append(parse(head, line: first + 1, expected))
        }
        return cases
    }

    private static func parse(_ head: [String], line: Int, _ expected: [String]) -> VectorCase {
        var words: [String] = []
        var depth = 0
        var word = ""
        for character in head[0] {
            if character == "(" { depth += 1 }
            if character == ")" { depth -= 1 }
            if character == " ", depth == 0 {
                if !word.isEmpty { words.append(word) }
                word = ""
            } else if character != " " {
                word.append(character)
            }
        }
        if !word.isEmpty { words.append(word) }
        let arguments = words.dropFirst().map { word -> (name: String, values: [String]) in
            guard let equal = word.firstIndex(of: "=") else { return (word, []) }
            let text = word[word.index(after: equal)...].filter { $0 != "(" && $0 != ")" }
            return (String(word[..<equal]), text.split(separator: ",").map(String.init))
        }
        return VectorCase(
            line: line, command: words[0], arguments: Array(arguments), input: Array(head.dropFirst()),
            expected: expected)
    }
}
