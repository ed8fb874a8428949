extension Array where Element == UInt8 {
    /// Appends an integer in network order: its highest byte first.
    mutating func append<T: FixedWidthInteger>(bigEndian value: T) {
        Swift.withUnsafeBytes(of: value.bigEndian) { append(contentsOf: $0) }
    }
}
