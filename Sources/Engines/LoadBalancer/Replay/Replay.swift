import KernelStructures

/// What would have happened under another algorithm: recorded arrivals once more, in virtual time.
///
/// ## The problem
///
/// Which algorithm is right depends on the requests, and nobody knows their own: how uneven they are, how often they
/// come in bursts, how many hang on one key. Trying algorithms one after the other in production compares Monday with
/// Tuesday. What one wants is the same Monday twice.
///
/// ## An everyday picture
///
/// A chess player goes through a lost game. The moves of the other side stay as they were; he makes his own differently
/// and looks where that leads. It teaches a lot, and it is not a proof: the other side might have answered differently.
///
/// ## How
///
/// Each request arrives when it did, with the key it had. The algorithm under test chooses by the loads of the
/// simulation. The request then occupies its server for its service time, and waits before that if the server's
/// `max_connections` are taken. The service time is the recorded one, times how slow the server it lands on is
/// compared with the one that it was recorded on: the ratio of the medians of what was recorded of each. A server
/// without a record counts as the middle of the others. Equal input gives equal output, to the last digit.
///
/// Imbalance is the largest share of a server divided by the mean share, with shares counted by weight: 1.0 is fair,
/// 3.0 with three servers means that one did everything. It is given twice, for requests and for the time that they
/// took, as equally many requests need not be equally much work.
///
/// ## Where it is wrong
///
/// - The recorded time is what the balancer saw: the server's own queue and the network are in it, and move along with
///   the request as if they were its nature. Relieving a crowded server makes it faster in truth, and not here;
///   crowding a fast one costs nothing here. So the differences between algorithms come out too small, above all in the
///   tail.
/// - The ratio of medians takes each server's slowness for its own. If one got the expensive requests (by a hash of the
///   path), it looks slow, and would not be with others.
/// - Health, ejection, stickiness, retries, slow start and the timeout of the line are left out: the pool is the one of
///   now, at full weights. A request that no server answered is not replayed, and one whose client went away counts
///   for as long as the client stayed.
/// - Clients do not react. Real ones wait for an answer before they ask again, so a slower balancer would get less to
///   do.
public struct Replay: Sendable {
    /// A recorded request.
    public struct Request: Sendable {
        public var arrived: LabTime
        public var key: UInt64
        /// The serial number of the server that had it.
        public var server: Int
        /// How long it was on its way to that server: the line, and attempts that failed.
        public var waited: LabDuration
        public var serviceTime: LabDuration

        public init(
            arrived: LabTime, key: UInt64 = 0, server: Int, waited: LabDuration = .zero, serviceTime: LabDuration
        ) {
            self.arrived = arrived
            self.key = key
            self.server = server
            self.waited = waited
            self.serviceTime = serviceTime
        }
    }

    /// A server of the pool.
    public struct Server: Sendable {
        public var serial: Int
        public var name: String
        public var weight: Int
        public var maxConnections: Int?

        public init(serial: Int, name: String, weight: Int = 1, maxConnections: Int? = nil) {
            self.serial = serial
            self.name = name
            self.weight = weight
            self.maxConnections = maxConnections
        }
    }

    /// What came of one run.
    public struct Outcome: Equatable, Sendable {
        public var requests = 0
        /// Largest share by the mean share, of requests and of the time they took. 1 is fair.
        public var imbalance = 1.0
        public var busyImbalance = 1.0
        public var median = LabDuration.zero
        public var percentile99 = LabDuration.zero
        public var slowest = LabDuration.zero
        /// Requests that went to another server than they did when they were recorded.
        public var moved = 0
        /// By the servers' serial numbers.
        public var requestsByServer: [Int: Int] = [:]
    }

    /// Picks a server, by its place in the list, as `BalancingAlgorithm.choose` does.
    public typealias Chooser = (_ key: UInt64, _ load: (Int) -> Int, _ mayBeChosen: (Int) -> Bool) -> Int?

    /// In the order of their arrival.
    public let requests: [Request]
    public let servers: [Server]
    /// By serial number, of servers that have requests in the recording.
    let medians: [Int: LabDuration]
    private let overallMedian: LabDuration

    public init(_ requests: [Request], on servers: [Server]) {
        self.requests = requests
        self.servers = servers
        medians = Dictionary(grouping: requests, by: \.server)
            .mapValues { Self.percentile($0.map(\.serviceTime).sorted(), 50) }
        overallMedian = Self.percentile(medians.values.sorted(), 50)
    }

    /// The least value that so many percent of all do not exceed. Zero if there are none.
    public static func percentile(_ sorted: [LabDuration], _ percent: Int) -> LabDuration {
        if sorted.isEmpty { return .zero }
        return sorted[max(0, (sorted.count * percent + 99) / 100 - 1)]
    }

    // MARK: Runs

    /// The recording itself, as it was measured.
    public func recorded() -> Outcome {
        var run = Run()
        for request in requests {
            run.count(request.server, request, request.waited + request.serviceTime, busy: request.serviceTime)
        }
        return run.outcome(servers)
    }

    public func run(_ algorithm: LoadBalancerConfiguration.Algorithm, random: SeededRandom, balanceFactor: Int? = nil)
        -> Outcome
    {
        var configuration = LoadBalancerConfiguration(backends: [])
        configuration.algorithm = algorithm
        configuration.hashBalanceFactorPercent = balanceFactor
        var balancer = LoadBalancer.makeAlgorithm(configuration, random)
        balancer.update(
            servers.enumerated().map { PoolMember(slot: $0.offset, name: $0.element.name, weight: $0.element.weight) })
        return run { balancer.choose(key: $0, load: $1, where: $2) }
    }

