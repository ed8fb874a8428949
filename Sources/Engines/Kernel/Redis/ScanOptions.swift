import KernelWire

/// What `SCAN` and its like are told: where to go on, how far, and what is wanted.
public struct ScanOptions {
    /// As the client gave it; 0 begins.
    public private(set) var cursor: UInt64
    public private(set) var pattern: [UInt8]?
    /// How many elements to look at.
    public private(set) var count = 10
    /// In lower case; nil: every type.
    public private(set) var type: String?

    public struct Failure: Error, Sendable {
        /// The error as it is replied.
        public let text: String
    }

    /// Reads `cursor [MATCH pattern] [COUNT n] [TYPE type]`.
    ///
    /// - Parameters:
    ///   - index: where the cursor stands.
    ///   - hasType: whether TYPE is known.
    public static func read(_ arguments: RESPArguments, from index: Int, hasType: Bool = true)
        -> Result<ScanOptions, Failure>
    {
        guard let cursor = number(arguments[index]) else { return .failure(.init(text: "ERR invalid cursor")) }
        var options = ScanOptions(cursor: cursor)
        var index = index + 1
        while index < arguments.count {
            guard index + 1 < arguments.count else { return .failure(.init(text: Complaint.syntax)) }
            if arguments.isWord(index, "MATCH") {
                options.pattern = arguments.bytes(index + 1)
            } else if arguments.isWord(index, "COUNT") {
                guard let number = arguments.integer(index + 1) else { return .failure(.init(text: Complaint.integer)) }
                guard number >= 1 else { return .failure(.init(text: Complaint.syntax)) }
                options.count = number
            } else if hasType, arguments.isWord(index, "TYPE") {
                options.type = arguments.text(index + 1).lowercased()
            } else {
                return .failure(.init(text: Complaint.syntax))
            }
            index += 2
        }
        return .success(options)
    }

    private init(cursor: UInt64) { self.cursor = cursor }

    public func isOf(type: String) -> Bool { self.type == nil || self.type == type }

    public func matches(_ name: UnsafeRawBufferPointer) -> Bool {
        pattern.map { GlobMatch.matches(name, $0) } ?? true
    }

    /// As C's `strtoul` reads it, which Redis does: nothing is 0, and a sign turns the number round.
    private static func number(_ argument: UnsafeRawBufferPointer) -> UInt64? {
        let bytes = argument.prefix { $0 != 0 }
        let sign = bytes.first.flatMap { $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "+") ? $0 : nil }
        let digits = bytes.dropFirst(sign == nil ? 0 : 1)
        if bytes.isEmpty { return 0 }
        guard !digits.isEmpty, digits.allSatisfy({ (48...57).contains($0) }),
            let number = UInt64(String(decoding: digits, as: UTF8.self))
        else { return nil }
        return sign == UInt8(ascii: "-") ? 0 &- number : number
    }
}
