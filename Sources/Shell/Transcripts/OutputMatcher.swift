import KernelStructures

/// Lays expected lines over actual ones as both arrive: anchored, in order and complete.
///
/// Optional lines and `...` leave several readings open, so all of them are kept, as the set of expectations that might
/// be next (Thompson's simulation of a nondeterministic automaton); each reading has its own captures.
package struct OutputMatcher {
    package enum Element {
        case line(LinePattern)
        case any
    }

    package enum Verdict: Equatable {
        case matched
        /// All lines so far fit; the expected one has not come yet.
        case needsMore
        /// The line at `consumed` fits no reading.
        case mismatch
    }

    private var elements: [Element] = []
    /// The next expectation of each reading, and what that reading captured.
    private var readings: [Int: [String: String]] = [0: [:]]
    /// Lines that were laid over so far.
    package private(set) var consumed = 0
    package var collapsesBlanks = false

    package init() {}

    /// The captures of the reading that has come furthest.
    package var captures: [String: String] { readings.max { $0.key < $1.key }?.value ?? [:] }

    mutating func adopt(_ captures: [String: String]) {
        for key in readings.keys { readings[key]!.merge(captures) { own, _ in own } }
    }

    /// Adds an expectation. `expect` says whether it has been met.
    package mutating func append(_ element: Element) { elements.append(element) }

    /// Takes lines until the expectation added last is met by one.
    package mutating func expect(in lines: [String]) -> Verdict {
        if case .any? = elements.last { return .matched }
        if case .line(let pattern)? = elements.last, pattern.isOptional { return .matched }
        while readings[elements.count] == nil {
            guard consumed < lines.count else { return .needsMore }
            guard take(lines[consumed]) else { return .mismatch }
        }
        return .matched
    }

    /// Takes all lines that are there and says whether they may be all there are.
    ///
    /// - Returns: the index of the first line too many; nil if there is none.
    package mutating func finish(with lines: [String]) -> Int? {
        var end = lines.count
        while end > consumed, lines[end - 1].isEmpty { end -= 1 }
        // A reading that still waits for something, as `...` before an expected last line does, is not enough.
        var complete = consumed
        while consumed < end, take(lines[consumed]) {
            if closure()[elements.count] != nil { complete = consumed }
        }
        return complete < end ? complete : nil
    }

    /// Gives up on what is expected, and on the line that did not fit: everything from here on counts afresh.
    mutating func skip(line: Bool) {
        if line { consumed += 1 }
        readings = [elements.count: captures]
    }

    /// Advances every reading over a line. False, and nothing changed, if none survives.
    private mutating func take(_ line: String) -> Bool {
        var next: [Int: [String: String]] = [:]
        for (index, captures) in closure().sorted(by: { $0.key < $1.key }) where index < elements.count {
            switch elements[index] {
            case .any: next[index] = next[index] ?? captures
            case .line(let pattern):
                var found = captures
                if pattern.matches(line, collapsingBlanks: collapsesBlanks, &found) {
                    next[index + 1] = next[index + 1] ?? found
                }
            }
        }
        guard !next.isEmpty else { return false }
        readings = next
        consumed += 1
        return true
    }

    /// The readings, with those that skip what may be missing.
    private func closure() -> [Int: [String: String]] {
        var all = readings
        var pending = Array(readings.keys)
        while let index = pending.popLast() {
            guard index < elements.count, all[index + 1] == nil, elements[index].mayBeMissing else { continue }
            all[index + 1] = all[index]
            pending.append(index + 1)
        }
        return all
    }
}

extension OutputMatcher.Element {
    fileprivate var mayBeMissing: Bool {
        switch self {
        case .any: true
        case .line(let pattern): pattern.isOptional
        }
    }
}
