import KernelStorage
import KernelStructures
import KernelWorld
import ShopAccountsEngine

/// Letters as files, one each, as Bernstein's Maildir has them: written under another name, synced, and only then put
/// in place, so that whatever stands there is whole.
///
/// ```
/// 000001.eml    X-Envelope-From: shop@shop      what the envelope said
///               X-Envelope-To: a@example.com
///               X-Received: 2023-12-20T15:00:00Z
///               From: …                         the letter as it came
/// ```
final class Maildir {
    struct Letter {
        let number: Int
        let sender: String
        let recipients: [String]
        let receivedAt: String
        let message: MailMessage
        let byteCount: Int
    }

    private let disk: NodeDisk
    private let directory: String
    /// The newest last.
    private(set) var letters: [Letter] = []
    private var known: Set<String> = []
    private var lastNumber = 0

    /// Letters that are kept; the oldest go.
    static let limit = 2000

    init(disk: NodeDisk, directory: String) {
        self.disk = disk
        self.directory = directory
    }

    /// Reads what is there. What cannot be read is left alone.
    func open() throws(DiskError) {
        try disk.makeDirectory(directory)
        try disk.syncDirectory(DiskPath.parent(of: directory))
        for name in try disk.list(directory) {
            guard name.hasSuffix(".eml"), let number = Int(name.dropLast(4)), number > 0, number < Int.max / 2 else {
                // A draft that never became a letter.
                if name.hasSuffix(".new") { try disk.remove(path(name)) }
                continue
            }
            lastNumber = max(lastNumber, number)
            let file = try disk.open(path(name), [])
            defer { file.close() }
            guard file.size <= 8 << 20 else { continue }
            add(Self.letter(number, try file.read(at: 0, count: file.size)))
        }
        letters.sort { $0.number < $1.number }
    }

    /// Whether it has that letter for these recipients already: the same Message-ID.
    func has(_ message: MailMessage, for recipients: [EmailAddress]) -> Bool {
        !message.messageID.isEmpty && known.contains(Self.key(message.messageID, recipients.map(\.description)))
    }

    /// Keeps a letter; when this returns it is on the disk.
    func keep(_ envelope: SMTPServerSession.Envelope, _ bytes: [UInt8], at time: LabTime) throws(DiskError) -> Int {
        let number = lastNumber + 1
        let head =
            [
                "X-Envelope-From: \(envelope.sender.map(\.description) ?? "<>")",
                "X-Envelope-To: \(envelope.recipients.map(\.description).joined(separator: " "))",
                "X-Received: \(LabTime(nanoseconds: 0) + .seconds(Int(time.unixSeconds)))",
            ].joined(separator: "\n") + "\n"
        let all = Array(head.utf8) + bytes
        let name = padded(number, 6)
        let file = try disk.open(path("\(name).new"), [.write, .create, .truncate])
        do throws(DiskError) {
            try file.write(all, at: 0)
            try file.sync()
            file.close()
            try disk.rename(path("\(name).new"), to: path("\(name).eml"))
            try disk.syncDirectory(directory)
        } catch {
            file.close()
            throw error
        }
        lastNumber = number
        add(Self.letter(number, all))
        while letters.count > Self.limit { try remove(letters[0].number) }
        return number
    }

    func remove(_ number: Int) throws(DiskError) {
        guard let index = letters.firstIndex(where: { $0.number == number }) else { return }
        try disk.remove(path("\(padded(number, 6)).eml"))
        let letter = letters.remove(at: index)
        known.remove(Self.key(letter.message.messageID, letter.recipients))
    }

    private func path(_ name: String) -> String { DiskPath.normalized(name, in: directory) }

    private func add(_ letter: Letter) {
        letters.append(letter)
        known.insert(Self.key(letter.message.messageID, letter.recipients))
    }

    private static func key(_ messageID: String, _ recipients: [String]) -> String {
        ([messageID] + recipients).joined(separator: " ")
    }

    private static func letter(_ number: Int, _ bytes: [UInt8]) -> Letter {
        let lines = bytes.split(separator: 10, maxSplits: 3, omittingEmptySubsequences: false)
        func value(_ index: Int, _ name: String) -> String {
            guard lines.indices.contains(index) else { return "" }
            let text = String(decoding: lines[index], as: UTF8.self)
            return text.hasPrefix(name) ? String(text.dropFirst(name.count)) : ""
        }
        let letter = lines.count == 4 ? Array(lines[3]) : []
        return Letter(
            number: number, sender: value(0, "X-Envelope-From: "),
            recipients: value(1, "X-Envelope-To: ").split(separator: " ").map(String.init),
            receivedAt: value(2, "X-Received: "), message: MailMessage(parsing: letter), byteCount: letter.count)
    }
}
