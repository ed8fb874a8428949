import KernelHosting
import KernelStructures
import KernelWorld
import Testing
import TimeSeriesEngine

@testable import MetricsCollectorEngine

/// What is sent to others: each sample once as far as anybody can know, in order, and bounded.
@Suite struct RemoteWriteTests {
    private func queue(_ count: Int, externalLabels: Labels = Labels()) -> RemoteWriteQueue {
        var queue = RemoteWriteQueue(externalLabels: externalLabels)
        for index in 0..<count { queue.add(["__name__": "m\(index % 3)"], Int64(index), .float(Double(index))) }
        return queue
    }

    @Test func samplesOfASeriesStandTogetherInTheirOrder() throws {
        var queue = queue(7, externalLabels: ["region": "eu", "__name__": "other"])
        let nextRequest = queue.next()
        let request = try #require(nextRequest)
        #expect(request.series.map(\.labels) == (0..<3).map { ["__name__": "m\($0)", "region": "eu"] })
        #expect(request.series[0].samples.map(\.time) == [0, 3, 6])
        // One request at a time.
        #expect(queue.next() == nil && queue.isSending && queue.pendingCount == 7)
        #expect(try RemoteWriteRequest(snappy: request.bytes) == request)
        #expect(queue.answered(204) == .zero)
        #expect(queue.sentCount == 7 && queue.pendingCount == 0 && queue.next() == nil)
    }

    @Test func whatWasNotAnsweredIsSentAgainTheSameAfterAPauseThatGrows() throws {
        var queue = queue(3)
        let firstRequest = queue.next()
        let first = try #require(firstRequest)
        var pauses: [LabDuration] = []
        for status in [500, nil, 503, 429, 500, 500, 500, 500, 500, 500] {
            pauses.append(queue.answered(status))
            queue.add(["__name__": "late"], 100, .float(1))
            let sameRequest = queue.next()
            let again = try #require(sameRequest)
            #expect(again.series.prefix(3) == first.series[...], "what was on its way comes first")
        }
        #expect(pauses.prefix(4) == [30, 60, 120, 240].map { .milliseconds($0) }[...])
        #expect(pauses.last == .seconds(5))
        #expect(queue.answered(429, retryAfter: .seconds(20)) == .seconds(20))
        _ = queue.next()
        #expect(queue.answered(200) == .zero && queue.sentCount == 13)
    }

    @Test func whatIsRefusedForGoodDoesNotBlockTheRest() {
        var queue = queue(RemoteWriteQueue.batchLimit + 5)
        #expect(queue.isFull)
        #expect(queue.next()?.series.reduce(0) { $0 + $1.samples.count } == RemoteWriteQueue.batchLimit)
        #expect(queue.answered(400) == .zero)
        #expect(queue.failedCount == RemoteWriteQueue.batchLimit)
        #expect(queue.next()?.series.reduce(0) { $0 + $1.samples.count } == 5)
        // An answer that nobody waits for changes nothing.
        _ = queue.answered(200)
        #expect(queue.answered(200) == .zero && queue.sentCount == 5)
    }

    @Test func itIsBoundedAndTheOldestGo() {
        var queue = queue(RemoteWriteQueue.limit + 10)
        #expect(queue.droppedCount == 10 && queue.pendingCount == RemoteWriteQueue.limit)
        #expect(queue.next()?.series.flatMap { $0.samples.map(\.time) }.min() == 10)
    }
}
