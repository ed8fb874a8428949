import Foundation
import KernelJSON
import KernelOTLP
import KernelStorage
import KernelStructures
import Testing
import TracingEngine

/// Other people's bodies and searches, where they are at hand.
enum TraceVectors {
    private static let root =
        "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/") + "/../shared/vectors/traces/"

    static func read(_ name: String) -> [UInt8]? {
        guard let data = FileManager.default.contents(atPath: root + name) else {
            print("skipped: ../shared/vectors/traces/\(name) is not there")
            return nil
        }
        return [UInt8](data)
    }

    static var traceNames: [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: root + "jaeger/traces")) ?? []).sorted()
    }
}

@Suite("Jaeger's own searches")
struct JaegerVectorTests {
    @Test("each gives exactly the traces that Jaeger's storages have to give, whole")
    func searches() throws {
        guard let file = TraceVectors.read("jaeger/queries.json") else { return }
        let now = try #require(LabTime(parsing: "2017-01-27T12:00:00Z"))
        let store = try TraceStore(NodeDisk.test(), directory: "/t", now: now)
        var byName: [String: Trace] = [:]
        for name in TraceVectors.traceNames {
            let traces = try OTLPTraces(json: try #require(TraceVectors.read("jaeger/traces/\(name)")))
            let spans = traces.groups.tracedSpans
            try store.add(spans, now: now)
            byName[String(name.dropLast(5))] = Trace(try #require(spans.first).span.traceID, spans)
        }
        #expect(byName.count == 14)
        var count = 0
        for entry in try JSONCursor(try JSONValue(parsing: file)).array() {
            let wanted = entry["Query"]
            var query = TraceQuery(service: try wanted["ServiceName"].string())
            query.operation = try wanted["OperationName"].string()
            for (key, value) in try wanted["Tags"].ifPresent?.members() ?? [] {
                query.tags.append((key, (try? value.string()) ?? value.value!.text(.compact)))
            }
            func time(_ name: String) throws -> UInt64 {
                UInt64(try #require(LabTime(parsing: try wanted[name].string())).nanoseconds)
            }
            query.from = try time("StartTimeMin")
            query.through = try time("StartTimeMax")
            query.shortest = UInt64(try wanted["DurationMin"].integer())
            let longest = try wanted["DurationMax"].integer()
            query.longest = longest == 0 ? nil : UInt64(longest)
            query.limit = try wanted["NumTraces"].integer()
            let names = try entry["ExpectedFixtures"].array().map { try $0.string() }
            let found = try store.find(query).traces
            let caption = try entry["Caption"].string()
            let expected = names.compactMap { byName[$0] }
            #expect(found.count == expected.count, "\(caption)")
            for trace in expected { #expect(found.contains(trace), "\(caption)") }
            count += 1
        }
        #expect(count == 13)
        let example = try #require(byName["example_trace"])
        #expect(try store.trace(example.id) == example)
        #expect(Set(store.services).isSuperset(of: example.services))
        #expect(
            store.operations(of: "example-service-1").map(\.name) == [
                "example-operation-1", "example-operation-3", "example-operation-4",
            ])
    }
}

extension NodeDisk {
    static func test(_ disk: any Disk = SimulatedDisk()) -> NodeDisk { NodeDisk(base: disk, owner: DiskOwner(1)) }
}
