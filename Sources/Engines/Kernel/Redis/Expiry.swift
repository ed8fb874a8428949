import KernelWire

/// Ends of keys, as commands state them.
public enum Expiry {
    /// Milliseconds since 1970; nil where 64 bits do not suffice.
    public static func end(_ number: Int, _ isMilliseconds: Bool, isAbsolute: Bool, now: Int) -> Int? {
        let (milliseconds, overflowed) = isMilliseconds ? (number, false) : number.multipliedReportingOverflow(by: 1000)
        if overflowed { return nil }
        let (end, overflowedToo) = milliseconds.addingReportingOverflow(isAbsolute ? 0 : now)
        return overflowedToo ? nil : end
    }
}

/// NX, XX, GT and LT of the commands that set a key's end.
public struct ExpiryConditions {
    private var isNX = false
    private var isXX = false
    private var isGT = false
    private var isLT = false

    public init() {}

    /// Takes a word in; false where it is none of them.
    public mutating func take(_ arguments: RESPArguments, _ index: Int) -> Bool {
        if arguments.isWord(index, "NX") {
            isNX = true
        } else if arguments.isWord(index, "XX") {
            isXX = true
        } else if arguments.isWord(index, "GT") {
            isGT = true
        } else if arguments.isWord(index, "LT") {
            isLT = true
        } else {
            return false
        }
        return true
    }

    /// What is wrong with them together; nil if nothing is.
    public var complaint: String? {
        if isNX, isXX || isGT || isLT {
            return "ERR NX and XX, GT or LT options at the same time are not compatible"
        }
        return isGT && isLT ? "ERR GT and LT options at the same time are not compatible" : nil
    }

    /// Whether a key's end (0: none, which counts as later than any) may become the new one.
    public func allow(_ new: Int, _ old: Int) -> Bool {
        if isNX, old != 0 { return false }
        if isXX, old == 0 { return false }
        if isGT, old == 0 || new <= old { return false }
        return !(isLT && old != 0 && new >= old)
    }
}
