/// The number of single-character insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.
///
/// Optimal string alignment distance, O(|a|·|b|) time, three rows of memory.
public func editDistance(_ a: some StringProtocol, _ b: some StringProtocol) -> Int {
    let x = Array(a.lowercased())
    let y = Array(b.lowercased())
    if x.isEmpty || y.isEmpty { return max(x.count, y.count) }
    var beforePrevious = [Int](repeating: 0, count: y.count + 1)
    var previous = Array(0...y.count)
    var current = previous
    for i in 1...x.count {
        current[0] = i
        for j in 1...y.count {
            let replacement = previous[j - 1] + (x[i - 1] == y[j - 1] ? 0 : 1)
            current[j] = min(replacement, previous[j] + 1, current[j - 1] + 1)
            if i > 1, j > 1, x[i - 1] == y[j - 2], x[i - 2] == y[j - 1] {
                current[j] = min(current[j], beforePrevious[j - 2] + 1)
            }
        }
        (beforePrevious, previous, current) = (previous, current, beforePrevious)
    }
    return previous[y.count]
}

/// The candidate that a user who typed `word` most likely meant, if one is near enough: a third of the word's
/// length, at least one edit, or a candidate that begins with the word, which comes before all others. Ties go to the
/// first candidate.
public func suggestion(for word: some StringProtocol, among candidates: some Sequence<String>) -> String? {
    var best: (candidate: String, distance: Int)?
    let limit = max(1, word.count / 3)
    for candidate in candidates {
        let isExtension = word.count >= 2 && candidate.lowercased().hasPrefix(word.lowercased())
        let distance = isExtension ? 0 : editDistance(word, candidate)
        if distance <= limit, distance < (best?.distance ?? .max) { best = (candidate, distance) }
    }
    return best?.candidate
}

/// `; did you mean X?`, or nothing: the tail of an error message about an unknown name.
public func didYouMean(_ word: some StringProtocol, among candidates: some Sequence<String>) -> String {
    suggestion(for: word, among: candidates).map { "; did you mean \($0)?" } ?? ""
}
