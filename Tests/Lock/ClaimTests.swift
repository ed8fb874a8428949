import KernelCryptography
import KernelJSON
import KernelStructures
import KernelWorld
import LockEngine
import LockService
import TestSupport
import Testing

extension LockGroup {
    fileprivate func lock(_ name: String, lease: Int, _ more: String, at id: Int = 1) -> Question {
        let name = Base64.standard.encode(Array(name.utf8))
        return begin("/v3/lock/lock", "{\"name\":\"\(name)\",\"lease\":\(lease)\(more)}", at: id)
    }

    fileprivate func holders(_ id: Int = 1) -> [Int64] {
        hosts[id - 1].queues.flatMap { $0.holders.map(\.lease) }
    }
}

extension LockGroup.Question {
    fileprivate var text: String { if case .string(let text)? = answer?["message"] { text } else { "" } }
}

@Suite("Lock: claims that are asked for again")
struct ClaimTests {
    @Test(
        "a holder that asks once more, and hangs up, keeps what it has",
        arguments: ["/v3/lock/lock", "/v3/election/campaign"])
    func again(_ path: String) throws {
        let group = try LockGroup(3)
        let leader = 6 - group.hosts.indices.filter { !group.hosts[$0].member.isLeader }.reduce(0) { $0 + $1 + 1 }
        group.grant(1)
        let body = "{\"name\":\"YQ==\",\"lease\":1}"
        #expect(group.ask(path, body, at: leader).status == 200)
        // Nothing is agreed on while the others sleep, and the client does not wait.
        for host in group.hosts where !host.member.isLeader { host.node.freeze() }
        let once = group.begin(path, body, at: leader)
        group.world.pass(.milliseconds(250))
        #expect(!once.isAnswered)
        once.call?.cancel()
        group.world.pass(.milliseconds(50))
        for host in group.hosts { host.node.thaw() }
        group.world.pass(.seconds(3))
        for id in 1...3 { #expect(group.holders(id) == [1], "at \(id)") }
        group.world.shutDown()
    }

    @Test("of two that wait for one claim the last one takes it along")
    func twoWait() throws {
        let group = try LockGroup()
        for id in 1...2 { group.grant(id) }
        _ = group.ask("/v3/lock/lock", "{\"name\":\"YQ==\",\"lease\":1}")
        let both = (0..<2).map { _ in
            defer { group.world.pass(.milliseconds(50)) }
            return group.lock("a", lease: 2)
        }
        func line() -> [Int64] { group.hosts[0].queues.first?.claims.map(\.lease) ?? [] }
        both[0].call?.cancel()
        group.world.pass(.milliseconds(500))
        #expect(line() == [1, 2])
        both[1].call?.cancel()
        group.world.pass(.milliseconds(500))
        #expect(line() == [1])
        group.world.shutDown()
    }

    @Test("one that shares a lock cannot make it its own by asking again")
    func kinds() throws {
        let group = try LockGroup()
        for id in 1...2 { group.grant(id) }
        for id in 1...2 {
            let shared = group.lock("rw", lease: id, ",\"kind\":\"SHARED\"")
            group.world.pass(.milliseconds(100))
            #expect(shared.status == 200)
        }
        let alone = group.lock("rw", lease: 1, ",\"kind\":\"EXCLUSIVE\"")
        group.world.pass(.milliseconds(100))
        #expect(alone.status == 412 && alone.text.contains("this lease has shared in rw already"), "\(alone.text)")
        let leading = group.begin("/v3/election/campaign", "{\"name\":\"cnc=\",\"lease\":1}")
        group.world.pass(.milliseconds(100))
        #expect(leading.status == 412)
        #expect(group.holders() == [1, 2])
        let same = group.lock("rw", lease: 1, ",\"kind\":\"SHARED\"")
        group.world.pass(.milliseconds(100))
        #expect(same.status == 200)
        group.world.shutDown()
    }

    @Test("whoever comes first says how many permits there are")
    func permits() throws {
        let group = try LockGroup()
        for id in 1...3 { group.grant(id) }
        func permit(_ lease: Int, of count: Int) -> LockGroup.Question {
            defer { group.world.pass(.milliseconds(100)) }
            return group.lock("p", lease: lease, ",\"kind\":\"PERMIT\",\"permits\":\(count)")
        }
        #expect(permit(1, of: 1).status == 200)
        let more = permit(2, of: 3)
        group.world.pass(.milliseconds(100))
        #expect(more.status == 412 && more.text.contains("ask with \"permits\": 1"), "\(more.text)")
        #expect(group.hosts[0].queues.first?.claims.map(\.lease) == [1])
        let waiting = permit(3, of: 1)
        #expect(!waiting.isAnswered && group.holders() == [1])
        group.world.shutDown()
    }

    @Test("a field that there is not is no lock of another kind")
    func fields() throws {
        let group = try LockGroup()
        group.grant(1)
        for (field, hint) in [
            ("\"shared\":true", "write \"kind\": \"SHARED\""), ("\"knd\":\"SHARED\"", "did you mean kind?"),
            ("\"Owner\":\"a\"", "did you mean owner?"),
        ] {
            let refused = group.lock("a", lease: 1, "," + field)
            group.world.pass(.milliseconds(100))
            #expect(refused.status == 400 && refused.text.contains(hint), "\(refused.text)")
        }
        // etcd's own calls pass over what they do not know.
        #expect(group.ask("/v3/kv/put", "{\"key\":\"YQ==\",\"vlaue\":\"YQ==\"}").status == 200)
        #expect(group.hosts[0].queues.isEmpty)
        group.world.shutDown()
    }
}

@Suite("Lock: as etcd answers, and members that are not well")
struct GroupAnswerTests {
    /// Statuses of etcd 3.4.23's gateway.
    @Test("errors have the statuses of etcd's gateway")
    func statuses() throws {
        let group = try LockGroup()
        group.grant(7)
        let twice = "{\"request_put\":{\"key\":\"YQ==\"}},{\"request_delete_range\":{\"key\":\"YQ==\"}}"
        for (path, body, status, code) in [
            ("lease/grant", "{\"ID\":7,\"TTL\":60}", 412, 9),
            ("kv/put", "{\"key\":\"eg==\",\"lease\":99,\"ignore_value\":true}", 404, 5),
            ("kv/txn", "{\"success\":[\(twice)]}", 400, 3), ("kv/txn", "{\"failure\":[\(twice)]}", 400, 3),
            ("kv/compaction", "{\"revision\":600}", 400, 11), ("cluster/member/remove", "{\"ID\":99}", 404, 5),
            ("cluster/member/promote", "{\"ID\":99}", 404, 5), ("cluster/member/promote", "{\"ID\":1}", 412, 9),
            ("maintenance/transfer-leadership", "{\"targetID\":5}", 412, 9),
            ("cluster/member/add", "{\"peerURLs\":[\"http://m1:7001\"]}", 412, 9),
            ("watch", "{\"create_request\":{\"key\":\"YQ==\",\"filters\":[\"NOPUTT\"]}}", 400, 3),
        ] {
            let answer = group.ask("/v3/" + path, body)
            #expect(answer.status == status, "\(path) \(body)")
            #expect(answer.answer?["code"] == .integer(code), "\(path) \(body)")
        }
        group.world.shutDown()
    }

