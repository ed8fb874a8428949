import ConsensusService
import KernelCryptography
import KernelHosting
import KernelJSON
import KernelService
import KernelStructures
import KernelWire
import KernelWorld
import LockEngine
import LockService
import TestSupport
import Testing

/// Members of a lock service in a world, and what clients hear from them.
final class LockGroup {
    let world = memoryWorld(seed: 5)
    private(set) var hosts: [LockHost] = []
    private let client: Node

    init(_ count: Int = 1, lockDelay: LabDuration = .zero, keptRevisions: Int64? = nil) throws {
        client = world.node("client")
        for id in 1...count {
            var consensus = ConsensusMember.Settings(
                id: id, peers: Dictionary(uniqueKeysWithValues: (1...count).map { ($0, Self.place($0)) }),
                directory: "/lock\(id)")
            consensus.group = "lock"
            var settings = LockHost.Settings(consensus: consensus, port: 7001)
            settings.lockDelay = lockDelay
            settings.keptRevisions = keptRevisions
            let host = LockHost(node: world.node("m\(id)"), settings: settings)
            hosts.append(host)
            try host.start()
        }
        for _ in 0..<100 where leader == nil { world.pass(.milliseconds(100)) }
        _ = try #require(leader)
    }

    static func place(_ id: Int) -> HostPort { HostPort(host: "m\(id)", port: 7001) }

    var leader: LockHost? { hosts.first { $0.node.isAlive && $0.member.isLeader } }
    /// A member that does not lead.
    var follower: Int { hosts.firstIndex { !$0.member.isLeader }! + 1 }

    final class Question {
        var call: HTTPCall?
        var answer: JSONValue?
        var status = 0
        var isAnswered: Bool { status != 0 }
    }

    @discardableResult
    func begin(_ path: String, _ body: String, at id: Int = 1) -> Question {
        let question = Question()
        let place = Self.place(id)
        var request = HTTPCall.Request("POST", url: HTTPURL(host: place.host, port: place.port, target: path))
        request.body = Array(body.utf8)
        request.deadline = nil
        let call = HTTPCall(client, request) { result in
            switch result {
            case .success(let response):
                question.status = response.status
                question.answer = try? JSONValue(parsing: response.body)
            case .failure: question.status = -1
            }
        }
        question.call = call
        call.start()
        return question
    }

    func ask(_ path: String, _ body: String, at id: Int = 1) -> Question {
        let question = begin(path, body, at: id)
        for _ in 0..<1000 where !question.isAnswered { world.pass(.milliseconds(10)) }
        return question
    }

    func lock(_ name: String, lease: Int, at id: Int = 1) -> Question {
        begin("/v3/lock/lock", "{\"name\":\"\(Base64.standard.encode(Array(name.utf8)))\",\"lease\":\(lease)}", at: id)
    }

    func grant(_ id: Int, ttl: Int = 60) {
        #expect(ask("/v3/lease/grant", "{\"ID\":\(id),\"TTL\":\(ttl)}").status == 200)
    }
}

@Suite("Lock: the service")
struct LockServiceTests {
    // @covers LOCK-C4
    @Test("a hundred wait, one release wakes one")
    func herd() throws {
        let group = try LockGroup()
        for id in 1...101 { group.grant(id) }
        var waiters: [LockGroup.Question] = []
        for id in 1...101 {
            waiters.append(group.lock("a", lease: id))
            group.world.pass(.milliseconds(10))
        }
        #expect(waiters.map(\.isAnswered) == [true] + Array(repeating: false, count: 100))
        let requests = group.hosts[0].requestCount
        for round in 0..<3 {
            let key = try #require(waiters[round].answer?["key"])
            _ = group.ask("/v3/lock/unlock", "{\"key\":\(key.text)}")
            group.world.pass(.seconds(1))
            #expect(waiters.count(where: \.isAnswered) == round + 2)
            #expect(waiters[round + 1].status == 200)
        }
        // Nobody asked again in between.
        #expect(group.hosts[0].requestCount == requests + 3)
        group.world.shutDown()
    }

