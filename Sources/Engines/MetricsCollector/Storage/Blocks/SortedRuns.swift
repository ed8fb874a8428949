/// Sorted lists made into one, with a pause after every piece of it: sorting a million at once would keep everybody
/// waiting for a second. (Knuth, TAOCP 5.2.4, natural merging.)
enum SortedRuns {
    /// Elements between two pauses.
    static let pieceCount = 4096

    /// - Parameter runs: each in rising order; of equal elements those of an earlier run come first.
    static func merged<Element>(
        _ runs: [[Element]], _ isBefore: (Element, Element) -> Bool, pause: () throws -> Void
    ) throws -> [Element] {
        var runs = runs
        while runs.count > 1 {
            var next: [[Element]] = []
            for index in stride(from: 0, to: runs.count, by: 2) {
                guard index + 1 < runs.count else {
                    next.append(runs[index])
                    continue
                }
                next.append(try merged(runs[index], runs[index + 1], isBefore, pause))
                (runs[index], runs[index + 1]) = ([], [])
            }
            runs = next
        }
        return runs.first ?? []
    }

    private static func merged<Element>(
        _ first: [Element], _ second: [Element], _ isBefore: (Element, Element) -> Bool, _ pause: () throws -> Void
    ) throws -> [Element] {
        var result: [Element] = []
        result.reserveCapacity(first.count + second.count)
        var (left, right) = (0, 0)
        while left < first.count, right < second.count {
            if isBefore(second[right], first[left]) {
                result.append(second[right])
                right += 1
            } else {
                result.append(first[left])
                left += 1
            }
            if result.count % pieceCount == 0 { try pause() }
        }
        result.append(contentsOf: first[left...])
        result.append(contentsOf: second[right...])
        return result
    }
}
