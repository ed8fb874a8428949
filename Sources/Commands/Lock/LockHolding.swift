import KernelCryptography
import KernelJSON
import KernelStructures
import KernelWorld
import LockEngine
import ShellSession

/// Getting a lock and keeping it: a lease, a claim attached to it, and signs of life as long as somebody wants it.
///
/// Used by `lock-cli acquire`, `try` and `elect`, and by `my-app`.
final class LockHolding {
    struct Wish {
        var name: String
        var ttl = LabDuration.seconds(30)
        var words = LockWords()
        /// Nil: as long as it takes. Zero: not at all.
        var wait: LabDuration?
    }

    enum Event {
        /// Somebody else has it; said once.
        case waiting(holder: String, expiresIn: LabDuration?)
        case acquired(token: Int64, hadToWait: Bool)
        /// The wait was over before the lock was free.
        case gaveUp(holder: String?, expiresIn: LabDuration?)
        /// It was given back by somebody with its token.
        case released
        /// The lease has run out.
        case lost(String)
        case failed(String)
    }

    private let node: Node
    private let client: LockClient
    private let wish: Wish
    private let hear: (Event) -> Void
    private var lease: Int64 = 0
    private(set) var token: Int64 = 0
    private var key: Key = []
    private var claimCall: Int?
    private var watchCall: Int?
    private var timers: [TimerID] = []
    private var hasWaited = false
    private var isOver = false
    /// When the lease runs out if no sign of life gets through, on this node's own clock.
    private var leaseEnd = LabTime(nanoseconds: 0)

    /// How long one looks before one says that one waits.
    private static let patience = LabDuration.milliseconds(50)

    init(_ node: Node, _ client: LockClient, _ wish: Wish, _ hear: @escaping (Event) -> Void) {
        self.node = node
        self.client = client
        self.wish = wish
        self.hear = hear
    }

    var ttl: LabDuration { wish.ttl }
    /// Whether it may still believe that it has the lock.
    var isBelievedHeld: Bool { token != 0 && !isOver && node.world.now < leaseEnd }

    private func tell(_ event: Event) { if !isOver { hear(event) } }

    private func end(_ event: Event) {
        guard !isOver else { return }
        hear(event)
        isOver = true
        for timer in timers { node.cancel(timer) }
        client.cancel(claimCall)
        client.cancel(watchCall)
    }

    // MARK: Getting it

    func start() {
        let seconds = max(1, Int64((wish.ttl.seconds).rounded(.up)))
        leaseEnd = node.world.now + wish.ttl
        client.ask("/v3/lease/grant", ["TTL": .string(String(seconds))]) { [self] result in
            switch result {
            case .success(let answer):
                lease = LockClient.number(answer["ID"])
                client.learnMembers { [self] in claim() }
                keepAlive()
            case .failure(let failure): end(.failed("\(failure)"))
            }
        }
    }

    private func claim() {
        guard !isOver else { return }
        var message: [(key: String, value: JSONValue)] = [
            ("name", .string(Base64.standard.encode(Array(wish.name.utf8)))), ("lease", .string(String(lease))),
        ]
        if let owner = wish.words.owner { message.append(("owner", .string(owner))) }
        switch wish.words.kind {
        case .exclusive: break
        case .shared: message.append(("kind", "SHARED"))
        case .permit(let limit): message += [("kind", "PERMIT"), ("permits", .integer(limit))]
        }
        claimCall = client.ask("/v3/lock/lock", .object(message), deadline: nil) { [self] result in
            claimCall = nil
            switch result {
            case .success(let answer): claimed(answer)
            case .failure(let failure): end(.failed("\(failure)"))
            }
        }
        timers.append(node.after(Self.patience) { [self] in if token == 0 { noteWaiting() } })
        if let wait = wish.wait { timers.append(node.after(max(wait, Self.patience)) { [self] in giveUp() }) }
    }

    /// etcd's answer has the key alone; its birth has to be looked up.
    private func claimed(_ answer: JSONValue) {
        key = LockClient.bytes(answer["key"])
        let known = LockClient.number(answer["token"])
        if known != 0 { return acquired(known) }
        client.ask("/v3/kv/range", ["key": .string(Base64.standard.encode(key))]) { [self] result in
            if case .success(let found) = result, let one = found["kvs"]?[0] {
                acquired(LockClient.number(one["create_revision"]))
            } else {
                end(.lost("the lease ran out while it waited"))
            }
        }
    }

    private func acquired(_ token: Int64) {
        guard !isOver else { return }
        self.token = token
        tell(.acquired(token: token, hadToWait: hasWaited))
        watch()
    }