    @Test("nothing happens while everybody waits")
    func idle() throws {
        let group = try LockGroup()
        for id in 1...20 { group.grant(id, ttl: 100_000) }
        for id in 1...20 { group.lock("a", lease: id) }
        group.world.pass(.seconds(5))
        let applied = group.hosts[0].member.appliedIndex
        let requests = group.hosts[0].requestCount
        group.world.pass(.seconds(3600))
        #expect(group.hosts[0].member.appliedIndex == applied && group.hosts[0].requestCount == requests)
        group.world.shutDown()
    }

    // @covers LOCK-C2
    @Test("a waiter whose own lease has run out is never let in")
    func deadWaiter() throws {
        let group = try LockGroup()
        group.grant(1)
        group.grant(2, ttl: 5)
        let holder = group.lock("a", lease: 1)
        group.world.pass(.milliseconds(100))
        let waiter = group.lock("a", lease: 2)
        group.world.pass(.seconds(10))
        #expect(waiter.status == 404 && waiter.answer?["message"] == "mutex: session is expired")
        let key = try #require(holder.answer?["key"])
        _ = group.ask("/v3/lock/unlock", "{\"key\":\(key.text)}")
        #expect(group.hosts[0].queues.isEmpty)
        group.world.shutDown()
    }

    @Test("who hangs up leaves the line")
    func hangUp() throws {
        let group = try LockGroup()
        for id in 1...3 { group.grant(id) }
        let waiters = (1...3).map { id in
            defer { group.world.pass(.milliseconds(50)) }
            return group.lock("a", lease: id)
        }
        waiters[1].call?.cancel()
        group.world.pass(.seconds(1))
        #expect(group.hosts[0].queues.first?.claims.map(\.lease) == [1, 3])
        group.world.shutDown()
    }

    // @covers LOCK-H4
    @Test("any member will do: followers send on what is the leader's")
    func followers() throws {
        let group = try LockGroup(3)
        let id = group.follower
        #expect(group.ask("/v3/lease/grant", "{\"ID\":7,\"TTL\":10}", at: id).status == 200)
        group.world.pass(.seconds(8))
        let kept = group.ask("/v3/lease/keepalive", "{\"ID\":7}", at: id)
        #expect(kept.answer?["result"]?["TTL"] == "10")
        group.world.pass(.seconds(8))
        #expect(group.ask("/v3/lease/timetolive", "{\"ID\":7}", at: id).answer?["TTL"] == "2")
        let lock = group.lock("a", lease: 7, at: id)
        group.world.pass(.seconds(1))
        #expect(lock.status == 200)
        group.world.pass(.seconds(3))
        #expect(group.ask("/v3/lease/timetolive", "{\"ID\":7}", at: id).answer?["TTL"] == "-1")
        group.world.shutDown()
    }

    @Test("a leader that slept, or was cut off, past the end of a lease does not end it when it comes back")
    func sleepingLeader() throws {
        for isAsleep in [true, false] {
            let group = try LockGroup(3)
            let old = try #require(group.leader)
            let id = group.follower
            group.grant(1, ttl: 5)
            #expect(group.lock("a", lease: 1, at: id).status == 0)
            group.world.pass(.milliseconds(200))
            // Cut off it stops leading by itself before the lease is over; asleep it knows of nothing.
            let fault = isAsleep ? nil : group.world.inject(.block(partition: true), from: old.node.name, both: true)
            if isAsleep { old.node.freeze() }
            group.world.pass(.seconds(3))
            for _ in 0..<4 {
                #expect(group.ask("/v3/lease/keepalive", "{\"ID\":1}", at: id).answer?["result"]?["TTL"] == "5")
                group.world.pass(.seconds(1))
            }
            if isAsleep { old.node.thaw() }
            if let fault { _ = group.world.faults.remove(fault) }
            group.world.pass(.seconds(2))
            #expect(group.ask("/v3/lease/timetolive", "{\"ID\":1}", at: id).answer?["grantedTTL"] == "5", "\(isAsleep)")
            #expect(group.hosts[id - 1].queues.first?.holders.map(\.lease) == [1], "\(isAsleep)")
            group.world.shutDown()
        }
    }

