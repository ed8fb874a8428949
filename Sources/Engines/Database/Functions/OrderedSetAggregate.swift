import KernelSQLite
import KernelWire

/// `percentile_cont`, `percentile_disc` and `mode`: one value out of a group's values in their order.
final class OrderedSetAggregate: SQLiteAggregate {
    enum Kind: String, CaseIterable {
        case percentileCont = "percentile_cont"
        case percentileDisc = "percentile_disc"
        case mode
    }

    private let kind: Kind
    private var values: [SQLiteValue] = []
    private var type = PostgresOID.text
    private var isDescending = false
    private var fraction: Double?
    private var byteCount = 0

    /// Bytes of one group's values.
    private static let byteLimit = 512 << 20

    init(_ kind: Kind) { self.kind = kind }

    func step(_ arguments: SQLiteArguments) throws {
        if values.isEmpty {
            type = PostgresOID(rawValue: UInt32(truncatingIfNeeded: arguments.integer(1)))
            isDescending = arguments.integer(2) != 0
            fraction = arguments.isNull(3) ? nil : arguments.real(3)
        }
        guard !arguments.isNull(0) else { return }
        let value = arguments[0]
        byteCount += value.byteCount
        guard byteCount < Self.byteLimit else { throw PostgresError(.outOfMemory, "out of memory") }
        values.append(value)
    }

    func finish() throws -> SQLiteValue {
        if kind != .mode, let fraction, !(0...1).contains(fraction) {
            throw PostgresError(
                .numericValueOutOfRange, "percentile value \(fraction) is not between 0 and 1")
        }
        guard !values.isEmpty else { return .null }
        let sign = isDescending ? -1 : 1
        values.sort { DatumOrder.compare($0, $1, type) * sign < 0 }
        switch kind {
        case .mode: return mostFrequent
        case .percentileDisc:
            guard let fraction else { return .null }
            return values[max(0, Int((fraction * Double(values.count)).rounded(.up)) - 1)]
        case .percentileCont:
            guard let fraction else { return .null }
            let place = fraction * Double(values.count - 1)
            let (low, high) = (number(Int(place.rounded(.down))), number(Int(place.rounded(.up))))
            return DatumCoding.real(low + (high - low) * (place - place.rounded(.down)))
        }
    }

    private func number(_ index: Int) -> Double {
        switch values[index] {
        case .real(let value): value
        case .integer(let value): Double(value)
        default: .nan
        }
    }

    /// The first of those that are there most often.
    private var mostFrequent: SQLiteValue {
        var best = (value: values[0], count: 0)
        var start = 0
        for index in values.indices where index + 1 == values.count || !isSame(index, index + 1) {
            if index + 1 - start > best.count { best = (values[start], index + 1 - start) }
            start = index + 1
        }
        return best.value
    }

    private func isSame(_ a: Int, _ b: Int) -> Bool { DatumOrder.compare(values[a], values[b], type) == 0 }
}
