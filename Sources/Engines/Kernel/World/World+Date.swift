import KernelStructures

extension World {
    /// The `Date` field for the present second, with its CRLF. Made once a second of lab time.
    public var dateField: [UInt8] {
        let second = now.unixSeconds
        if second != cachedDate.second { cachedDate = (second, Array("Date: \(now.httpDate)\r\n".utf8)) }
        return cachedDate.field
    }
}
