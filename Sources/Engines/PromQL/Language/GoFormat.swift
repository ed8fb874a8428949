import Glibc
import TimeSeriesEngine

/// Numbers as Go writes them, which is how Prometheus shows them.
enum GoFormat {
    /// `%v`: the shortest digits that give the number back, with an exponent below 1e-4 and from 1e6 on.
    static func shortest(_ value: Double) -> String {
        if value.isNaN || value.isInfinite { return plain(value) }
        let size = value.magnitude
        if size == 0 || size >= 1e-4 && size < 1e6 { return plain(value) }
        var bytes: [UInt8] = value < 0 ? [UInt8(ascii: "-")] : []
        ShortestDecimal(size).appendScientific(to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The shortest digits, never with an exponent: `strconv.FormatFloat(v, 'f', -1, 64)`.
    static func plain(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        var bytes: [UInt8] = value.sign == .minus ? [UInt8(ascii: "-")] : []
        ShortestDecimal(value.magnitude).append(to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// `%.3f`: that many digits after the point.
    static func fixed(_ value: Double, digits: Int) -> String {
        guard value.isFinite else { return plain(value) }
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 400) { buffer in
            let format = "%.\(max(0, min(digits, 50)))f"
            let count = withVaList([value]) { vsnprintf(buffer.baseAddress, 400, format, $0) }
            guard count > 0, count < 400, let text = buffer.baseAddress else { return plain(value) }
            return String(cString: text)
        }
    }
}
