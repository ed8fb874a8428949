import KernelStructures
import TestSupport
import Testing

/// Each structure beside a plain array that is obviously right, through thousands of random operations.
@Suite("Queues and heaps against a model")
struct QueueTests {
    @Test("a heap gives back the smallest, equal elements included", arguments: 1...20 as ClosedRange<UInt64>)
    func heap(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var heap = BinaryHeap<Int>()
        var model: [Int] = []
        for _ in 0..<2000 {
            switch random.below(10) {
            case 0..<6:
                let value = random.below(50)
                heap.insert(value)
                model.append(value)
            case 6..<9:
                let expected = model.min()
                if let expected { model.remove(at: model.firstIndex(of: expected)!) }
                #expect(heap.removeFirst() == expected)
            default:
                let modulus = random.below(20) + 2
                heap.retain { $0 % modulus != 0 }
                model.removeAll { $0 % modulus == 0 }
            }
            #expect(heap.count == model.count && heap.first == model.min() && heap.isEmpty == model.isEmpty)
        }
        #expect(heap.unordered.sorted() == model.sorted())
    }

    @Test("a ring keeps its order across growth and wrap-around", arguments: 1...20 as ClosedRange<UInt64>)
    func ring(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var ring = RingQueue<Int>()
        var model: [Int] = []
        let bias = random.below(6) + 2
        for step in 0..<3000 {
            if random.below(10) < bias {
                ring.append(step)
                model.append(step)
            } else if random.below(200) == 0 {
                ring.removeAll()
                model = []
            } else {
                let expected = model.isEmpty ? nil : model.removeFirst()
                #expect(ring.popFirst() == expected)
            }
            #expect(ring.count == model.count && ring.first == model.first)
            if let last = model.last {
                #expect(ring[model.count - 1] == last)
                let index = random.below(model.count)
                #expect(ring[index] == model[index])
            }
        }
    }

    @Test("a ring lets go of what was taken out")
    func ringReleases() {
        final class Thing {}
        var ring = RingQueue<Thing>()
        weak var seen: Thing?
        do {
            let thing = Thing()
            seen = thing
            ring.append(thing)
        }
        #expect(seen != nil)
        _ = ring.popFirst()
        #expect(seen == nil)
    }

    @Test("a byte queue keeps every byte in order", arguments: 1...20 as ClosedRange<UInt64>)
    func bytes(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var queue = ByteQueue()
        var model: [UInt8] = []
        let largest = [8, 300, 9000][random.below(3)]
        for _ in 0..<600 {
            if random.below(100) < 55 {
                let bytes = randomBytes(random.below(largest), seed: random.next())
                queue.append(bytes)
                model += bytes
            } else if random.below(100) == 0 {
                queue.removeAll()
                model = []
            } else {
                let count = random.below(model.count + 1)
                queue.consume(count)
                model.removeFirst(count)
            }
            #expect(queue.count == model.count && queue.isEmpty == model.isEmpty)
            #expect(queue.withUnsafeBytes { Array($0) } == model)
        }
    }

    @Test("a byte queue gives its memory back when it runs empty, and never keeps more than it must")
    func byteMemory() {
        var queue = ByteQueue()
        queue.append([UInt8](repeating: 1, count: 1 << 20))
        queue.consume(1 << 20)
        #expect(queue.storage.capacity <= ByteQueue.retainedCapacity)
        for _ in 0..<10_000 {
            queue.append([UInt8](repeating: 2, count: 1000))
            if queue.count > 8000 { queue.consume(1000) }
        }
        #expect(queue.storage.capacity < 256 * 1024)
    }
}
