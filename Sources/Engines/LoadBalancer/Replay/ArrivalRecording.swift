import KernelStructures

/// The last requests as they came: when, from whom, who served them and for how long; what `replay` runs again, and
/// what percentiles of a server's latency come from.
///
/// Requests are numbered as they come, so the number is the place in the ring: what is learnt of a request later finds
/// its entry in one step. 100,000 of 72 bytes are 7.2 MB, taken as they come.
public struct ArrivalRecording: Sendable {
    public struct Entry: Sendable {
        public internal(set) var request: Int
        public internal(set) var arrived: LabTime
        /// When it was given to the server that had it last.
        public internal(set) var given: LabTime
        public internal(set) var ended: LabTime
        /// What hashing algorithms know it by.
        public internal(set) var key: UInt64
        public internal(set) var source: IPAddress
        /// The serial number of the server that had it last; 0 for none.
        public internal(set) var server: UInt32
        public internal(set) var state: State

        /// How long the server had it, as the balancer saw it.
        public var serviceTime: LabDuration { ended - given }
    }

    public enum State: Sendable {
        /// On its way, refused, or waiting.
        case open
        case answered, failed, abandoned
    }

    /// More than this many are forgotten, the oldest first.
    public static let limit = 100_000

    private var ring: [Entry] = []
    /// The number of the request at the start of the ring, and of the newest one.
    private var first = 0
    private var newest = 0

    @inline(__always)
    private func place(_ request: Int) -> Int { (request - first) % Self.limit }

    private static let empty = Entry(
        request: 0, arrived: LabTime(nanoseconds: 0), given: LabTime(nanoseconds: 0), ended: LabTime(nanoseconds: 0),
        key: 0, source: .any, server: 0, state: .open)

    /// A request asks for a server for the first time.
    mutating func arrived(_ request: Int, key: UInt64, source: IPAddress, now: LabTime) {
        if ring.isEmpty { first = request }
        guard request >= first else { return }
        newest = max(newest, request)
        let place = place(request)
        // Requests that asked for none leave a gap.
        while ring.count <= place { ring.append(Self.empty) }
        ring[place] = Entry(
            request: request, arrived: now, given: now, ended: now, key: key, source: source, server: 0, state: .open)
    }

    /// It goes to a server.
    mutating func given(_ request: Int, to serial: Int, now: LabTime) {
        guard let place = find(request) else { return }
        ring[place].given = now
        ring[place].server = UInt32(truncatingIfNeeded: serial)
        ring[place].state = .open
    }

    mutating func ended(_ request: Int, _ state: State, now: LabTime) {
        guard let place = find(request) else { return }
        ring[place].ended = now
        ring[place].state = state
    }

    private func find(_ request: Int) -> Int? {
        guard request >= first, !ring.isEmpty else { return nil }
        let place = place(request)
        return place < ring.count && ring[place].request == request ? place : nil
    }

    public func entry(of request: Int) -> Entry? { find(request).map { ring[$0] } }

    /// In the order of their arrival.
    public var entries: [Entry] {
        ring.filter { $0.request > max(0, newest - Self.limit) }.sorted { $0.request < $1.request }
    }

    /// The latencies of the answers that servers gave since some moment, by the servers' serial numbers, each sorted.
    public func latencies(since moment: LabTime) -> [Int: [LabDuration]] {
        var found: [Int: [LabDuration]] = [:]
        for entry in ring where entry.state == .answered && entry.ended >= moment {
            found[Int(entry.server), default: []].append(entry.serviceTime)
        }
        return found.mapValues { $0.sorted() }
    }
}
