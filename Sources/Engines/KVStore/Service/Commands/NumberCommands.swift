import KVStoreEngine
import KernelHosting
import KernelStructures
import KernelWire

extension KVServer {
    var numberCommands: [RESPCommand] {
        let group = "string"
        let flags: RESPCommand.Flags = [.write, .denyOutOfMemory, .fast]
        return [
            command("incr", 2, flags, group: group, "Add one to a number") { server, connection, arguments in
                try NumberCommands.add(1, server, connection, arguments)
            },
            command("decr", 2, flags, group: group, "Take one from a number") { server, connection, arguments in
                try NumberCommands.add(-1, server, connection, arguments)
            },
            command("incrby", 3, flags, group: group, "Add to a number", NumberCommands.incrementBy),
            command("decrby", 3, flags, group: group, "Take from a number", NumberCommands.decrementBy),
            command(
                "incrbyfloat", 3, flags, group: group, "Add to a floating-point number",
                NumberCommands.incrementByFloat),
        ]
    }
}

enum NumberCommands {
    static func add(
        _ amount: Int, _ server: KVServer, _ connection: RESPServerConnection, _ arguments: RESPArguments
    ) throws(KVStoreError) {
        let old = try server.keys.read(arguments[1]) { payload, expiry in (RESPNumber.integer(payload), expiry) }
        guard let number = old == nil ? 0 : old?.0 else { return connection.reply.error(Complaint.integer) }
        let (sum, overflowed) = number.addingReportingOverflow(amount)
        if overflowed { return connection.reply.error(Complaint.overflow) }
        try server.keys.put(arguments[1], Array(String(sum).utf8), expiry: old?.1 ?? 0)
        connection.reply.integer(sum)
    }

    static func incrementBy(_ server: KVServer, _ connection: RESPServerConnection, _ arguments: RESPArguments)
        throws(KVStoreError)
    {
        guard let amount = arguments.integer(2) else { return connection.reply.error(Complaint.integer) }
        try add(amount, server, connection, arguments)
    }

    static func decrementBy(_ server: KVServer, _ connection: RESPServerConnection, _ arguments: RESPArguments)
        throws(KVStoreError)
    {
        guard let amount = arguments.integer(2) else { return connection.reply.error(Complaint.integer) }
        guard amount != .min else { return connection.reply.error("ERR decrement would overflow") }
        try add(-amount, server, connection, arguments)
    }

    static func incrementByFloat(_ server: KVServer, _ connection: RESPServerConnection, _ arguments: RESPArguments)
        throws(KVStoreError)
    {
        let old = try server.keys.read(arguments[1]) { payload, expiry in (LongNumber(payload), expiry) }
        guard let number = old == nil ? LongNumber(0) : old?.0, let amount = LongNumber(arguments[2]) else {
            return connection.reply.error(Complaint.float)
        }
        let sum = number + amount
        guard sum.isFinite else { return connection.reply.error("ERR increment would produce NaN or Infinity") }
        let text = sum.text
        try server.keys.put(arguments[1], Array(text.utf8), expiry: old?.1 ?? 0)
        connection.reply.bulk(text)
    }
}

/// What INCRBYFLOAT adds up: Redis uses C's `long double`, which has 64 binary digits on an x86, 53 or more elsewhere.
struct LongNumber {
    #if arch(x86_64)
        private typealias Value = Float80
    #else
        private typealias Value = Double
    #endif
    private let value: Value

    init(_ number: Int) { value = Value(number) }
    private init(_ value: Value) { self.value = value }

    init?(_ bytes: UnsafeRawBufferPointer) {
        guard let near = RESPNumber.double(bytes) else { return nil }
        value = near.isFinite ? Value(String(decoding: bytes, as: UTF8.self)) ?? Value(near) : Value(near)
    }

    static func + (a: LongNumber, b: LongNumber) -> LongNumber { LongNumber(a.value + b.value) }
    var isFinite: Bool { value.isFinite }

    /// Without an exponent, with at most 17 digits after the point, and none that is not needed.
    var text: String {
        if abs(value) >= 0x1p63 { return (value < 0 ? "-" : "") + wholeDigits }
        if Value.self == Double.self {
            let text = RESPNumber.text(Double(value))
            return text.contains("e") ? trimmedDecimal(Double(value), places: 17) : text
        }
        var whole = UInt64(abs(value).rounded(.towardZero))
        var fraction = UInt64(((abs(value) - Value(whole)) * 1e17).rounded())
        if fraction >= 100_000_000_000_000_000 {
            whole += 1
            fraction = 0
        }
        var digits = String(fraction)
        digits = String(repeating: "0", count: 17 - digits.count) + digits
        while digits.hasSuffix("0") { digits.removeLast() }
        let isZero = whole == 0 && digits.isEmpty
        return (value < 0 && !isZero ? "-" : "") + String(whole) + (digits.isEmpty ? "" : "." + digits)
    }

    /// All digits of a number that is too large to have a fraction: its significand, doubled as often as its exponent
    /// says, nine digits a place.
    private var wholeDigits: String {
        var doublings = Int(value.exponent) - 63
        var scaled = abs(value)
        for _ in 0..<max(0, doublings) { scaled /= 2 }
        var rest = UInt64(scaled)
        var places: [UInt64] = []
        while rest > 0 {
            places.append(rest % 1_000_000_000)
            rest /= 1_000_000_000
        }
        while doublings > 0 {
            var carry: UInt64 = 0
            for index in places.indices {
                let doubled = places[index] * 2 + carry
                places[index] = doubled % 1_000_000_000
                carry = doubled / 1_000_000_000
            }
            if carry > 0 { places.append(carry) }
            doublings -= 1
        }
        return places.reversed().enumerated().map { index, place in
            let digits = String(place)
            return index == 0 ? digits : String(repeating: "0", count: 9 - digits.count) + digits
        }.joined()
    }
}