    /// One pass through all requests.
    public func run(_ choose: @escaping Chooser) -> Outcome {
        var run = Run()
        var hall = Hall(servers, choose)
        for request in requests {
            hall.advance(to: request.arrived) { start($0, at: $1, on: $2, &run) }
            hall.admit(request) { start($0, at: $1, on: $2, &run) }
        }
        hall.advance(to: .distantFuture) { start($0, at: $1, on: $2, &run) }
        return run.outcome(servers)
    }

    /// Counts a request that begins on a server; when it will be done.
    private func start(_ request: Request, at time: LabTime, on place: Int, _ run: inout Run) -> LabTime {
        let server = servers[place].serial
        let service = serviceTime(of: request, on: server)
        run.count(server, request, (time - request.arrived) + service, busy: service)
        return time + service
    }

    /// What a request would take on a server, by how slow that is compared with where it was.
    func serviceTime(of request: Request, on server: Int) -> LabDuration {
        if server == request.server { return request.serviceTime }
        let there = max(1, (medians[server] ?? overallMedian).nanoseconds)
        let here = max(1, (medians[request.server] ?? overallMedian).nanoseconds)
        if there == here { return request.serviceTime }
        return .seconds(request.serviceTime.seconds * (Double(there) / Double(here)))
    }

    // MARK: Counting

    private struct Run {
        var latencies: [LabDuration] = []
        var counts: [Int: Int] = [:]
        var busy: [Int: LabDuration] = [:]
        var moved = 0

        mutating func count(_ server: Int, _ request: Request, _ latency: LabDuration, busy time: LabDuration) {
            latencies.append(latency)
            counts[server, default: 0] += 1
            busy[server, default: .zero] += time
            if server != request.server { moved += 1 }
        }

        func outcome(_ servers: [Server]) -> Outcome {
            let sorted = latencies.sorted()
            var weights: [Int: Int] = [:]
            for server in servers { weights[server.serial] = server.weight }
            // One that was there when it was recorded, and is not any more.
            for serial in counts.keys where weights[serial] == nil { weights[serial] = 1 }
            return Outcome(
                requests: sorted.count, imbalance: imbalance(weights) { Double(counts[$0] ?? 0) },
                busyImbalance: imbalance(weights) { busy[$0]?.seconds ?? 0 },
                median: Replay.percentile(sorted, 50), percentile99: Replay.percentile(sorted, 99),
                slowest: sorted.last ?? .zero, moved: moved, requestsByServer: counts)
        }

        private func imbalance(_ weights: [Int: Int], _ amount: (Int) -> Double) -> Double {
            let total = weights.keys.sorted().reduce(0.0) { $0 + amount($1) }
            let weightTotal = weights.values.reduce(0, +)
            guard total > 0, weightTotal > 0 else { return 1 }
            let mean = total / Double(weightTotal)
            return weights.map { serial, weight in amount(serial) / Double(max(1, weight)) / mean }.max() ?? 1
        }
    }
}

/// The servers of a replay, with what they are busy with, and the line in front of them.
private struct Hall {
    private struct Completion: Comparable {
        let time: LabTime
        let server: Int
        static func < (a: Completion, b: Completion) -> Bool { (a.time, a.server) < (b.time, b.server) }
    }

    /// Begins a request on a server and returns when it will be done.
    typealias Begin = (Replay.Request, LabTime, Int) -> LabTime

    private let limits: [Int]
    private let choose: Replay.Chooser
    private var active: [Int]
    private var completions = BinaryHeap<Completion>()
    private var line = RingQueue<Replay.Request>()

    init(_ servers: [Replay.Server], _ choose: @escaping Replay.Chooser) {
        limits = servers.map { $0.maxConnections ?? .max }
        active = servers.map { _ in 0 }
        self.choose = choose
    }

    /// A request arrives. It goes behind those that wait.
    mutating func admit(_ request: Replay.Request, _ begin: Begin) {
        if !line.isEmpty || !enter(request, at: request.arrived, begin) { line.append(request) }
    }

    /// Lets everything happen that is done by `time`: what is done makes room for who waits.
    mutating func advance(to time: LabTime, _ begin: Begin) {
        while let next = completions.first, next.time <= time {
            _ = completions.removeFirst()
            active[next.server] -= 1
            while let waiting = line.first, enter(waiting, at: next.time, begin) { _ = line.popFirst() }
        }
    }

    private mutating func enter(_ request: Replay.Request, at time: LabTime, _ begin: Begin) -> Bool {
        guard let server = choose(request.key, { active[$0] }, { active[$0] < limits[$0] }) else { return false }
        active[server] += 1
        completions.insert(Completion(time: begin(request, time, server), server: server))
        return true
    }
}

extension LoadBalancer {
    /// The recorded requests, to be run again on the pool as it is now. Nil if nothing is recorded here.
    public var replay: Replay? {
        guard let recording else { return nil }
        let requests = recording.entries.filter { $0.server > 0 && ($0.state == .answered || $0.state == .abandoned) }
            .map {
                Replay.Request(
                    arrived: $0.arrived, key: $0.key, server: Int($0.server), waited: $0.given - $0.arrived,
                    serviceTime: $0.serviceTime)
            }
        let members = pool.map { slot in
            let server = servers[slot]
            return Replay.Server(
                serial: server.serial, name: server.name, weight: max(1, server.weight),
                maxConnections: server.settings.maxConnections)
        }
        return Replay(requests, on: members)
    }

    /// Chance for algorithms that draw; the same every time.
    public var replayRandom: SeededRandom { random.fork("replay") }
}
