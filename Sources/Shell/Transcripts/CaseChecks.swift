import KernelStructures
import KernelWorld
import ShellSession

// What each kind of expectation asks of the case so far.

extension CaseRunner {
    func check(_ expectation: Expectation, _ item: TranscriptItem, _ index: Int) throws(CaseFailure) {
        guard let newest = steps.last(where: { $0.submission.terminal === session.currentTerminal }) ?? steps.last
        else { return }
        defer { if item.place.line > newest.lastPlace.line { newest.lastPlace = item.place } }
        switch expectation {
        case .anyLines: newest.matcher.append(.any)
        case .later(let duration): try pass(duration, item)
        case .within(let duration):
            deadline = session.world.now + duration
            bound = duration
        case .exit(let status): try checkExit(status, of: newest, item)
        case .typed(let text): try type(text, item)
        case .interrupted: try interrupt(item)
        case .log(let tag, let pattern):
            if pattern.isNever {
                newest.nevers.append(
                    Never(place: item.place, tag: tag, pattern: pattern, logStart: logCursors[tag] ?? 0))
            } else {
                try checkLog(tag, pattern, item, index)
            }
        case .output(let pattern):
            if pattern.isNever {
                newest.nevers.append(Never(place: item.place, tag: nil, pattern: pattern, logStart: 0))
            } else {
                try checkOutput(pattern, item, index)
            }
        }
    }

    // MARK: Time and status

    /// `[30 seconds later]`: exactly that, and nothing is waited for after it.
    private func pass(_ duration: LabDuration, _ item: TranscriptItem) throws(CaseFailure) {
        let failure =
            pace == .stepping
            ? session.advance(by: duration, isInterrupted: isInterrupted)
            : session.wait(.clock, limit: duration, isInterrupted: isInterrupted, until: { false })
        if let failure, failure != .timedOut { throw CaseFailure(item.place, "time did not pass: \(failure)") }
        infers = false
        deadline = deadline + duration
        settle()
    }

    private func checkExit(_ expected: Int, of step: Step, _ item: TranscriptItem) throws(CaseFailure) {
        step.isExitStated = true
        let failure = wait { status(of: step) != nil }
        guard let status = status(of: step) else {
            throw CaseFailure(item.place, "the command still runs \(reason(failure))", expected: "[exit \(expected)]")
        }
        let hasJob =
            jobStatuses[step.submission.number] != nil
            || session.jobs.running.contains { $0.submission === step.submission && !$0.isService }
        if status == 0, hasJob {
            // It goes on in the background, and whoever waited for it would change what happens next.
            step.expectedJobStatus = (expected, item)
            return
        }
        guard status != expected else { return }
        throw CaseFailure(
            item.place, "the command ended with status \(status)", expected: "[exit \(expected)]",
            seen: "[exit \(status)]",
            repair: status == 0 ? .delete(item.place) : .replace(item.place, ["[exit \(status)]"]))
    }

    private func type(_ text: String, _ item: TranscriptItem) throws(CaseFailure) {
        let terminal = session.currentTerminal!
        if let failure = wait({ terminal.isReading }) {
            throw CaseFailure(item.place, "no program reads what is typed \(reason(failure))", expected: "> " + text)
        }
        terminal.type(text)
        settle()
    }

    /// Ctrl-C, when what was expected before it has come.
    private func interrupt(_ item: TranscriptItem) throws(CaseFailure) {
        let terminal = session.currentTerminal!
        settle()
        guard terminal.isBusy else { throw CaseFailure(item.place, "nothing runs that Ctrl-C could interrupt") }
        session.interrupt(terminal)
        settle()
    }

    // MARK: Log lines

