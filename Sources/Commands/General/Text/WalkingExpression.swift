import KernelRegularExpressions

/// An expression that is found by walking one way through it after another: what RE2 cannot do in linear time, `\1` and
/// looking around, and what it has no word for, the beginning (`\<`) and the end (`\>`) of a word.
///
/// It is the machine of Pike and Thompson with a stack of places to go back to (Cox, "Regular Expression Matching: the
/// Virtual Machine Approach", 2009). Without `\1` it remembers where it has been, and takes time in proportion to the
/// text; with it, the steps are counted, and when there are too many of them it gives up and says so.
final class WalkingExpression {
    let groupCount: Int
    /// Why the last answers cannot be trusted; nil where they can.
    private(set) var failure: String?

    private let program: WalkingProgram
    private var stepsLeft = 0

    /// Steps for a text, and for each of its bytes.
    private static let stepLimit = 5_000_000
    private static let stepsPerByte = 500
    /// Steps for any text, a few seconds of them.
    private static let mostSteps = 30_000_000
    /// Places that are remembered, at some 32 bytes each.
    private static let visitLimit = 4_000_000
    private static let depthLimit = 20

    init(
        _ pattern: String, _ dialect: RegularExpression.Dialect, _ options: RegularExpression.Options, isWord: Bool
    ) throws(WalkingError) {
        var parser = WalkingParser(pattern, dialect, options)
        var node = try parser.parse()
        if isWord { node = .sequence([.check(.noWordBefore), node, .check(.noWordBehind)]) }
        groupCount = parser.groupCount
        program = try WalkingProgram(
            node, groupCount: parser.groupCount, ignoresCase: options.ignoresCase, dialect != .perl)
    }

    /// Whether a pattern of `grep` or `sed` tells the beginning of a word from its end where a mere edge would not do.
    /// Before `\>` and behind `\<` a letter or digit makes an edge of a word the right one.
    static func tellsWordEnds(_ pattern: String) -> Bool {
        let text = Array(pattern.utf8)
        func isWord(_ place: Int) -> Bool {
            guard text.indices.contains(place) else { return false }
            let byte = text[place]
            return (48...57).contains(byte) || (65...90).contains(byte & 0xDF) || byte == 95
        }
        func isRepeated(_ place: Int) -> Bool {
            guard text.indices.contains(place) else { return false }
            if "*?{".utf8.contains(text[place]) { return true }
            return text[place] == 92 && place + 1 < text.count && "?{".utf8.contains(text[place + 1])
        }
        var place = 0
        while place + 1 < text.count {
            guard text[place] == 92 else {
                place += 1
                continue
            }
            let sign = text[place + 1]
            if sign == 60, !(isWord(place + 2) && !isRepeated(place + 3)) { return true }
            if sign == 62, !(isWord(place - 1) && !(place > 1 && text[place - 2] == 92)) { return true }
            place += 2
        }
        return false
    }

    /// The first match that begins at `offset` or later; of several there the longest, as POSIX wants it, or in Perl's
    /// dialect the one that is found first.
    ///
    /// - Parameter isWhole: it must be all of the text.
    func firstMatch(in text: UnsafeRawBufferPointer, from offset: Int = 0, isWhole: Bool = false) -> LineMatch? {
        if offset == 0 || stepsLeft <= 0 {
            stepsLeft = min(Self.mostSteps, Self.stepLimit + Self.stepsPerByte * text.count)
        }
        failure = nil
        var visited: Set<Int> = []
        var start = offset
        while start <= text.count {
            var registers = Array(repeating: -1, count: program.registerCount)
            registers[0] = start
            if let end = walk(text, 0, start, &registers, &visited, endsAt: isWhole ? text.count : nil, 0) {
                return match(registers, end)
            }
            if isWhole || failure != nil { return nil }
            start += 1
            while start < text.count, text[start] & 0xC0 == 0x80 { start += 1 }
        }
        return nil
    }

    private func match(_ registers: [Int], _ end: Int) -> LineMatch? {
        guard registers[0] <= end else { return nil }
        let groups = (0..<groupCount).map { index -> Range<Int>? in
            let (low, high) = (registers[2 * index + 2], registers[2 * index + 3])
            return low >= 0 && high >= low ? low..<high : nil
        }
        return LineMatch(range: registers[0]..<end, groups: groups)
    }

