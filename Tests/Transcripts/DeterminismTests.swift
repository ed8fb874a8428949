import KernelStructures
import ShellTranscripts
import Testing

@Suite("Equal runs") struct DeterminismTests {
    /// Chance, loops, faults, two terminals and health checks.
    static let text = """
        @case chance
        $ backend --port 8081 --name Server-A &
        $ backend --port 8082 --name Server-B &
        $ inject latency 20ms±15ms
        fault 1: latency 20ms±15ms
        $ loadbalancer --backends 8081,8082 --port 80 &
        # Terminal 2: more clients
        $ for i in {1..5}; do curl -s -o /dev/null http://localhost/; done &
        # Terminal 1: again
        $ for i in {1..5}; do curl -s -o /dev/null http://localhost/; done
        $ inject loss 10%
        fault 2: loss 10%
        [20 seconds later]
        $ kill -9 Server-B
        [30 seconds later]
        $ echo over
        over

        """

    @Test("The same seed gives the same journal, byte for byte, for fifty seeds")
    func sameJournal() throws {
        let transcript = try Bench.parse(Self.text)
        let first = Bench.run(transcript, seeds: 50, workers: 2, journal: true)
        let second = Bench.run(transcript, seeds: 50, workers: 1, journal: true)
        try #require(first.count == 50)
        for (a, b) in zip(first, second) {
            #expect(a.seed == b.seed && a.journal == b.journal, "seed \(a.seed)")
            #expect(a.journal.split(separator: "\n").count > 100)
        }
        #expect(Set(first.map(\.journal)).count > 40, "another seed ought to be another run")
    }

    @Test("Two processes write the same journal, with 1, 2 and 8 cases at a time")
    func processes() throws {
        let scratch = try Scratch()
        let path = try scratch.write(Self.text, "chance.sdl")
        var journals: Set<String> = []
        for jobs in ["1", "2", "8", "2"] {
            let journal = scratch.path + "journal-\(jobs)"
            let outcome = try BuiltProgram.run(["test", "--seeds", "20", "--jobs", jobs, "--journal", journal, path])
            #expect(outcome.status == 0, "\(outcome.output)\(outcome.errors)")
            journals.insert(try scratch.read("journal-\(jobs)"))
        }
        #expect(journals.count == 1)
        let inProcess = Bench.run(try Bench.parse(Self.text), seeds: 20, journal: true)
        let text = inProcess.map { "# \(path) \($0.name) memory seed \($0.seed)\n\($0.journal)" }.joined()
        #expect(journals.first == text)
    }

    @Test("The seed of a case and the one of the command line are what is used")
    func seeds() throws {
        let transcript = try Bench.parse("@seed 7\n$ clock | grep seed\nseed     <int>\n")
        #expect(Bench.run(transcript, seeds: 3).map(\.seed) == [7, 8, 9])
        #expect(Bench.run(transcript, seed: 40).map(\.seed) == [40])
        #expect(try Bench.failure("@seed 7\n$ clock | grep seed\nseed     7\n") == nil)
    }
}
