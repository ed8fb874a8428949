import CommandKit
import KernelRegularExpressions
import KernelStructures
import ShellSession

/// What `awk` was told on its line.
struct AwkOptions {
    var program = ""
    var assignments: [(String, String)] = []
    var operands: [String] = []

    init(_ words: [String], _ files: LabFiles) throws {
        var words = words[...]
        var programs: [String] = []
        while let word = words.first, word.hasPrefix("-"), word.count > 1 {
            words.removeFirst()
            if word == "--" { break }
            func value() throws -> String {
                if word.count > 2 { return String(word.dropFirst(2)) }
                guard let next = words.popFirst() else { throw UsageError("awk: \(word) needs a value") }
                return next
            }
            switch word.prefix(2) {
            case "-F":
                let text = try value()
                // As POSIX has it, -Ft is a tab.
                assignments.append(("FS", text == "t" ? "\t" : text))
            case "-v":
                let text = try value()
                guard let assignment = Self.assignment(text) else {
                    throw UsageError("awk: -v: '\(text)' is not NAME=VALUE")
                }
                assignments.append(assignment)
            case "-f":
                let file = try value()
                do throws(LabFileError) {
                    programs.append(ByteText.decode(try files.read(file)[...]))
                } catch { throw UsageError("awk: \(error)") }
            default: throw UsageError("awk: unknown flag \(word); there are -F, -v and -f")
            }
        }
        if programs.isEmpty {
            guard let first = words.popFirst() else { throw UsageError("awk: which program? awk '{print $1}' [FILE…]") }
            programs = [first]
        }
        program = programs.joined(separator: "\n")
        operands = Array(words)
    }

    /// `name=value`
    static func assignment(_ word: String) -> (String, String)? {
        guard let sign = word.firstIndex(of: "=") else { return nil }
        let name = word[..<sign]
        guard let first = name.first, first == "_" || first.isASCII && first.isLetter,
            name.allSatisfy({ $0 == "_" || $0.isASCII && ($0.isLetter || $0.isNumber) })
        else { return nil }
        return (String(name), String(word[word.index(after: sign)...]))
    }
}

/// Bytes that are cut into records as they come.
struct AwkInput {
    private var bytes: [UInt8]
    private var start = 0
    /// Up to here there is no end of the record that begins at `start`; a look at what has come begins there.
    private var searched = 0
    var isComplete = true

    init(_ bytes: [UInt8] = []) { self.bytes = bytes }

    var count: Int { bytes.count - start }

    mutating func append(_ more: [UInt8]) {
        if start > 0 {
            bytes.removeFirst(start)
            searched = max(0, searched - start)
            start = 0
        }
        bytes += more
    }

    /// The next record; nil where there is none, or not yet.
    mutating func next(_ separator: String, _ machine: AwkMachine) throws -> String? {
        if separator.isEmpty { return paragraph() }
        if separator.utf8.count == 1 {
            let byte = separator.utf8.first!
            let end = bytes.withUnsafeBufferPointer { $0[max(start, searched)...].firstIndex(of: byte) }
            if let end { return take(to: end, behind: end + 1) }
            searched = bytes.count
            return isComplete && count > 0 ? rest(dropsNewline: false) : nil
        }
        let expression = try machine.expression(separator)
        // What matches nothing, X* where no X is, ends no record: the next place may be better.
        var place = max(start, searched)
        while place < bytes.count,
            let range = bytes.withUnsafeBytes({ expression.firstMatch(in: $0, from: place) })?.range
        {
            searched = range.lowerBound
            if range.isEmpty {
                place = range.upperBound + 1
                searched = place
                try machine.count()
                continue
            }
            // One that ends where the bytes do may go on.
            guard range.upperBound < bytes.count || isComplete else { return nil }
            return take(to: range.lowerBound, behind: range.upperBound)
        }
        return isComplete && count > 0 ? rest(dropsNewline: false) : nil
    }

    private mutating func take(to end: Int, behind: Int) -> String {
        defer { start = behind }
        return ByteText.decode(bytes[start..<end])
    }

    private mutating func rest(dropsNewline: Bool) -> String? {
        let end = dropsNewline && bytes.last == 10 ? bytes.count - 1 : bytes.count
        if end <= start, dropsNewline {
            start = bytes.count
            return nil
        }
        return take(to: end, behind: bytes.count)
    }

    /// Lines up to an empty one.
    private mutating func paragraph() -> String? {
        while start < bytes.count, bytes[start] == 10 { start += 1 }
        var place = max(start, searched)
        while place + 1 < bytes.count {
            if bytes[place] == 10, bytes[place + 1] == 10 {
                var behind = place
                while behind < bytes.count, bytes[behind] == 10 { behind += 1 }
                return take(to: place, behind: behind)
            }
            place += 1
        }
        searched = place
        return isComplete && count > 0 ? rest(dropsNewline: true) : nil
    }
}