    /// Who has it, and for how long at least.
    private func lookAround(_ completion: @escaping (String?, LabDuration?) -> Void) {
        let prefix = LockQueue.prefix(wish.name)
        let message: JSONValue = [
            "key": .string(Base64.standard.encode(prefix)),
            "range_end": .string(Base64.standard.encode(KeyRange.successor(ofPrefix: prefix))),
        ]
        client.ask("/v3/kv/range", message) { [self] result in
            guard case .success(let answer) = result, case .array(let found)? = answer["kvs"] else {
                return completion(nil, nil)
            }
            let queue = LockQueue(name: wish.name, found.map(KeyValue.init))
            guard let holder = queue.holders.first else { return completion(nil, nil) }
            client.ask("/v3/lease/timetolive", ["ID": .string(String(holder.lease))]) { result in
                var left: LabDuration?
                if case .success(let answer) = result {
                    let seconds = LockClient.number(answer["TTL"])
                    if seconds > 0 { left = .seconds(Int(clamping: seconds)) }
                }
                completion(holder.owner, left)
            }
        }
    }

    private func noteWaiting() {
        lookAround { [self] holder, left in
            guard token == 0, !isOver, wish.wait != .zero else { return }
            hasWaited = true
            if let holder { tell(.waiting(holder: holder, expiresIn: left)) }
        }
    }

    private func giveUp() {
        guard token == 0, !isOver else { return }
        client.cancel(claimCall)
        claimCall = nil
        lookAround { [self] holder, left in
            revoke { [self] in end(.gaveUp(holder: holder, expiresIn: left)) }
        }
    }

    // MARK: Keeping it

    private func keepAlive() {
        let pause = LabDuration(nanoseconds: max(1_000_000, wish.ttl.nanoseconds / 3))
        timers =
            timers.suffix(8) + [
                node.after(pause) { [self] in
                    guard !isOver else { return }
                    let sent = node.world.now
                    client.ask(
                        "/v3/lease/keepalive", ["ID": .string(String(lease))], deadline: wish.ttl
                    ) { [self] result in
                        guard !isOver else { return }
                        switch result {
                        case .success(let answer):
                            guard LockClient.number(answer["result"]?["TTL"]) > 0 else {
                                return end(.lost("its lease has run out"))
                            }
                            leaseEnd = sent + wish.ttl
                        case .failure(let failure):
                            if node.world.now >= leaseEnd { return end(.lost("\(failure)")) }
                        }
                        keepAlive()
                    }
                }
            ]
    }

    /// Hears when somebody gives it back.
    private func watch() {
        let message: JSONValue = [
            "create_request": [
                "key": .string(Base64.standard.encode(key)), "start_revision": .string(String(token + 1)),
                "filters": ["NOPUT"],
            ]
        ]
        watchCall = client.ask(
            "/v3/watch", message, deadline: nil, until: { $0.contains(Array("\"DELETE\"".utf8)) }
        ) { [self] result in
            watchCall = nil
            guard !isOver else { return }
            if case .success(.string(let text)) = result, text.utf8.contains(Array("\"DELETE\"".utf8)) {
                return gone()
            }
            // The member went away: another one has to be asked.
            timers.append(node.after(.milliseconds(500)) { [self] in if !isOver { watch() } })
        }
    }

    /// The key is gone: given back, or with its lease.
    private func gone() {
        client.ask("/v3/lease/timetolive", ["ID": .string(String(lease))]) { [self] result in
            if case .success(let answer) = result, LockClient.number(answer["TTL"]) > 0 {
                revoke { [self] in end(.released) }
            } else {
                end(.lost("its lease has run out"))
            }
        }
    }

    // MARK: Giving it back

    /// Ends the lease, and with it the claim.
    func release(_ completion: @escaping () -> Void) {
        guard !isOver else { return completion() }
        isOver = true
        for timer in timers { node.cancel(timer) }
        client.cancel(claimCall)
        client.cancel(watchCall)
        revoke(completion)
    }

    private func revoke(_ completion: @escaping () -> Void) {
        guard lease != 0 else { return completion() }
        client.ask("/v3/lease/revoke", ["ID": .string(String(lease))], deadline: .seconds(2)) { _ in completion() }
    }
}

extension KeyValue {
    /// As the gateway writes it.
    init(_ json: JSONValue) {
        self.init(
            key: LockClient.bytes(json["key"]), value: LockClient.bytes(json["value"]),
            createRevision: LockClient.number(json["create_revision"]),
            modRevision: LockClient.number(json["mod_revision"]), version: LockClient.number(json["version"]),
            lease: LockClient.number(json["lease"]))
    }
}