    @Test("a leader that falls asleep over the question whether a lease lives does not know better than the group")
    func sleepsOverQuestion() throws {
        for delay in stride(from: 20, through: 400, by: 20) {
            let group = try LockGroup(3)
            let old = try #require(group.leader)
            let id = group.follower
            group.grant(1, ttl: 5)
            let asked = group.begin("/v3/lease/keepalive", "{\"ID\":1}", at: old.member.settings.id)
            // At one of these moments the others have said that it leads, and it has not heard it.
            group.world.pass(.microseconds(delay))
            old.node.freeze()
            group.world.pass(.seconds(3))
            for _ in 0..<4 {
                #expect(group.ask("/v3/lease/keepalive", "{\"ID\":1}", at: id).answer?["result"]?["TTL"] == "5")
                group.world.pass(.seconds(1))
            }
            old.node.thaw()
            group.world.pass(.seconds(2))
            #expect(asked.status != 200 || asked.answer?["result"]?["TTL"] == "5", "after \(delay) µs")
            group.world.shutDown()
        }
    }

    @Test("a calendar that jumps by an hour, either way, ends no lease and lengthens none")
    func calendars() throws {
        for skew in [LabDuration.seconds(3600), .seconds(-3600)] {
            let group = try LockGroup(3)
            group.grant(1, ttl: 10)
            _ = group.lock("a", lease: 1)
            group.world.pass(.seconds(4))
            for host in group.hosts { host.node.clockSkew = skew }
            group.world.pass(.seconds(5))
            #expect(group.ask("/v3/lease/timetolive", "{\"ID\":1}").answer?["TTL"] == "1", "\(skew)")
            #expect(group.hosts[0].queues.first?.holders.map(\.lease) == [1], "\(skew)")
            group.world.pass(.seconds(3))
            #expect(group.hosts[0].queues.isEmpty, "\(skew)")
            group.world.shutDown()
        }
    }

    // @covers LOCK-C5
    @Test("what many ask for together is agreed on together")
    func batches() throws {
        let group = try LockGroup(3)
        let leader = group.hosts.firstIndex { $0.member.isLeader }! + 1
        func time(_ count: Int) -> LabDuration {
            let began = group.world.now
            let all = (0..<count).map {
                group.begin("/v3/kv/put", "{\"key\":\"YQ==\",\"value\":\"\($0)MTE\"}", at: leader)
            }
            for _ in 0..<10_000 where !all.allSatisfy(\.isAnswered) { group.world.pass(.microseconds(100)) }
            return group.world.now - began
        }
        let one = time(1)
        #expect(time(100) < one * 5)
        group.world.shutDown()
    }

    @Test("history is bounded: old revisions go by themselves, and whoever asks for them is told")
    func compaction() throws {
        let group = try LockGroup(keptRevisions: 20)
        for _ in 0..<60 { _ = group.ask("/v3/kv/put", "{\"key\":\"YQ==\"}") }
        group.world.pass(.seconds(1))
        #expect(group.ask("/v3/kv/range", "{\"key\":\"YQ==\",\"revision\":50}").status == 200)
        let old = group.ask("/v3/kv/range", "{\"key\":\"YQ==\",\"revision\":2}")
        #expect(old.status == 400 && old.answer?["code"] == 11)
        group.world.shutDown()
    }

