import Glibc
import KernelStructures

/// Prints measurements as they come: a table, or one JSON object a line.
struct BenchmarkReport {
    let benchmarks: [Benchmark]
    let isJSON: Bool
    private let nameWidth: Int
    private let roomWidth: Int

    init(benchmarks: [Benchmark], isJSON: Bool) {
        self.benchmarks = benchmarks
        self.isJSON = isJSON
        nameWidth = benchmarks.map(\.name.count).max() ?? 0
        roomWidth = benchmarks.map(\.room.count).max() ?? 0
    }

    func begin() {
        if isJSON { return }
        line("room", "operation", "thr", ["ns/op", "bar", "range", "alloc/op", "Mop/s"], "")
    }

    func row(_ result: Measurement) {
        let benchmark = result.benchmark
        if isJSON {
            let bar = benchmark.barNanoseconds.map { "\($0)" } ?? "null"
            print(
                "{\"room\":\"\(benchmark.room)\",\"operation\":\"\(benchmark.name)\",\"threads\":\(result.threads),"
                    + "\"cpu_ns_per_op\":\(fixedDecimal(result.nanoseconds, places: 2)),\"bar_ns\":\(bar),"
                    + "\"allocations_per_op\":\(fixedDecimal(result.allocations, places: 3)),"
                    + "\"ops_per_second\":\(Int(result.perSecond))}")
            return
        }
        let range = "\(rounded(result.range.lowerBound))–\(rounded(result.range.upperBound))"
        line(
            benchmark.room, benchmark.name, "\(result.threads)",
            [
                rounded(result.nanoseconds),
                benchmark.barNanoseconds.map { "< \(trimmedDecimal($0, places: 1))" } ?? "",
                range, trimmedDecimal(result.allocations, places: 2), fixedDecimal(result.perSecond / 1e6, places: 1),
            ], result.isWithinBars ? "" : "  over")
    }

    /// - Returns: the program's status.
    func end(_ results: [Measurement]) -> Int32 {
        if !isJSON {
            print(
                "\nns/op: processor time of all threads, by operations; the median of the rounds. Mop/s: by wall time,\n"
                    + "the best round.")
        }
        return results.allSatisfy(\.isWithinBars) ? 0 : 1
    }

    private func rounded(_ nanoseconds: Double) -> String {
        fixedDecimal(nanoseconds, places: nanoseconds < 100 ? 1 : 0)
    }

    private func line(_ room: String, _ name: String, _ threads: String, _ numbers: [String], _ verdict: String) {
        let widths = [7, 7, 13, 8, 7]
        var text = room.rightPadded(to: roomWidth) + "  " + name.rightPadded(to: nameWidth) + "  "
        text += threads.rightPadded(to: 3)
        for (number, width) in zip(numbers, widths) {
            text += "  " + number.leftPadded(to: width)
        }
        print(text + verdict)
        fflush(nil)
    }
}

func complain(_ text: String) { fputs("sdlab-bench: \(text)\n", stderrStream) }

func endProgram(_ status: Int32) -> Never { exit(status) }

/// Swift 6 takes C's `stderr` for a variable that anybody may change.
private nonisolated(unsafe) let stderrStream = fdopen(STDERR_FILENO, "w")!