    private func checkLog(_ tag: String, _ pattern: LinePattern, _ item: TranscriptItem, _ index: Int)
        throws(CaseFailure)
    {
        var found: (index: Int, captures: [String: String])?
        var mismatch: Int?
        var next = logCursors[tag] ?? 0
        let look = { [self] () -> Bool in
            let entries = tape.logs[tag] ?? []
            // Lines that did not fit once never will.
            for index in next..<max(next, entries.count) {
                next = index + 1
                var captures = captures
                let isInOrder = !isStrict || entries[index].number > lastNumber
                if isInOrder, entries[index].fits(pattern, collapsingBlanks: collapsesBlanks, &captures) {
                    found = (index, captures)
                    return true
                }
                if logsAreExact {
                    mismatch = index
                    return true
                }
            }
            return false
        }
        if pattern.isOptional {
            settle()
            _ = look()
            if found == nil { return }
        } else if let failure = wait(look), found == nil {
            throw missing(tag, pattern, item, index, failure)
        }
        if let found {
            logCursors[tag] = found.index + 1
            note(tape.logs[tag]![found.index].number, matchedAt: item)
            adopt(found.captures)
        } else if let mismatch {
            let entries = Array(tape.logs[tag]![mismatch...])
            throw CaseFailure(
                item.place, "another line came first", expected: item.source[0], seen: entries[0].line.text,
                repair: logRepair(item, index, pattern, entries))
        }
    }

    private func missing(
        _ tag: String, _ pattern: LinePattern, _ item: TranscriptItem, _ index: Int, _ reason: WaitFailure
    ) -> CaseFailure {
        let cursor = logCursors[tag] ?? 0
        let entries = tape.logs[tag] ?? []
        let all = entries.map(\.message)
        let nearest = nearest(to: pattern.text, among: all)
        let isEarlier = nearest.map { $0 < cursor } ?? false
        var failure = CaseFailure(
            item.place, "the line did not come \(self.reason(reason))", expected: item.source[0],
            repair: missingLogRepair(item, index, tag, pattern))
        if let nearest {
            failure.nearest = entries[nearest].line.text + (isEarlier ? "   (before the lines matched above)" : "")
        }
        return failure
    }

    /// Log lines that came and that nothing expects belong to the command that was the newest when they came.
    func checkLeftoverLogs() throws(CaseFailure) {
        for (tag, entries) in tape.logs.sorted(by: { $0.key < $1.key }) {
            let rest = entries[min(logCursors[tag] ?? 0, entries.count)...]
            guard let first = rest.first, !steps.isEmpty else { continue }
            throw CaseFailure(
                steps[max(0, first.stepCount - 1)].place, "a log line that nothing expects (@logs exact)",
                seen: first.line.text, repair: leftoverRepair(Array(rest)))
        }
    }

    // MARK: Output

    /// The command that an untagged line belongs to: the newest of this terminal that may still print or has printed
    /// what nothing expected yet.
    private func target() -> Step? {
        let here = steps.filter { $0.submission.terminal === session.currentTerminal && !$0.isClosed }
        guard let newest = here.last ?? steps.last else { return nil }
        if newest.submission.isRunning || hasMore(newest) || isActive(newest) { return newest }
        return here.last { $0 !== newest && (isActive($0) || hasMore($0)) } ?? newest
    }

    /// Whether it printed lines that nothing has expected yet.
    func hasMore(_ step: Step) -> Bool { step.matcher.consumed < lines(of: step).trimmingEmptyEnd.count }

    private func checkOutput(_ pattern: LinePattern, _ item: TranscriptItem, _ index: Int) throws(CaseFailure) {
        var matchers: [ObjectIdentifier: OutputMatcher] = [:]
        var result: (step: Step, matcher: OutputMatcher, verdict: OutputMatcher.Verdict)?
        let look = { [self] () -> Bool in
            guard let step = target() else { return false }
            if !isActive(step) || step.submission.terminal.isReading { tape.endPartialLine(of: step.submission.number) }
            var matcher: OutputMatcher
            if let known = matchers[ObjectIdentifier(step)] {
                matcher = known
            } else {
                matcher = step.matcher
                matcher.adopt(captures)
                matcher.append(.line(pattern))
            }
            let verdict = matcher.expect(in: lines(of: step))
            matchers[ObjectIdentifier(step)] = matcher
            result = (step, matcher, verdict)
            // Nobody is left who could print it.
            return verdict != .needsMore || !isActive(step)
        }
        let failure = wait(look)
        guard let result else { return }
        let (step, matcher, verdict) = result
        if verdict == .matched {
            step.matcher = matcher
            if item.place.file == step.lastPlace.file, item.place.line > step.lastPlace.line {
                step.lastPlace = item.place
            }
            adopt(matcher.captures)
            return try checkOrder(step, item)
        }
        throw difference(step, matcher, verdict, pattern, item, index, failure)
    }

