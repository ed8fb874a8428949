import KernelStructures
import ShellLanguage

// How `-u` makes an expectation true that is not. A line that some expectation fits is worth more than one that nothing
// fits: what is kept keeps its holes and notes.

extension CaseRunner {
    /// An expected line, and where it stands.
    private struct Expected {
        let place: SourcePlace
        let pattern: LinePattern
        /// Whether a command stands between it and the line in question.
        let isBeyond: Bool
    }

    /// What could be done where a line came instead of the expected one.
    private enum Choice { case delete, insert, replace, move(SourcePlace) }

    /// Chooses what leaves most of the expectations that follow with a line of their own.
    ///
    /// - Parameters:
    ///   - later: the expectations of the same stream that follow.
    ///   - lines: the line that came, and those of the stream after it.
    private func choose(
        _ pattern: LinePattern, _ later: [Expected], _ lines: [String], mayReplace: Bool
    ) -> Choice {
        let patterns = later.map(\.pattern)
        let whenDeleted = alignment(patterns, lines)
        let whenInserted = alignment([pattern] + patterns, Array(lines.dropFirst()))
        if mayReplace, alignment(patterns, Array(lines.dropFirst())) >= max(whenDeleted, whenInserted) {
            return .replace
        }
        if whenInserted < whenDeleted { return .delete }
        let twin = later.first { !$0.isBeyond && !$0.pattern.isOptional && fits($0.pattern, lines[0]) }
        return whenInserted == whenDeleted ? twin.map { .move($0.place) } ?? .insert : .insert
    }

    /// How many expectations find a line if they are laid over the lines in order as well as can be. Those that may be
    /// missing do not count.
    private func alignment(_ patterns: [LinePattern], _ lines: [String]) -> Int {
        let lines = lines.prefix(200)
        var best = [Int](repeating: 0, count: lines.count + 1)
        for pattern in patterns.prefix(200) where !pattern.isOptional {
            var diagonal = 0
            for (index, line) in lines.enumerated() {
                let above = best[index + 1]
                best[index + 1] = max(above, best[index], fits(pattern, line) ? diagonal + 1 : 0)
                diagonal = above
            }
        }
        return best[lines.count]
    }

    func fits(_ pattern: LinePattern, _ line: String) -> Bool {
        var scratch = captures
        return pattern.matches(line, collapsingBlanks: collapsesBlanks, &scratch)
    }

    func fits(_ pattern: LinePattern, _ entry: Tape.Entry) -> Bool {
        var scratch = captures
        return entry.fits(pattern, collapsingBlanks: collapsesBlanks, &scratch)
    }

    /// Under `@order strict`, the first line of the transcript that was matched by something later than a number.
    private func place(after number: Int) -> (number: Int, place: SourcePlace)? {
        isStrict ? matched.first { $0.number > number } : nil
    }

    // MARK: Output

    /// - Parameter rest: what the command printed that is not matched yet; not empty.
    func outputRepair(_ item: TranscriptItem, _ index: Int, _ pattern: LinePattern, _ rest: [Tape.Line], of step: Step)
        -> Repair
    {
        let lines = rest.map(\.text)
        // An expectation that may be about another command is not to be overwritten.
        let mayReplace = !steps.contains { $0 !== step && !$0.isClosed && (isActive($0) || hasMore($0)) }
        let choice = choose(pattern, laterOutput(after: index), lines, mayReplace: mayReplace)
        if case .delete = choice { return .delete(item.place) }
        if let earlier = place(after: rest[0].number) {
            return .insertBefore(earlier.place, TranscriptText.output([lines[0]], tags: tags, followsOutput: false))
        }
        switch choice {
        case .delete: return .delete(item.place)
        case .move(let place): return .move(place, before: item.place)
        case .replace:
            let kept = pattern.keepingHoles(in: lines[0], captures, collapsingBlanks: collapsesBlanks)
            return .replace(
                item.place, kept.map { [$0] } ?? TranscriptText.output([lines[0]], tags: tags, followsOutput: false))
        case .insert:
            let follows = allItems[..<index].last { !$0.isBlank }?.isOutputOrCommand ?? false
            return .insertBefore(
                item.place, TranscriptText.output([lines[0]], tags: tags, followsOutput: follows, precedesOutput: true))
        }
    }

    /// The output that this command is expected to print after an item.
    private func laterOutput(after index: Int) -> [Expected] {
        var found: [Expected] = []
        for item in allItems[(index + 1)...] {
            switch item.kind {
            case .command: return found
            case .expectation(.output(let pattern)) where !pattern.isNever:
                found.append(Expected(place: item.place, pattern: pattern, isBeyond: false))
            default: continue
            }
        }
        return found
    }

    func isExpectedLater(_ line: String, after index: Int) -> Bool {
        laterOutput(after: index).contains { fits($0.pattern, line) }
    }

