import TimeSeriesEngine

/// Which of a store's copies answer a selection, and for which time each.
struct TierPlan {
    /// A stretch of time, `after` not included, that one copy answers.
    struct Part {
        /// Nil for the samples themselves.
        let tier: Tier?
        let after: Int64
        let through: Int64
    }

    /// In the order of their times; the last one is the samples themselves.
    let parts: [Part]
    let use: Use

    /// What of the copies a function needs.
    enum Use: Equatable {
        /// Values at the moments of evaluation.
        case moments
        /// One figure, at the ends of windows.
        case ends(Tier.Figure)
        /// One figure, in the middle of windows; with the number of samples that are in it.
        case middles(Tier.Figure, isWeighted: Bool)

        /// Nil where a thinned copy would give something else.
        init?(_ selection: Selection) {
            switch (selection.function, selection.rangeMilliseconds) {
            case ("timestamp", 0): return nil
            case (_, 0): self = .moments
            case ("rate", _), ("increase", _): self = .ends(.counter)
            case ("min_over_time", _): self = .middles(.min, isWeighted: false)
            case ("max_over_time", _): self = .middles(.max, isWeighted: false)
            case ("sum_over_time", _): self = .middles(.sum, isWeighted: false)
            case ("avg_over_time", _), ("count_over_time", _): self = .middles(.sum, isWeighted: true)
            case ("last_over_time", _), ("present_over_time", _), ("absent_over_time", _), ("delta", _), ("deriv", _),
                ("predict_linear", _):
                self = .ends(.last)
            default: return nil
            }
        }
    }

    /// A range has so many windows at least, and a time so many that it is worth to read a copy instead.
    private static let rangeWindows: Int64 = 6
    private static let timeWindows: Int64 = 288

    /// Nil where the samples themselves are what is wanted.
    ///
    /// - Parameters:
    ///   - tiers: by their widths, rising.
    ///   - rawStart: when the samples begin; nil if there are none.
    init?(_ selection: Selection, _ tiers: [Tier], rawStart: Int64?) {
        guard let use = Use(selection) else { return nil }
        self.use = use
        let present = tiers.filter { $0.end != nil }
        let finest =
            use == .moments ? selection.stepMilliseconds : selection.rangeMilliseconds / Self.rangeWindows
        let time = selection.through - selection.from
        let chosen = present.lastIndex {
            let start = $0.start ?? .max
            return $0.widthMilliseconds <= finest && time / $0.widthMilliseconds > Self.timeWindows
                && (start <= selection.from || start <= rawStart ?? .max)
        }
        var parts: [Part] = []
        var end = selection.from - 1
        func add(_ tier: Tier?, until through: Int64) {
            let through = min(through, selection.through)
            guard through > end else { return }
            parts.append(Part(tier: tier, after: end, through: through))
            end = through
        }
        // Coarser ones up to where the chosen one begins, then finer ones from where it ends.
        let before = present[(chosen.map { $0 + 1 } ?? 0)...]
        for (index, tier) in before.enumerated().reversed() {
            let next =
                index > 0
                ? before[before.startIndex + index - 1].start
                : chosen.map { present[$0].start ?? .max } ?? rawStart.map { $0 - 1 }
            add(tier, until: min(tier.end ?? .min, next ?? .max))
        }
        if let chosen { for tier in present[...chosen].reversed() { add(tier, until: tier.end ?? .min) } }
        guard parts.contains(where: { $0.tier != nil }) else { return nil }
        add(nil, until: .max)
        if parts.last?.tier != nil { parts.append(Part(tier: nil, after: end, through: end)) }
        self.parts = parts
    }
}