    private func checkOrder(_ step: Step, _ item: TranscriptItem) throws(CaseFailure) {
        guard step.matcher.consumed > 0, let output = tape.outputs[step.submission.number] else { return }
        let line = output.lines[step.matcher.consumed - 1]
        if isStrict, line.number < lastNumber {
            throw CaseFailure(
                item.place, "the line came before the one matched above it (@order strict)", expected: item.source[0],
                repair: matched.first { $0.number > line.number }.map { .move(item.place, before: $0.place) })
        }
        note(line.number, matchedAt: item)
    }

    /// `@order strict` wants the numbers to rise.
    private func note(_ number: Int, matchedAt item: TranscriptItem) {
        lastNumber = max(lastNumber, number)
        if isStrict { matched.append((number, item.place)) }
    }

    /// What to say about an expected line that is not there, and how to repair it.
    private func difference(
        _ step: Step, _ matcher: OutputMatcher, _ verdict: OutputMatcher.Verdict, _ pattern: LinePattern,
        _ item: TranscriptItem,
        _ index: Int, _ reason: WaitFailure?
    ) -> CaseFailure {
        step.isDifferent = true
        if looksAhead, verdict == .mismatch { _ = wait { !isActive(step) } }
        let lines = lines(of: step)
        let rest = Array(lines[min(matcher.consumed, lines.count)...])
        let comesLater = rest.first.map { isExpectedLater($0, after: index) } ?? true
        // In `play`, the next expectation has a fresh chance.
        step.matcher = matcher
        step.matcher.skip(line: !comesLater)
        guard verdict == .mismatch, let seen = rest.first else {
            var failure = CaseFailure(
                item.place,
                isActive(step) ? "the line did not come \(self.reason(reason))" : "the command ended without this line",
                expected: item.source[0], repair: .delete(item.place))
            failure.nearest = nearest(to: pattern.text, among: lines).map { lines[$0] }
            return failure
        }
        var failure = CaseFailure(
            item.place, "the command printed something else", expected: item.source[0], seen: seen,
            repair: outputRepair(
                item, index, pattern, Array(tape.outputs[step.submission.number]!.lines[matcher.consumed...]), of: step)
        )
        failure.nearest = nearest(to: pattern.text, among: rest).map { rest[$0] }.flatMap { $0 == seen ? nil : $0 }
        return failure
    }

    private func adopt(_ found: [String: String]) {
        for (name, value) in found where captures[name] != value {
            captures[name] = value
            session.setVariable(name, value)
        }
    }

    /// The index of the line most like `text`; nil if none is like it at all.
    private func nearest(to text: String, among lines: [String]) -> Int? {
        let candidates = lines.indices.suffix(500).map { ($0, editDistance(lines[$0], text)) }
        guard let best = candidates.min(by: { $0.1 < $1.1 }) else { return nil }
        return best.1 <= max(text.count, lines[best.0].count) * 2 / 3 ? best.0 : nil
    }

    // MARK: Never

    /// Looks whether something came that must not.
    func checkNevers() throws(CaseFailure) {
        for step in steps {
            let nevers = step.nevers
            step.nevers = []
            for never in nevers {
                let seen: String?
                if let tag = never.tag {
                    let entries = (tape.logs[tag] ?? []).dropFirst(never.logStart)
                    seen = entries.first { fits(never.pattern, $0) }?.line.text
                } else {
                    seen = lines(of: step).first { fits(never.pattern, $0) }
                }
                if let seen {
                    throw CaseFailure(
                        never.place, "a line came that must never come", seen: seen, repair: .delete(never.place))
                }
            }
        }
    }
}