    /// Where lines go that a command printed and nothing expects: below it, or below the command that was the newest
    /// when they came.
    func surplusRepair(of step: Step, _ rest: [Tape.Line]) -> Repair {
        let first = rest[0]
        if let earlier = place(after: first.number) {
            return .insertBefore(
                earlier.place, text(rest.prefix { $0.number < earlier.number }.map(\.text), below: nil))
        }
        let during = steps[max(0, first.stepCount - 1)]
        let isLater =
            during !== step && during.submission.terminal === step.submission.terminal
            && during.lastPlace.file == step.lastPlace.file && during.lastPlace.line > step.lastPlace.line
        let place = isLater ? during.lastPlace : step.lastPlace
        return .insertAfter(place, text(rest.prefix { $0.stepCount == first.stepCount }.map(\.text), below: place))
    }

    /// Output as it is to be written below a line.
    func text(_ lines: [String], below place: SourcePlace?) -> [String] {
        let last = place.flatMap { place in allItems.last { $0.place.file == place.file && $0.lastLine == place.line } }
        return TranscriptText.output(lines, tags: tags, followsOutput: last?.isOutputOrCommand ?? false)
    }

    // MARK: Log lines

    /// What is expected of a tag after an item: its lines are one stream through the whole case.
    private func laterLogs(_ tag: String, after index: Int) -> [Expected] {
        var found: [Expected] = []
        var isBeyond = false
        for item in allItems[(index + 1)...] {
            if case .command = item.kind { isBeyond = true }
            guard case .expectation(.log(tag, let pattern)) = item.kind, !pattern.isNever else { continue }
            found.append(Expected(place: item.place, pattern: pattern, isBeyond: isBeyond))
        }
        return found
    }

    func isExpectedLater(_ entry: Tape.Entry, after index: Int) -> Bool {
        laterLogs(entry.line.tag, after: index).contains { fits($0.pattern, entry) }
    }

    /// How to repair an expected log line before which another came (`@logs exact`).
    ///
    /// - Parameter entries: the lines from that other one on.
    func logRepair(_ item: TranscriptItem, _ index: Int, _ pattern: LinePattern, _ entries: [Tape.Entry]) -> Repair {
        let seen = entries[0]
        if seen.number < lastNumber, let earlier = place(after: seen.number) {
            let isIt = fits(pattern, seen)
            let twin = laterLogs(seen.line.tag, after: index).first { fits($0.pattern, seen) }
            if let place = isIt ? item.place : twin?.place { return .move(place, before: earlier.place) }
            return .insertBefore(earlier.place, [TranscriptText.log(seen.line)])
        }
        let later = laterLogs(seen.line.tag, after: index)
        switch choose(pattern, later, entries.map(\.message), mayReplace: false) {
        case .delete: return .delete(item.place)
        case .move(let place): return .move(place, before: item.place)
        case .insert, .replace:
            // It may have come while an earlier command was the newest.
            let during = steps[max(0, seen.stepCount - 1)]
            let new = [TranscriptText.log(seen.line)]
            return seen.stepCount < steps.count && during.lastPlace.line < item.place.line
                ? .insertAfter(during.lastPlace, new) : .insertBefore(item.place, new)
        }
    }

    /// How to repair an expected log line that does not come: it came earlier, is said in other words, or is gone.
    func missingLogRepair(_ item: TranscriptItem, _ index: Int, _ tag: String, _ pattern: LinePattern) -> Repair {
        let entries = tape.logs[tag] ?? []
        let free = entries[min(logCursors[tag] ?? 0, entries.count)...]
        if let entry = free.first(where: { fits(pattern, $0) }), let earlier = place(after: entry.number) {
            return .move(item.place, before: earlier.place)
        }
        let candidates = free.filter { !isExpectedLater($0, after: index) }
            .map { (entry: $0, distance: editDistance($0.message, pattern.text)) }
        guard let similar = candidates.min(by: { $0.distance < $1.distance }),
            similar.distance <= max(2, max(pattern.text.count, similar.entry.message.count) / 2)
        else { return .delete(item.place) }
        let kept = pattern.keepingHoles(in: similar.entry.message, captures, collapsingBlanks: collapsesBlanks)
        return .replace(item.place, [kept.map { "[\(tag)] \($0)" } ?? TranscriptText.log(similar.entry.line)])
    }

    /// Where log lines go that nothing expects: below the command that was the newest when they came.
    func leftoverRepair(_ rest: [Tape.Entry]) -> Repair {
        if let earlier = place(after: rest[0].number) {
            return .insertBefore(
                earlier.place, rest.prefix { $0.number < earlier.number }.map { TranscriptText.log($0.line) })
        }
        let step = steps[max(0, rest[0].stepCount - 1)]
        return .insertAfter(
            step.lastPlace, rest.prefix { $0.stepCount == rest[0].stepCount }.map { TranscriptText.log($0.line) })
    }
}

extension Tape.Entry {
    var message: String { TranscriptText.withoutZeros(line.message.description) }

    /// Whether it is what somebody expects: as it is in a transcript, or as a terminal shows it where several nodes
    /// have the same tag, with the node's name before it.
    func fits(_ pattern: LinePattern, collapsingBlanks: Bool, _ captures: inout [String: String]) -> Bool {
        let message = message
        if pattern.matches(message, collapsingBlanks: collapsingBlanks, &captures) { return true }
        guard let node, pattern.text.contains(": ") else { return false }
        return pattern.matches("\(node): \(message)", collapsingBlanks: collapsingBlanks, &captures)
    }
}
