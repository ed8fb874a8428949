import KernelStorage
import TimeSeriesEngine

// Thinned copies: when they are made, and when they answer.
extension TimeSeriesStore {
    /// - Throws: `DiskError`.
    func openTiers() throws(DiskError) {
        guard let files else { return }
        for tier in settings.tiers.sorted(by: { $0.widthMilliseconds < $1.widthMilliseconds }) {
            let opened = try Tier(tier, settings, disk: files.disk, directory: files.directory, random: &files.random)
            for problem in opened.problems { note(problem) }
            tiers.append(opened)
        }
    }

    /// Goes on thinning, or begins a day; false if nothing was due.
    func maintainTiers(now: Int64) throws -> Bool {
        if let job = tierJob {
            do {
                if job.isOutdated {
                    job.abandon()
                    tierJob = nil
                } else if try !job.advance() {
                    tierJob = nil
                    statistics.thinnedDays += 1
                }
                return true
            } catch {
                job.abandon()
                tierJob = nil
                throw error
            }
        }
        for tier in tiers {
            guard let (from, through) = dueDay(tier) else { continue }
            let own = blocks.filter { $0.meta.minTime <= through && $0.meta.maxTime > from }
            if own.isEmpty {
                tier.skip(to: through)
                return true
            }
            tierJob = try TierJob(tier, from: from, through: through, own, now: now)
            return true
        }
        for tier in tiers where tier.maintain(now: now) { return true }
        return false
    }

    /// The next day that is wholly in blocks.
    private func dueDay(_ tier: Tier) -> (from: Int64, through: Int64)? {
        guard let first = blocks.first?.meta.minTime, let last = blocks.map(\.meta.maxTime).max() else { return nil }
        let day = settings.tierBlockMilliseconds
        // What stands at the beginning is the end of a window.
        let from = tier.covered ?? SampleTime.floor(first - 1, to: tier.widthMilliseconds)
        let through = SampleTime.floor(from, to: day) + day
        // A window has its end, which lies in the next block.
        return through < last ? (from, through) : nil
    }

    /// Blocks of before that may go: what is not thinned yet may not.
    var thinnedThrough: Int64 {
        tiers.map { tier in tier.covered ?? .min }.min() ?? .max
    }

    /// The series of a selection from the copies that a plan names.
    func select(
        _ matchers: [LabelMatcher], _ selection: Selection, _ plan: TierPlan
    ) throws(QueryableError) -> [SelectedSeries] {
        var found: [Labels: [TieredSeries.Part]] = [:]
        let empty = plan.parts.map { TieredSeries.Part(plan: $0) }
        func take(
            _ list: [SelectedSeries], _ index: Int, _ place: WritableKeyPath<TieredSeries.Part, SelectedSeries?>
        ) {
            for series in list { found[series.labels, default: empty][index][keyPath: place] = series }
        }
        for (index, part) in plan.parts.enumerated() {
            var own = selection
            own.from = part.after + 1
            own.through = part.through
            guard let tier = part.tier else {
                // The last values before may still be the present ones.
                if plan.use == .moments { own.from -= selection.lookbackMilliseconds }
                own.through = selection.through
                if own.from <= own.through { take(try selectSamples(matchers, own), index, \.series) }
                continue
            }
            // A window stands a millisecond before its end, and may have begun before what is asked for.
            own.from -= plan.use == .moments ? tier.widthMilliseconds : 1
            own.through -= 1
            if case .middles = plan.use, part.through == selection.through {
                own.through += tier.widthMilliseconds / 2
            }
            take(try tier.select(plan.use.figure, matchers, own), index, \.series)
            if plan.use == .middles(.sum, isWeighted: true) {
                take(try tier.select(.count, matchers, own), index, \.counts)
            }
            if plan.use == .ends(.counter), index + 2 == plan.parts.count {
                own.from = own.through - settings.tierBlockMilliseconds
                take(try tier.select(.last, matchers, own), index + 1, \.last)
            }
        }
        if found.count > selection.seriesLimit { throw .tooManySeries(limit: selection.seriesLimit) }
        return found.sorted { $0.key < $1.key }.map { labels, parts in
            SelectedSeries(
                labels: labels,
                source: TieredSeries(
                    parts: parts, use: plan.use, first: selection.from + selection.lookbackMilliseconds,
                    step: selection.stepMilliseconds, through: selection.through))
        }
    }
}

extension TierPlan.Use {
    var figure: Tier.Figure {
        switch self {
        case .moments: .last
        case .ends(let figure), .middles(let figure, _): figure
        }
    }
}

extension Tier {
    func select(
        _ figure: Figure, _ matchers: [LabelMatcher], _ selection: Selection
    ) throws(QueryableError) -> [SelectedSeries] {
        guard selection.from <= selection.through else { return [] }
        return try archives[figure]?.select(matchers, selection) ?? []
    }
}
