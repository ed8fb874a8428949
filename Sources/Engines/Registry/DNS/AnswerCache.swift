import KernelStructures
import KernelWire

/// Answers about services as they went out, for questions that are asked again and again.
///
/// What it costs to answer is nearly all in looking up instances, their health and their addresses, and in writing
/// names. None of it changes until the catalogue does; what does change from one answer to the next is the number that
/// the client chose, and who stands first. So an answer is kept under the very bytes of its question (but for that
/// number, so that the case of letters comes back as it was sent, RFC 5452's "0x20"), once for each instance that can
/// stand first, and whoever asks again gets one of them by lot.
///
/// The order behind the first is the same for a while; after `usesLimit` answers it is drawn anew.
public struct AnswerCache {
    private final class Entry {
        let message: DNSMessage
        let limitBytes: Int
        let service: String
        /// The whole message, with the number of the last one who asked; by who stands first, made when first needed.
        var orders: [[UInt8]]
        var uses = 0
        /// Who has had this answer.
        var readers: Set<IPAddress> = []

        init(_ message: DNSMessage, limitBytes: Int, service: String) {
            self.message = message
            self.limitBytes = limitBytes
            self.service = service
            orders = Array(repeating: [], count: max(1, message.answers.count))
        }
    }

    /// A question's bytes behind its number. They are hashed in one piece, which an array's are not.
    private struct Question: Hashable {
        private let bytes: [UInt8]

        init(_ query: UnsafeRawBufferPointer) { bytes = Array(UnsafeRawBufferPointer(rebasing: query[2...])) }
        func hash(into hasher: inout Hasher) { bytes.withUnsafeBytes { hasher.combine(bytes: $0) } }
    }

    private var entries: [Question: Entry] = [:]

    /// Questions that are known at a time; whoever asks more starts again with none.
    static let entryLimit = 1024
    /// Answers of one entry before it is drawn anew.
    static let usesLimit = 1000
    /// Records of an answer that is kept: with that many, orders would take more room than they save time.
    static let recordLimit = 64
    private static let readerLimit = 64
    /// Of questions that are kept: more than a header, and not much more than a name takes.
    private static let queryBytes = 13...512

    public init() {}

    public var count: Int { entries.count }

    /// The answer to a question that was answered before.
    ///
    /// - Returns: nil where there is none; `service` only if this reader has not been told of it.
    public mutating func answer(_ query: UnsafeRawBufferPointer, from reader: IPAddress, random: inout SeededRandom)
        -> (bytes: [UInt8], service: String?)?
    {
        guard Self.queryBytes.contains(query.count), !entries.isEmpty else { return nil }
        let question = Question(query)
        guard let entry = entries[question] else { return nil }
        entry.uses += 1
        if entry.uses > Self.usesLimit {
            entries[question] = nil
            return nil
        }
        let first = entry.orders.count == 1 ? 0 : random.below(entry.orders.count)
        if entry.orders[first].isEmpty {
            var message = entry.message
            message.answers = Array(message.answers[first...] + message.answers[..<first])
            entry.orders[first] = message.bytes(limit: entry.limitBytes)
        }
        entry.orders[first][0] = query[0]
        entry.orders[first][1] = query[1]
        let isNews =
            entry.readers.count < Self.readerLimit
            ? entry.readers.insert(reader).inserted : !entry.readers.contains(reader)
        return (entry.orders[first], isNews ? entry.service : nil)
    }

    /// Keeps an answer, if it is one that is worth it: some instances, of a service that there is.
    ///
    /// - Parameter limitBytes: of the datagrams that the client takes.
    public mutating func keep(
        _ message: DNSMessage, limitBytes: Int, to query: UnsafeRawBufferPointer, from reader: IPAddress,
        service: String?
    ) {
        guard let service, Self.queryBytes.contains(query.count),
            (1...Self.recordLimit).contains(message.answers.count),
            let type = message.questions.first?.type, [.a, .aaaa, .srv].contains(type),
            message.answers.allSatisfy({ $0.type == type })
        else { return }
        if entries.count >= Self.entryLimit { entries = [:] }
        let entry = Entry(message, limitBytes: limitBytes, service: service)
        entry.readers.insert(reader)
        entries[Question(query)] = entry
    }

    /// The catalogue has changed.
    public mutating func forgetAll() { if !entries.isEmpty { entries = [:] } }
}