    @Test("a learner that never ran gets no vote, and leadership can be handed over by asking anybody")
    func members() throws {
        let group = try LockGroup(3)
        let asked = group.follower
        #expect(
            group.ask("/v3/cluster/member/add", "{\"peerURLs\":[\"http://m4:7001\"],\"isLearner\":true}", at: asked)
                .status == 200)
        let early = group.ask("/v3/cluster/member/promote", "{\"ID\":4}", at: asked)
        #expect(early.status == 412)
        #expect(
            early.answer?["message"] == "etcdserver: can only promote a learner member which is in sync with leader")
        #expect(group.hosts[0].member.configuration.voters == [1, 2, 3])
        let handed = group.ask("/v3/maintenance/transfer-leadership", "{\"targetID\":\(asked)}", at: asked)
        #expect(handed.status == 200)
        group.world.pass(.seconds(1))
        #expect(group.hosts[asked - 1].member.isLeader)
        group.world.shutDown()
    }

    @Test("a member that was removed is told, and answers at once that it is no member; the others go on")
    func removed() throws {
        let group = try LockGroup(3)
        let (gone, leader) = (group.follower, try #require(group.leader?.member.settings.id))
        #expect(group.ask("/v3/cluster/member/remove", "{\"ID\":\(gone)}", at: leader).status == 200)
        group.world.pass(.seconds(2))
        #expect(group.hosts.map(\.member.isDeparted) == (1...3).map { $0 == gone })
        let began = group.world.now
        for (path, body) in [("kv/range", "{\"key\":\"YQ==\"}"), ("kv/put", "{\"key\":\"YQ==\"}")] {
            let answer = group.ask("/v3/" + path, body, at: gone)
            #expect(answer.status >= 500 && "\(answer.answer?["message"] ?? .null)".contains("was removed"))
        }
        #expect(group.world.now - began < .seconds(1))
        #expect(group.ask("/v3/kv/put", "{\"key\":\"YQ==\"}", at: leader).status == 200)
        group.world.shutDown()
    }

    @Test("a member whose disk fails says so, leads no more and ends")
    func failedDisk() throws {
        let group = try LockGroup(3)
        let old = try #require(group.leader)
        var hasEnded = false
        old.runtime.onFailure = { hasEnded = true }
        group.world.inject(.disk(.failSync(count: 1)), to: old.node.name)
        _ = group.ask("/v3/kv/put", "{\"key\":\"YQ==\"}", at: old.member.settings.id)
        group.world.pass(.seconds(1))
        #expect(hasEnded && !old.member.isLeader && old.member.leader == nil)
        #expect(old.runtime.complaints.first?.hasPrefix("it has stopped taking part: ") == true)
        group.world.pass(.seconds(4))
        #expect(group.hosts.contains { $0.member.isLeader })
        group.world.shutDown()
    }

    @Test("groups have identities of their own, the same on all members")
    func identities() throws {
        func identity(_ count: Int) throws -> JSONValue? {
            let group = try LockGroup(count)
            group.world.pass(.seconds(1))
            let all = (1...count).map {
                group.ask("/v3/maintenance/status", "{}", at: $0).answer?["header"]?["cluster_id"]
            }
            #expect(all[0] != nil && Set(all.map { $0?.text }).count == 1)
            group.world.shutDown()
            return all[0]
        }
        #expect(try identity(1) != nil)
        _ = try identity(3)
    }
}
