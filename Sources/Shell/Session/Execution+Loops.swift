import KernelStructures
import ShellLanguage

/// `if`, and how `break` and `continue` leave loops.
extension Execution {
    func step(_ branches: ArraySlice<CommandSyntax.Branch>, _ otherwise: Script?, _ ranCondition: Bool) {
        guard let branch = branches.first else {
            // What comes behind `else` sees in `$?` how the condition failed; without one, nothing has.
            if let otherwise { push(.script(otherwise, next: 0)) } else { status = 0 }
            return
        }
        if !ranCondition {
            push(.choice(branches: branches, otherwise: otherwise, ranCondition: true))
            push(.script(branch.condition, next: 0))
        } else if status == 0 {
            push(.script(branch.body, next: 0))
        } else {
            push(.choice(branches: branches.dropFirst(), otherwise: otherwise, ranCondition: false))
        }
    }

    // MARK: Loops

    /// `break` and `continue`: unwinds to the innermost loop, or to the one that many further out.
    func unwind(_ words: [String]) {
        let function = frames.lastIndex { if case .endCall = $0 { true } else { false } } ?? -1
        let loops = frames.indices.filter { $0 > function && frames[$0].isLoop }
        // As in bash, where that is no failure.
        guard let outermost = loops.first else { return complain("\(words[0]): no loop around it", status: 0) }
        guard words.count <= 2, let count = words.count == 2 ? Int(words[1]) : 1 else {
            complain("\(words[0]): '\(words[1...].joined(separator: " "))' is not a number of loops")
            return giveUpLine(words.count == 2 ? 128 : 1)
        }
        guard count > 0 else {
            complain("\(words[0]): \(count) is not a number of loops")
            drop(from: outermost)
            status = 1
            return
        }
        let index = count <= loops.count ? loops[loops.count - count] : outermost
        drop(from: words[0] == "continue" ? index + 1 : index)
        status = 0
    }
}

extension Execution.Frame {
    var isLoop: Bool {
        switch self {
        case .forLoop, .whileLoop, .countedLoop, .selectRound: true
        case .debugged(let inner): inner.isLoop
        default: false
        }
    }

    /// Whether it does something once more: a loop with no words left does not.
    var isDue: Bool {
        switch self {
        case .forLoop(_, let values, _, _): !values.isEmpty
        case .countedLoop(let loop, .first, _): loop.first != nil
        case .countedLoop(let loop, .condition, _): loop.condition != nil
        case .countedLoop(let loop, .step, _): loop.step != nil
        default: true
        }
    }
}
