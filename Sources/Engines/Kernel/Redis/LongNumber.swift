import Glibc

/// What INCRBYFLOAT adds up: C's `long double`, as in Redis, so that the digits are the same. On an x86 it has 64
/// binary digits; where Swift has no such type it is a `double`, with 53.
public struct LongNumber: Sendable {
    #if arch(x86_64)
        private typealias Value = Float80
        private static func read(_ text: UnsafePointer<CChar>, _ end: inout UnsafeMutablePointer<CChar>?) -> Value {
            strtold(text, &end)
        }
        private static let format = "%.17Lf"
    #else
        private typealias Value = Double
        private static func read(_ text: UnsafePointer<CChar>, _ end: inout UnsafeMutablePointer<CChar>?) -> Value {
            strtod(text, &end)
        }
        private static let format = "%.17f"
    #endif
    private let value: Value

    /// Bytes of the longest number: the largest has 4,933 digits before its point.
    private static let byteLimit = 5 * 1024

    public static let zero = LongNumber(0)
    private init(_ value: Value) { self.value = value }

    /// Nil for what C's `strtold` does not take as a whole, for what is too large or too small for the type, and for
    /// what is no number.
    public init?(_ bytes: UnsafeRawBufferPointer) {
        guard let first = bytes.first, bytes.count < Self.byteLimit, first != 32, !(9...13).contains(first) else {
            return nil
        }
        var text = bytes.map { CChar(bitPattern: $0) }
        text.append(0)
        let read = text.withUnsafeBufferPointer { text -> Value? in
            guard let start = text.baseAddress else { return nil }
            var end: UnsafeMutablePointer<CChar>?
            errno = 0
            let value = Self.read(start, &end)
            let isOutOfRange = errno == ERANGE && (value.isInfinite || value.isZero)
            return end.map { UnsafePointer($0) - start } == bytes.count && !isOutOfRange && !value.isNaN ? value : nil
        }
        guard let read else { return nil }
        value = read
    }

    public static func + (a: LongNumber, b: LongNumber) -> LongNumber { LongNumber(a.value + b.value) }
    public var isFinite: Bool { value.isFinite }

    /// Without an exponent, with at most 17 digits after the point, and none that is not needed.
    public var text: String {
        var bytes = [CChar](repeating: 0, count: Self.byteLimit)
        let count = Int(withVaList([value]) { vsnprintf(&bytes, bytes.count, Self.format, $0) })
        var digits = bytes.prefix(max(0, count)).map { UInt8(bitPattern: $0) }[...]
        if digits.contains(UInt8(ascii: ".")) {
            while digits.last == UInt8(ascii: "0") { digits.removeLast() }
            if digits.last == UInt8(ascii: ".") { digits.removeLast() }
        }
        return digits.elementsEqual("-0".utf8) ? "0" : String(decoding: digits, as: UTF8.self)
    }
}
