/// `text` as a terminal or a log may show it, whoever wrote it: what would steer a terminal instead of standing in it
/// is written out, a byte as `\x1B`, what is beyond a byte as `\u{202E}`.
///
/// A key, a path or a header that comes from outside may hold anything: an escape sequence that sets the window's
/// title, or one of Unicode's marks that show a line backwards (Unicode TR 9; CVE-2021-42574 tells what can be hidden
/// so). Written out are the controls C0, DEL and C1, and the marks of direction.
///
/// - Parameter kept: controls that stay as they are, such as the ends of lines of a text that has several.
public func printable(_ text: String, keeping kept: String = "") -> String {
    guard text.unicodeScalars.contains(where: { steersTerminal($0) }) else { return text }
    return text.unicodeScalars.reduce(into: "") { shown, scalar in
        if !steersTerminal(scalar) || kept.unicodeScalars.contains(scalar) {
            shown.unicodeScalars.append(scalar)
        } else if scalar.value < 256 {
            shown += "\\x" + hexadecimal(UInt64(scalar.value), 2).uppercased()
        } else {
            shown += "\\u{" + hexadecimal(UInt64(scalar.value)).uppercased() + "}"
        }
    }
}

private func steersTerminal(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0..<32, 127..<160: true
    // The marks of direction: ALM, LRM and RLM, embeddings and overrides, isolates.
    case 0x061C, 0x200E, 0x200F, 0x202A...0x202E, 0x2066...0x2069: true
    default: false
    }
}

/// `text` without what sets colours and weights on a terminal (`ESC [ … m`, ECMA-48 section 8.3.117): what it says,
/// for comparing, measuring and keeping.
public func withoutStyles(_ text: String) -> String {
    guard text.utf8.contains(0x1B) else { return text }
    let bytes = Array(text.utf8)
    var plain: [UInt8] = []
    plain.reserveCapacity(bytes.count)
    var index = 0
    while index < bytes.count {
        if bytes[index] == 0x1B, index + 1 < bytes.count, bytes[index + 1] == UInt8(ascii: "[") {
            let end = bytes[(index + 2)...].firstIndex { !(0x30...0x3F).contains($0) }
            if let end, bytes[end] == UInt8(ascii: "m") {
                index = end + 1
                continue
            }
        }
        plain.append(bytes[index])
        index += 1
    }
    return String(decoding: plain, as: UTF8.self)
}