    @Test("a lock whose holder vanished is given to nobody for a while; one that was given back, at once")
    func lockDelay() throws {
        let group = try LockGroup(lockDelay: .seconds(15))
        group.grant(1, ttl: 5)
        for id in 2...3 { group.grant(id) }
        _ = group.lock("a", lease: 1)
        group.world.pass(.milliseconds(100))
        let second = group.lock("a", lease: 2)
        group.world.pass(.milliseconds(100))
        let third = group.lock("a", lease: 3)
        group.world.pass(.seconds(19))
        #expect(!second.isAnswered)
        group.world.pass(.seconds(2))
        #expect(second.status == 200 && !third.isAnswered)
        let key = try #require(second.answer?["key"])
        _ = group.ask("/v3/lock/unlock", "{\"key\":\(key.text)}")
        group.world.pass(.milliseconds(100))
        #expect(third.status == 200)
        group.world.shutDown()
    }

    @Test("elections: campaign, leader, proclaim, resign")
    func elections() throws {
        let group = try LockGroup()
        for id in 1...2 { group.grant(id) }
        let name = Base64.standard.encode(Array("e".utf8))
        func campaign(_ lease: Int) -> LockGroup.Question {
            group.begin("/v3/election/campaign", "{\"name\":\"\(name)\",\"lease\":\(lease),\"value\":\"dg==\"}")
        }
        #expect(group.ask("/v3/election/leader", "{\"name\":\"\(name)\"}").status == 500)
        let first = campaign(1)
        group.world.pass(.milliseconds(100))
        let second = campaign(2)
        group.world.pass(.milliseconds(100))
        let leader = try #require(first.answer?["leader"])
        #expect(!second.isAnswered)
        #expect(group.ask("/v3/election/proclaim", "{\"leader\":\(leader.text),\"value\":\"dzI=\"}").status == 200)
        #expect(group.ask("/v3/election/leader", "{\"name\":\"\(name)\"}").answer?["kv"]?["value"] == "dzI=")
        _ = group.ask("/v3/election/resign", "{\"leader\":\(leader.text)}")
        group.world.pass(.milliseconds(100))
        #expect(second.status == 200)
        #expect(group.ask("/v3/election/proclaim", "{\"leader\":\(leader.text),\"value\":\"\"}").status == 500)
        group.world.shutDown()
    }

    /// Whatever is sent, an answer comes, and the next question is answered too.
    @Test("nonsense of every kind gets an error in etcd's form")
    func nonsense() throws {
        let group = try LockGroup()
        let paths = [
            "kv/range", "kv/put", "kv/deleterange", "kv/txn", "kv/compaction", "lease/grant", "lease/revoke",
            "lease/keepalive", "lease/timetolive", "lock/lock", "lock/unlock", "election/campaign", "election/leader",
            "election/proclaim", "election/resign", "watch", "cluster/member/remove", "cluster/member/add",
        ]
        let bodies = [
            "", "{", "[]", "7", "null", "{\"key\":7}", "{\"key\":\"%%\"}", "{\"ID\":\"99999999999999999999\"}",
            "{\"ID\":1e300,\"TTL\":-1}", "{\"TTL\":\"9223372036854775807\"}", "{\"name\":\"/w==\"}",
            "{\"revision\":\"-9223372036854775808\"}", "{\"compare\":[{}]}", "{\"success\":[{}]}",
            "{\"leader\":{\"key\":\"\"}}", "{\"create_request\":{\"key\":\"\"}}", "{\"create_request\":7}",
            "{\"name\":\"YQ==\",\"kind\":\"PERMIT\",\"permits\":0}", "{\"peerURLs\":[7]}",
        ]
        for path in paths {
            for body in bodies {
                let question = group.ask("/v3/\(path)", body)
                #expect(question.status != -1 && question.status != 0, "\(path) \(body)")
                if question.status >= 400 { #expect(question.answer?["code"] != nil, "\(path) \(body)") }
            }
        }
        #expect(group.ask("/v3/kv/put", "{\"key\":\"YQ==\"}").status == 200)
        group.world.shutDown()
    }
}
