import KernelStructures
import ShellTranscripts
import Testing

@Suite("Changed transcripts") struct MutationTests {
    static let samples: [Sample] =
        Samples.all + [
            Sample(
                name: "session 01", text: try! Bench.session01(), equivalents: Samples.session01Equivalents,
                places: Samples.session01Places)
        ]
    static let mutations: [Mutation] = samples.flatMap { try! Mutator($0).all }

    @Test("Each sample passes as it stands, in memory and on sockets", arguments: samples)
    func samplesPass(sample: Sample) throws {
        for net in [.memory, .loopback] as [LabNet] {
            let failure = try Bench.failure(sample.text, net: net)
            #expect(failure == nil, "\(sample.name) on \(net): \(failure.map { "\($0)" } ?? "")")
        }
    }

    @Test("Every change that makes a transcript untrue is caught, at the right line; the others pass")
    func caught() {
        let troubles = Bench.map(Self.mutations) { mutation -> String? in
            let failure: CaseFailure?
            do { failure = try Bench.failure(mutation.text) } catch {
                return mutation.isEquivalent ? "\(mutation.label): \(error)" : nil
            }
            guard let failure else { return mutation.isEquivalent ? nil : "\(mutation.label) is not caught" }
            if mutation.isEquivalent {
                return "\(mutation.label) fails, but changes nothing: \(failure.place) \(failure.message)"
            }
            return mutation.places.contains(failure.place.line)
                ? nil : "\(mutation.label) is reported at line \(failure.place.line): \(failure.message)"
        }.compactMap { $0 }
        #expect(troubles.isEmpty, "\(troubles.count) of \(Self.mutations.count):\n\(troubles.joined(separator: "\n"))")
        #expect(Self.mutations.count > 300)
    }

    @Test("Few changes are equivalent, and each kind of change is tried")
    func kinds() {
        let equivalent = Self.mutations.count { $0.isEquivalent }
        #expect(equivalent * 5 < Self.mutations.count, "\(equivalent) of \(Self.mutations.count)")
        let kinds = Set(Self.mutations.filter { !$0.isEquivalent }.map(\.kind))
        #expect(kinds.count == 10, "\(kinds)")
    }

    @Test("An update repairs each change, keeps every line that is true as it stands, and leaves equal what passes")
    func repaired() {
        let troubles = Bench.map(Self.mutations) { mutation -> String? in
            let result: Updater.Result
            do { result = try Bench.update(mutation.text) } catch { return nil }
            if mutation.isEquivalent {
                return result.text == mutation.text && result.repairCount == 0 ? nil : "\(mutation.label) was rewritten"
            }
            if mutation.isHopeless { return result.failure == nil ? "\(mutation.label) was repaired after all" : nil }
            if let failure = result.failure {
                return "\(mutation.label) is not repaired: \(failure.place) \(failure.message)"
            }
            do {
                if let failure = try Bench.failure(result.text) {
                    return "\(mutation.label) fails after its repair: \(failure)"
                }
            } catch {
                return "\(mutation.label) cannot be read after its repair: \(error)"
            }
            if result.text == mutation.text { return "\(mutation.label): nothing was repaired" }
            let lines = result.text.split(separator: "\n").map(String.init)
            var next = lines.startIndex
            for line in mutation.kept {
                guard let found = lines[next...].firstIndex(of: line) else { return "\(mutation.label) lost '\(line)'" }
                next = found + 1
            }
            return nil
        }.compactMap { $0 }
        #expect(troubles.isEmpty, "\(troubles.count) of \(Self.mutations.count):\n\(troubles.joined(separator: "\n"))")
    }
}
