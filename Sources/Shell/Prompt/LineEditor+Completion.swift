import CEdit

/// What Tab does: it inserts what is sure, shows what there is, and pressed again goes through it, as fish has it.
extension LineEditor {
    /// Where the last Tab has left the line; what is typed since makes it void.
    enum Tabbed {
        /// A page of the candidates stands above the line, whose text up to the cursor this is.
        case listed(text: String, page: Int, isWhole: Bool)
        case chosen(CandidateCycle)
    }

    enum Direction { case forwards, backwards }

    func complete(_ direction: Direction) -> UInt8 {
        let before = String(textBeforeCursor)
        if case .chosen(var cycle)? = tabbed, before == cycle.line {
            let scalars = cycle.written.unicodeScalars.count
            cycle.move(by: direction == .forwards ? 1 : -1)
            return choose(cycle, replacing: scalars)
        }
        let completion = host.complete(before)
        if let replacement = completion.replacement {
            el_deletestr(edit, Int32(completion.replacedScalars))
            return insert(replacement) ? UInt8(CC_REFRESH) : UInt8(CC_ERROR)
        }
        guard completion.candidates.count > 1 else { return UInt8(CC_REFRESH_BEEP) }
        if case .listed(text: before, page: _, isWhole: true)? = tabbed {
            let rest = String(before.unicodeScalars.dropLast(completion.replacedScalars))
            let words = completion.candidates.map { completion.written($0.text) }
            let cycle = CandidateCycle(behind: rest, words, startsAtEnd: direction == .backwards)
            return choose(cycle, replacing: completion.replacedScalars)
        }
        return list(completion, before)
    }

    private func choose(_ cycle: CandidateCycle, replacing scalars: Int) -> UInt8 {
        el_deletestr(edit, Int32(scalars))
        tabbed = .chosen(cycle)
        return insert(cycle.written) ? UInt8(CC_REFRESH) : UInt8(CC_ERROR)
    }

    /// Tab again, and nothing typed between: the next page, where one page does not hold them all.
    private func list(_ completion: Completer.Completion, _ before: String) -> UInt8 {
        var page = 0
        if case .listed(text: before, page: let last, isWhole: false)? = tabbed { page = last + 1 }
        let rows = Int(sdlab_edit_rows(edit)) - 3
        let list = CandidateList.text(
            completion.candidates, columns: columns, rows: rows, page: page, usesColor: host.usesColor)
        tabbed = .listed(
            text: before, page: page,
            isWhole: CandidateList.fits(completion.candidates, columns: columns, rows: rows))
        printAbove(Array(list.utf8))
        return UInt8(CC_NORM)
    }
}

/// Candidates one after another in the place of a word, and round again.
package struct CandidateCycle {
    private let rest: String
    private let words: [String]
    private var place: Int

    /// - Parameters:
    ///   - rest: the line before the word.
    ///   - words: the candidates as they are written into it; at least one.
    ///   - startsAtEnd: whether it begins with the last one.
    package init(behind rest: String, _ words: [String], startsAtEnd: Bool = false) {
        self.rest = rest
        self.words = words
        place = startsAtEnd ? words.count - 1 : 0
    }

    /// What stands in the word's place now.
    package var written: String { words[place] }
    /// The line up to the cursor, as long as nothing else was typed.
    package var line: String { rest + written }

    package mutating func move(by steps: Int) { place = (place + steps + words.count) % words.count }
}
