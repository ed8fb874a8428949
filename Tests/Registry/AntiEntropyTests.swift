import KernelJSON
import KernelStructures
import RegistryEngine
import RegistryService
import TestSupport
import Testing

@Suite("Anti-entropy of the registry")
struct AntiEntropyTests {
    /// Between one and two minutes after a change, in a small cluster.
    private static let most = LabDuration.seconds(121)

    private func lab() throws -> RegistryLab {
        let lab = try RegistryLab()
        let body = #"{"ID": "p", "Name": "pay", "Port": 80, "Check": {"TTL": "1h", "Status": "passing"}}"#
        #expect(try lab.ask("PUT", "/v1/agent/service/register", body).status == 200)
        return lab
    }

    private func repairs(_ lab: RegistryLab) -> Int { lab.host.engine.repairCount }

    @Test("what is taken off the catalogue past its agent comes back as it was, and its agent knows it meanwhile")
    func missing() throws {
        let lab = try lab()
        lab.world.pass(Self.most)
        #expect(repairs(lab) == 0, "what its agent does itself is no difference")
        let row = try lab.json("/v1/health/service/pay")[0]
        #expect(try lab.ask("PUT", "/v1/catalog/deregister", #"{"Node": "registry", "ServiceID": "p"}"#).status == 200)
        #expect(try lab.json("/v1/health/service/pay") == [])
        #expect(try lab.json("/v1/agent/services")["p"]?["Port"] == 80)
        // It goes on looking after it, and hears what its check says.
        #expect(try lab.ask("PUT", "/v1/agent/check/warn/service:p?note=slow").status == 200)
        lab.world.pass(.seconds(50))
        #expect(try lab.json("/v1/health/service/pay") == [], "it does not look at every moment")
        lab.world.pass(Self.most)
        let again = try lab.json("/v1/health/service/pay")[0]
        #expect(again?["Service"]?["Port"] == row?["Service"]?["Port"])
        #expect(again?["Checks"]?[1]?["Status"] == "warning" && again?["Checks"]?[1]?["Output"] == "slow")
        #expect(repairs(lab) == 2)
    }

