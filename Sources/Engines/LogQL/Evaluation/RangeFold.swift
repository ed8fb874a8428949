/// Figures of the windows of a range aggregation, without keeping what is in them.
///
/// Windows overlap: with a range of an hour and a step of 15 seconds every line is in 240 of them. So the time line is
/// cut at all edges of windows into *panes*, as a window is by its bars; a line is added to the figures of its one
/// pane, and a window's are those of its panes, one merged with the next. Windows move, panes come in at one side and
/// go out at the other, and what has gone in cannot be subtracted (a maximum, or a sum of numbers with rounding): so
/// they are kept on two stacks, of which the front one holds at each place all that lie above it merged already. Each
/// pane is merged twice, however many windows it is in. (Tangwongsan, Hirzel, Schneider: "Low-Latency Sliding-Window
/// Aggregation in Worst-Case Constant Time", DEBS 2017, section 2, two stacks.)
struct PaneTable: Sendable {
    /// All edges of windows in rising order, nanoseconds since 1970. Pane `k` is `(edges[k], edges[k + 1]]`.
    let edges: [Int64]
    /// Of each window, the first pane and the one behind the last.
    let windows: [Range<Int>]
    private let isWanted: [Bool]

    /// - Parameters:
    ///   - ends: where the windows end, in rising order.
    ///   - range: how long each of them is.
    init(ends: [Int64], range: Int64) {
        var edges: [Int64] = []
        edges.reserveCapacity(2 * ends.count)
        // Two rising lists into one.
        var start = 0
        for end in ends {
            while start < ends.count, ends[start] - range <= end {
                let edge = ends[start] - range
                if edges.last != edge { edges.append(edge) }
                start += 1
            }
            if edges.last != end { edges.append(end) }
        }
        self.edges = edges
        var windows: [Range<Int>] = []
        windows.reserveCapacity(ends.count)
        var isWanted = [Bool](repeating: false, count: max(0, edges.count - 1))
        var first = 0
        var last = 0
        for end in ends {
            while edges[first] < end - range { first += 1 }
            while edges[last] < end { last += 1 }
            windows.append(first..<last)
        }
        for window in windows.reversed() {
            // Later ones have marked what they share.
            for pane in window {
                if isWanted[pane] { break }
                isWanted[pane] = true
            }
        }
        self.windows = windows
        self.isWanted = isWanted
    }

    /// The pane of a time; nil if no window has it.
    ///
    /// - Parameter near: where to look first.
    func pane(_ time: Int64, near: Int) -> Int? {
        if near >= 0, near < isWanted.count, edges[near] < time, time <= edges[near + 1] {
            return isWanted[near] ? near : nil
        }
        var low = 0
        var high = edges.count
        while low < high {
            let middle = (low + high) / 2
            if edges[middle] < time { low = middle + 1 } else { high = middle }
        }
        let pane = low - 1
        return pane >= 0 && pane < isWanted.count && isWanted[pane] ? pane : nil
    }
}

/// What is known of the numbers in a stretch of time.
struct RangeFigures: Equatable, Sendable {
    var count = 0.0
    var sum = 0.0
    var minimum = Double.infinity
    var maximum = -Double.infinity
    /// For the variance: the mean, and the sum of the squared distances from it.
    var mean = 0.0
    var squares = 0.0
    var firstTime = Int64.max
    var first = 0.0
    var lastTime = Int64.min
    var last = 0.0
    /// Of a counter, what it had counted before it began anew.
    var correction = 0.0

    /// One number more; those of one pane come in rising time.
    mutating func add(_ value: Double, at time: Int64) {
        if count > 0, time >= lastTime, value < last { correction += last }
        count += 1
        sum += value
        if value < minimum || minimum.isNaN { minimum = value }
        if value > maximum || maximum.isNaN { maximum = value }
        let delta = value - mean
        mean += delta / count
        squares += delta * (value - mean)
        if time < firstTime {
            firstTime = time
            first = value
        }
        if time >= lastTime {
            lastTime = time
            last = value
        }
    }

    /// These, and then others that are later.
    func merged(_ later: RangeFigures) -> RangeFigures {
        if count == 0 { return later }
        if later.count == 0 { return self }
        var result = self
        result.count += later.count
        result.sum += later.sum
        if later.minimum < minimum || minimum.isNaN { result.minimum = later.minimum }
        if later.maximum > maximum || maximum.isNaN { result.maximum = later.maximum }
        // Chan, Golub, LeVeque: "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances", 1979.
        let delta = later.mean - mean
        result.mean += delta * (later.count / result.count)
        result.squares += later.squares + delta * delta * (count * later.count / result.count)
        result.correction += later.correction + (later.first < last ? last : 0)
        result.last = later.last
        result.lastTime = later.lastTime
        return result
    }
}

/// The figures of a window that moves.
struct SlidingFigures {
    /// The oldest pane last, each with all that follow it here.
    private var front: [(pane: Int, figures: RangeFigures)] = []
    private var back: [(pane: Int, figures: RangeFigures)] = []
    private var backSum = RangeFigures()

    mutating func push(_ pane: Int, _ figures: RangeFigures) {
        back.append((pane, figures))
        backSum = backSum.merged(figures)
    }

    /// Forgets the panes before `pane`.
    mutating func drop(before pane: Int) {
        while let oldest = front.last?.pane ?? back.first?.pane, oldest < pane {
            if front.isEmpty { turn() }
            front.removeLast()
        }
    }

    private mutating func turn() {
        var sum = RangeFigures()
        for item in back.reversed() {
            sum = item.figures.merged(sum)
            front.append((item.pane, sum))
        }
        back.removeAll(keepingCapacity: true)
        backSum = RangeFigures()
    }

    var total: RangeFigures { front.last.map { $0.figures.merged(backSum) } ?? backSum }
}