    /// A place to go back to, or where `step` is negative, what a register held before.
    private struct Fork {
        let step: Int
        let value: Int
    }

    private func walk(
        _ text: UnsafeRawBufferPointer, _ first: Int, _ start: Int, _ registers: inout [Int], _ visited: inout Set<Int>,
        endsAt wantedEnd: Int?, _ depth: Int
    ) -> Int? {
        var forks = [Fork(step: first, value: start)]
        var best: (end: Int, registers: [Int])?
        func set(_ register: Int, _ value: Int) {
            forks.append(Fork(step: -1 - register, value: registers[register]))
            registers[register] = value
        }
        while let fork = forks.popLast() {
            if fork.step < 0 {
                registers[-1 - fork.step] = fork.value
                continue
            }
            var step = fork.step
            var place = fork.value
            way: while true {
                stepsLeft -= 1
                if stepsLeft <= 0 || depth > Self.depthLimit || visited.count > Self.visitLimit {
                    failure =
                        "the pattern tries too many ways here; one without \\1, or with less before it, ends sooner"
                    return nil
                }
                switch program.steps[step] {
                case .character(let index):
                    guard let (scalar, length) = WalkingText.scalar(text, place), program.contains(index, scalar) else {
                        break way
                    }
                    place += length
                    step += 1
                case .split(let wanted, let other):
                    // Where this was tried before, it led nowhere.
                    if program.remembers, !visited.insert(step * (text.count + 1) + place).inserted { break way }
                    forks.append(Fork(step: other, value: place))
                    step = wanted
                case .jump(let target): step = target
                case .save(let register):
                    set(register, place)
                    step += 1
                case .leaveIfEmpty(let register, let exit):
                    step = registers[register] == place ? exit : step + 1
                case .check(let check):
                    guard WalkingText.holds(check, text, place) else { break way }
                    step += 1
                case .backReference(let number):
                    guard let length = repeated(text, number, registers, place) else { break way }
                    place += length
                    step += 1
                case .look(let look):
                    var inner = registers
                    let isFound = found(look, text, step + 1, place, &inner, depth)
                    if failure != nil { return nil }
                    guard (isFound != nil) != look.isNegated else { break way }
                    if let end = isFound {
                        for index in inner.indices.dropFirst() where inner[index] != registers[index] {
                            set(index, inner[index])
                        }
                        if look.kind == .atomic { place = end }
                    }
                    step = look.next
                case .match:
                    if let wantedEnd, place != wantedEnd { break way }
                    guard program.isLongest, wantedEnd == nil else { return place }
                    if place > best?.end ?? -1 { best = (place, registers) }
                    break way
                }
            }
        }
        guard let best else { return nil }
        registers = best.registers
        return best.end
    }

    /// What is looked for around a place; where it ends.
    private func found(
        _ look: WalkingLook, _ text: UnsafeRawBufferPointer, _ first: Int, _ place: Int, _ registers: inout [Int],
        _ depth: Int
    ) -> Int? {
        var visited: Set<Int> = []
        guard look.kind == .behind else {
            return walk(text, first, place, &registers, &visited, endsAt: nil, depth + 1)
        }
        var start = place
        for width in 0...look.widths.upperBound {
            if width >= look.widths.lowerBound {
                visited = []
                if let end = walk(text, first, start, &registers, &visited, endsAt: place, depth + 1) { return end }
            }
            guard start > 0 else { return nil }
            start -= 1
            while start > 0, text[start] & 0xC0 == 0x80 { start -= 1 }
        }
        return nil
    }

    /// How long what a group matched is, if it stands there again.
    private func repeated(
        _ text: UnsafeRawBufferPointer, _ number: Int, _ registers: [Int], _ place: Int
    ) -> Int? {
        let (low, high) = (registers[2 * number], registers[2 * number + 1])
        guard low >= 0, high >= low, place + high - low <= text.count else { return nil }
        stepsLeft -= (high - low) / 16
        for index in 0..<(high - low) {
            let (a, b) = (text[low + index], text[place + index])
            guard a == b || program.ignoresCase && a | 32 == b | 32 && (97...122).contains(a | 32) else { return nil }
        }
        return high - low
    }
}

/// What is wrong with a pattern.
struct WalkingError: Error, CustomStringConvertible {
    let description: String
}
