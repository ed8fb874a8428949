import KernelStructures
import TimeSeriesEngine

/// What a line says about itself, where it is a JSON object: when it was written, by whom, and how bad it is.
///
/// Only what few lines differ in becomes a label, because each combination of labels is a stream of its own: `service`
/// and `level`. Everything else stays in the line, and is found by the index.
public struct StructuredLine {
    /// Nanoseconds since 1970; nil where the line says nothing that can be understood.
    public internal(set) var time: Int64?
    public internal(set) var service = ""
    public internal(set) var level = ""

    /// Longer values are no names, and do not become labels.
    private static let nameLimitBytes = 128

    public init(_ line: UnsafeRawBufferPointer) {
        var timeRank = Int.max
        _ = JSONMembers.forEach(line) { name, value, kind in
            // By length first: most members are none of these.
            switch name.count {
            case 2 where kind != .other && Self.isName(name, "ts"): take(value, kind, rank: 1, &timeRank)
            case 4 where kind != .other && Self.isName(name, "time"): take(value, kind, rank: 2, &timeRank)
            case 9 where kind != .other && Self.isName(name, "timestamp"): take(value, kind, rank: 0, &timeRank)
            case 10 where kind != .other && Self.isName(name, "@timestamp"): take(value, kind, rank: 3, &timeRank)
            case 5 where kind == .text && Self.isName(name, "level") && value.count <= Self.nameLimitBytes:
                level = String(decoding: value, as: UTF8.self)
            case 7 where kind == .text && Self.isName(name, "service") && value.count <= Self.nameLimitBytes:
                service = String(decoding: value, as: UTF8.self)
            default: break
            }
        }
    }

    private static func isName(_ bytes: UnsafeRawBufferPointer, _ name: StaticString) -> Bool {
        name.withUTF8Buffer { $0.elementsEqual(bytes) }
    }

    private mutating func take(
        _ value: UnsafeRawBufferPointer, _ kind: JSONMembers.Kind, rank: Int, _ best: inout Int
    ) {
        guard rank < best else { return }
        let text = String(decoding: value, as: UTF8.self)
        let found = kind == .text ? LabTime(parsing: text)?.nanoseconds : Self.epoch(text)
        guard let found else { return }
        best = rank
        time = found
    }

    /// Seconds, milliseconds, microseconds or nanoseconds since 1970: whatever makes it a time of this century.
    static func epoch(_ text: String) -> Int64? {
        guard let number = Double(text), number.isFinite, number > 0 else { return nil }
        let whole = Int64(text)
        for (limit, factor) in [(9.2e9, 1e9), (9.2e12, 1e6), (9.2e15, 1e3), (9.2e18, 1.0)] where number < limit {
            if let whole { return whole * Int64(factor) }
            return fraction(text, Int64(factor)) ?? Int64(number * factor)
        }
        return nil
    }
}

extension StructuredLine {
    /// Exactly, where it is digits with a point: a `Double` is wrong by hundreds of nanoseconds.
    private static func fraction(_ text: String, _ factor: Int64) -> Int64? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2, let whole = Int64(parts[0]), parts[1].utf8.allSatisfy({ $0 &- 48 < 10 }) else {
            return nil
        }
        var rest: Int64 = 0
        var unit = factor
        for digit in parts[1].utf8 {
            unit /= 10
            rest += Int64(digit - 48) * unit
        }
        return whole * factor + rest
    }
}

/// Makes the labels of lines that say who wrote them; the combinations that came lately are kept.
public struct LineLabels {
    private let base: [(String, String)]
    private var known: [Key: Labels] = [:]

    private struct Key: Hashable {
        let service: String
        let level: String
    }

    /// More are forgotten and made again.
    private static let limit = 1024

    /// - Parameter base: what all lines of a connection or file have in common.
    public init(_ base: [(String, String)]) { self.base = base }

    public mutating func labels(of line: StructuredLine) -> Labels {
        let key = Key(service: line.service, level: line.level)
        if let found = known[key] { return found }
        if known.count >= Self.limit { known = [:] }
        var pairs = base
        if !line.service.isEmpty { pairs.append(("service", line.service)) }
        if !line.level.isEmpty { pairs.append(("level", line.level)) }
        // A stream has one label at least.
        if pairs.isEmpty { pairs.append(("job", "ndjson")) }
        let labels = Labels(pairs)
        known[key] = labels
        return labels
    }
}
