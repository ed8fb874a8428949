import KernelWire

/// The options of `SET` and `GETEX`; which of them exclude each other.
public struct SetOptions {
    public enum Allowed: Sendable { case set, getEX }
    public enum Condition: Sendable { case ifThere, ifAbsent }
    public enum End: Sendable { case none, at(Int), notANumber, invalid }

    public private(set) var condition: Condition?
    public private(set) var returnsOld = false
    public private(set) var keepsExpiry = false
    public private(set) var persists = false
    /// Which argument is the end's number, and how it counts. The same unit may stand there again; the last one counts.
    private var number: (index: Int, unit: Unit)?

    private struct Unit: Equatable {
        let isMilliseconds: Bool
        let isAbsolute: Bool
    }

    /// Nil where they make no sense.
    public init?(_ arguments: RESPArguments, from start: Int, allowed: Allowed) {
        var index = start
        while index < arguments.count {
            if allowed == .set, condition != .ifThere, arguments.isWord(index, "NX") {
                condition = .ifAbsent
            } else if allowed == .set, condition != .ifAbsent, arguments.isWord(index, "XX") {
                condition = .ifThere
            } else if allowed == .set, arguments.isWord(index, "GET") {
                returnsOld = true
            } else if allowed == .set, number == nil, arguments.isWord(index, "KEEPTTL") {
                keepsExpiry = true
            } else if allowed == .getEX, number == nil, arguments.isWord(index, "PERSIST") {
                persists = true
            } else if !keepsExpiry, !persists, index + 1 < arguments.count, let unit = Self.unit(arguments, index),
                number.map({ $0.unit == unit }) ?? true
            {
                number = (index + 1, unit)
                index += 1
            } else {
                return nil
            }
            index += 1
        }
    }

    private static func unit(_ arguments: RESPArguments, _ index: Int) -> Unit? {
        if arguments.isWord(index, "EX") { return Unit(isMilliseconds: false, isAbsolute: false) }
        if arguments.isWord(index, "PX") { return Unit(isMilliseconds: true, isAbsolute: false) }
        if arguments.isWord(index, "EXAT") { return Unit(isMilliseconds: false, isAbsolute: true) }
        if arguments.isWord(index, "PXAT") { return Unit(isMilliseconds: true, isAbsolute: true) }
        return nil
    }

    /// When the value ends, as its options say: milliseconds since 1970.
    public func expiry(_ arguments: RESPArguments, now: Int) -> End {
        guard let number else { return .none }
        guard let value = arguments.integer(number.index) else { return .notANumber }
        guard value > 0,
            let end = Expiry.end(value, number.unit.isMilliseconds, isAbsolute: number.unit.isAbsolute, now: now)
        else { return .invalid }
        return .at(end)
    }
}
