import KernelCryptography
import KernelStructures
import ShortenerEngine

/// Click names as visitors see them (`X-Click-Id`): 32 hexadecimal digits that say nothing, not even how many clicks
/// there were in between. Who has the database's key reads the name again.
///
/// A forger would have to hit one of a few lives among 2⁶²: what opens as a name of a known life was given out.
final class ClickSeal {
    private let cipher: BlockCipher
    /// The digits of names, sealed ahead: names follow one another, and a call for many of them costs little more than
    /// one for one.
    private var page: [UInt8] = []
    private var first = ClickName(book: 0, serial: 0)

    /// Digits of a name.
    static let digitCount = 32
    private static let pageCount: UInt64 = 128

    init(key: (UInt64, UInt64)) {
        var bytes: [UInt8] = []
        Self.append(key.0, to: &bytes)
        Self.append(key.1, to: &bytes)
        cipher = BlockCipher(key: bytes)
    }

    /// Appends the digits of a name.
    func append(_ name: ClickName, to out: inout [UInt8]) {
        if name.book != first.book || name.serial < first.serial || name.serial - first.serial >= Self.pageCount
            || page.isEmpty
        {
            first = name
            var blocks: [UInt8] = []
            blocks.reserveCapacity(Int(Self.pageCount) * BlockCipher.blockBytes)
            for ahead in 0..<Self.pageCount {
                Self.append(name.book, to: &blocks)
                Self.append(name.serial + ahead, to: &blocks)
            }
            page.removeAll(keepingCapacity: true)
            for byte in cipher.seal(blocks) {
                page.append(Self.digit(byte >> 4))
                page.append(Self.digit(byte & 15))
            }
        }
        let begin = Int(name.serial - first.serial) * Self.digitCount
        out.append(contentsOf: page[begin..<(begin + Self.digitCount)])
    }

    func text(_ name: ClickName) -> String {
        var digits: [UInt8] = []
        append(name, to: &digits)
        return String(decoding: digits, as: UTF8.self)
    }

    /// What 32 digits open as; nil for anything else. Whether there is such a life only the database can say.
    func name(_ digits: some Collection<UInt8>) -> ClickName? {
        guard digits.count == Self.digitCount, let sealed = Hexadecimal.decode(digits) else { return nil }
        let block = cipher.open(sealed)
        let (book, serial) = (Self.number(block[..<8]), Self.number(block[8...]))
        let name = ClickName(book: book, serial: serial)
        return name.book == book && name.serial == serial ? name : nil
    }

    /// The highest byte first.
    private static func append(_ number: UInt64, to bytes: inout [UInt8]) {
        for shift in stride(from: UInt64(56), through: 0, by: -8) {
            bytes.append(UInt8(truncatingIfNeeded: number >> shift))
        }
    }

    private static func number(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }

    private static func digit(_ half: UInt8) -> UInt8 { half < 10 ? 48 + half : 87 + half }
}
