import Glibc

/// Floating-point numbers as C reads and writes them.
enum Decimals {
    /// `%.17g`: seventeen digits, which tell any two doubles apart.
    static func seventeen(_ value: Double) -> String {
        var bytes = [CChar](repeating: 0, count: 64)
        let count = withVaList([value]) { vsnprintf(&bytes, bytes.count, "%.17g", $0) }
        return String(decoding: bytes.prefix(Int(max(0, count))).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// What C's `strtod` takes as a whole, up to the first zero byte: nothing is 0. nil for anything else and for
    /// `nan`.
    static func loose(_ bytes: UnsafeRawBufferPointer) -> Double? {
        var text = bytes.prefix { $0 != 0 }.prefix(400).map { CChar(bitPattern: $0) }
        let count = text.count
        text.append(0)
        return text.withUnsafeBufferPointer { text in
            guard let start = text.baseAddress else { return nil }
            var end: UnsafeMutablePointer<CChar>?
            let value = strtod(start, &end)
            let read = end.map { UnsafePointer($0) - start } ?? 0
            return (read == count) && !value.isNaN ? value : nil
        }
    }

    /// What C's `strtod` takes as a whole, but for blanks in front and `nan`; nil for anything else, and for what is
    /// too large or too small.
    static func read(_ bytes: UnsafeRawBufferPointer) -> Double? {
        guard let first = bytes.first, bytes.count < 320, first != 32, !(9...13).contains(first) else { return nil }
        var text = bytes.map { CChar(bitPattern: $0) }
        text.append(0)
        return text.withUnsafeBufferPointer { text in
            guard let start = text.baseAddress else { return nil }
            var end: UnsafeMutablePointer<CChar>?
            errno = 0
            let value = strtod(start, &end)
            let isOutOfRange = errno == ERANGE && (value.isInfinite || value.isZero)
            return end.map { UnsafePointer($0) - start } == bytes.count && !isOutOfRange && !value.isNaN ? value : nil
        }
    }
}
