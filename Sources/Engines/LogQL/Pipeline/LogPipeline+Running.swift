import LogModelEngine
import TimeSeriesEngine

extension LogPipeline {
    /// How many stages at the beginning look at the stored line and nothing else: most lines end there, and for those
    /// no state is made.
    var leadingFilters: Int {
        stages.firstIndex { stage in
            if case .lineFilter = stage { return false }
            return true
        } ?? stages.count
    }

    /// What an index can do for it.
    var hint: LogHint {
        var hints: [LogHint] = []
        /// Labels that stages have made up; nothing can be said of those.
        var madeUp: Set<String> = []
        for stage in stages {
            switch stage {
            case _ where !stage.keepsLine: return Self.all(hints)
            case .lineFilter(let filter): if let hint = filter.hint { hints.append(hint) }
            case .search(let query): if query.hint != .anything { hints.append(query.hint) }
            case .labelFilter(let filter):
                if let hint = filter.hint(without: madeUp) { hints.append(hint) }
            case .labelFormat(let assignments): madeUp.formUnion(assignments.map(\.label))
            case .json(let extractions), .logfmt(_, _, let extractions):
                // `| json status="response.code"`: the member has another name, so only its text helps.
                madeUp.formUnion(extractions.map(\.label))
            default: break
            }
        }
        return Self.all(hints)
    }

    private static func all(_ hints: [LogHint]) -> LogHint {
        hints.isEmpty ? .anything : hints.count == 1 ? hints[0] : .all(hints)
    }
}

extension LineFilter {
    fileprivate var hint: LogHint? {
        switch operation {
        case .contains:
            var hints: [LogHint] = []
            for needle in needles {
                guard case .text(let bytes) = needle, !bytes.isEmpty else { return nil }
                hints.append(.contains(bytes))
            }
            return hints.count == 1 ? hints[0] : .any(hints)
        case .matchesPattern:
            var hints: [LogHint] = []
            for needle in needles {
                guard case .pattern(let pattern) = needle, let hint = pattern.hint else { return nil }
                hints.append(hint)
            }
            return hints.count == 1 ? hints[0] : .any(hints)
        default: return nil
        }
    }
}

extension LinePattern {
    fileprivate var hint: LogHint? {
        let literals = parts.compactMap { part -> LogHint? in
            if case .literal(let bytes) = part { return .contains(bytes) }
            return nil
        }
        return literals.isEmpty ? nil : .all(literals)
    }
}

extension LabelFilter {
    fileprivate func hint(without madeUp: Set<String>) -> LogHint? {
        switch self {
        case .text(let matcher):
            guard matcher.kind == .equal, !madeUp.contains(matcher.name), Self.isPlain(matcher.value),
                !matcher.name.hasPrefix("__")
            else { return nil }
            return .any([.field(matcher.name, matcher.value), .contains(Array(matcher.value.utf8))])
        case .all(let filters):
            let hints = filters.compactMap { $0.hint(without: madeUp) }
            return hints.isEmpty ? nil : .all(hints)
        case .any(let filters):
            let hints = filters.compactMap { $0.hint(without: madeUp) }
            return hints.count == filters.count ? .any(hints) : nil
        case .quantity, .address: return nil
        }
    }

    /// Whether a value stands in a line as it is, in whatever notation the line has: nobody escapes these.
    private static func isPlain(_ value: String) -> Bool {
        !value.isEmpty
            && value.utf8.allSatisfy { LogLexer.isLetter($0) || LogLexer.isDigit($0) || "-. :".utf8.contains($0) }
    }
}