    @Test("what is changed past its agent is as it was before long: a service, how a check is, and a check itself")
    func changed() throws {
        let lab = try lab()
        let rows = [
            #"{"Node": "registry", "Service": {"ID": "p", "Service": "pay", "Port": 81, "Tags": ["x"]}}"#,
            #"{"Node": "registry", "Check": {"CheckID": "service:p", "Name": "c", "ServiceID": "p", "#
                + #""Status": "critical"}}"#,
        ]
        for row in rows { #expect(try lab.ask("PUT", "/v1/catalog/register", row).status == 200) }
        #expect(try lab.json("/v1/health/service/pay?passing") == [])
        lab.world.pass(Self.most + .seconds(16))
        let again = try lab.json("/v1/health/service/pay?passing")[0]
        #expect(again?["Service"]?["Port"] == 80 && again?["Service"]?["Tags"] == [])
        let check = lab.host.engine.catalog.checks[InstanceKey(node: "registry", id: "service:p")]
        #expect(check?.kind == "ttl")
        // And it is still told.
        #expect(try lab.ask("PUT", "/v1/agent/check/fail/service:p").status == 200)
        #expect(try lab.json("/v1/health/service/pay?passing") == [])
    }

    @Test("what its agent was not told of is taken off; on other nodes, whose agents are elsewhere, it stays")
    func unknown() throws {
        let lab = try lab()
        for node in ["registry", "far"] {
            let row =
                #"{"Node": "\#(node)", "Address": "10.0.0.7", "Service": {"Service": "ghost", "Port": 1}, "#
                + #""Check": {"Name": "c", "ServiceID": "ghost", "Status": "passing"}}"#
            #expect(try lab.ask("PUT", "/v1/catalog/register", row).status == 200)
        }
        let transaction =
            #"[{"Service": {"Verb": "set", "Node": "registry", "Service": {"ID": "g2", "Name": "ghost"}}}]"#
        #expect(try lab.ask("PUT", "/v1/txn", transaction).status == 200)
        #expect(lab.host.engine.catalog.instances(of: "ghost").count == 3)
        lab.world.pass(Self.most)
        #expect(lab.host.engine.catalog.instances(of: "ghost").map(\.node) == ["far"])
        #expect(try lab.json("/v1/health/service/pay?passing")[0] != nil)
        // The node itself is its agent's, too: its address was changed above.
        #expect(lab.host.engine.catalog.nodes["registry"]?.address == lab.host.settings.address)
        // All of a node goes, and comes back.
        #expect(try lab.ask("PUT", "/v1/catalog/deregister", #"{"Node": "registry"}"#).status == 200)
        #expect(lab.host.engine.catalog.instances(of: "pay").isEmpty)
        lab.world.pass(Self.most)
        #expect(try lab.json("/v1/health/service/pay?passing")[0]?["Checks"]?[0]?["CheckID"] == "serfHealth")
    }

    @Test("what its agent lets go of does not come back, whether or not it stood in the catalogue")
    func forgotten() throws {
        let lab = try lab()
        #expect(try lab.ask("PUT", "/v1/catalog/deregister", #"{"Node": "registry", "ServiceID": "p"}"#).status == 200)
        #expect(try lab.ask("PUT", "/v1/agent/service/deregister/p").status == 200)
        lab.world.pass(Self.most)
        #expect(lab.host.engine.catalog.instances(of: "pay").isEmpty && repairs(lab) == 0)
        #expect(try lab.ask("PUT", "/v1/agent/service/deregister/p").status == 404)
    }

    @Test("where others may have their say about tags, theirs stay")
    func tagOverride() throws {
        let lab = try lab()
        let body = #"{"ID": "t", "Name": "tagged", "Port": 1, "Tags": ["a"], "EnableTagOverride": true}"#
        #expect(try lab.ask("PUT", "/v1/agent/service/register", body).status == 200)
        let row =
            #"{"Node": "registry", "Service": {"ID": "t", "Service": "tagged", "Port": 2, "Tags": ["b"], "#
            + #""EnableTagOverride": true}}"#
        #expect(try lab.ask("PUT", "/v1/catalog/register", row).status == 200)
        lab.world.pass(Self.most)
        let instance = lab.host.engine.catalog.instances(of: "tagged").first
        #expect(instance?.port == 1 && instance?.tags == ["b"])
    }

    @Test("nothing is compared while nothing changes, and a large cluster takes longer: each doubling a minute more")
    func rhythm() {
        var settings = RegistrySettings()
        settings.node = "n1"
        func delay(nodes: Int) -> [Double] {
            (0..<40).compactMap { (seed: UInt64) -> Double? in
                var registry = Registry(settings, random: SeededRandom(seed: seed))
                var index: UInt64 = 0
                func apply(_ command: RegistryCommand) {
                    index += 1
                    _ = registry.apply(command, index: index, now: LabTime(nanoseconds: 0))
                }
                for number in 2...max(2, nodes) {
                    apply(.register(node: CatalogNode(name: "n\(number)", address: "a"), instance: nil, checks: []))
                }
                #expect(registry.nextDeadline == nil, "the others' rows are none of its business")
                apply(.register(node: CatalogNode(name: "n1", address: "a"), instance: nil, checks: []))
                guard let deadline = registry.nextDeadline else { return nil }
                _ = registry.tick(now: deadline)
                #expect(registry.nextDeadline == nil, "all is as it should be")
                return (deadline - LabTime(nanoseconds: 0)).seconds
            }
        }
        for (nodes, most) in [(1, 120.0), (128, 120), (129, 180), (256, 180), (257, 240), (1025, 360)] {
            let delays = delay(nodes: nodes)
            #expect(delays.count == 40 && delays.min()! >= 60 && delays.max()! < most, "\(nodes)")
            #expect(delays.max()! > most * 0.75, "\(nodes): it is spread over its time")
        }
    }
}
