/// Traces' identifiers as views show them: the first eight of their 32 hexadecimal digits.
///
/// Nobody types all of them, and what a view has shown should be found as it is pasted: so the beginning of an
/// identifier stands for it, and a store's index has the shown part beside the whole.
public enum ShortIdentifier {
    /// That are shown.
    public static let digits = 8
    /// Of a whole one.
    public static let wholeDigits = 32
    /// The label that has it.
    public static let name = "trace_id"

    public static func isName(_ bytes: UnsafeRawBufferPointer) -> Bool { bytes.elementsEqual(name.utf8) }

    /// What may be an identifier or the beginning of one that somebody was shown, in small letters; nil for what is
    /// none.
    public static func beginning(_ text: String) -> String? {
        guard (digits...wholeDigits).contains(text.utf8.count),
            text.utf8.allSatisfy({ (48...57).contains($0) || (97...102).contains($0 | 0x20) })
        else { return nil }
        return text.lowercased()
    }
}
