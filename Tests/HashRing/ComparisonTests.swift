import HashRingEngine
import KernelStructures
import Testing

@Suite("All algorithms side by side")
struct ComparisonTests {
    private func compare(_ nodes: [RingNode]) throws -> [Comparison.Algorithm: Comparison.Row] {
        var settings = Comparison.Settings()
        settings.hash = .xxh64
        let comparison = try Comparison(
            nodes, adding: RingNode("new", virtualNodes: 100), removing: nodes[0].name, settings: settings)
        return Dictionary(uniqueKeysWithValues: comparison.rows.map { ($0.algorithm, $0) })
    }

    @Test("consistent hashing moves what it must; key modulo nodes moves nearly everything")
    func movement() throws {
        let rows = try compare(members(9, virtualNodes: 100))
        #expect(rows.count == Comparison.Algorithm.allCases.count)
        for algorithm in [Comparison.Algorithm.ring, .jump, .rendezvous, .slots, .ketama] {
            let adding = try #require(rows[algorithm]?.adding)
            #expect(adding.stray == 0 && abs(adding.moved - 0.1) < 0.04, "\(algorithm): \(adding)")
        }
        for algorithm in [Comparison.Algorithm.ring, .rendezvous, .slots, .ketama] {
            let removing = try #require(rows[algorithm]?.removing)
            #expect(removing.stray == 0 && abs(removing.moved - 1.0 / 9) < 0.05, "\(algorithm): \(removing)")
        }
        let modulo = try #require(rows[.modulo]?.adding)
        #expect(abs(modulo.moved - 0.9) < 0.01 && modulo.stray > 0.7)
        // The first of nine goes, so all others have another number: jump can only lose the last one.
        #expect(try #require(rows[.jump]?.removing?.stray) > 0.4)
        let maglev = try #require(rows[.maglev])
        #expect(maglev.adding!.stray > 0 && maglev.adding!.stray < 0.02)
        #expect(maglev.peakToMean < 1.05 && rows[.ring]!.peakToMean > maglev.peakToMean)
        #expect(rows[.boundedLoad]!.peakToMean <= 1.251)
    }

    @Test("weights count where the algorithm knows them, and the error of those that do not is shown")
    func weights() throws {
        let rows = try compare(members([1, 2, 5], virtualNodes: 100))
        for algorithm in [Comparison.Algorithm.ring, .ketama, .rendezvous, .maglev, .slots, .boundedLoad] {
            #expect(rows[algorithm]!.peakToMean < 1.3, "\(algorithm)")
        }
        for algorithm in [Comparison.Algorithm.modulo, .jump] { #expect(rows[algorithm]!.peakToMean > 2.5) }
    }

    @Test("nothing to compare, an unknown name and a name twice are errors")
    func errors() throws {
        #expect(throws: RingError.empty) { try Comparison([], adding: nil, removing: nil) }
        #expect(throws: RingError.self) { try Comparison(members(2), adding: nil, removing: "x") }
        #expect(throws: RingError.self) { try Comparison(members(2), adding: RingNode("node-0"), removing: nil) }
        let alone = try Comparison(members(1), adding: nil, removing: "node-0")
        #expect(alone.rows.allSatisfy { $0.removing == .init(moved: 1, stray: 0) && $0.adding == nil })
    }
}
