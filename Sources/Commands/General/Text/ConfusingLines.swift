/// Lines that are left out before two lists are compared, since they only confuse: see `LineDifference`.
enum ConfusingLines {
    private enum Verdict { case stays, goes, mayGo }

    /// Which lines of one list are to be compared with the other.
    static func stays(_ lines: [Int], beside others: [Int]) -> [Bool] {
        var counts = Array(repeating: 0, count: max(lines.max() ?? -1, others.max() ?? -1) + 1)
        for line in others { counts[line] += 1 }
        // Five times about the square root of a 64th of the lines: more often than that is often.
        var many = 5
        var rest = (lines.count / 64) >> 2
        while rest > 0 {
            many *= 2
            rest >>= 2
        }
        var verdicts = lines.map { line -> Verdict in
            counts[line] == 0 ? .goes : counts[line] > many ? .mayGo : .stays
        }
        settle(&verdicts)
        return verdicts.map { $0 == .stays }
    }

    /// A frequent line goes only in the midst of a run of lines that go anyway, and only where it is not one of too
    /// many of its kind there.
    private static func settle(_ verdicts: inout [Verdict]) {
        var start = 0
        while start < verdicts.count {
            guard verdicts[start] == .goes else {
                if verdicts[start] == .mayGo { verdicts[start] = .stays }
                start += 1
                continue
            }
            var end = start
            while end < verdicts.count, verdicts[end] != .stays { end += 1 }
            while verdicts[end - 1] == .mayGo {
                end -= 1
                verdicts[end] = .stays
            }
            let run = start..<end
            let frequent = verdicts[run].count { $0 == .mayGo }
            if frequent * 4 > run.count {
                for place in run where verdicts[place] == .mayGo { verdicts[place] = .stays }
            } else if frequent > 0 {
                keepSubruns(&verdicts, run)
                keepNearEdge(&verdicts, Array(run))
                keepNearEdge(&verdicts, run.reversed())
            }
            start = end
        }
    }

    /// Frequent lines stay where more follow one another than about the square root of a quarter of the run.
    private static func keepSubruns(_ verdicts: inout [Verdict], _ run: Range<Int>) {
        var least = 1
        var rest = run.count >> 2
        while true {
            rest >>= 2
            if rest <= 0 { break }
            least <<= 1
        }
        least += 1
        var place = run.lowerBound
        while place < run.upperBound {
            guard verdicts[place] == .mayGo else {
                place += 1
                continue
            }
            var end = place
            while end < run.upperBound, verdicts[end] == .mayGo { end += 1 }
            if end - place >= least { for inner in place..<end { verdicts[inner] = .stays } }
            place = end
        }
    }

    /// From the edge of a run inwards, frequent lines stay up to the third line in a row that goes by itself, or the
    /// first such line eight lines in.
    private static func keepNearEdge(_ verdicts: inout [Verdict], _ places: [Int]) {
        var inRow = 0
        for (depth, place) in places.enumerated() {
            if depth >= 8, verdicts[place] == .goes { return }
            switch verdicts[place] {
            case .mayGo:
                inRow = 0
                verdicts[place] = .stays
            case .stays: inRow = 0
            case .goes: inRow += 1
            }
            if inRow == 3 { return }
        }
    }
}
