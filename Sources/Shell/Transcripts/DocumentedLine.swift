/// Whether a line that was documented and one that came say the same, though letters differ.
///
/// Some words are new each time, and nobody learns anything from that: times, durations, ports, identifiers. Others are
/// what the line is about: counts, money, names, states. Only the former may differ, and only by one of their own kind.
package enum DocumentedLine {
    /// - Returns: whether the lines differ in nothing but words whose kind is to be new each time.
    package static func isAlike(_ documented: String, _ seen: String) -> Bool {
        let left = words(documented)
        let right = words(seen)
        guard left.count == right.count else { return false }
        return zip(left, right).allSatisfy { one, other in
            if one == other { return true }
            guard let kind = kind(one) else { return false }
            return kind == self.kind(other)
        }
    }

    private enum Kind { case duration, port, time, identifier }

    private static func words(_ line: String) -> [String] {
        line.split { $0.isWhitespace || "()[]\",;".contains($0) }.map { word in
            var word = word[...]
            while let last = word.last, last == "." || last == ":" { word.removeLast() }
            return String(word)
        }
    }

    private static func kind(_ word: String) -> Kind? {
        let duration = #/[0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h|d)([0-9]+(ms|s|m|h))?/#
        if word.wholeMatch(of: duration) != nil { return .duration }
        if word.wholeMatch(of: #/(localhost|[0-9.]+)?:[0-9]{2,5}/#) != nil { return .port }
        let date = #/[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:.]+Z?)?/#
        let clock = #/[0-9]{1,2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?/#
        if word.wholeMatch(of: date) != nil || word.wholeMatch(of: clock) != nil { return .time }
        // Letters and digits mixed, as chance writes them, perhaps behind a name: client-a8f3, payment-api-abc123.
        let tail = word.split(separator: "-").last.map(String.init) ?? word
        guard (4...64).contains(tail.count), tail.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber) }) else {
            return nil
        }
        let isMixed = tail.contains(where: \.isNumber) && tail.contains(where: \.isLetter)
        return isMixed || (word.contains("-") && tail.allSatisfy(\.isHexDigit)) ? .identifier : nil
    }
}
