import KernelStructures
import KernelWorld

// sdlab-bench [ROOM…] [--quick] [--json]: what an operation of a library costs. Status 1 if a bar is missed.

var rooms: [String] = []
var isQuick = false
var printsJSON = false
let knownRooms = allBenchmarks.map(\.room).reduce(into: [String]()) { if !$0.contains($1) { $0.append($1) } }
for word in CommandLine.arguments.dropFirst() {
    switch word {
    case "--quick": isQuick = true
    case "--json": printsJSON = true
    case _ where knownRooms.contains(word): rooms.append(word)
    default:
        complain("unknown word '\(word)'\(didYouMean(word, among: knownRooms + ["--quick", "--json"]))")
        complain("usage: scripts/bench libs [\(knownRooms.joined(separator: "|"))]… [--quick] [--json]")
        endProgram(2)
    }
}
let chosen = allBenchmarks.filter { rooms.isEmpty || rooms.contains($0.room) }
let stopwatch = Stopwatch(roundDuration: .milliseconds(isQuick ? 5 : 40), rounds: isQuick ? 5 : 11)
var results: [Measurement] = []
let report = BenchmarkReport(benchmarks: chosen, isJSON: printsJSON)
report.begin()
for benchmark in chosen {
    for threads in benchmark.threads {
        let result = stopwatch.measure(benchmark, threads: threads)
        report.row(result)
        results.append(result)
    }
}
endProgram(report.end(results))
