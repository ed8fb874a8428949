import CommandKit
import KernelStructures

/// What Tab shows where it has more than one thing to offer: a page at a time, where one screen does not hold it.
package enum CandidateList {
    /// - Parameters:
    ///   - columns: the terminal's width.
    ///   - rows: lines that a page may take, its last line included, which says that there are more.
    ///   - page: from 0; behind the last one the first comes again.
    /// - Returns: whole lines: a candidate a line with what is said of it, or words in columns where nothing is.
    package static func text(
        _ candidates: [Completer.Candidate], columns: Int, rows: Int, page: Int = 0, usesColor: Bool = false
    ) -> String {
        let rows = max(3, rows)
        let isDescribed = candidates.contains { !$0.summary.isEmpty }
        func shown(_ slice: ArraySlice<Completer.Candidate>) -> String {
            isDescribed ? described(slice, columns, usesColor) : columnList(slice.map(\.text), columns: columns)
        }
        guard !fits(candidates, columns: columns, rows: rows) else { return shown(candidates[...]) }
        // A line less: the last one says where one is.
        let perPage = isDescribed ? rows - 1 : capacity(candidates, columns, rows: rows - 1)
        let pages = (candidates.count + perPage - 1) / perPage
        let first = page % pages * perPage
        let last = min(candidates.count, first + perPage)
        let next = last == candidates.count ? "first again" : "next"
        let footer = "\(first + 1) to \(last) of \(candidates.count); Tab shows the \(next)"
        return shown(candidates[first..<last]) + (usesColor ? "\u{1B}[2m\(footer)\u{1B}[0m" : footer) + "\n"
    }

    /// Whether one page holds them all.
    package static func fits(_ candidates: [Completer.Candidate], columns: Int, rows: Int) -> Bool {
        let rows = max(3, rows)
        let isDescribed = candidates.contains { !$0.summary.isEmpty }
        return candidates.count <= (isDescribed ? rows : capacity(candidates, columns, rows: rows))
    }

    /// How many words surely fit into so many rows of columns.
    private static func capacity(_ candidates: [Completer.Candidate], _ columns: Int, rows: Int) -> Int {
        let width = (candidates.map { displayWidth($0.text) }.max() ?? 0) + 2
        return max(1, columns / max(1, width)) * max(1, rows)
    }

    private static func described(
        _ candidates: ArraySlice<Completer.Candidate>, _ columns: Int, _ usesColor: Bool
    ) -> String {
        let width = min(columns / 2, candidates.map { displayWidth($0.text) }.max() ?? 0)
        return candidates.map { candidate in
            let space = String(repeating: " ", count: max(0, width - displayWidth(candidate.text)))
            let room = columns - width - 3
            guard !candidate.summary.isEmpty, room > 8 else { return candidate.text + "\n" }
            // What would control the terminal does not: an alias may hold anything.
            var summary = String(candidate.summary.map { $0.isNewline || $0 == "\t" || $0 == "\u{1B}" ? " " : $0 })
            if displayWidth(summary) > room {
                summary = String(summary.prefix(room))
                while displayWidth(summary) >= room, !summary.isEmpty { summary.removeLast() }
                summary += "…"
            }
            return candidate.text + space + "  " + (usesColor ? "\u{1B}[2m\(summary)\u{1B}[0m" : summary) + "\n"
        }.joined()
    }
}
